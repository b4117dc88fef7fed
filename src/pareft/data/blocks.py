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
USUAL = {
    *("id", "text", "source", "target", "input", "output", "instruction", "prompt", "completion", "question", "answer", "summary"),
    *("document", "article", "highlights", "dialogue", "note", "section_text", "label", "subject_id", "note_id"),
}


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

    def lines(self, *, longest: int) -> Iterator[str | None]:
        """The text's lines with their ends; `None` for one of more bytes than `longest`, which is not held in memory. Bytes that
        are no UTF-8 come as lone surrogates.
        """
        rest, lost = b"", False
        while block := self.read(2**20):
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield None if lost or len(line) > longest else f"{line.decode(errors='surrogateescape')}\n"
                lost = False
            if len(rest) > longest:
                rest, lost = b"", True
        if rest or lost:
            yield None if lost or len(rest) > longest else rest.decode(errors="surrogateescape")


def has_surrogates(text: str) -> bool:
    """Whether there are lone surrogates in it, which stand for bytes that are no UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False


def check_header(path: Path, header: bytes | str) -> None:
    """Refuse a file of another kind by its first line.

    Raises:
        DataError: the line is no UTF-8 text.
    """
    text = header.decode(errors="surrogateescape") if isinstance(header, bytes) else header
    if "\0" in text or has_surrogates(text):
        raise DataError(f"{path} is no text in UTF-8; give a CSV file, plain or gzipped")


def name_missing(missing: Sequence[str], columns: Sequence[str], *, wanted: Sequence[str] = ()) -> str:
    """Which columns are missing, and which are there, unless these may be a patient's text: where a file has no header, its first
    line is a row. So all must look like names, and one of them be `wanted` or a name that tables often have.
    """
    names = all(len(column) <= NAMED and column.isidentifier() for column in columns)
    if names and {column.lower() for column in columns} & {*map(str.lower, wanted), *USUAL}:
        return f"no column {', '.join(missing)}; the columns are {', '.join(columns)}"
    return f"no column {', '.join(missing)}; the first line does not look like a header, so it is not shown"
