"""(findings, impression) pairs from MIMIC-IV-Note's radiology reports, by the paper's rules or by cleaner ones.

`paper` gives what the release of arXiv 2305.08285 gives, quirks included: a title's first occurrence anywhere, and an impression
that keeps its title when it is the last section. `clean` takes a title only at the start of a line, never leaves it in the target,
folds white space and de-identification blanks, and drops near-empty and repeated pairs.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import polars as pl

from pareft.errors import DataError

Rules = Literal["paper", "clean"]

SOURCE_TITLES = ("final report", "findings:")
TARGET_TITLES = ("impression:", "impressions:")
SIGNATURE = "_" * 78
MIN_TARGET_CHARACTERS = 4
MIN_SOURCE_CHARACTERS = 40
ROWS_PER_BATCH = 50_000


@dataclass(frozen=True)
class Section:
    """A title's place in a report: `start` and `end` of the title itself, `stop` where the next section starts."""

    title: str
    start: int
    end: int
    stop: int


@dataclass(frozen=True)
class Pair:
    """One example before it has an id."""

    source: str
    target: str


@dataclass
class Tally:
    """What became of the notes that were read: how many were kept, and why the others were not."""

    notes: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        """Count one note that gives no pair."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def find_sections(text: str, titles: Iterable[str], *, line_start: bool) -> list[Section]:
    """The first occurrence of every title, in the order of the report; each owns the text up to the next."""
    lead = r"(?m)^[ \t]*" if line_start else ""
    found = [(match.start(), match.end(), title) for title in titles if (match := re.search(lead + re.escape(title), text))]
    found.sort()
    stops = [*(start for start, _, _ in found[1:]), len(text)][: len(found)]
    return [Section(title, start, end, stop) for (start, end, title), stop in zip(found, stops, strict=True)]


def pair_radiology(report: str, rules: Rules) -> Pair | str:
    """The pair of one report, or the reason why it gives none."""
    text = report.lower()
    sections = find_sections(text, (*SOURCE_TITLES, *TARGET_TITLES), line_start=rules == "clean")
    sources = [section for section in sections if section.title in SOURCE_TITLES]
    targets = [section for section in sections if section.title in TARGET_TITLES]
    if not sources or not targets:
        return "no findings" if targets else "no impression"
    if rules == "clean" and all(section.title != "findings:" for section in sources):
        return "no findings"
    source = "\n".join(text[section.start : section.stop].strip() for section in sources)
    keeps_title = rules == "paper"  # the release's quirk: the last section's slice begins at its title
    target = "\n".join(
        text[section.start if keeps_title and section is sections[-1] else section.end : section.stop].strip()
        for section in targets
    )
    target = target.split(SIGNATURE)[0]
    if rules == "paper":
        return Pair(source, target.strip()) if target.strip() else "empty target"
    pair = Pair(_fold(source), _fold(target))
    if len(pair.target) < MIN_TARGET_CHARACTERS or len(pair.source) < MIN_SOURCE_CHARACTERS:
        return "near-empty"
    return pair


def _fold(text: str) -> str:
    """Runs of white space become one blank, runs of two or more underscores become three."""
    return " ".join(re.sub(r"_{2,}", "___", text).split())


def read_radiology(notes: Path, *, rules: Rules) -> tuple[pl.DataFrame, Tally]:
    """Read `radiology.csv` or `.csv.gz` (a file, or the folder it is in) and pair every report.

    Returns a frame with the columns `id`, `subject_id`, `source`, `target` in the file's order, and the tally of what was dropped.

    Raises:
        DataError: no such file, a column is missing, or no report gave a pair.
    """
    path = _find_notes(notes)
    tally, rows, seen = Tally(), [], set()
    for note_id, subject_id, text in _scan(path):
        tally.notes += 1
        pair = pair_radiology(text or "", rules)
        if isinstance(pair, Pair) and rules == "clean" and (pair.source, pair.target) in seen:
            pair = "duplicate"
        if isinstance(pair, str):
            tally.drop(pair)
            continue
        seen.add((pair.source, pair.target))
        rows.append((note_id, subject_id, pair.source, pair.target))
    tally.kept = len(rows)
    if not rows:
        raise DataError(f"{path}: none of {tally.notes} notes has findings and an impression (dropped: {tally.dropped})")
    return pl.DataFrame(rows, schema=["id", "subject_id", "source", "target"], orient="row"), tally


def _find_notes(notes: Path) -> Path:
    candidates = [notes] if notes.is_file() else [notes / "radiology.csv", notes / "radiology.csv.gz"]
    for path in candidates:
        if path.is_file():
            return path
    raise DataError(f"no radiology notes at {notes}: expected radiology.csv or radiology.csv.gz there, as PhysioNet ships them")


def _scan(path: Path) -> Iterator[tuple[str, str, str]]:
    columns = ["note_id", "subject_id", "text"]
    table = pl.scan_csv(path, infer_schema=False)
    there = table.collect_schema().names()
    if missing := [column for column in columns if column not in there]:
        raise DataError(f"{path}: no column {', '.join(missing)}; the columns are {', '.join(there)}")
    for batch in table.select(columns).collect_batches(chunk_size=ROWS_PER_BATCH, maintain_order=True):
        yield from batch.iter_rows()
