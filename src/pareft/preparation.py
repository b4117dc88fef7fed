"""The first stage on its own: notes in, a folder of splits out, which recipes then name as `data.path`."""

import io
from pathlib import Path

import polars as pl

from pareft.data.mimic import Rules
from pareft.data.prepared import SplitBy, prepare_radiology
from pareft.errors import RunError
from pareft.records import write_atomic, write_json


def write_prepared(notes: Path, out: Path, *, rules: Rules, split_by: SplitBy | None, seed: int) -> dict[str, object]:
    """Build the radiology examples and write them; `dataset.json` comes last. Returns its content."""
    if out.is_dir() and any(out.iterdir()) and not (out / "dataset.json").is_file():
        raise RunError(f"{out} is not empty and holds no prepared data set; give another folder with --out")
    splits, description = prepare_radiology(notes, rules=rules, split_by=split_by, seed=seed)
    for name, frame in splits.items():
        write_atomic(out / f"{name}.parquet", _as_parquet(frame))
    write_json(out / "dataset.json", description)
    return description


def _as_parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
