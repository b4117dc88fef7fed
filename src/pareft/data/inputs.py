"""Texts to write for, one at a time: a table with named columns, or plain lines, from a file or from standard input."""

import hashlib
import math
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pareft.data.batches import Flaw
from pareft.data.blocks import Blocks, has_surrogates, name_missing
from pareft.data.rows import HEADED, LONGEST_ROW, READERS, find_format
from pareft.errors import DataError
from pareft.files import digest_file
from pareft.records import Identity
from pareft.settings import PAIRED

Format = Literal["auto", "jsonl", "json", "csv", "tsv", "parquet", "xlsx", "lines"]
SUFFIXES = {suffix: suffix[1:] for suffix in READERS} | {".json": "", ".ndjson": "jsonl", ".txt": "lines"}  # .json: by its text
DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class Inputs:
    """A file of texts that is read as often as is needed and never held in memory."""

    path: Path
    name: str
    format: Format
    column: str
    pair: str | None = None

    def rows(self) -> Iterator[tuple[Identity, str]]:
        """(id, text) of every row; where there are no ids, the row's number from 0 as text. With `pair`, the second text stands
        behind the first, after `PAIRED`.

        Raises:
            DataError: a row that cannot be read, or has no text.
        """
        named: bool | None = None
        try:
            for number, row in enumerate(self._parse()):
                identity, text = self._pick(number, row)
                if named is not None and named != (identity is not None):
                    raise DataError(
                        f"{self.name} row {number + 1} has {'an' if identity is not None else 'no'} id, unlike those before; "
                        "give every row an id, or none"
                    )
                named = identity is not None
                yield str(number) if identity is None else identity, text
        except (UnicodeDecodeError, OSError) as error:
            raise DataError(f"{self.name} cannot be read as {self.format}: {error}") from error

    def check(self) -> int:
        """How many rows there are; all of them are read once.

        Raises:
            DataError: a row that cannot be read, two rows with one id, or none at all.
        """
        seen = np.fromiter((_hash(identity) for identity, _ in self.rows()), dtype=np.int64)  # eight bytes a row
        if not len(seen):
            raise DataError(f"{self.name} has no rows")
        seen.sort()
        if twice := set(seen[1:][seen[1:] == seen[:-1]].tolist()):
            known: set[Identity] = set()
            for identity in (identity for identity, _ in self.rows() if _hash(identity) in twice):
                if identity in known:
                    raise DataError(f"{self.name}: two rows have the id {identity!r}; ids tell predictions apart")
                known.add(identity)
        return len(seen)

    def digest(self) -> str:
        """Identify the contents."""
        return digest_file(self.path)

    def _parse(self) -> Iterator[dict[str, Any]]:
        """Every row by its columns; one that is broken is refused, as a text that was lost would not be missed."""
        if self.format == "lines":
            with self.path.open(encoding="utf-8-sig") as file:
                for line in file:
                    yield {self.column: line.rstrip("\n")}
            return
        try:
            for row in READERS[f".{self.format}"](self.path, ()):
                if isinstance(row, Flaw):
                    raise DataError(f"{self.name} line {row.line}: {row.reason}")
                yield row[1]
        except DataError as error:
            raise DataError(str(error).replace(str(self.path), self.name)) from error

    def _pick(self, number: int, row: dict[str, Any]) -> tuple[Identity | None, str]:
        text, identity = self._find_text(number, row, self.column, "--source"), row.get("id")
        identity = None if identity == "" else identity
        if not text.strip() and self.format != "lines":
            raise DataError(f"{self.name} row {number + 1} has an empty text in {self.column!r}; mend or drop it")
        paired = self.pair is not None and row.get(self.pair, "") is not None  # as in training, where nothing is an empty text
        second = self._find_text(number, row, str(self.pair), "--pair") if paired else ""
        if not isinstance(identity, str | int | float | None) or (isinstance(identity, float) and not math.isfinite(identity)):
            raise DataError(f"{self.name} row {number + 1}: its id is neither a text nor a finite number")
        if has_surrogates(text + second) or (isinstance(identity, str) and has_surrogates(identity)):
            raise DataError(f"{self.name} row {number + 1} holds what is no UTF-8, or half a surrogate pair; mend or drop it")
        if PAIRED in text + second:
            raise DataError(f"{self.name} row {number + 1} holds a NUL character; mend or drop it")
        return identity, text if self.pair is None else f"{text}{PAIRED}{second}"

    def _find_text(self, number: int, row: dict[str, Any], column: str, option: str) -> str:
        if isinstance(text := row.get(column), str):
            return text
        why = (
            "it is no text"
            if column in row
            else name_missing([column], list(map(str, row)), wanted=() if f".{self.format}" in HEADED else list(row))
        )
        raise DataError(f"{self.name} row {number + 1} has no text in {column!r}: {why}. Name the column with {option}.")


@contextmanager
def open_inputs(place: str, *, column: str, pair: str | None = None, format: Format = "auto") -> Iterator[Inputs]:
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
            raise DataError(f"no file {place}; give a table or plain lines, or - for standard input")
        chosen = format if format != "auto" else SUFFIXES.get(find_format(path)) or _guess(path, column)
        if place == "-":
            path = path.rename(path.with_suffix(f".{chosen}"))
        yield Inputs(path, "standard input" if place == "-" else place, chosen, column, pair)  # type: ignore[arg-type]


def _guess(path: Path, column: str) -> str:
    """By the first line that is not blank: a JSON object or array, a header that has the column, or plain text."""
    with Blocks(path) as blocks:
        lines = ((line or "").removeprefix("\ufeff").strip() for line in blocks.lines(longest=LONGEST_ROW))
        line = next(filter(None, lines), "")
    if line.startswith("{"):
        return "jsonl"
    if line == "[" or line.startswith("[{") or find_format(path) == ".json":  # and not [** ... **], as in MIMIC's notes
        return "json"
    heads = ([name.strip('"') for name in line.split(delimiter)] for delimiter in DELIMITERS.values())
    return next((name for name, head in zip(DELIMITERS, heads, strict=True) if column in head), "lines")


def _hash(identity: Identity) -> int:
    content = hashlib.blake2b(repr(identity).encode(), digest_size=8).digest()
    return int.from_bytes(content, "little", signed=True)
