"""Numbers by example, in one flat file that is mapped into memory: written once, by any process, read in every epoch.

Every entry has its place from the start, so that processes write without asking each other. What says that it is there is written
after it, with its checksum: entries that a kill cut short are never read.
"""

import errno
import hashlib
import json
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pareft.files import open_new, write_json
from pareft.runtime import find_processes

ROWS, DONE, KEY = "rows.bin", "done.bin", "key.json"
THERE = 1 << 32  # beside the checksum


class NumberStore:
    """Entries of so many numbers each, of at most so many bytes in all; those that come after these are not kept.

    The files are the owner's alone, for states tell of the text they were computed from. With no folder they are temporary.
    """

    def __init__(
        self,
        folder: Path | None,
        key: Mapping[str, Any],
        counts: Sequence[int],
        *,
        dtype: torch.dtype,
        limit_bytes: int,
    ) -> None:
        """Open the store in a folder, or make it there: anew, if what is there is of another key."""
        sizes = np.asarray(counts, dtype=np.int64) * dtype.itemsize
        self.dtype = dtype
        self._ends = np.cumsum(sizes)
        self._starts = self._ends - sizes
        self.kept = int(np.searchsorted(self._ends, limit_bytes, side="right"))  # the first so many entries
        self.bytes = int(self._ends[self.kept - 1]) if self.kept else 0
        self._full, self._checked = False, set[int]()
        self._file, self._done = self._open(folder, key) if folder else self._open_temporary()
        self._rows = np.memmap(self._file, dtype=np.uint8, mode="r+", shape=(self.bytes,)) if self.bytes else np.zeros(0, np.uint8)

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

    def read(self, number: int) -> torch.Tensor | None:
        """An entry as it lies in the file, to be read alone; `None` if it is not there, or not whole."""
        if number >= self.kept or not self._done[number]:
            return None
        content = np.asarray(self._rows[self._starts[number] : self._ends[number]])
        if number not in self._checked:
            if _check(content.data) != self._done[number]:
                return None
            self._checked.add(number)
        return torch.from_numpy(content).view(self.dtype)

    def write(self, number: int, values: torch.Tensor) -> None:
        """Keep an entry, of any shape, if there is room."""
        if number >= self.kept or self._full:
            return
        content = values.detach().to("cpu", self.dtype).contiguous().view(torch.uint8).numpy().tobytes()
        assert len(content) == self._ends[number] - self._starts[number]
        try:
            self._file.seek(int(self._starts[number]))
            left = memoryview(content)
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._full = True  # the rest is computed in every epoch
            return
        self._done[number] = _check(content)
        self._checked.add(number)

    @property
    def whole(self) -> bool:
        """Whether every entry is there."""
        return self.kept == len(self._ends) and bool(self._done.all())

    def close(self) -> None:
        """Let go of the files."""
        del self._rows, self._done
        self._file.close()


def _is_of(folder: Path, key: Mapping[str, Any]) -> bool:
    try:
        return bool(json.loads((folder / KEY).read_text(encoding="utf-8")) == dict(key))
    except (OSError, ValueError):
        return False


def _check(content: bytes | memoryview) -> int:
    return THERE | zlib.crc32(content)


def find_room(folder: Path | None, share: float) -> int:
    """The bytes that numbers in a folder, or in temporary files, may take: a share of the free disk, which the folder's own are
    part of.
    """
    place = folder or Path(tempfile.gettempdir())
    there = sum(path.stat().st_blocks * 512 for path in place.rglob("*.bin")) if folder else 0
    return int(share * (shutil.disk_usage(next(path for path in (place, *place.parents) if path.exists())).free + there))


def name_example(tokens: np.ndarray, beside: bytes = b"") -> bytes:
    """Sixteen bytes by which an example is known: its tokens, beside others that are known so."""
    return hashlib.blake2b(np.asarray(tokens, dtype=np.int64).tobytes(), key=beside, digest_size=16).digest()


def digest_keys(keys: Iterable[bytes]) -> str:
    """Identify examples and their order by what they are known by."""
    return hashlib.blake2b(b"".join(keys), digest_size=8).hexdigest()
