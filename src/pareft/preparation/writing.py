"""Batches of pairs in, a folder of splits out. Memory does not grow with the texts: they go to a temporary file until it is known
how many there are, and from there into the splits.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

from pareft.data.batches import DIGEST_BYTES, GROUP_DIGEST_BYTES, Batch, Flaw, digest_group
from pareft.data.prepared import SPLIT_NAMES, SplitBy, assign_splits, digest_splits, find_first
from pareft.errors import DataError, RunError
from pareft.files import fill_private_folder, open_new
from pareft.progress import SILENT, Progress

DESCRIPTION = "dataset.json"
OURS = {DESCRIPTION, "statistics.json", "lengths.png", *(f"{name}.parquet" for name in SPLIT_NAMES)}
SPOOL_SCHEMA = pa.schema([(name, pa.large_string()) for name in ("id", "group", "source", "target")])
SPOOL_OPTIONS = pa.ipc.IpcWriteOptions(compression="lz4")
GROUPS_OF = {"subject_id": "patients", "group": "groups"}  # what those of a column are
LINES_LISTED = 20
INDICES_PER_PIECE = 100_000
GROUP_ROWS = 20_000  # of a Parquet row group at most,
GROUP_BYTES = 2**23  # and its texts


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
    """What the rows came to: counts, the first flaws of every kind, and 24 bytes that stand for every pair and its group."""

    rows: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    flaws: dict[str, list[Flaw]] = field(default_factory=dict)
    digests: bytearray = field(default_factory=bytearray)
    groups: bytearray = field(default_factory=bytearray)

    def add(self, batch: Batch) -> None:
        """Count a batch."""
        self.rows += batch.rows
        self.dropped += batch.dropped
        for flaw in batch.flaws:
            listed = self.flaws.setdefault(flaw.reason, [])
            if len(listed) < LINES_LISTED:
                listed.append(flaw)
        self.digests += batch.digests
        alone = len(self.groups) // GROUP_DIGEST_BYTES
        self.groups += b"".join(
            digest_group(group or f"\x00{number}") for number, group in enumerate(batch.groups, alone)
        )  # who is in no group is one of its own

    def pair_digests(self) -> np.ndarray:
        """(N, 16) bytes."""
        return np.frombuffer(self.digests, dtype=np.uint8).reshape(-1, DIGEST_BYTES)

    def pair_groups(self) -> np.ndarray:
        """(N,) a number that is every pair's group's own."""
        return np.frombuffer(self.groups, dtype=np.int64)


@dataclass(frozen=True)
class Prepared:
    """A data set that was written: what `dataset.json` says but for the indices, these, and the first flaws of every kind."""

    description: dict[str, Any]
    indices: dict[str, np.ndarray]
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
    with fill_private_folder(out, replace=handling.overwrite) as folder:
        spool = folder / "pairs.arrow"
        name = str(origin["source"]["file"])
        tally = _spool(batches, spool, name, handling)
        kept, codes = _divide(tally, division, name)
        _write_splits(spool, folder, kept, codes, handling.progress, group_column)
        spool.unlink()
        description = {**origin, **_describe(tally, kept, codes, GROUPS_OF.get(group_column or ""))}
        indices = {split: np.flatnonzero(codes == code) for code, split in enumerate(SPLIT_NAMES)}
        with open_new(folder / DESCRIPTION, private=True) as file:
            file.writelines(piece.encode() for piece in _to_json(description, indices))
    return Prepared(description, indices, tally.flaws)


def check_replaceable(out: Path, *, overwrite: bool, source: Path | None = None) -> None:
    """Refuse a folder that is there, but for a data set that may be overwritten and does not hold the `source`.

    Raises:
        RunError: says what is in the way.
    """
    if not out.exists():
        return
    if not overwrite:
        raise RunError(f"{out} exists; give another folder with --out, or --overwrite to replace the data set in it")
    names = [path.name for path in out.iterdir()] if out.is_dir() else ["a file"]
    ours = (*(f".{name}." for name in OURS),)  # and what a killed call left of them
    if any(name not in OURS and not name.startswith(ours) for name in names) or (names and DESCRIPTION not in names):
        raise RunError(f"{out} is no prepared data set or holds more, so it is not overwritten; give another folder with --out")
    if source is not None and out.resolve() in source.resolve().parents:
        raise RunError(f"{source} is in {out}, which would be replaced; give another folder with --out")


def _spool(batches: Iterable[Batch], path: Path, name: str, handling: Handling) -> Tally:
    """Write the pairs to a temporary file in their order."""
    tally = Tally()
    handling.progress.start(f"reading {name}", None)
    with open_new(path, private=True) as file, pa.ipc.new_stream(file, SPOOL_SCHEMA, options=SPOOL_OPTIONS) as writer:
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
        labels = np.frombuffer(b"".join(map(digest_group, SPLIT_NAMES)), dtype=np.int64)
        codes = np.argmax(groups[kept][:, None] == labels, axis=1).astype(np.uint8)
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
    with ExitStack() as files:
        opened = [files.enter_context(open_new(folder / f"{name}.parquet", private=True)) for name in SPLIT_NAMES]
        writers = [_SplitWriter(file, columns) for file in opened]
        yield writers
        for writer in writers:
            writer.close()


def _describe(tally: Tally, kept: np.ndarray, codes: np.ndarray, groups_are: str | None) -> dict[str, Any]:
    """Counts and digests; nothing of the texts."""
    digests, groups = tally.pair_digests()[kept], tally.pair_groups()[kept]
    parts = {name: codes == code for code, name in enumerate(SPLIT_NAMES)}
    described: dict[str, Any] = {
        "rows": tally.rows,
        "dropped": dict(tally.dropped.most_common()),
        "flawed_lines": {reason: [flaw.line for flaw in flaws] for reason, flaws in tally.flaws.items()},
        "examples": {name: int(part.sum()) for name, part in parts.items()},
    }
    if groups_are:
        described[groups_are] = {name: len(np.unique(groups[part])) for name, part in parts.items()}
    described["digest"] = digest_splits({name: digests[part].tobytes() for name, part in parts.items()})
    return described


def _to_json(description: Mapping[str, Any], indices: Mapping[str, np.ndarray]) -> Iterator[str]:
    """Indented, and after it the indices, a line for each split."""
    yield f'{json.dumps(description, indent=2, ensure_ascii=False).removesuffix("}").rstrip()},\n  "indices": {{\n'
    for number, (name, places) in enumerate(indices.items(), 1):
        yield f"    {json.dumps(name)}: ["
        for start in range(0, len(places), INDICES_PER_PIECE):
            yield (", " if start else "") + ", ".join(map(str, places[start : start + INDICES_PER_PIECE].tolist()))
        yield "],\n" if number < len(indices) else "]\n"
    yield "  }\n}\n"
