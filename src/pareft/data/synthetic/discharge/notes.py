"""Seeded discharge notes in the exact CSV shape of MIMIC-IV-Note, made of nothing but the sibling modules: no patient stands behind
them.

The diagnosis section lists, in one normalised phrase each, the principal problem and then the others by rank. The note tells them
in many wordings and in another order, beside old conditions, which are not concluded, and suspicions, which are ruled out. So
copying a sentence scores badly.

A note holds together: values move from what a problem makes of them towards normal, a prescription says what its order says, one
drug of a class is taken, and nobody is given what he does not tolerate or what his problems forbid.

Quirks of real notes that a builder must handle occur now and then: titles within titles (`ADMISSION PHYSICAL EXAM:`), a title in
the middle of a sentence (6 %), every title of the release (the rarest in some 2 %), the diagnosis section twice (1.5 %), a
line of names after the diagnoses (2.5 %), a near-empty diagnosis (1 %) or none at all (4 %).
"""

import random
from collections.abc import Iterator

from pareft.data.synthetic.discharge.arrival import write_background, write_exam, write_header, write_history
from pareft.data.synthetic.discharge.case import draw_case
from pareft.data.synthetic.discharge.departure import write_drugs, write_leaving
from pareft.data.synthetic.discharge.dice import Dice
from pareft.data.synthetic.discharge.layout import GAP
from pareft.data.synthetic.discharge.results import write_results
from pareft.data.synthetic.discharge.stay import write_course
from pareft.data.synthetic.rows import generate_rows


def generate_discharge_notes(count: int, *, seed: int) -> Iterator[dict[str, str]]:
    """Yield `count` notes as rows with the columns of `discharge.csv`; one patient has one to five of them.

    About 4 % lack a diagnosis, as real ones do, and are there for the builder to drop.
    """
    rng = random.Random(seed)
    dice = Dice(rng)
    for row in generate_rows(
        count, rng, kind="DS", notes_per_patient=(1, 1, 2, 3, 4, 5), admitted=1.0, write=lambda: write_note(dice)
    ):
        yield row | {"charttime": f"{row['charttime'][:10]} 00:00:00"}  # of a discharge, only the day is known


def write_note(dice: Dice) -> str:
    """The text of one note."""
    case = draw_case(dice)
    sections = write_header(case, dice)
    for write in (write_history, write_background, write_exam, write_results, write_course, write_drugs, write_leaving):
        sections += write(case, dice)
    return GAP.join(sections) + "\n"
