"""MIMIC-IV-Note's files, read in slabs of whole records and paired, in this process or in several.

PhysioNet's records begin with `<subject>-<type>-<number>,<subject>,`. So records are found by how they begin and each is parsed on
its own: a quote that never closes costs one note and not the rest of the file.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pareft.data.batches import Batch
from pareft.data.blocks import Blocks, check_header, has_surrogates, name_missing
from pareft.data.sections import Kind, Pair, Rules, pair_sections
from pareft.data.workers import map_in_order
from pareft.errors import DataError

COLUMNS = ("note_id", "subject_id", "text")
RECORD_START = re.compile(rb'\n(?="?\d{1,12}-[A-Z]{2,3}-\d{1,9}"?,"?\d)')
NOTE_TYPE = re.compile(rb'\n"?\d{1,12}-([A-Z]{2,3})-')
NOTE_TYPES: dict[Kind, tuple[bytes, ...]] = {"discharge": (b"DS", b"AD"), "radiology": (b"RR", b"AR")}
START_BYTES = 64  # a record's start is never longer
SLAB_BYTES = 2**22
LONGEST_NOTE_BYTES = 4_000_000  # MIMIC's longest has about 60,000
LONGEST_PENDING_BYTES = 2**24
LONGEST_HEADER_BYTES = 2**16
MOST_JOINED = 8  # pieces, of a note whose text quotes the beginnings of others


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
        csv.field_size_limit(LONGEST_NOTE_BYTES)  # of this process
        batch, line, place = Batch(part=slab.part), slab.line, 0
        pieces = RECORD_START.split(slab.content) if slab.content else []
        while place < len(pieces):
            if slab.broken and place == len(pieces) - 1:
                batch.report(line, slab.broken, self._show(pieces[place]))
                taken = 1
            else:
                taken = self._take(pieces[place : place + MOST_JOINED], line, batch)
            line += sum(piece.count(b"\n") + 1 for piece in pieces[place : place + taken])
            place += taken
        if slab.broken and not pieces:
            batch.report(line, slab.broken)
        return batch

    def _take(self, pieces: Sequence[bytes], line: int, batch: Batch) -> int:
        """Pair the first piece. Returns how many belong to it, for a text may quote how a record begins."""
        row = parse_record(pieces[0], self.columns)
        if isinstance(row, list):
            self._pair(row, pieces[0], line, batch)
            return 1
        for taken in range(2, len(pieces) + 1) if pieces[0].count(b'"') % 2 else ():
            joined = b"\n".join(pieces[:taken])
            if joined.count(b'"') % 2 == 0 and isinstance(whole := parse_record(joined, self.columns), list):
                self._pair(whole, joined, line, batch)
                return taken
        first, others = split_stray(pieces[0], self.columns)
        if first is None:
            batch.report(line, row, self._show(pieces[0]))
            return 1
        self._pair(first, pieces[0], line, batch)
        for offset, reason in others:
            batch.report(line + offset, reason)
        return 1

    def _pair(self, row: Sequence[str], record: bytes, line: int, batch: Batch) -> None:
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
        if not self.show_text:
            return ""
        return " ".join(record[:2000].decode(errors="replace").partition(',"')[2].split()) or record[:400].decode(errors="replace")


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
    try:
        rows = list(csv.reader([text], strict=True))
    except csv.Error:
        return "broken quoting"
    if len(rows) != 1 or len(rows[0]) != columns:
        return "wrong number of columns"
    return rows[0]


def split_stray(piece: bytes, columns: int) -> tuple[list[str] | None, list[tuple[int, str]]]:
    """A whole record and, of the rows after it that begin like none, the line from its own and what is wrong with it.

    `None` if the first row may be a part of its record only: then what follows has the quote that closes it.
    """
    if len(piece) > LONGEST_NOTE_BYTES or piece.count(b'"') % 2:
        return None, []
    rows: list[tuple[int, list[str] | None]] = []
    lines = piece.decode(errors="surrogateescape").split("\n")
    reader = csv.reader((f"{text}\n" for text in lines), strict=True)
    start = 0
    try:
        for row in reader:
            rows.append((start, row))
            start = reader.line_num
    except csv.Error:
        rows.append((start, None))
    first, others = rows[0][1], [(place, row) for place, row in rows[1:] if row != []]
    if first is None or len(first) != columns or not others:
        return None, []
    rest = "\n".join(lines[others[0][0] :])
    if '"' in rest and len(others[0][1] or ()) != columns:
        return None, []
    if "\0" in "".join(first) or has_surrogates("".join(first)):
        return None, []
    return first, [(place, "broken quoting" if row is None else _judge(row, columns)) for place, row in others]


def _judge(row: Sequence[str], columns: int) -> str:
    return "wrong number of columns" if len(row) != columns else "no note's id"


def pair_notes(
    path: Path, kind: Kind, rules: Rules, *, workers: int = 0, slab_bytes: int = SLAB_BYTES, show_text: bool = False
) -> Iterator[Batch]:
    """The pairs of a file of notes, in its order, whatever the number of `workers` (processes beside this one; 0 takes none).

    Raises:
        DataError: no such file, one of another kind, or a column is missing.
    """
    with Blocks(path) as blocks:
        columns, beyond = _read_header(blocks, kind)
        places = tuple(columns.index(name) for name in COLUMNS)
        pair = Pairing(places, len(columns), kind, rules, show_text)  # type: ignore[arg-type]
        slabs = _cut_slabs(blocks, beyond, slab_bytes)
        yield from map_in_order(pair, slabs, workers=workers)


def _read_header(blocks: Blocks, kind: Kind) -> tuple[list[str], bytes]:
    """The columns, and what was read beyond their line.

    Raises:
        DataError: it is no header of notes, or the notes are of another kind.
    """
    begin = blocks.read(LONGEST_HEADER_BYTES)
    header, end, rest = begin.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    if not end and len(begin) >= LONGEST_HEADER_BYTES:
        raise DataError(f"{blocks.path}: its first line has more than {LONGEST_HEADER_BYTES:,} bytes, so it is no header of notes")
    check_header(blocks.path, header)
    try:
        columns = next(csv.reader([header.decode().rstrip("\r")], strict=True), [])
    except csv.Error as error:
        raise DataError(f"{blocks.path}: its first line is no CSV header; give the file as PhysioNet ships it") from error
    if missing := [name for name in COLUMNS if name not in columns]:
        raise DataError(f"{blocks.path}: {name_missing(missing, columns, wanted=COLUMNS)}")
    if rest.strip() and not RECORD_START.search(b"\n" + rest):
        raise DataError(
            f"{blocks.path}: no line begins with a note's id, such as 90000001-DS-3, and its patient's number; give the file as "
            "PhysioNet ships it"
        )
    found = NOTE_TYPE.search(b"\n" + rest)
    for other, types in NOTE_TYPES.items():
        if other != kind and found and found[1] in types:
            raise DataError(f"{blocks.path} holds {other} notes (its ids have {found[1].decode()}), and not {kind} ones")
    return columns, rest


def _cut_slabs(blocks: Blocks, pending: bytes, size: int) -> Iterator[Slab]:
    """Slabs of about `size` bytes. Of a record that is longer than any note, the rest is passed over."""
    line, skipping = 2, False
    while block := blocks.read(size):
        pending += block
        if skipping:
            start = RECORD_START.search(pending)
            keep = start.start() if start else max(0, len(pending) - START_BYTES)
            line, pending, skipping = line + pending.count(b"\n", 0, keep), pending[keep:], start is None
            if skipping:
                continue
            line, pending = line + 1, pending[1:]
        cut = _find_cut(pending)
        if cut is not None:
            yield Slab(line, pending[:cut], blocks.part)
            line, pending = line + pending.count(b"\n", 0, cut) + 1, pending[cut + 1 :]
        elif len(pending) > LONGEST_PENDING_BYTES:
            yield Slab(line, b"", blocks.part, "too long")
            skipping = True
    if pending.strip() and not skipping:
        yield Slab(line, pending.rstrip(b"\r\n"), 1.0, blocks.broken)
    elif blocks.broken:
        yield Slab(line, b"", 1.0, blocks.broken)


def _find_cut(pending: bytes) -> int | None:
    """Where the last record begins before which every quote is closed; where the last begins, if one is broken."""
    place = last = _find_start(pending, len(pending))
    while place is not None and pending.count(b'"', 0, place) % 2:
        place = _find_start(pending, place)
    if place is not None or len(pending) <= LONGEST_NOTE_BYTES:
        return place
    return last


def _find_start(pending: bytes, before: int) -> int | None:
    place = pending.rfind(b"\n", 0, before)
    while place >= 0:
        if RECORD_START.match(pending, place):
            return place
        place = pending.rfind(b"\n", 0, place)
    return None
