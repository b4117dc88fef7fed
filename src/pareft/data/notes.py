"""MIMIC-IV-Note's files, read in slabs of whole records and paired, in this process or in several.

PhysioNet's records begin with `<subject>-<type>-<number>,<subject>,`. So records are found by how they begin and each is parsed on
its own: a quote that never closes costs one note and not the rest of the file.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pareft.data.batches import Batch
from pareft.data.blocks import Blocks, check_header, explain_missing
from pareft.data.sections import Kind, Pair, Rules, pair_sections
from pareft.data.workers import map_in_order
from pareft.errors import DataError

COLUMNS = ("note_id", "subject_id", "text")
RECORD_START = re.compile(rb'\n(?="?\d{1,12}-[A-Z]{2,3}-\d{1,9}"?,"?\d)')
START_BYTES = 64  # a record's start is never longer
SLAB_BYTES = 2**22
LONGEST_NOTE_BYTES = 4_000_000  # MIMIC's longest has about 60,000
LONGEST_PENDING_BYTES = 2**24
LONGEST_HEADER_BYTES = 2**16


@dataclass(frozen=True)
class Slab:
    """Whole records as they are in the file: the line they begin at, the file's part that was read, and of the last one, why it is
    not whole.
    """

    line: int
    content: bytes
    part: float
    broken: str = ""


@dataclass(frozen=True)
class Pairing:
    """How a slab becomes pairs: where the columns are, of how many, by which rules; `show_text` keeps beginnings of bad rows."""

    places: tuple[int, int, int]
    columns: int
    kind: Kind
    rules: Rules
    show_text: bool = False

    def __call__(self, slab: Slab) -> Batch:
        """Pair every record."""
        batch, line = Batch(part=slab.part), slab.line
        records = RECORD_START.split(slab.content) if slab.content else []
        for number, record in enumerate(records, 1):
            if number == len(records) and slab.broken:
                batch.report(line, slab.broken, self._show(record))
            else:
                self._pair(record, line, batch)
            line += record.count(b"\n") + 1
        if slab.broken and not records:
            batch.report(line, slab.broken)
        return batch

    def _pair(self, record: bytes, line: int, batch: Batch) -> None:
        row = parse_record(record, self.columns)
        if isinstance(row, str):
            batch.report(line, row, self._show(record))
            return
        identity, subject, text = (row[place] for place in self.places)
        if not text.strip():
            batch.report(line, "empty text", self._show(record))
            return
        pair = pair_sections(text, self.kind, self.rules)
        if isinstance(pair, Pair):
            batch.keep(identity, subject, pair)
        else:
            batch.drop(pair)

    def _show(self, record: bytes) -> str:
        return record[:400].decode(errors="replace") if self.show_text else ""


def parse_record(record: bytes, columns: int) -> list[str] | str:
    """The fields of one CSV record, or the reason why it has none."""
    if len(record) > LONGEST_NOTE_BYTES:
        return "too long"
    try:
        text = record.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        return "invalid UTF-8"
    if "\0" in text:
        return "NUL byte"
    csv.field_size_limit(LONGEST_NOTE_BYTES)
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error:
        return "broken quoting"
    if len(rows) != 1 or len(rows[0]) != columns:
        return "wrong number of columns"
    return rows[0]


def pair_notes(
    path: Path, kind: Kind, rules: Rules, *, workers: int = 0, slab_bytes: int = SLAB_BYTES, show_text: bool = False
) -> Iterator[Batch]:
    """The pairs of a file of notes, in its order, whatever the number of `workers` (processes beside this one; 0 takes none).

    Raises:
        DataError: no such file, one of another kind, or a column is missing.
    """
    with Blocks(path) as blocks:
        columns, header, lines = _read_header(blocks)
        places = tuple(columns.index(name) for name in COLUMNS)
        pair = Pairing(places, len(columns), kind, rules, show_text)  # type: ignore[arg-type]
        slabs = _cut_slabs(blocks, header, lines + 1, slab_bytes)
        yield from map_in_order(pair, slabs, workers=workers)


def _read_header(blocks: Blocks) -> tuple[list[str], bytes, int]:
    """The columns, what was read beyond them, and how many lines they take.

    Raises:
        DataError: it is no header of notes.
    """
    begin = blocks.read(LONGEST_HEADER_BYTES)
    header, _, rest = begin.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    check_header(blocks.path, header[:LONGEST_HEADER_BYTES])
    columns = next(csv.reader([header.decode().rstrip("\r")]), [])
    if missing := [name for name in COLUMNS if name not in columns]:
        header_is_sure = len(missing) < len(COLUMNS)
        raise DataError(f"{blocks.path}: {explain_missing(missing, columns if header_is_sure else ())}")
    if rest.strip() and not RECORD_START.search(b"\n" + rest):
        raise DataError(
            f"{blocks.path}: no line begins with a note's id, such as 10000032-DS-21, and its patient's number; give the file as "
            "PhysioNet ships it"
        )
    return columns, rest, 1


def _cut_slabs(blocks: Blocks, pending: bytes, line: int, size: int) -> Iterator[Slab]:
    """Slabs of about `size` bytes. Of a record that is longer than any note, the rest is passed over."""
    skipping = False
    while block := blocks.read(size):
        pending += block
        if skipping:
            start = RECORD_START.search(pending)
            keep = start.start() if start else max(0, len(pending) - START_BYTES)
            line, pending, skipping = line + pending.count(b"\n", 0, keep), pending[keep:], start is None
            if skipping:
                continue
            line, pending = line + 1, pending[1:]
        cut = _find_last_start(pending)
        if cut is None and len(pending) > LONGEST_PENDING_BYTES:
            yield Slab(line, pending[:0], blocks.part, "too long")
            skipping = True
        elif cut is not None:
            yield Slab(line, pending[:cut], blocks.part)
            line, pending = line + pending.count(b"\n", 0, cut) + 1, pending[cut + 1 :]
    if pending.strip() and not skipping:
        yield Slab(line, pending.rstrip(b"\r\n"), 1.0, blocks.broken)
    elif blocks.broken:
        yield Slab(line, b"", 1.0, blocks.broken)


def _find_last_start(pending: bytes) -> int | None:
    place = pending.rfind(b"\n")
    while place >= 0:
        if RECORD_START.match(pending, place):
            return place
        place = pending.rfind(b"\n", 0, place)
    return None
