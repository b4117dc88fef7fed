"""The rows of any table with named columns, one after the other: CSV, TSV, JSON, JSONL (each also gzipped), Parquet, Excel."""

import csv
import json
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pareft.data.batches import SHOWN_CHARACTERS, Flaw
from pareft.data.blocks import Blocks, check_header
from pareft.errors import DataError
from pareft.extras import explain_missing

LONGEST_ROW = 16_000_000  # characters
NEXT_OBJECT = re.compile(r"\}\s*,\s*(?=\{)")
BLANK, BETWEEN = re.compile(r"[ \t\r\n]*"), re.compile(r"[ \t\r\n,]*")
PARQUET_ROWS = 50
HEADED = (".csv", ".tsv", ".xlsx")  # whose columns are named in a first row, which may be missing

Row = tuple[int, dict[str, Any], float]  # its first line (or number), its values by column, how much of the file was read


def read_rows(path: Path, columns: Sequence[str] = ()) -> Iterator[Row | Flaw]:
    """Every row that can be read, and for the others why not. Values are as the format has them; of a file that is stored by
    columns, only the named ones, if any are.

    Raises:
        DataError: no such file, a format that is not read, a file of another kind than its name says.
    """
    if not path.is_file():
        raise DataError(f"no file {path}")
    reader = READERS.get(find_format(path))
    if reader is None:
        raise DataError(f"{path}: cannot read {path.suffix or 'a file without a suffix'}; give one of {', '.join(READERS)}")
    return reader(path, columns)


def find_format(path: Path) -> str:
    """The suffix that says the format; that of a packed file is before `.gz`."""
    return Path(path.stem if path.suffix.lower() == ".gz" else path.name).suffix.lower()


class _Feed:
    """Lines for a CSV reader, counted: `line` is the last that was given, `first` where the row in hand begins."""

    def __init__(self, lines: Iterator[str | None]) -> None:
        self._lines, self.line, self.first, self.length, self.shown = lines, 0, 0, 0, ""
        self._row: list[str] = []  # the lines of the row in hand
        self._again: deque[str] = deque()  # lines to give once more

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        text = self._again.popleft() if self._again else next(self._lines)
        self.line += 1
        if text and self.line == 1:
            text = text.removeprefix("\ufeff")
        self.first, self.length = self.first or self.line, self.length + (LONGEST_ROW + 1 if text is None else len(text))
        if text is None or self.length > LONGEST_ROW:
            raise csv.Error("too long")
        self._row.append(text)
        self.shown = self.shown or text.strip()[:SHOWN_CHARACTERS]
        return text

    def begin(self) -> None:
        self.first, self.length, self.shown, self._row = 0, 0, "", []

    def give_back(self) -> None:
        """Have the lines after the first of the row in hand read once more: what a quote that is never closed has taken in."""
        taken = self._row[1:]
        self._again.extendleft(reversed(taken))
        self.line -= len(taken)


def _read_delimited(path: Path, delimiter: str) -> Iterator[Row | Flaw]:
    csv.field_size_limit(LONGEST_ROW)
    with Blocks(path) as blocks:
        feed = _Feed(blocks.lines(longest=LONGEST_ROW))
        rows = csv.reader(feed, delimiter=delimiter, strict=True)
        columns: list[str] = []
        while True:
            feed.begin()
            try:
                row = next(rows, None)
            except csv.Error:
                if not columns:
                    check_header(path, feed.shown)
                    raise DataError(f"{path}: its first line is no header that can be read as {find_format(path)[1:]}") from None
                long = feed.length > LONGEST_ROW
                yield Flaw(feed.first, "too long" if long else "broken quoting", feed.shown)
                if not long:
                    feed.give_back()
                continue
            if row is None:
                break
            if not columns:
                columns = _read_columns(path, row)
            elif len(row) == len(columns):
                yield feed.first, dict(zip(columns, row, strict=True)), blocks.part
            elif row:
                yield Flaw(feed.first, "wrong number of columns", " | ".join(row).strip()[:SHOWN_CHARACTERS])
        if blocks.broken:
            yield Flaw(feed.line, blocks.broken)


def _read_columns(path: Path, row: list[str]) -> list[str]:
    check_header(path, "".join(row))
    if len(set(row)) < len(row):
        raise DataError(f"{path}: two columns of its first line have one name; every column needs its own")
    return row


def _read_jsonl(path: Path) -> Iterator[Row | Flaw]:
    with Blocks(path) as blocks:
        number = 0
        for number, line in enumerate(blocks.lines(longest=LONGEST_ROW), 1):
            if line is None:
                yield Flaw(number, "too long")
            elif line.strip():
                row = _parse_object(line.removeprefix("\ufeff"))
                yield Flaw(number, row, line.strip()[:SHOWN_CHARACTERS]) if isinstance(row, str) else (number, row, blocks.part)
        if blocks.broken:
            yield Flaw(number, blocks.broken)


