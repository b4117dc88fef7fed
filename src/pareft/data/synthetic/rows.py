"""Rows in the exact CSV shape of MIMIC-IV-Note: patients, their notes, numbers and times, around texts that a module writes."""

import random
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

COLUMNS = ("note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text")
FIRST_SUBJECT, FIRST_ADMISSION = 90_000_000, 70_000_000  # so that no number is a real one: those of MIMIC-IV stay below 30 million


def generate_rows(
    count: int, rng: random.Random, *, kind: str, notes_per_patient: Sequence[int], admitted: float, write: Callable[[], str]
) -> Iterator[dict[str, str]]:
    """Yield `count` rows of note type `kind` (RR or DS), a share `admitted` of them with an admission's number.

    `write` is asked for a text after everything else of its row has been drawn from the same `rng`.
    """
    subject, left, sequence = FIRST_SUBJECT, 0, 0
    when = datetime(2110, 1, 1)
    for _ in range(count):
        if left == 0:
            subject, left, sequence = subject + rng.randint(1, 60), rng.choice(notes_per_patient), 3
            when = datetime(2110, 1, 1) + timedelta(minutes=rng.randrange(60 * 24 * 365 * 90))
        left, sequence = left - 1, sequence + rng.randint(1, 4)
        when += timedelta(hours=rng.randint(5, 900))
        stored = when + timedelta(minutes=rng.randint(20, 900))
        yield {
            "note_id": f"{subject}-{kind}-{sequence}",
            "subject_id": str(subject),
            "hadm_id": str(FIRST_ADMISSION + rng.randint(20_000_000, 29_999_999)) if rng.random() < admitted else "",
            "note_type": kind,
            "note_seq": str(sequence),
            "charttime": f"{when:%Y-%m-%d %H:%M:00}",
            "storetime": f"{stored:%Y-%m-%d %H:%M:00}",
            "text": write(),
        }
