"""What is true of one patient in one stay, before anything is written about it."""

from dataclasses import dataclass
from functools import cached_property

from pareft.data.synthetic.discharge.background import CONDITIONS, Condition
from pareft.data.synthetic.discharge.dice import Dice
from pareft.data.synthetic.discharge.gut import GUT
from pareft.data.synthetic.discharge.heart import HEART
from pareft.data.synthetic.discharge.kidneys import KIDNEYS
from pareft.data.synthetic.discharge.labs import Ranges
from pareft.data.synthetic.discharge.layout import capitalise
from pareft.data.synthetic.discharge.limbs import LIMBS
from pareft.data.synthetic.discharge.lungs import LUNGS
from pareft.data.synthetic.discharge.nerves import NERVES
from pareft.data.synthetic.discharge.problems import Problem

PROBLEMS = (*HEART, *LUNGS, *GUT, *KIDNEYS, *LIMBS, *NERVES)
SECONDARY = ((0, 1, 2, 3), (40, 78, 95, 100))  # how many problems beside the principal one, cumulative weights
VOICES = (
    {"he": "he", "He": "He", "his": "his", "him": "him", "man": "man", "Title": "Mr.", "sex": "M"},
    {"he": "she", "He": "She", "his": "her", "him": "her", "man": "woman", "Title": "Ms.", "sex": "F"},
)


@dataclass(frozen=True)
class Told:
    """A problem as it is in one patient: `values` has the value of every slot."""

    problem: Problem
    values: dict[str, str]

    def fill(self, text: str, voice: dict[str, str], dice: Dice) -> str:
        """The text with every slot told in one of its value's wordings."""
        slots = self.problem.slots
        return capitalise(text.format_map(voice | {slot: dice.pick(slots[slot][value]) for slot, value in self.values.items()}))

    def draft(self) -> str:
        """Most of the diagnosis in another order."""
        return self.problem.draft.format_map(self.values)

    def conclude(self) -> str:
        """The normalised diagnosis, with the slots as they are."""
        return capitalise(self.problem.diagnosis.format_map(self.values))


@dataclass(frozen=True)
class Case:
    """`told` has the principal problem first and the others in the order of the course, `doubted` what is ruled out.

    `depth`: how much is written, 1 on average. `past`, `complaint`: the old conditions and the reason to come, as prose has them.
    """

    voice: dict[str, str]
    told: list[Told]
    doubted: list[Problem]
    conditions: list[Condition]
    depth: float
    past: str
    complaint: str

    @cached_property
    def abnormal(self) -> Ranges:
        """Which analytes are out of range; of two problems with the same, the earlier one's."""
        ranges: Ranges = {}
        for one in reversed(self.told):
            ranges |= one.problem.labs
        return ranges

    @property
    def diagnoses(self) -> list[str]:
        """The principal problem first, then the others by rank, whatever order they are told in."""
        others = sorted(self.told[1:], key=lambda one: (one.problem.rank, one.problem.diagnosis))
        return [one.conclude() for one in (self.told[0], *others)]


def draw_case(dice: Dice) -> Case:
    """A patient with one principal problem, up to three others, some old conditions, and now and then what is ruled out."""
    count = 1 + dice.pick_weighted(SECONDARY)
    problems = dice.some(PROBLEMS, count + (1 if dice.chance(0.3) else 0))
    depth = min(2.6, max(0.15, dice.rng.lognormvariate(-0.02, 0.45)))
    conditions = dice.some(CONDITIONS, 3 + 4 * depth)
    known = [_lower(condition.past) for condition in conditions[:3]]
    complaint = dice.pick(problems[0].complaints)
    return Case(
        voice=dice.pick(VOICES),
        told=[Told(one, {slot: dice.pick(tuple(values)) for slot, values in one.slots.items()}) for one in problems[:count]],
        doubted=problems[count:],
        conditions=conditions,
        depth=depth,
        past=f"{', '.join(known[:-1])} and {known[-1]}" if len(known) > 1 else known[0],
        complaint=_lower(complaint),
    )


def _lower(text: str) -> str:
    """The text as it is within a sentence: its first letter in lower case, unless it begins with an abbreviation."""
    return text[0].lower() + text[1:] if text[1].islower() else text
