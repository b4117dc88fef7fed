"""The first stage on its own: notes in, a folder of splits out, which recipes then name as `data.path`."""

import io
import json
from pathlib import Path

import polars as pl

from pareft.data.mimic import Rules
from pareft.data.prepared import SPLIT_NAMES, SplitBy, prepare_radiology
from pareft.errors import RunError
from pareft.records import write_atomic, write_json


def write_prepared(notes: Path, out: Path, *, rules: Rules, split_by: SplitBy | None, seed: int) -> dict[str, object]:
    """Build the radiology examples and write them; `dataset.json` comes last. Returns its content.

    Raises:
        RunError: the folder holds other things, or a data set that these notes, rules and seed do not give.
        DataError: what `prepare_radiology` refuses.
    """
    ours = {"dataset.json", *(f"{name}.parquet" for name in SPLIT_NAMES)}
    if out.is_dir() and any(path.name not in ours for path in out.iterdir()):
        raise RunError(f"{out} is not empty and holds no prepared data set; give another folder with --out")
    splits, description = prepare_radiology(notes, rules=rules, split_by=split_by, seed=seed)
    finished = out / "dataset.json"
    if finished.is_file() and json.loads(finished.read_text(encoding="utf-8")) != description:
        raise RunError(f"{out} holds another prepared data set (see its dataset.json); give another folder with --out")
    for name, frame in splits.items():
        write_atomic(out / f"{name}.parquet", _as_parquet(frame))
    write_json(finished, description)
    return description


def _as_parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()
