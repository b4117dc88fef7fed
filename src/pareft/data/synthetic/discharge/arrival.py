"""From the header of a discharge note to its physical examination on admission."""

from pareft.data.synthetic.discharge.advice import ASSESSMENTS
from pareft.data.synthetic.discharge.background import FAMILY, HOUSEHOLD, OPERATIONS, REMOTE, SOCIAL, WORK
from pareft.data.synthetic.discharge.bedside import ARRIVALS, EMERGENCY, GIVEN, NORMAL, OPENINGS, REMARKS, SYSTEMS
from pareft.data.synthetic.discharge.case import USUAL, Case
from pareft.data.synthetic.discharge.dice import Dice
from pareft.data.synthetic.discharge.labs import Ranges
from pareft.data.synthetic.discharge.layout import capitalise, number, wrap
from pareft.data.synthetic.discharge.problems import Slot
from pareft.data.synthetic.discharge.titles import CUMULATIVE

RARELY_EXAMINED = ("BACK", "RECTAL", "PSYCH", "NECK", "SKIN", "GU")


def write_header(case: Case, dice: Dice) -> list[str]:
    """Who, when, on which service, allergic to what, why."""
    principal = case.told[0].problem
    procedures = [dice.pick(one.problem.procedures) for one in case.told if one.problem.procedures]
    complaint = capitalise(case.complaint)
    return [
        " \nName:  ___                     Unit No:   ___",
        "Admission Date:  ___              Discharge Date:   ___",
        f"Date of Birth:  ___             Sex:   {case.voice['sex']}",
        f"Service: {principal.service}",
        f"Allergies: \n{case.allergy}",
        "Attending: ___.",
        f"{dice.pick_weighted(CUMULATIVE['complaint'])}\n{complaint}",
        f"{dice.pick_weighted(CUMULATIVE['procedure'])}\n{chr(10).join(procedures) or dice.pick(('None', 'none', 'N/A'))}",
    ]


def write_history(case: Case, dice: Dice) -> list[str]:
    """The present illness, now and then with a review of systems and an assessment."""
    sections = [f"{dice.pick_weighted(CUMULATIVE['present'])}\n{_tell_illness(case, dice)}"]
    if dice.chance(0.25 + 0.2 * case.depth):
        sections.append(
            f"{dice.pick_weighted(CUMULATIVE['systems'])}\n{wrap(' '.join(dice.some(case.suited(SYSTEMS), 1 + 8 * case.depth)))}"
        )
    if dice.chance(0.05):
        text = dice.pick(ASSESSMENTS).format_map(case.voice | {"past": case.past, "complaint": case.complaint})
        sections.append(f"{dice.pick_weighted(CUMULATIVE['assessment'])}\n{wrap(text)}")
    return sections


def _tell_illness(case: Case, dice: Dice) -> str:
    voice = case.voice | {"past": case.past, "complaint": case.complaint, "vitals": _draw_vitals(case.vitals, dice)}
    story = [dice.pick(OPENINGS).format_map(voice)]
    story.append(case.told[0].fill(dice.pick(case.told[0].problem.histories), case.voice, dice))
    story += [one.fill(dice.pick(one.problem.histories), case.voice, dice) for one in case.told[1:] if dice.chance(0.4)]
    story.append(" ".join(dice.some(case.suited(REMARKS), 8.5 * case.depth)).format_map(voice))
    department = [dice.pick(EMERGENCY).format_map(voice)]
    department.append(f"Labs were notable for {case.chart.quote()}." if case.chart.abnormal else "Labs were unremarkable.")
    given = [*dice.some(case.told[0].problem.given, 0.8), *dice.some(case.suited(GIVEN), 0.2 + 1.5 * case.depth)]
    department.append(" ".join(given).format_map(voice))
    arrival = dice.pick(ARRIVALS).format_map(voice | {"vitals": _draw_vitals(case.vitals, dice)})
    return f"{wrap(' '.join(story))}\n\n{wrap(' '.join(department))}\n\n{wrap(arrival)}"


def _draw_vitals(abnormal: Ranges, dice: Dice) -> str:
    signs = {sign: low + (high - low) * dice.random() for sign, (low, high) in (USUAL | abnormal).items()}
    pressure = f"{signs['SBP']:.0f}/{signs['SBP'] * (0.5 + 0.12 * dice.random()):.0f}"
    return f"T {signs['T']:.1f}, HR {signs['HR']:.0f}, BP {pressure}, RR {signs['RR']:.0f}, SpO2 {signs['SpO2']:.0f}% RA"


def write_background(case: Case, dice: Dice) -> list[str]:
    """Old conditions, operations, habits and relatives."""
    past = [condition.past for condition in case.conditions] + dice.some(REMOTE, 3 * case.depth)
    listed = number(past) if dice.chance(0.4) else "\n".join(f"- {one}" for one in past)
    sections = [f"{dice.pick_weighted(CUMULATIVE['past'])}\n{listed}"]
    if dice.chance(0.18):
        sections.append(f"{dice.pick_weighted(CUMULATIVE['operations'])}\n" + "\n".join(dice.some(OPERATIONS, 1 + 2 * case.depth)))
    social = _tell_habits(case, dice) if dice.chance(0.35) else "___"
    sections.append(f"{dice.pick_weighted(CUMULATIVE['social'])}\n{wrap(social)}")
    sections.append(f"{dice.pick_weighted(CUMULATIVE['family'])}\n{wrap(' '.join(dice.some(FAMILY, 1 + 1.5 * case.depth)))}")
    return sections


def _tell_habits(case: Case, dice: Dice) -> str:
    return " ".join([dice.pick(HOUSEHOLD), *dice.some(WORK, 0.5), *dice.some(SOCIAL, 1.6 * case.depth)])


def write_exam(case: Case, dice: Dice) -> list[str]:
    """The examination on admission, with what the problems make of it."""
    found = gather(case, [one.exam for one in case.told], dice)
    return [f"{dice.pick_weighted(CUMULATIVE['exam'])}\n{examine(case, found, case.vitals, dice)}"]


def gather(case: Case, exams: list[Slot], dice: Dice) -> dict[str, str]:
    """What is found in each region, from what the told problems have to show there."""
    found: dict[str, str] = {}
    for one, exam in zip(case.told, exams, strict=True):
        for region, ways in exam.items():
            finding = one.fill(dice.pick(ways), case.voice, dice)
            found[region] = f"{found[region]}; {finding}" if region in found else finding
    return found


def examine(case: Case, found: dict[str, str], vitals: Ranges, dice: Dice) -> str:
    """Vital signs and a line for each region, normal unless something was `found`."""
    lines = [f"{dice.pick(('VS: ', 'VITALS: ', 'Vitals - '))}{_draw_vitals(vitals, dice)}"]
    for region, ways in NORMAL.items():
        if region in found:
            lines.append(wrap(f"{region}: {found[region]}"))
        elif region not in RARELY_EXAMINED or dice.chance(0.5 * case.depth):
            lines.append(wrap(f"{region}: {'; '.join(dice.some(ways, min(2.0, max(1.0, 0.5 + case.depth))))}"))
    return "\n".join(lines)
