"""What is true of one patient in one stay, before anything is written about it."""

from dataclasses import dataclass
from functools import cached_property

from pareft.data.synthetic.discharge.background import ALLERGIES, CONDITIONS, NO_ALLERGY, Condition
from pareft.data.synthetic.discharge.companions import COMPANIONS
from pareft.data.synthetic.discharge.dice import Dice
from pareft.data.synthetic.discharge.drugs import classify
from pareft.data.synthetic.discharge.gut import GUT
from pareft.data.synthetic.discharge.heart import HEART
from pareft.data.synthetic.discharge.kidneys import KIDNEYS
from pareft.data.synthetic.discharge.labs import Chart, Ranges, draw_chart
from pareft.data.synthetic.discharge.layout import capitalise
from pareft.data.synthetic.discharge.limbs import LIMBS
from pareft.data.synthetic.discharge.liver import LIVER
from pareft.data.synthetic.discharge.lungs import LUNGS
from pareft.data.synthetic.discharge.nerves import NERVES
from pareft.data.synthetic.discharge.problems import Problem, Slot, Variant, go_together, mentions

PRINCIPAL = (*HEART, *LUNGS, *GUT, *LIVER, *KIDNEYS, *LIMBS, *NERVES)
SECOND = tuple(problem for problem in (*PRINCIPAL, *COMPANIONS) if problem.companion)
SUSPECTED = tuple(problem for problem in PRINCIPAL if problem.suspected)
USUAL: Ranges = {"T": (97.3, 98.9), "HR": (64, 92), "SBP": (106, 146), "RR": (14, 19), "SpO2": (95, 99)}
SECONDARY = ((0, 1, 2, 3), (35, 72, 93, 100))  # how many problems beside the principal one, cumulative weights
VOICES = (
    {"he": "he", "He": "He", "his": "his", "him": "him", "man": "man", "Title": "Mr.", "sex": "M", "womb": "prostate"},
    {"he": "she", "He": "She", "his": "her", "him": "her", "man": "woman", "Title": "Ms.", "sex": "F", "womb": "uterus"},
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

    @cached_property
    def parts(self) -> list[Problem | Variant]:
        """The problem, and what its values add to it."""
        variants = self.problem.variants
        return [self.problem, *(variants[value] for value in self.values.values() if value in variants)]

    @cached_property
    def drugs(self) -> list[str]:
        """What it is treated with from now on."""
        return [drug for part in self.parts for drug in part.drugs]

    @property
    def exam(self) -> Slot:
        """What is seen of it on admission."""
        return {region: ways for part in self.parts for region, ways in part.exam.items()}

    @property
    def lasting(self) -> Slot:
        """What is still seen of it at the end."""
        return {region: ways for part in self.parts for region, ways in part.lasting.items()}

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
    allergy: str
    chart: Chart

    def mentions(self, words: tuple[str, ...]) -> bool:
        """Whether any problem of the stay may say one of these words, or has the trait that one of them names as `#trait`."""
        return any(mentions(one.problem, words) for one in self.told)

    def suited(self, sentences: dict[str, tuple[str, ...]]) -> list[str]:
        """The sentences that contradict no problem of the stay."""
        return [text for text, words in sentences.items() if not (words and self.mentions(words))]

    @cached_property
    def vitals(self) -> Ranges:
        """The vital signs on admission that are not normal; of two problems with the same, what is further from normal."""
        worst: Ranges = {}
        for one in self.told:
            for sign, span in one.problem.vitals.items():
                if sign not in worst or abs(sum(span) - sum(USUAL[sign])) > abs(sum(worst[sign]) - sum(USUAL[sign])):
                    worst[sign] = span
        return worst

    @cached_property
    def new_drugs(self) -> list[str]:
        """What the problems are treated with, each once."""
        return list(dict.fromkeys(drug for one in self.told for drug in one.drugs))

    @property
    def diagnoses(self) -> list[str]:
        """The principal problem first, then the others by rank, whatever order they are told in."""
        others = sorted(self.told[1:], key=lambda one: (one.problem.rank, one.problem.diagnosis))
        return [one.conclude() for one in (self.told[0], *others)]


def draw_case(dice: Dice) -> Case:
    """A patient with one principal problem, up to three others, some old conditions, and now and then what is ruled out."""
    problems = _draw_problems(dice)
    told = [Told(one, {slot: dice.pick(tuple(values)) for slot, values in one.slots.items()}) for one in problems]
    doubted = _draw_fitting(SUSPECTED, problems, 1, dice) if dice.chance(0.3) else []
    depth = min(2.6, max(0.15, dice.rng.lognormvariate(-0.02, 0.45)))
    conditions = dice.some([one for one in CONDITIONS if _bears(one, problems)], 3 + 4 * depth)
    known = [_lower(condition.past) for condition in conditions[:3]]
    return Case(
        voice=dice.pick(VOICES),
        told=told,
        doubted=doubted,
        conditions=conditions,
        depth=depth,
        past=f"{', '.join(known[:-1])} and {known[-1]}" if len(known) > 1 else known[0],
        complaint=_lower(dice.pick(problems[0].complaints)),
        allergy=_draw_allergy(problems, conditions, dice),
        chart=_draw_chart(told, dice),
    )


def _draw_problems(dice: Dice) -> list[Problem]:
    principal = dice.pick(PRINCIPAL)
    return [principal, *_draw_fitting(SECOND, [principal], dice.pick_weighted(SECONDARY), dice)]


def _draw_fitting(options: tuple[Problem, ...], given: list[Problem], count: int, dice: Dice) -> list[Problem]:
    """At most `count` of the options that go together with those `given` and with each other."""
    chosen: list[Problem] = []
    for one in dice.some(options, len(options)) if count else ():
        if len(chosen) < count and one not in given and all(go_together(one, other) for other in (*given, *chosen)):
            chosen.append(one)
    return chosen


def _bears(condition: Condition, problems: list[Problem]) -> bool:
    """Whether the condition and its drug may stand beside the problems and theirs."""
    group = classify(condition.drug)
    return not any(group in one.classes or (condition.unless and mentions(one, condition.unless)) for one in problems)


def _draw_allergy(problems: list[Problem], conditions: list[Condition], dice: Dice) -> str:
    """What the patient does not tolerate, among what nobody gives in this stay."""
    if dice.chance(0.25):
        return NO_ALLERGY
    allergy = dice.pick(tuple(ALLERGIES))
    words = ALLERGIES[allergy]
    taken = any(word in condition.words for condition in conditions for word in words)
    return NO_ALLERGY if taken or (words and any(mentions(one, words) for one in problems)) else allergy


def _draw_chart(told: list[Told], dice: Dice) -> Chart:
    """The laboratory values; of two problems with the same analyte, the earlier one's."""
    abnormal: Ranges = {}
    after: Ranges = {}
    for one in told:
        for part in reversed(one.parts):  # what a variant has goes before what its problem has
            abnormal = abnormal | part.labs | abnormal
            after = part.after | after
    return draw_chart(dice, abnormal, after)


def _lower(text: str) -> str:
    """The text as it is within a sentence: its first letter in lower case, unless it begins with an abbreviation."""
    return text[0].lower() + text[1:] if text[1].islower() else text
