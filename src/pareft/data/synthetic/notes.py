"""Seeded radiology notes in the exact CSV shape of MIMIC-IV-Note, made of nothing but the sibling modules: no patient stands behind
them.

The impression normalises (many wordings, one phrase), negates (what was asked and is not there), ranks (urgent first) and merges
(both sides into one line) what the findings say in any order, so copying sentences scores badly.
"""

import random
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pareft.data.synthetic.abdomen import ABDOMEN
from pareft.data.synthetic.chest import CHEST
from pareft.data.synthetic.findings import SIDES, TRENDS, Exam, Finding
from pareft.data.synthetic.head import HEAD

COLUMNS = ("note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text")
EXAMS = (CHEST, CHEST, CHEST, HEAD, ABDOMEN)


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


def generate_radiology_notes(count: int, *, seed: int) -> Iterator[dict[str, str]]:
    """Yield `count` notes as rows with the columns of `radiology.csv`; one patient has one to four of them.

    About 4 % lack findings or an impression, as real ones do, and are there for the builder to drop.
    """
    rng = random.Random(seed)
    subject, left, sequence = 10_000_000, 0, 0
    when = datetime(2110, 1, 1)
    for _ in range(count):
        if left == 0:
            subject, left, sequence = subject + rng.randint(1, 60), rng.choice((1, 1, 2, 3, 4)), 3
            when = datetime(2110, 1, 1) + timedelta(minutes=rng.randrange(60 * 24 * 365 * 90))
        left, sequence = left - 1, sequence + rng.randint(1, 4)
        when += timedelta(hours=rng.randint(5, 900))
        stored = when + timedelta(minutes=rng.randint(20, 900))
        yield {
            "note_id": f"{subject}-RR-{sequence}",
            "subject_id": str(subject),
            "hadm_id": str(rng.randint(20_000_000, 29_999_999)) if rng.random() < 0.6 else "",
            "note_type": "RR",
            "note_seq": str(sequence),
            "charttime": f"{when:%Y-%m-%d %H:%M:00}",
            "storetime": f"{stored:%Y-%m-%d %H:%M:00}",
            "text": _write_note(rng),
        }


def _write_note(rng: random.Random) -> str:
    exam = rng.choice(EXAMS)
    observations = _observe(exam, rng)
    asked = rng.choice([name for name, finding in exam.findings.items() if finding.questions])
    patient = f"___ year old {rng.choice(('man', 'woman'))} with {rng.choice(exam.complaints)}"
    sections = [
        f"EXAMINATION:  {rng.choice(exam.titles)}",
        f"INDICATION:  {patient}  // {rng.choice(exam.findings[asked].questions)}",
        f"TECHNIQUE:  {rng.choice(exam.techniques)}.",
        f"COMPARISON:  {'___' if any(o.trend for o in observations) else rng.choice(('None.', '___'))}",
        f"FINDINGS: \n\n{_describe(exam, observations, asked, rng)}",
        f"IMPRESSION: \n\n{_conclude(exam, observations, asked)}",
    ]
    if rng.random() < 0.04:
        del sections[rng.choice((4, 5))]
    body = "\n\n".join(_wrap(section) for section in sections)
    end = f"\n\n{'_' * 78}\n Dr. ___ discussed these findings by telephone." if rng.random() < 0.05 else ""
    return f"{'FINAL REPORT':>45}\n{body}\n{end}"


def _wrap(section: str) -> str:
    """Lines of at most 78 characters with the leading blank that MIMIC's reports have."""
    return "\n".join(textwrap.fill(line, 78, initial_indent=" ", subsequent_indent=" ") or " " for line in section.split("\n"))


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


def _describe(exam: Exam, observations: list[Observation], asked: str, rng: random.Random) -> str:
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
