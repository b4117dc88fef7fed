"""Batches of pairs in, a folder of splits out. Memory does not grow with the texts: they go to a temporary file until it is known
how many there are, and from there into the splits.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from pareft.data.batches import DIGEST_BYTES, Batch, Flaw
from pareft.data.prepared import SPLIT_NAMES, SplitBy, assign_splits, digest_splits, find_first
from pareft.errors import DataError, RunError
from pareft.files import fill_private_file, fill_private_folder
from pareft.progress import SILENT, Progress

DESCRIPTION = "dataset.json"
OURS = {DESCRIPTION, "statistics.json", "lengths.png", *(f"{name}.parquet" for name in SPLIT_NAMES)}
SPOOLED = ("id", "group", "source", "target")
SPOOL_SCHEMA = pa.schema([(name, pa.large_string()) for name in SPOOLED])
LINES_LISTED = 20
GROUP_ROWS = 20_000  # of a Parquet row group at most,
GROUP_BYTES = 2**25  # and its texts


@dataclass(frozen=True)
class Division:
    """How pairs become splits. `shuffled_before`: see `split_keys`. `labels`: the groups are the source's own splits."""

    by: SplitBy = "report"
    seed: int = 42
    shuffled_before: int = 0
    labels: bool = False
    drop_duplicates: bool = False


@dataclass(frozen=True)
class Handling:
    """How a builder treats what it meets: the first bad row ends it (`strict`), a finished data set makes way (`overwrite`),
    beginnings of bad rows are kept to be shown (`show_text`), so many processes beside this one read notes (`workers`; `None` takes
    as many as a large file is worth), and `progress` hears of it.
    """

    strict: bool = False
    overwrite: bool = False
    show_text: bool = False
    workers: int | None = 0
    progress: Progress = SILENT


CAREFUL = Handling()


@dataclass
class Tally:
    """What the rows came to: counts, the first flaws of every kind, and sixteen bytes and a group's number for every pair."""

    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    flaws: dict[str, list[Flaw]] = field(default_factory=dict)
    digests: bytearray = field(default_factory=bytearray)
    groups: list[np.ndarray] = field(default_factory=list)
    numbers: dict[str, int] = field(default_factory=dict)

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        self.rows += batch.rows
        self.dropped += batch.dropped
        for flaw in batch.flaws:
            listed = self.flaws.setdefault(flaw.reason, [])
            if len(listed) < LINES_LISTED:
                listed.append(flaw)
        self.digests += batch.digests
        numbers = (self.numbers.setdefault(group, len(self.numbers)) for group in batch.groups)
        self.groups.append(np.fromiter(numbers, dtype=np.int32, count=len(batch.groups)))

    def pair_digests(self) -> np.ndarray:
        """(N, 16) bytes."""
        return np.frombuffer(self.digests, dtype=np.uint8).reshape(-1, DIGEST_BYTES)

    def pair_groups(self) -> np.ndarray:
        """(N,) the number of every pair's group."""
        return np.concatenate(self.groups) if self.groups else np.empty(0, dtype=np.int32)


@dataclass(frozen=True)
class Prepared:
    """A data set that was written: what `dataset.json` says, and the first flaws of every kind."""

    description: dict[str, Any]
    flaws: dict[str, list[Flaw]]


def write_examples(
    batches: Iterable[Batch],
    out: Path,
    origin: Mapping[str, Any],
    division: Division,
    handling: Handling,
    *,
    group_column: str | None = None,
) -> Prepared:
    """Write `train`, `validation` and `test.parquet` and `dataset.json`, whole or not at all. `origin` is what the latter begins
    with; the groups are stored as `group_column`, if it is named.

    Raises:
        RunError: the folder is there and not to be overwritten, or holds other things.
        DataError: a bad row under `strict`, no pair at all, or too few.
    """
    check_replaceable(out, overwrite=handling.overwrite)
    with fill_private_folder(out, replace=handling.overwrite) as folder:
        spool = folder / "pairs.arrow"
        name = str(origin["source"]["file"])
        tally = _spool(batches, spool, name, handling)
        kept, codes = _divide(tally, division, name)
        _write_splits(spool, folder, kept, codes, handling.progress, group_column)
        spool.unlink()
        description = {**origin, **_describe(tally, kept, codes, patients=group_column is not None)}
        with fill_private_file(folder / DESCRIPTION) as file:
            file.write(_to_json(description).encode())
    return Prepared(description, tally.flaws)


def check_replaceable(out: Path, *, overwrite: bool) -> None:
    """Refuse a folder that is there, but for a data set that may be overwritten.

    Raises:
        RunError: says which of both it is.
    """
    if not out.exists():
        return
    if not overwrite:
        raise RunError(f"{out} exists; give another folder with --out, or --overwrite to replace the data set in it")
    if not out.is_dir() or any(path.name not in OURS for path in out.iterdir()):
        raise RunError(f"{out} holds more than a prepared data set, so it is not overwritten; give another folder with --out")


def _spool(batches: Iterable[Batch], path: Path, name: str, handling: Handling) -> Tally:
    """Write the pairs to a temporary file in their order."""
    tally = Tally()
    handling.progress.start(f"reading {name}", None)
    with fill_private_file(path) as file, _open_spool(file) as writer:
        for batch in batches:
            tally.add(batch)
            if handling.strict and batch.flaws:
                flaw = batch.flaws[0]
                raise DataError(f"{name} line {flaw.line}: {flaw.reason}; without --strict such rows are counted and left out")
            columns = [pa.array(column, pa.large_string()) for column in (batch.ids, batch.groups, batch.sources, batch.targets)]
            writer.write_batch(pa.record_batch(columns, schema=SPOOL_SCHEMA))
            expected = round(tally.rows / batch.part) if batch.part else 0
            handling.progress.advance(tally.rows, max(tally.rows, expected), {})
    return tally


