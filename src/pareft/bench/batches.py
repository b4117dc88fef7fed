"""Batches of random token ids: all texts at full length, or a stream of mixed lengths; the same for every arm and way."""

import random
import re
from typing import Any

from pareft.errors import RunError
from pareft.records import Record

MIXED = "mixed"
FULL_SHARE = 4  # one text in so many of a mixed batch is at full length
SOURCE_MEDIAN, TARGET_MEDIAN, SPREAD = 0.35, 0.5, 0.6  # of the others, in parts of the full length, log-normal
LEAST = 4  # tokens of a text
SPECIAL = 4  # the first ids of most vocabularies, which no text here has


class Lengths(Record):
    """Tokens of sources and targets, at most in a `mixed` stream."""

    source: int
    target: int
    mixed: bool = False

    def __str__(self) -> str:
        return f"{f'{MIXED}:' if self.mixed else ''}{self.source}/{self.target}"


def parse_lengths(text: str, *, positions: int | None) -> Lengths:
    """`512/128`, `mixed:512/128`, or `mixed`: 1024/128, or as many as there are positions (`None`: no limit).

    Raises:
        RunError: none of these, or more tokens than positions.
    """
    said = f"{MIXED}:{min(1024, positions or 1024)}/{min(128, positions or 128)}" if text == MIXED else text
    found = re.fullmatch(rf"({MIXED}:)?(\d+)/(\d+)", said)
    if not found:
        raise RunError(f"--lengths {text!r}: give SOURCE/TARGET in tokens, such as 512/128, or mixed, or mixed:512/128")
    lengths = Lengths(source=int(found[2]), target=int(found[3]), mixed=bool(found[1]))
    if min(lengths.source, lengths.target) < LEAST:
        raise RunError(f"--lengths {text}: a text has {LEAST} tokens at least")
    if positions and max(lengths.source, lengths.target) > positions:
        raise RunError(f"--lengths {text}: this shape has {positions} positions; lower it, or name another --shape")
    return lengths


def draw_lengths(lengths: Lengths, *, size: int, rounds: int, seed: int) -> list[list[tuple[int, int]]]:
    """The tokens of source and target of every text of every round's batch. In a mixed stream a quarter of each batch, and one
    text at least, is at full length, at any place; the others are shorter, as texts are.
    """
    full, dice = (lengths.source, lengths.target), random.Random(seed)
    if not lengths.mixed:
        return [[full] * size for _ in range(rounds)]
    batches = []
    for _ in range(rounds):
        whole = max(1, size // FULL_SHARE)
        shorter = [
            (_draw(dice, lengths.source, SOURCE_MEDIAN), _draw(dice, lengths.target, TARGET_MEDIAN)) for _ in range(size - whole)
        ]
        batch = [full] * whole + shorter
        dice.shuffle(batch)
        batches.append(batch)
    return batches


def _draw(dice: random.Random, longest: int, middle: float) -> int:
    return min(longest - 1, max(LEAST, round(longest * middle * dice.lognormvariate(0, SPREAD))))


def draw_rows(batch: list[tuple[int, int]], *, vocabulary: int, end: int, seed: int) -> list[dict[str, Any]]:
    """Rows of random ids in these lengths, each text with its end, as training has them: not padded."""
    dice = random.Random(seed)

    def draw(tokens: int) -> list[int]:
        return [*(dice.randrange(SPECIAL, vocabulary) for _ in range(tokens - 1)), end]

    return [{"input_ids": draw(source), "attention_mask": [1] * source, "labels": draw(target)} for source, target in batch]
