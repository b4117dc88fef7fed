"""Prepared data sets: which pair is in which split, and what identifies the pairs."""

import hashlib
import random
from array import array
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from pareft.data.batches import digest_pair
from pareft.errors import DataError
from pareft.settings import PAIRED

if TYPE_CHECKING:
    from pareft.frames import pl

SplitBy = Literal["report", "patient"]
SPLIT_NAMES = ("train", "validation", "test")


def split_keys(count: int, *, seed: int, shuffled_before: int = 0, what: str = "examples") -> dict[str, np.ndarray]:
    """The paper's rule: shuffle, last tenth test, the tenth before it validation, each sorted. A split of its own has at least
    one.

    `shuffled_before`: how many were shuffled first with the same stream of random numbers, as the release does with the discharge
    pairs before the radiology ones.

    Raises:
        DataError: fewer than three; `what` says of what.
    """
    if count < 3:
        raise DataError(f"{count} {what} {'is' if count == 1 else 'are'} too few for three splits; 3 is the least")
    generator = random.Random(seed)
    generator.shuffle(array("q", range(shuffled_before)))
    order = array("q", range(count))
    generator.shuffle(order)
    tenth, places = max(1, round(0.1 * count)), np.frombuffer(order, dtype=np.int64)
    train, validation, test = places[: -2 * tenth], places[-2 * tenth : -tenth], places[-tenth:]
    return {name: np.sort(part) for name, part in zip(SPLIT_NAMES, (train, validation, test), strict=True)}


def assign_splits(groups: np.ndarray, *, by: SplitBy, seed: int, shuffled_before: int = 0) -> np.ndarray:
    """Which split every example is in, as its place in `SPLIT_NAMES`. groups: (N,) the number of everyone's patient.

    By `patient`, no patient is in two splits, and the sizes are those of patients, who are shuffled in the order they appear in.
    """
    if by == "patient":
        numbers, first, places = np.unique(groups, return_index=True, return_inverse=True)
        ranks = np.empty(len(numbers), dtype=np.int64)
        ranks[np.argsort(first)] = np.arange(len(numbers))
        keys = ranks[places]
    else:
        numbers, keys = groups, np.arange(len(groups))
    of_keys = np.empty(len(numbers), dtype=np.uint8)
    parts = split_keys(len(numbers), seed=seed, shuffled_before=shuffled_before, what="examples" if by == "report" else "groups")
    for number, indices in enumerate(parts.values()):
        of_keys[indices] = number
    return of_keys[keys]


def find_first(digests: np.ndarray) -> np.ndarray:
    """Which rows are no repetition of one before. digests: (N, 16) bytes. Returns (N,) bool."""
    high, low = digests.view("<u8").reshape(-1, 2).T
    order = np.lexsort((low, high))  # stable: of equal ones, the first stays first
    first = np.ones(len(order), dtype=bool)
    first[order[1:]] = (high[order[1:]] != high[order[:-1]]) | (low[order[1:]] != low[order[:-1]])
    return first


def digest_splits(digests: Mapping[str, bytes]) -> str:
    """Identify examples, whatever file they came from, by the digests of their pairs, split by split."""
    found = hashlib.sha256()
    for name in sorted(digests):
        found.update(name.encode() + b"\x00" + digests[name])
    return found.hexdigest()[:16]


def digest_frames(splits: "Mapping[str, pl.DataFrame]") -> str:
    """Identify the examples of frames."""
    return digest_splits(
        {
            name: b"".join(digest_pair(*row) for row in zip(list_sources(frame), frame["target"], strict=True))
            for name, frame in splits.items()
        }
    )


def list_sources(frame: "pl.DataFrame", *, prefix: str = "") -> list[str]:
    """The sources, each with the second text, or with the options, that go with it, if there are such."""
    texts = [prefix + text for text in frame["source"]]
    if "options" in frame.columns:
        return [PAIRED.join([text, *options]) for text, options in zip(texts, frame["options"], strict=True)]
    pairs = frame["pair"] if "pair" in frame.columns else None
    return texts if pairs is None else [f"{text}{PAIRED}{pair}" for text, pair in zip(texts, pairs, strict=True)]


def list_texts(frame: "pl.DataFrame") -> list[str]:
    """The sources as a person reads them, each with the second text, if there is one, beneath it."""
    if "pair" not in frame.columns:
        return frame["source"].to_list()
    return [f"{text}\n{pair}" for text, pair in zip(frame["source"], frame["pair"], strict=True)]
