"""Rows of numbers by example, in one flat file that is mapped into memory: written once, by any process, read in every epoch.

An example's rows have their place from the start, so that processes write without asking each other. What says that they are there
is written after them, with their checksum: rows that a kill cut short are never read.
"""

import errno
import json
import shutil
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pareft.files import open_new, write_json
from pareft.runtime import find_processes

ROWS, DONE, KEY = "rows.bin", "done.bin", "key.json"
THERE = 1 << 32  # beside the checksum


class RowStore:
    """States of examples, (T, D) each, of at most so many bytes in all; those that come after these are not kept.

    The files are the owner's alone, for states tell of the text they were computed from. With no folder they are temporary.
    """

    def __init__(
        self,
        folder: Path | None,
        key: Mapping[str, Any],
        lengths: Sequence[int],
        *,
        width: int,
        dtype: torch.dtype,
        limit_bytes: int,
    ) -> None:
        """Open the store in a folder, or make it there: anew, if what is there is of another key."""
        sizes = np.asarray(lengths, dtype=np.int64) * width * dtype.itemsize
        self.lengths, self.width, self.dtype = lengths, width, dtype
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes
        self.kept = int(np.searchsorted(self._ends, limit_bytes, side="right"))  # the first so many examples
        self.bytes = int(self._ends[self.kept - 1]) if self.kept else 0
        self._full, self._checked = False, set[int]()
        self._file, self._done = self._open(folder, key) if folder else self._open_temporary()
        self._rows = np.memmap(self._file, dtype=np.uint8, mode="r", shape=(self.bytes,)) if self.bytes else np.zeros(0, np.uint8)

    def _open_temporary(self) -> tuple[Any, np.ndarray]:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115, closed in close()
        file.truncate(self.bytes)
        return file, np.zeros(len(self._ends), dtype=np.uint64)

    def _open(self, folder: Path, key: Mapping[str, Any]) -> tuple[Any, np.ndarray]:
        processes, count = find_processes(), len(self._ends)
        if processes.first and not _is_of(folder, key):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True, mode=0o700)
            with open_new(folder / ROWS, private=True), open_new(folder / DONE, private=True) as done:
                done.write(bytes(8 * count))
            write_json(folder / KEY, dict(key))
        processes.wait()
        file = (folder / ROWS).open("r+b", buffering=0)
        if (folder / ROWS).stat().st_size < self.bytes:
            file.truncate(self.bytes)
        return file, np.memmap(folder / DONE, dtype=np.uint64, mode="r+", shape=(count,))

    def read(self, example: int) -> torch.Tensor | None:
        """An example's rows, (T, D); `None` if they are not there, or not whole."""
        if example >= self.kept or not self._done[example]:
            return None
        content = np.array(self._rows[self._starts[example] : self._ends[example]])
        if example not in self._checked:
            if _check(content.tobytes()) != self._done[example]:
                return None
            self._checked.add(example)
        return torch.from_numpy(content).view(self.dtype).view(-1, self.width)

    def write(self, example: int, rows: torch.Tensor) -> None:
        """Keep an example's rows, (T, D), if there is room."""
        if example >= self.kept or self._full:
            return
        content = rows.detach().to("cpu", self.dtype).contiguous().view(torch.uint8).numpy().tobytes()
        assert len(content) == self._ends[example] - self._starts[example]
        try:
            self._file.seek(int(self._starts[example]))
            left = memoryview(content)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._full = True  # the rest is computed in every epoch
            return
        self._done[example] = _check(content)
        self._checked.add(example)

    def close(self) -> None:
        """Let go of the files."""
        del self._rows, self._done
        self._file.close()


def _is_of(folder: Path, key: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads((folder / KEY).read_text(encoding="utf-8")) == dict(key))
    except (OSError, ValueError):
        return False


def _check(content: bytes) -> int:
    return THERE | zlib.crc32(content)
