"""What a teacher said of every example, on disk: written when it is asked first, read from then on."""

import json
import shutil
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from pareft.errors import PareftWarning, RunError
from pareft.files import write_json
from pareft.runtime import find_processes
from pareft.tuning.number_store import NumberStore, digest_keys, identify

SHARE = 0.5  # of the free disk that may be taken
BYTES_OF_TOKEN, BYTES_OF_CHANCE = 4, 2
KEY, TOKENS, CHANCES = "soft.json", "tokens", "chances"
WORDS = {  # what a key's entries are called
    "teacher": "another teacher",
    "tokenizer": "another tokenizer",
    "examples": "other examples, or others of their tokens",
    "temperature": "another temperature",
    "top": "another number of likeliest tokens",
    "precision": "another precision",
}
Soft = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # tokens (n, k), logarithms of their chances (n, k), of all others' (n,)


class SoftStore:
    """The soft targets of a training split, in a folder of its own or a temporary one, mapped into memory; an example is known by
    its tokens, wherever it stands in a batch. What half the free disk has no room for is not kept.
    """

    def __init__(self, examples: Dataset, top: int, folder: Path | None, key: Mapping[str, Any]) -> None:
        """Open the store in a folder, or make it there. `key`: what the soft targets depend on besides the examples.

        Raises:
            RunError: what is in the folder is of another teacher, other examples, or no store.
        """
        lengths: dict[bytes, int] = {}
        for batch in examples.with_format("numpy").iter(1000):
            for source, labels in zip(batch["input_ids"], batch["labels"], strict=True):
                lengths[identify(labels, identify(source))] = len(labels)
        self.top, self._numbers = top, {known: number for number, known in enumerate(lengths)}
        self._left, counts = set(range(len(lengths))), list(lengths.values())
        whole = {**key, "examples": digest_keys(lengths), "top": top}
        if folder and find_processes().first:
            check_key(folder, KEY, whole, allowed=(TOKENS, CHANCES))
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_json(folder / KEY, whole)
        size = sum(counts) * (top * BYTES_OF_TOKEN + (top + 1) * BYTES_OF_CHANCE)
        share = self._find_share(folder, size)

        def open_store(name: str, width: int, dtype: torch.dtype) -> NumberStore:
            limit = int(share * sum(counts) * width * dtype.itemsize)
            place = folder / name if folder else None
            return NumberStore(place, whole, [count * width for count in counts], dtype=dtype, limit_bytes=limit)

        self._tokens = open_store(TOKENS, top, torch.int32)
        self._chances = open_store(CHANCES, top + 1, torch.float16)

    def _find_share(self, folder: Path | None, size: int) -> float:
        place = folder or Path(tempfile.gettempdir())
        there = sum(path.stat().st_blocks * 512 for path in place.rglob("*.bin")) if folder else 0
        limit = SHARE * (shutil.disk_usage(next(path for path in (place, *place.parents) if path.exists())).free + there)
        if size > limit:
            warnings.warn(
                f"distill.cache: {limit / size:.0%} of {size / 1e9:.1f} GB fit into half of the free disk; for the rest the "
                "teacher is asked in every epoch (a smaller distill.top takes less)",
                PareftWarning,
                stacklevel=3,
            )
        return min(1.0, limit / max(1, size))

    def find(self, batch: Mapping[str, Any]) -> list[int | None]:
        """The numbers of a batch's examples; `None` for one that is not of these. `batch`: padded, as a collator makes it."""
        sources, labels = batch["input_ids"].cpu().numpy(), batch["labels"].cpu().numpy()
        masks = batch["attention_mask"].cpu().numpy().astype(bool)
        rows = zip(sources, masks, labels, strict=True)
        return [self._numbers.get(identify(row[row >= 0], identify(source[mask]))) for source, mask, row in rows]

    def read(self, number: int | None) -> Soft | None:
        """What is kept of an example, for the processor; `None` if nothing is."""
        tokens = None if number is None else self._tokens.read(number)
        chances = None if tokens is None or number is None else self._chances.read(number)
        if tokens is None or chances is None:
            return None
        self._left.discard(number or 0)
        both = chances.view(-1, self.top + 1).float()
        return tokens.view(-1, self.top).long(), both[:, :-1], both[:, -1]

    def write(self, number: int | None, soft: Soft) -> None:
        """Keep what was said of an example."""
        if number is not None:
            tokens, chances, rest = soft
            self._chances.write(number, torch.cat([chances, rest[:, None]], 1))
            self._tokens.write(number, tokens)  # which says that both are there
            self.read(number)

    @property
    def whole(self) -> bool:
        """Whether every example has been read from here or is written, so that the teacher is not asked any more."""
        return not self._left

    def close(self) -> None:
        """Let go of the files."""
        self._tokens.close()
        self._chances.close()


def check_key(folder: Path, name: str, key: Mapping[str, Any], *, allowed: Sequence[str] = ()) -> None:
    """Raise `RunError` if a cache's folder was made for something else, by the file `name` in it, or holds what is no cache."""
    written = folder / name
    if not written.is_file():
        strange = sorted(path.name for path in folder.iterdir() if path.name not in allowed) if folder.is_dir() else []
        if strange:
            raise RunError(
                f"distill.cache: {folder} holds {strange[0]} and no cache of a teacher; give an empty folder, or a new one"
            )
        return
    try:
        there = json.loads(written.read_text(encoding="utf-8"))
    except ValueError:
        there = {}
    here = json.loads(json.dumps(dict(key)))
    differing = [entry for entry in here if there.get(entry) != here[entry]]
    if differing or set(there) - set(here):
        said = ", ".join(WORDS.get(entry, f"another {entry}") for entry in differing) or "something else"
        raise RunError(f"distill.cache: what is in {folder} is of {said}; give another folder, or delete this one")
