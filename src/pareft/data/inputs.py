"""Texts to write for, one at a time: JSONL, CSV, TSV or plain lines, from a file or from standard input."""

import csv
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pareft.errors import DataError

Format = Literal["auto", "jsonl", "csv", "tsv", "lines"]
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".tsv": "tsv"}


@dataclass(frozen=True)
class Inputs:
    """A file of texts that is read as often as is needed and never held in memory."""

    path: Path
    name: str
    format: Literal["jsonl", "csv", "tsv", "lines"]
    column: str

    def rows(self) -> Iterator[tuple[str, str]]:
        """(id, text) of every row; where there is no id, the row's number from 0.

        Raises:
            DataError: a row that cannot be read, or has no text.
        """
        with self.path.open(encoding="utf-8", newline="" if self.format in ("csv", "tsv") else None) as file:
            try:
                for number, row in enumerate(self._parse(file)):
                    yield self._pick(number, row)
            except (UnicodeDecodeError, csv.Error) as error:
                raise DataError(f"{self.name} cannot be read as {self.format}: {error}") from error

    def check(self) -> int:
        """How many rows there are; all of them are read once.

        Raises:
            DataError: a row that cannot be read, two rows with one id, or none at all.
        """
        seen: set[str] = set()
        for identity, _ in self.rows():
            if identity in seen:
                raise DataError(f"{self.name}: two rows have the id {identity!r}; ids tell predictions apart")
            seen.add(identity)
        if not seen:
            raise DataError(f"{self.name} has no rows")
        return len(seen)

    def digest(self) -> str:
        """Identify the contents."""
        with self.path.open("rb") as file:
            found = hashlib.sha256()
            for block in iter(lambda: file.read(2**20), b""):
                found.update(block)
        return found.hexdigest()[:16]

    def _parse(self, file: Any) -> Iterator[dict[str, Any]]:
        if self.format == "lines":
            for line in file:
                yield {self.column: line.rstrip("\n")}
        elif self.format == "jsonl":
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield self._parse_line(number, line)
        else:
            yield from csv.DictReader(file, delimiter="\t" if self.format == "tsv" else ",")

    def _parse_line(self, number: int, line: str) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{self.name} line {number} is no JSON: {error}") from error
        if not isinstance(row, dict):
            raise DataError(f"{self.name} line {number} is no JSON object, such as {{{json.dumps(self.column)}: ...}}")
        return row

    def _pick(self, number: int, row: dict[str, Any]) -> tuple[str, str]:
        text = row.get(self.column)
        if not isinstance(text, str):
            known = ", ".join(map(str, row)) or "none"
            raise DataError(
                f"{self.name} row {number + 1} has no text {self.column!r}; it has {known}. Name the column with --source."
            )
        identity = row.get("id")
        return str(number) if identity is None else str(identity), text


@contextmanager
def open_inputs(place: str, *, column: str, format: Format = "auto") -> Iterator[Inputs]:
    """The texts of a file, or with `-` of standard input, which is put into a temporary file first.

    Raises:
        DataError: no such file.
    """
    with tempfile.TemporaryDirectory(prefix="pareft-") as folder:
        path = Path(folder) / "stdin" if place == "-" else Path(place)
        if place == "-":
            with path.open("wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file)
        if not path.is_file():
            raise DataError(f"no file {place}; give JSONL, CSV, TSV or plain lines, or - for standard input")
        chosen = format if format != "auto" else SUFFIXES.get(path.suffix.lower()) or _guess(path)
        yield Inputs(path, "standard input" if place == "-" else place, chosen, column)  # type: ignore[arg-type]


def _guess(path: Path) -> str:
    with path.open("rb") as file:
        return "jsonl" if file.readline().lstrip().startswith(b"{") else "lines"