@contextmanager
def _open_spool(file: BinaryIO) -> Iterator[pa.ipc.RecordBatchStreamWriter]:
    with pa.ipc.new_stream(file, SPOOL_SCHEMA, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        yield writer


def _divide(tally: Tally, division: Division, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs stay, and the split of every one of them."""
    groups, kept = tally.pair_groups(), np.ones(len(tally.digests) // DIGEST_BYTES, dtype=bool)
    if division.drop_duplicates and len(kept):
        kept = find_first(tally.pair_digests())
        if repeated := len(kept) - int(kept.sum()):
            tally.dropped["duplicate"] += repeated
    if not kept.any():
        raise DataError(f"{name}: none of {tally.rows:,} rows gives a pair ({_list_counts(tally.dropped)})")
    if division.labels:
        codes = np.array([SPLIT_NAMES.index(label) for label in tally.numbers], dtype=np.uint8)[groups[kept]]
        if lacking := [label for code, label in enumerate(SPLIT_NAMES) if not (codes == code).any()]:
            raise DataError(f"{name}: its {lacking[0]} split has no row with a source and a target")
        return kept, codes
    codes = assign_splits(groups[kept], by=division.by, seed=division.seed, shuffled_before=division.shuffled_before)
    return kept, codes


def _list_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in counts.items()) or "it has no rows"


def _write_splits(
    spool: Path, folder: Path, kept: np.ndarray, codes: np.ndarray, progress: Progress, group_column: str | None
) -> None:
    """Route every pair that stays into its split, in their order."""
    progress.start("writing the splits", len(kept))
    placed = np.full(len(kept), len(SPLIT_NAMES), dtype=np.uint8)
    placed[kept] = codes
    names = {"id": "id", "group": group_column, "source": "source", "target": "target"}
    with _open_splits(folder, [(old, new) for old, new in names.items() if new]) as writers, spool.open("rb") as file:
        done = 0
        for batch in pa.ipc.open_stream(file):
            here = placed[done : done + batch.num_rows]
            for code, writer in enumerate(writers):
                if (here == code).any():
                    writer.add(batch.filter(pa.array(here == code)))
            done += batch.num_rows
            progress.advance(done, len(kept), {})


class _SplitWriter:
    """One split's Parquet file. Where its row groups end depends on the examples alone, not on how they come."""

    def __init__(self, file: BinaryIO, columns: list[tuple[str, str]]) -> None:
        self._columns = columns
        self._writer = pa.parquet.ParquetWriter(file, pa.schema([(new, pa.string()) for _, new in columns]), compression="zstd")
        self._pending: list[pa.RecordBatch] = []
        self._rows = self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take rows, and write what makes a row group."""
        lengths = sum(pa.compute.binary_length(batch[name]).to_numpy(zero_copy_only=False) for name in ("source", "target"))
        start = 0
        for end, length in enumerate(lengths.tolist(), 1):
            self._rows, self._bytes = self._rows + 1, self._bytes + length
            if self._rows >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
                self._pending.append(batch.slice(start, end - start))
                self._flush()
                start = end
        if start < batch.num_rows:
            self._pending.append(batch.slice(start))

    def close(self) -> None:
        """Write what is left."""
        if self._pending:
            self._flush()
        self._writer.close()

    def _flush(self) -> None:
        table = pa.Table.from_batches(self._pending).combine_chunks()
        columns = [table[old].cast(pa.string()) for old, _ in self._columns]
        self._writer.write_table(pa.table(columns, schema=self._writer.schema))
        self._pending, self._rows, self._bytes = [], 0, 0


@contextmanager
def _open_splits(folder: Path, columns: list[tuple[str, str]]) -> Iterator[list[_SplitWriter]]:
    train, validation, test = (folder / f"{name}.parquet" for name in SPLIT_NAMES)
    with fill_private_file(train) as first, fill_private_file(validation) as second, fill_private_file(test) as third:
        writers = [_SplitWriter(file, columns) for file in (first, second, third)]
        yield writers
        for writer in writers:
            writer.close()


def _describe(tally: Tally, kept: np.ndarray, codes: np.ndarray, *, patients: bool) -> dict[str, Any]:
    """Counts and digests; nothing of the texts."""
    digests, groups = tally.pair_digests()[kept], tally.pair_groups()[kept]
    parts = {name: codes == code for code, name in enumerate(SPLIT_NAMES)}
    described: dict[str, Any] = {
        "rows": tally.rows,
        "dropped": dict(tally.dropped.most_common()),
        "flawed_lines": {reason: [flaw.line for flaw in flaws] for reason, flaws in tally.flaws.items()},
        "examples": {name: int(part.sum()) for name, part in parts.items()},
    }
    if patients:
        described["patients"] = {name: len(np.unique(groups[part])) for name, part in parts.items()}
    described["digest"] = digest_splits({name: digests[part].tobytes() for name, part in parts.items()})
    described["indices"] = {name: np.flatnonzero(part).tolist() for name, part in parts.items()}
    return described


def _to_json(description: Mapping[str, Any]) -> str:
    """Indented, but for the indices, a line for each split."""
    head = json.dumps({key: value for key, value in description.items() if key != "indices"}, indent=2, ensure_ascii=False)
    lines = ",\n".join(f"    {json.dumps(name)}: {json.dumps(places)}" for name, places in description["indices"].items())
    return f'{head.removesuffix("}").rstrip()},\n  "indices": {{\n{lines}\n  }}\n}}\n'
