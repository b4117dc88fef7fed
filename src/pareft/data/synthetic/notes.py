"""Seeded radiology notes in the exact CSV shape of MIMIC-IV-Note, made of nothing but the sibling modules: no patient stands behind
them.

The impression normalises (many wordings, one phrase), negates (what was asked and is not there), ranks (urgent first) and merges
(both sides into one line) what the findings say in any order, so copying sentences scores badly.
"""

import random
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from pareft.data.synthetic.abdomen import ABDOMEN
from pareft.data.synthetic.chest import CHEST
from pareft.data.synthetic.findings import SIDES, TRENDS, Exam, Finding
from pareft.data.synthetic.head import HEAD
from pareft.data.synthetic.rows import generate_rows

WIDTH = 78
EXAMS = (CHEST, CHEST, CHEST, HEAD, ABDOMEN)
COMPARED = (".", " and reports of earlier studies.", ", performed at an outside hospital.", " and multiple previous examinations.")
CALLED = " Dr. ___ discussed these findings by telephone."
SIGNATURE = " Dr. ___, attending radiologist, reviewed the images and the report.\n Electronically signed by Dr. ___"


@dataclass(frozen=True)
class Observation:
    """A finding as it is in one patient: its name in the exam and what fills the slots of its wordings."""

    name: str
    finding: Finding
    side: str
    size: str
    place: str
    count: int
    trend: str

    @property
    def slots(self) -> dict[str, str | int]:
        """What fills the braces of the finding's wordings."""
        return {"side": self.side, "size": self.size, "place": self.place, "count": self.count}


def generate_radiology_notes(count: int, *, seed: int, detailed: bool = False) -> Iterator[dict[str, str]]:
    """Yield `count` notes as rows with the columns of `radiology.csv`; one patient has one to four of them.

    About 4 % lack findings or an impression, as real ones do, and are there for the builder to drop. `detailed` notes are as long
    as real ones, some 130 words before the impression.
    """
    rng = random.Random(seed)
    return generate_rows(
        count, rng, kind="RR", notes_per_patient=(1, 1, 2, 3, 4), admitted=0.6, write=lambda: _write_note(rng, detailed=detailed)
    )


def _write_note(rng: random.Random, *, detailed: bool) -> str:
    exam = rng.choice(EXAMS)
    observations = _observe(exam, rng)
    asked = rng.choice([name for name, finding in exam.findings.items() if finding.questions])
    patient = f"___ year old {rng.choice(('man', 'woman'))} with {rng.choice(exam.complaints)}"
    sections = [
        f"EXAMINATION:  {rng.choice(exam.titles)}",
        f"INDICATION:  {patient}  // {rng.choice(exam.findings[asked].questions)}",
        f"TECHNIQUE:  {rng.choice(exam.techniques)}.",
        f"COMPARISON:  {'___' if any(o.trend for o in observations) else rng.choice(('None.', '___'))}",
        f"FINDINGS: \n\n{_describe(exam, observations, asked, rng, detailed=detailed)}",
        f"IMPRESSION: \n\n{_conclude(exam, observations, asked)}",
    ]
    if detailed:
        sections[1] += f". {rng.choice(exam.circumstances)}."
        sections[2] += f" {rng.choice(exam.protocols)}."
        sections[3] += rng.choice(COMPARED) if sections[3].endswith("___") else ""
    if rng.random() < 0.04:
        del sections[rng.choice((4, 5))]
    body = "\n\n".join(_wrap(section) for section in sections)
    share, signature = (0.02, SIGNATURE) if detailed else (0.05, CALLED)
    end = f"\n\n{'_' * 78}\n{signature}" if rng.random() < share else ""
    return f"{'FINAL REPORT':>45}\n{body}\n{end}"


def _wrap(section: str) -> str:
    """Lines of at most 78 characters with the leading blank that MIMIC's reports have."""
    return "\n".join(_fill(line) or " " for line in section.split("\n"))


