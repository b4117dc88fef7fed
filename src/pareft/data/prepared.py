"""Prepared data sets: splits as Parquet and what they are in `dataset.json`."""

import hashlib
import random
from pathlib import Path
from typing import Literal

import polars as pl

from pareft.data.mimic import Rules, Tally, read_radiology
from pareft.errors import DataError

SplitBy = Literal["report", "patient"]
SPLIT_NAMES = ("train", "validation", "test")


def split_frame(frame: pl.DataFrame, *, by: SplitBy, seed: int) -> dict[str, pl.DataFrame]:
    """8:1:1, every split in the frame's order. By `patient`, no `subject_id` is in two splits, and the sizes are those of
    patients.
    """
    keys = frame["subject_id"].unique(maintain_order=True).to_list() if by == "patient" else list(range(frame.height))
    parts = split_keys(len(keys), seed=seed)
    if by == "report":
        return {name: frame[indices] for name, indices in parts.items()}
    return {name: frame.filter(pl.col("subject_id").is_in([keys[i] for i in indices])) for name, indices in parts.items()}


def split_keys(count: int, *, seed: int) -> dict[str, list[int]]:
    """The paper's rule: shuffle, last tenth test, the tenth before it validation, each sorted. A split of its own has at least
    one.
    """
    if count < 3:
        raise DataError(f"{count} examples or patients are too few for three splits; 3 is the least")
    order = list(range(count))
    random.Random(seed).shuffle(order)
    tenth = max(1, round(0.1 * count))
    train, validation, test = order[: -2 * tenth], order[-2 * tenth : -tenth], order[-tenth:]
    return {name: sorted(part) for name, part in zip(SPLIT_NAMES, (train, validation, test), strict=True)}


def prepare_radiology(
    notes: Path, *, rules: Rules = "clean", split_by: SplitBy | None = None, seed: int = 42
) -> tuple[dict[str, pl.DataFrame], dict[str, object]]:
    """Radiology notes to splits and their description. `split_by` is by patient for `clean` and by report for `paper`.

    Raises:
        DataError: what `read_radiology` refuses.
    """
    by: SplitBy = split_by or ("patient" if rules == "clean" else "report")
    frame, tally = read_radiology(notes, rules=rules)
    splits = split_frame(frame, by=by, seed=seed)
    return splits, describe_splits(splits, tally, rules=rules, split_by=by, seed=seed)


def describe_splits(
    splits: dict[str, pl.DataFrame], tally: Tally, *, rules: Rules, split_by: SplitBy, seed: int
) -> dict[str, object]:
    """What `dataset.json` holds: the rules, the seed, counts, what was dropped and why, and a digest of the examples."""
    return {
        "builder": "mimic-radiology",
        "rules": rules,
        "split_by": split_by,
        "seed": seed,
        "notes": tally.notes,
        "dropped": tally.dropped,
        "examples": {name: frame.height for name, frame in splits.items()},
        "digest": digest_frames(splits),
    }


def digest_frames(splits: dict[str, pl.DataFrame]) -> str:
    """Identify the examples themselves, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(splits):
        digest.update(name.encode())
        for source, target in splits[name].select("source", "target").iter_rows():
            digest.update(f"\x00{source}\x00{target}".encode())
    return digest.hexdigest()[:16]
