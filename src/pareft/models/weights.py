"""The tensors of a base: where they lie, what identifies them, and reading single ones, or parts of them, in bounded memory."""

import json
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME, WEIGHTS_INDEX_NAME, WEIGHTS_NAME

from pareft.errors import ModelError
from pareft.models.checkpoint import Base, explained, find_file
from pareft.models.width import Piece

BLOCK_BYTES = 4 * 2**20  # how much is copied at a time
MAPPED_BYTES = 32 * 2**20  # how much of a mapped file is read before it is let go; the pages read count as our memory until then


def list_tensors(base: Base) -> dict[str, Path]:
    """As `find_tensors`, for a base that must have weights.

    Raises:
        ModelError: the base has no weights, or files that are damaged or missing.
    """
    if tensors := find_tensors(base):
        return tensors
    raise ModelError(f"{base.name} has no weights: neither {SAFE_WEIGHTS_NAME} nor {WEIGHTS_NAME}, nor an index of shards")


def find_tensors(base: Base) -> dict[str, Path]:
    """Every tensor's name and the file that holds it: safetensors, else PyTorch's own format; none of a config alone.

    PyTorch's format is a pickle and is read with `weights_only=True`, which builds tensors and executes nothing else.

    Raises:
        ModelError: files are damaged or missing.
    """
    for index_name, single_name in ((SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME), (WEIGHTS_INDEX_NAME, WEIGHTS_NAME)):
        if index := find_file(base, index_name):
            return _read_index(base, index)
        if single := find_file(base, single_name):
            with open_tensors(single) as file:
                return dict.fromkeys(file.names, single)
    return {}


def _read_index(base: Base, index: Path) -> dict[str, Path]:
    with explained(base.name):
        shards: dict[str, str] = dict(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
        if not shards or not all(isinstance(text, str) for text in (*shards, *shards.values())):
            raise ValueError(f"{index.name} names no shards")
    paths = {shard: find_file(base, shard) for shard in sorted(set(shards.values()))}
    if lost := [shard for shard, path in paths.items() if path is None]:
        raise ModelError(f"{base.name}: {lost[0]} is named in {index.name} and is not there; fetch or copy it again")
    return {tensor: path for tensor, shard in shards.items() if (path := paths[shard])}


def read_pieces(
    tensors: Mapping[str, Path], pieces: Mapping[str, Piece], choose_dtype: Callable[[str, torch.dtype], torch.dtype]
) -> Iterator[tuple[str, torch.Tensor]]:
    """Read just these pieces, by their new names; `choose_dtype` says as what, by name and stored dtype. Everything is a copy.

    Raises:
        ModelError: a file is damaged, or lacks what its index says it holds.
    """
    for new, file in _by_file({new: tensors[piece.name] for new, piece in pieces.items()}):
        yield new, file.read(pieces[new], partial(choose_dtype, new))


def view_tensors(tensors: Mapping[str, Path]) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor as it lies in its file; the next step may let it go.

    Raises:
        ModelError: a file is damaged, or lacks what its index says it holds.
    """
    for name, file in _by_file(tensors):
        yield name, file.view(name)


def _by_file(places: Mapping[str, Path]) -> Iterator[tuple[str, "TensorFile"]]:
    """Names with their open files, file by file."""
    names: dict[Path, list[str]] = {}
    for name, path in places.items():
        names.setdefault(path, []).append(name)
    for path, inside in names.items():
        with open_tensors(path) as file:
            for name in inside:
                yield name, file


class TensorFile:
    """An open file of tensors, mapped into memory. It is let go and mapped again now and then, as the pages read count as ours."""

    def __init__(self, path: Path) -> None:
        self.path, self._seen = path, 0
        self._map()
        self.names = frozenset(self._tensors.keys())

    def view(self, name: str) -> torch.Tensor:
        """A tensor as it lies in the file; the next call may let it go, so copy what is to stay."""
        if self._seen > MAPPED_BYTES and self._mapped:
            self._map()
        if name not in self.names:
            raise ModelError(f"{self.path.name} lacks the tensor {name} that its index says it holds")
        tensor: torch.Tensor = self._tensors.get_tensor(name)
        self._seen += min(BLOCK_BYTES, tensor.nbytes)  # the system maps more than the page that is touched
        return tensor

    def read(self, piece: Piece, choose_dtype: Callable[[torch.dtype], torch.dtype]) -> torch.Tensor:
        """A copy of a piece, block by block, so that neither the file nor another dtype ever takes as much again."""
        whole = self.view(piece.name)
        if whole.dim() == 0:
            return whole.to(choose_dtype(whole.dtype), copy=True)
        result = torch.empty(piece.shape(whole), dtype=choose_dtype(whole.dtype))
        step = max(1, BLOCK_BYTES * whole.shape[0] // max(whole.nbytes, 1))
        del whole  # it would hold the mapping
        for start in range(0, result.shape[0], step):
            result[start : start + step].copy_(piece.rows(self.view(piece.name), start, start + step))
        return result

    def _map(self) -> None:
        self._seen, self._mapped = 0, True
        if self.path.suffix == ".safetensors":
            self._tensors: Any = safe_open(self.path, framework="pt")
        else:
            self._tensors = _Unpickled(self.path)
            self._mapped = self._tensors.mapped


class _Unpickled:
    """PyTorch's own format behind the face of `safe_open`. Files from before PyTorch 1.6 cannot be mapped and are read whole."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self.mapped = torch.serialization._is_zipfile(file)
        self._tensors: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=self.mapped)
        if not isinstance(self._tensors, Mapping) or not all(
            isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in self._tensors.items()
        ):
            raise ModelError(f"{path.name} holds something else than tensors by name")

    def keys(self) -> list[str]:
        return list(self._tensors)

    def get_tensor(self, name: str) -> torch.Tensor:
        return self._tensors[name]


@contextmanager
def open_tensors(path: Path) -> Iterator[TensorFile]:
    """Open one file of tensors; whatever it raises becomes one line."""
    try:
        yield TensorFile(path)
    except SafetensorError as error:
        raise ModelError(_describe_damage(path, error)) from error
    except OSError as error:
        raise ModelError(f"cannot read {path}: {error.strerror or error}") from error
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        if path.suffix == ".safetensors":
            raise
        asks = re.search(r"GLOBAL (\S+)", str(error))
        raise ModelError(
            f"{path.name} holds more than tensors{f' ({asks[1]})' if asks else ''}, or is damaged, and is not opened. "
            "Use a copy in safetensors, or fetch it again."
        ) from error


def _describe_damage(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return (
            f"{path.name} is a pickle under the name of a safetensors file and is not opened; convert it, or fetch the right file"
        )
    return f"{path.name} is no safetensors file, or a damaged or truncated one ({error}); fetch or copy it again"
