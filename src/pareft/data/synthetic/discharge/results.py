"""Laboratory values, cultures, imaging, and the examination at the end of the stay."""

from pareft.data.synthetic.discharge.arrival import examine, gather
from pareft.data.synthetic.discharge.case import Case
from pareft.data.synthetic.discharge.dice import Dice
from pareft.data.synthetic.discharge.labs import PANELS
from pareft.data.synthetic.discharge.layout import wrap
from pareft.data.synthetic.discharge.studies import CULTURES, STUDIES, UNPROMPTED, URINE
from pareft.data.synthetic.discharge.titles import CUMULATIVE

AFTER_SURGERY = "Post Surgical Physical Exam:"
SURGICAL = ("SURGERY", "NEUROSURGERY", "ORTHOPAEDICS", "UROLOGY", "PODIATRY")


def write_results(case: Case, dice: Dice) -> list[str]:
    """All results, in the order that most notes have."""
    sections = [_tabulate(case, dice)]
    cultures = dice.some(case.suited(CULTURES), 1.5 * case.depth)
    if cultures:
        sections.append("MICRO:\n" + "\n\n".join(cultures))
    sections.append(f"{dice.pick_weighted(CUMULATIVE['imaging'])}\n{_show_images(case, dice)}")
    if dice.chance(0.3 + 0.6 * case.depth):
        sections.append(f"{dice.pick_weighted(CUMULATIVE['labs after'])}\n" + "\n".join(case.chart.tabulate(dice, 3, 1)))
    if dice.chance(0.2 + 0.6 * case.depth):
        left = gather(case, [one.lasting for one in case.told], dice)
        title = dice.pick_weighted(CUMULATIVE["exam after"])
        if title == AFTER_SURGERY and case.told[0].problem.service not in SURGICAL:
            title = "Discharge Exam:"
        sections.append(f"{title}\n{examine(case, left, {}, dice)}")
    return sections


def _tabulate(case: Case, dice: Dice) -> str:
    lines = [dice.pick_weighted(CUMULATIVE["labs"]), *case.chart.tabulate(dice, len(PANELS), 0)]
    days = int(4.6 * case.depth + dice.random())
    for day in range(1, days + 1):
        lines += case.chart.tabulate(dice, 2 + dice.below(3), day / (days + 1))
    clear = not case.mentions(("urin", "#kidneys", "flank", "ketone", "hematuria"))
    return "\n".join(lines + (list(URINE) if clear and dice.chance(0.6) else []))


def _show_images(case: Case, dice: Dice) -> str:
    """What the problems' studies show, amid what is normal, and some studies that found nothing; one block per study."""
    shown: dict[str, list[str]] = {}
    for one in case.told:
        sentence = one.fill(dice.pick(one.problem.images), case.voice, dice)
        shown.setdefault(one.problem.study, []).append(sentence)
    for _ in range(int(2 * case.depth + dice.random())):
        shown.setdefault(dice.pick(UNPROMPTED), [])
    return "\n \n".join(_show_study(key, sentences, case, dice) for key, sentences in shown.items())


def _show_study(key: str, sentences: list[str], case: Case, dice: Dice) -> str:
    study = STUDIES[key]
    if key == "swallow":
        return "\n".join((study.titles[0][0], *(_wrap_lines(normal) for normal in study.normals)))
    normals = dice.some(study.normals, 1 + 3.8 * case.depth)
    return f"{dice.pick_weighted(study.cumulative)}\n{wrap(' '.join(sentences + normals).format_map(case.voice))}"


def _wrap_lines(text: str) -> str:
    return "\n".join(wrap(line) for line in text.split("\n"))
