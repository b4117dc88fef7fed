"""What a teacher said of every example, on disk: written when it is asked first, read from then on."""

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset

from pareft.errors import PareftWarning, RunError
from pareft.files import write_json
from pareft.runtime import find_processes
from pareft.tuning.number_store import NumberStore, digest_keys, find_room, name_example

SHARE = 0.5  # of the free disk that may be taken
BYTES_OF_TOKEN, BYTES_OF_CHANCE = 4, 2
KEY, NUMBERS = "soft.json", "numbers"
WORDS = {  # what differs, by the entry of a key
    "teacher": "another teacher",
    "tokenizer": "another tokenizer",
    "examples": "other examples, or others of their tokens",
    "sources": "other sources",
    "writing": "texts that are written otherwise",
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
                lengths[name_example(labels, name_example(source))] = len(labels)
        self.top, self._numbers, processes = top, {known: number for number, known in enumerate(lengths)}, find_processes()
        whole = {**key, "examples": digest_keys(lengths), "top": top}
        if folder and processes.first:
            check_key(folder, KEY, whole, allowed=(NUMBERS,))
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_json(folder / KEY, whole)
        counts = [count * (top * BYTES_OF_TOKEN + (top + 1) * BYTES_OF_CHANCE) for count in lengths.values()]
        room = processes.share(find_room(folder, SHARE) if processes.first else None)
        if sum(counts) > room:
            warnings.warn(
                f"distill.cache: {room / sum(counts):.0%} of {sum(counts) / 1e9:.1f} GB fit into half of the free disk; for the "
                "rest the teacher is asked in every epoch (a smaller distill.top takes less)",
                PareftWarning,
                stacklevel=2,
            )
        place = folder / NUMBERS if folder else None
        self._bytes = NumberStore(place, whole, counts, dtype=torch.uint8, limit_bytes=room)

    def find(self, batch: Mapping[str, Any]) -> list[int | None]:
        """The numbers of a batch's examples; `None` for one that is not of these. `batch`: padded, as a collator makes it."""
        sources, labels = batch["input_ids"].cpu().numpy(), batch["labels"].cpu().numpy()
        masks = batch["attention_mask"].cpu().numpy().astype(bool)
        rows = zip(sources, masks, labels, strict=True)
        return [self._numbers.get(name_example(row[row >= 0], name_example(source[mask]))) for source, mask, row in rows]

    def read(self, number: int | None) -> Soft | None:
        """What is kept of an example, for the processor; `None` if nothing is."""
        kept = None if number is None else self._bytes.read(number)
        if kept is None:
            return None
        count = len(kept) // (self.top * BYTES_OF_TOKEN + (self.top + 1) * BYTES_OF_CHANCE)
        tokens, chances = torch.split(kept, [count * self.top * BYTES_OF_TOKEN, count * (self.top + 1) * BYTES_OF_CHANCE])
        both = chances.clone().view(torch.float16).view(count, self.top + 1).float()
        return tokens.clone().view(torch.int32).view(count, self.top).long(), both[:, :-1], both[:, -1]

    def write(self, number: int | None, soft: Soft) -> None:
        """Keep what was said of an example."""
        if number is not None:
            tokens, chances, rest = soft
            both = torch.cat([chances, rest[:, None]], 1).to(torch.float16)
            parts = (tokens.to(torch.int32).contiguous(), both.contiguous())
            self._bytes.write(number, torch.cat([part.view(torch.uint8).flatten() for part in parts]))

    @property
    def whole(self) -> bool:
        """Whether everything is there, so that the teacher is not asked any more."""
        return self._bytes.whole

    def close(self) -> None:
        """Let go of the files."""
        self._bytes.close()


def check_key(folder: Path, name: str, key: Mapping[str, Any], *, allowed: Sequence[str] = ()) -> None:
    """Raise `RunError` if a cache's folder was made for something else, by the file `name` in it, or holds what is no cache."""
    written = folder / name
    if not written.is_file():
        held = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
        if strange := [found for found in held if found not in allowed and not found.startswith(".")]:
            raise RunError(
                f"distill.cache: {folder} holds {strange[0]}, and no cache of a teacher; give an empty folder, or a new one"
            )
        return
    try:
        there = json.loads(written.read_text(encoding="utf-8"))
    except ValueError:
        there = None
    here = json.loads(json.dumps(dict(key)))
    known = there if isinstance(there, dict) else {}
    if differing := [entry for entry in here if known.get(entry) != here[entry]]:
        said = ", ".join(WORDS[entry] for entry in differing)
        raise RunError(f"distill.cache: what is in {folder} is of {said}; give another folder, or delete this one")