def _parse_object(line: str) -> dict[str, Any] | str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return "broken JSON"
    return row if isinstance(row, dict) else "no JSON object"


def _read_json(path: Path) -> Iterator[Row | Flaw]:
    """An array of objects, or several one after the other, read element by element. After a broken one it goes on where the next
    object begins.
    """
    decoder = json.JSONDecoder()
    with Blocks(path) as blocks:
        pieces, line = blocks.text(), 1
        text = next(pieces, "").removeprefix("\ufeff")
        place = _skip(text, 0, BLANK)
        if text[place : place + 1] != "[":
            raise DataError(f"{path} is no JSON array of objects; a file with an object a line is named .jsonl")
        place += 1
        while True:
            start = _skip(text, place, BETWEEN)
            line, place = line + text.count("\n", place, start), start
            if text.startswith("]", place):
                rest = text[place + 1 :]
                while not rest.strip() and (piece := next(pieces, "")):
                    rest += piece
                text, place = rest, _skip(rest, 0, BLANK)
                line += text.count("\n", 0, place)
                if not text.startswith("[", place):
                    if place < len(text) or blocks.broken:
                        yield Flaw(line, blocks.broken or "text after the array", text[place : place + SHOWN_CHARACTERS])
                    return
                place += 1
                continue
            try:
                row, end = decoder.raw_decode(text, place)
            except (ValueError, RecursionError):
                more = "" if len(text) - place > LONGEST_ROW else _take(pieces, len(text) - place)
                if more:
                    text, place = text[place:] + more, 0
                    continue
                yield Flaw(line, blocks.broken or "broken JSON", text[place : place + SHOWN_CHARACTERS])
                found = NEXT_OBJECT.search(text, place)
                if not found:
                    return
                end = found.end()
            else:
                yield (line, row, blocks.part) if isinstance(row, dict) else Flaw(line, "no JSON object")
            line, place = line + text.count("\n", place, end), end


def _skip(text: str, place: int, letters: re.Pattern[str]) -> int:
    found = letters.match(text, place)
    return found.end() if found else place


def _take(pieces: Iterator[str], size: int) -> str:
    """At least so many characters more, so that what is parsed again has doubled; none at the end."""
    taken, count = [], 0
    for piece in pieces:
        taken.append(piece)
        count += len(piece)
        if count >= size:
            break
    return "".join(taken)


def _read_parquet(path: Path, columns: Sequence[str]) -> Iterator[Row | Flaw]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names = file.schema_arrow.names
            if missing := [name for name in columns if name not in names]:
                raise DataError(f"{path}: no column {', '.join(missing)}; the columns are {', '.join(names)}")
            total, number = max(1, file.metadata.num_rows), 0
            for batch in file.iter_batches(batch_size=PARQUET_ROWS, columns=list(columns) or None):
                values = [_list_values(column) for column in batch.columns]
                for row in zip(*values, strict=True):
                    number += 1
                    yield number, dict(zip(batch.schema.names, row, strict=True)), number / total
    except (pyarrow.ArrowException, OSError, OverflowError) as error:
        raise DataError(f"{path} cannot be read as Parquet") from error


def _list_values(column: Any) -> list[Any]:
    """Values as Python has them; texts with lone surrogates for bytes that are no UTF-8."""
    import pyarrow

    kind = column.type.value_type if pyarrow.types.is_dictionary(column.type) else column.type
    if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
        return column.to_pylist()
    binary = column.cast(kind).cast(pyarrow.large_binary())
    return [None if value is None else value.decode(errors="surrogateescape") for value in binary.to_pylist()]


def _read_excel(path: Path) -> Iterator[Row | Flaw]:
    from pareft.frames import pl

    with explain_missing("fastexcel", extra="excel", error=DataError):
        import fastexcel  # noqa: F401
    try:
        table = pl.read_excel(path, infer_schema_length=0, has_header=False, drop_empty_rows=False)
    except Exception as error:  # of polars, of fastexcel, of the zip file
        raise DataError(f"{path} cannot be read as an Excel workbook") from error
    columns: list[str] = []
    for number, row in enumerate(table.iter_rows(), 1):
        if not columns:
            columns = _read_columns(path, [value or "" for value in row]) if any(row) else []
        elif any(value is not None for value in row):
            yield number, dict(zip(columns, row, strict=True)), number / table.height


READERS: dict[str, Callable[[Path, Sequence[str]], Iterator[Row | Flaw]]] = {
    ".csv": lambda path, _: _read_delimited(path, ","),
    ".tsv": lambda path, _: _read_delimited(path, "\t"),
    ".json": lambda path, _: _read_json(path),
    ".jsonl": lambda path, _: _read_jsonl(path),
    ".ndjson": lambda path, _: _read_jsonl(path),
    ".parquet": _read_parquet,
    ".xlsx": lambda path, _: _read_excel(path),
}
