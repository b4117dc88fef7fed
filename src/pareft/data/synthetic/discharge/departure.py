"""From the drugs to the instructions at discharge: among them the diagnoses, which are what is to be learned."""

from itertools import accumulate

from pareft.data.synthetic.discharge.advice import (
    ALSO,
    CONDITIONS,
    DONE,
    DUTIES,
    ENDS,
    GREETINGS,
    NARCOTIC,
    PLACES,
    PREADMISSION,
    REASONS,
    WEIGHED,
)
from pareft.data.synthetic.discharge.case import Case
from pareft.data.synthetic.discharge.dice import Dice
from pareft.data.synthetic.discharge.drugs import classify, prescribe
from pareft.data.synthetic.discharge.layout import number, wrap
from pareft.data.synthetic.discharge.titles import CUMULATIVE

CUMULATIVE_PLACES = (tuple(place for place, _ in PLACES), tuple(accumulate(weight for _, weight in PLACES)))
NEAR_EMPTY = ("___", ".", "", "-")


def write_drugs(case: Case, dice: Dice) -> list[str]:
    """What was taken at home and what is to be taken from now on."""
    home = [condition.drug for condition in case.conditions]
    stopped = [drug for one in case.told for drug in one.problem.home]
    listed = home + case.new_drugs
    dice.rng.shuffle(listed)
    lines = [
        _add_prescription(drug, 30 if drug in home else dice.pick((7, 14))) if dice.chance(0.36 * case.depth) else drug
        for drug in listed
    ]
    return [
        f"{dice.pick_weighted(CUMULATIVE['home drugs'])}\n{dice.pick(PREADMISSION)}\n{number(home + stopped)}",
        f"{dice.pick_weighted(CUMULATIVE['drugs'])}\n{number(lines, 1)}",
    ]


def _add_prescription(drug: str, days: int) -> str:
    """The drug with its prescription on the next line, where it is one that is written so."""
    prescription = prescribe(drug, days)
    return f"{drug} \n{wrap(prescription)}" if prescription else drug


def write_leaving(case: Case, dice: Dice) -> list[str]:
    """Where to, with which diagnoses, in which condition, and what the patient is told."""
    place = dice.pick_weighted(CUMULATIVE_PLACES)
    sections = [f"{dice.pick_weighted(CUMULATIVE['disposition'])}\n{place}"]
    if place != "Home":
        sections.append("Facility:\n___")
    sections += write_diagnoses(case.diagnoses, dice)
    sections.append(f"{dice.pick_weighted(CUMULATIVE['condition'])}\n{dice.pick(CONDITIONS[place])}")
    sections.append(f"{dice.pick_weighted(CUMULATIVE['instructions'])}\n{_advise(case, dice)}")
    sections.append(f"{dice.pick_weighted(CUMULATIVE['followup'])}\n___")
    if dice.chance(0.04):
        sections.append(f"{dice.pick_weighted(CUMULATIVE['end'])}\n{wrap(dice.pick(ENDS))}")
    return sections


def write_diagnoses(diagnoses: list[str], dice: Dice) -> list[str]:
    """The diagnoses, one per line, and the quirks of this section: absent, near-empty, twice, or with a name line at its end."""
    title = dice.pick_weighted(CUMULATIVE["diagnosis"])
    chance = dice.random()
    if chance < 0.035:
        return []
    if chance < 0.044:
        return [f"{title}\n{dice.pick(NEAR_EMPTY)}"]
    if chance < 0.059:
        again = dice.pick_weighted(CUMULATIVE["diagnosis"])
        return [f"{title}\n{diagnoses[0]}", f"{again}\n" + "\n".join(diagnoses[1:] or diagnoses)]
    name = "\n\nLast Name: ___ First Name: ___\nMRN: ___" if chance < 0.084 else ""
    return [f"{title}\n" + "\n".join(diagnoses) + name]


def _advise(case: Case, dice: Dice) -> str:
    reason = dice.pick(REASONS).format(plain=case.told[0].problem.plain)
    also = [dice.pick(ALSO).format(plain=one.problem.plain) for one in case.told[1:] if dice.chance(0.5)]
    story = wrap(" ".join([dice.pick(GREETINGS), reason, *also, *dice.some(case.suited(DONE), 4 * case.depth)]))
    options = case.suited(DUTIES) + ([WEIGHED] if case.mentions(("#fluid",)) else [])
    if any(classify(drug) == "opioid" for drug in case.new_drugs):
        options += NARCOTIC
    duties = "\n".join(wrap(f"- {duty}") for duty in dice.some(options, 7 * case.depth))
    return f"Dear {case.voice['Title']} ___,\n\n{story}\n\n{duties}\n\nSincerely,\nYour ___ Team"
