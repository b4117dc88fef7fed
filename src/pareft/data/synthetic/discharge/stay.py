"""The hospital course, told by problem."""

from pareft.data.synthetic.discharge.advice import (
    ASIDES,
    CLOSINGS,
    CONSULTS,
    COURSE_OPENINGS,
    DRAFTED,
    MANAGEMENT,
    RULED_OUT,
    TRANSITIONS,
)
from pareft.data.synthetic.discharge.case import Case, Told
from pareft.data.synthetic.discharge.dice import Dice
from pareft.data.synthetic.discharge.layout import capitalise, wrap
from pareft.data.synthetic.discharge.titles import CUMULATIVE

HEADS = ("# {name}: ", "#{name}: ", "# {name}\n", "#{name}\n")
ACUTE = ("ACUTE ISSUES:\n=============", "ACTIVE ISSUES\n=============", "ACUTE/ACTIVE PROBLEMS:")
CHRONIC = ("CHRONIC ISSUES:\n===============", "CHRONIC/STABLE PROBLEMS:")
LEFT = ("TRANSITIONAL ISSUES:\n====================", "Transitional issues:")


def write_course(case: Case, dice: Dice) -> list[str]:
    """The course, and now and then what a consultant said."""
    voice = case.voice | {"past": case.past, "complaint": case.complaint}
    opening = f"{dice.pick(ASIDES)} " if dice.chance(0.06) else ""
    parts = [
        f"{dice.pick_weighted(CUMULATIVE['course'])}\n{wrap(opening + dice.pick(COURSE_OPENINGS).format_map(voice))}",
        dice.pick(ACUTE),
        *_tell_problems(case, dice),
        *(wrap(f"# ? {dice.pick(one.names)}: {dice.pick(RULED_OUT)}") for one in case.doubted),
        dice.pick(CHRONIC),
        *(wrap(f"# {condition.short}: {condition.course}") for condition in case.conditions),
        dice.pick(LEFT),
        "\n".join(wrap(item) for item in dice.some(TRANSITIONS, 6 * case.depth)).format_map(voice),
        dice.pick(CLOSINGS),
    ]
    sections = ["\n\n".join(parts)]
    if dice.chance(0.03):
        sections.append(f"{dice.pick_weighted(CUMULATIVE['consult'])}\n{wrap(dice.pick(CONSULTS))}")
    return sections


def _tell_problems(case: Case, dice: Dice) -> list[str]:
    """A paragraph for each, among whose sentences no general one stands twice."""
    head, count = dice.pick(HEADS), len(case.told)
    remarks = dice.some(case.suited(MANAGEMENT), 7.5 * case.depth * count)
    return [_tell_problem(one, remarks[place::count], case, head, dice) for place, one in enumerate(case.told)]


def _tell_problem(one: Told, remarks: list[str], case: Case, head: str, dice: Dice) -> str:
    told = [one.fill(dice.pick(one.problem.courses), case.voice, dice)]
    if dice.chance(0.6):
        told.append(dice.pick(DRAFTED).format(draft=one.draft()))
    sentences = " ".join([*told, *remarks]).format_map(case.voice)
    title = head.format(name=capitalise(one.draft()) if dice.chance(0.5) else dice.pick(one.problem.names))
    return "\n".join(wrap(part) for part in (title + sentences).split("\n"))
