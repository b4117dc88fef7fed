"""A file's bytes in order, gzipped or not, as far as they can be read."""

import codecs
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from typing_extensions import Self

from pareft.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
NAMED = 40  # characters of a column's name that are shown


class Blocks:
    """A file to read in blocks; by its first bytes, whatever its name says, it is unpacked. `broken` says why its end is missing,
    and is empty while nothing is.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.broken = path, ""
        try:
            self._raw = path.open("rb")
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        self._size = max(1, path.stat().st_size)
        packed = self._raw.read(2) == GZIP_MAGIC
        self._raw.seek(0)
        self._file = cast(BinaryIO, gzip.GzipFile(fileobj=self._raw)) if packed else self._raw

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._raw.close()

    @property
    def part(self) -> float:
        """How much of the file was read, between 0 and 1."""
        return min(1.0, self._raw.tell() / self._size)

    def read(self, size: int) -> bytes:
        """About `size` bytes more; none at the end, or where the file is damaged."""
        parts, count = [], 0
        if self.broken:
            return b""
        try:
            while count < size and (part := self._file.read1(size - count)):  # type: ignore[attr-defined]
                parts.append(part)
                count += len(part)
        except EOFError:
            self.broken = "truncated gzip"
        except (zlib.error, gzip.BadGzipFile):
            self.broken = "damaged gzip"
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror or error}") from error
        return b"".join(parts)

    def text(self) -> Iterator[str]:
        """The text in pieces. Bytes that are no UTF-8 come as lone surrogates."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape")
        while block := self.read(2**20):
            yield decoder.decode(block)
        if rest := decoder.decode(b"", final=True):
            yield rest

    def lines(self, *, longest: int) -> Iterator[str]:
        """The text's lines with their ends; longer ones in pieces. Bytes that are no UTF-8 come as lone surrogates."""
        rest = b""
        while block := self.read(2**20):
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield from _cut(line + b"\n", longest)
            while len(rest) > longest:
                yield rest[:longest].decode(errors="surrogateescape")
                rest = rest[longest:]
        if rest:
            yield from _cut(rest, longest)


def _cut(line: bytes, longest: int) -> Iterator[str]:
    for start in range(0, len(line), longest):
        yield line[start : start + longest].decode(errors="surrogateescape")


def check_header(path: Path, header: bytes | str) -> None:
    """Refuse a file of another kind by its first line.

    Raises:
        DataError: the line is no UTF-8 text.
    """
    text = header.decode(errors="surrogateescape") if isinstance(header, bytes) else header
    if "\0" in text or any("\udc80" <= letter <= "\udcff" for letter in text[:4096]):
        raise DataError(f"{path} is no text in UTF-8; give a CSV file, plain or gzipped")


def explain_missing(missing: Sequence[str], columns: Sequence[str]) -> str:
    """Which columns are missing. Those that are there are listed as far as they look like names and not like a patient's text."""
    known = [column for column in columns if len(column) <= NAMED and column.isidentifier()]
    there = f"the columns are {', '.join(known)}" if known else "the first line is no header"
    return f"no column {', '.join(missing)}; {there}"