def _fill(line: str) -> str:
    """What `textwrap.fill` gives, and much sooner unless there is a hyphen to break at."""
    if "-" in line:
        return textwrap.fill(line, WIDTH, initial_indent=" ", subsequent_indent=" ")
    lines, rest = [], line.rstrip()
    while len(rest) >= WIDTH:
        cut = rest.rfind(" ", 0, WIDTH)
        lines.append(f" {rest[:cut].rstrip()}")
        rest = rest[cut:].lstrip()
    return "\n".join([*lines, f" {rest}"] if rest else lines)


def _observe(exam: Exam, rng: random.Random) -> list[Observation]:
    """What is wrong with this patient: nothing, or up to three findings, some of them on both sides."""
    names = rng.sample(list(exam.findings), rng.choices((0, 1, 2, 3), weights=(15, 30, 35, 20))[0])
    observations = []
    for name in names:
        finding = exam.findings[name]
        sides = SIDES if finding.paired and rng.random() < 0.3 else (rng.choice(SIDES),)
        trend = rng.choice(list(TRENDS)) if finding.trend and len(sides) == 1 and rng.random() < 0.35 else ""
        observations += [
            Observation(
                name, finding, side, rng.choice(finding.sizes), rng.choice(finding.places), rng.choice(finding.counts), trend
            )
            for side in sides
        ]
    return observations


def _describe(exam: Exam, observations: list[Observation], asked: str, rng: random.Random, *, detailed: bool) -> str:
    sentences = []
    for observation in observations:
        sentence = rng.choice(observation.finding.wordings).format(**observation.slots)
        trend = f", {rng.choice(TRENDS[observation.trend])}" if observation.trend else ""
        sentences.append(f"{sentence}{trend}.")
    present = {observation.name for observation in observations}
    absent = [name for name, finding in exam.findings.items() if finding.denials and name not in present]
    denied = set(rng.sample(absent, min(len(absent), rng.randint(2, 3)))) | ({asked} & set(absent))
    sentences += [f"{rng.choice(exam.findings[name].denials)}." for name in sorted(denied)]
    sentences += [f"{sentence}." for sentence in rng.sample(exam.incidental, rng.randint(0, 2))]
    if detailed:
        sentences += [f"{sentence}." for sentence in rng.sample(exam.surroundings, rng.choice((1, 2, 2, 3, 3)))]
    rng.shuffle(sentences)
    return " ".join(sentence[0].upper() + sentence[1:] for sentence in sentences)


def _conclude(exam: Exam, observations: list[Observation], asked: str) -> str:
    """The impression: ranked by urgency, both sides merged, and at the end what was asked about and is not there."""
    names = sorted({o.name for o in observations}, key=lambda name: (exam.findings[name].urgency, name))
    lines = [_conclude_finding([o for o in observations if o.name == name]) for name in names]
    if not lines:
        lines = [exam.normal]
    elif asked not in names and exam.findings[asked].denied:
        lines.append(exam.findings[asked].denied)
    lines = [f"{line[0].upper()}{line[1:]}." for line in lines]
    return lines[0] if len(lines) == 1 else "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))


def _conclude_finding(seen: list[Observation]) -> str:
    first = seen[0]
    slots = first.slots | {"tube": _judge_tube(first.count), "advice": _advise(first.count)}
    if len(seen) == 1:
        line = first.finding.conclusion.format(**slots)
        return f"{line}, {first.trend}" if first.trend else line
    if len({o.size for o in seen}) == 1:
        line = first.finding.conclusion.format(**slots | {"side": "bilateral"})
        return line if line.endswith(("pneumothorax", "atelectasis", "hydronephrosis")) else f"{line}s"
    noun = first.finding.conclusion.format(**slots | {"side": "bilateral", "size": ""}).strip()
    return f"{noun}, " + " and ".join(f"{o.size} on the {o.side}" for o in seen)


def _judge_tube(above_carina_cm: int) -> str:
    if above_carina_cm < 3:
        return "low endotracheal tube, withdrawal recommended"
    if above_carina_cm > 7:
        return "high endotracheal tube, advancement recommended"
    return "endotracheal tube in standard position"


def _advise(diameter_mm: int) -> str:
    return "chest ct recommended" if diameter_mm >= 9 else "follow-up radiograph recommended"
