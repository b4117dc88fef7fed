"""What is in a prepared folder: Table 1 of arXiv 2305.08285 for its splits, and its lengths in a base's tokens."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from pareft.data.prepared import SPLIT_NAMES
from pareft.data.statistics import (
    TOKENIZER,
    LengthStatistics,
    SplitStatistics,
    describe_lengths,
    describe_pairs,
    measure_lengths,
    pool,
)
from pareft.data.workers import choose_count, map_in_order
from pareft.errors import DataError
from pareft.progress import SILENT, Progress
from pareft.records import Record

PAIRS_PER_STEP = 500
LENGTHS_MEASURED = 20_000
Step = tuple[str, list[tuple[str, str]]]


@dataclass(frozen=True)
class Reader:
    """The base whose tokens lengths are counted in, and how much of a text a recipe lets it read."""

    base: str = "pareft-mini"
    revision: str | None = None
    prefix: str = ""
    max_source_tokens: int = 1024
    max_target_tokens: int = 128


class Lengths(Record):
    """Lengths in tokens of `base`, of examples spread evenly over all splits; `prefix` is counted with the source."""

    base: str
    prefix: str
    source: LengthStatistics
    target: LengthStatistics


class DatasetStatistics(Record):
    """Every split and all of them together, as counted by `tokenizer`."""

    tokenizer: str
    splits: dict[str, SplitStatistics]
    all: SplitStatistics
    lengths: Lengths | None = None


def describe_folder(folder: Path, *, workers: int | None = 0, progress: Progress = SILENT) -> DatasetStatistics:
    """Count sentences, words and novel n-grams of every split, by so many processes beside this one (`None`: as many as pay).

    Raises:
        DataError: the folder is no prepared data set.
    """
    counts = count_examples(folder)
    if workers is None:
        workers = choose_count(sum(path.stat().st_size for path in folder.glob("*.parquet")))
    progress.start("counting words", sum(counts.values()))
    parts: dict[str, list[SplitStatistics]] = {name: [] for name in SPLIT_NAMES}
    done = 0
    for name, part in map_in_order(_describe_step, _read_steps(folder), workers=workers):
        parts[name].append(part)
        done += part.examples
        progress.advance(done, sum(counts.values()), {})
    splits = {name: pool(own) for name, own in parts.items()}
    return DatasetStatistics(tokenizer=TOKENIZER, splits=splits, all=pool(splits.values()))


def measure_folder(
    folder: Path, reader: Reader, *, most: int = LENGTHS_MEASURED, progress: Progress = SILENT
) -> tuple[Lengths, dict[str, npt.NDArray[np.int32]]]:
    """Lengths in tokens of `most` examples, evenly spread, and what a recipe's limits leave out; and the lengths themselves, (N,).

    Raises:
        DataError: the folder is no prepared data set.
        ModelError: the base has no tokenizer here.
    """
    from pareft.models.checkpoint import load_tokenizer, open_base

    total = sum(count_examples(folder).values())
    tokenizer = load_tokenizer(open_base(reader.base, revision=reader.revision))
    step = max(1, -(-total // most))
    progress.start(f"counting tokens of {reader.base}", -(-total // step))
    found: dict[str, list[npt.NDArray[np.int32]]] = {"source": [], "target": []}
    done = 0
    chosen = islice((pair for _, pairs in _read_steps(folder) for pair in pairs), 0, None, step)
    while pairs := list(islice(chosen, PAIRS_PER_STEP)):
        found["source"].append(measure_lengths((reader.prefix + source for source, _ in pairs), tokenizer))
        found["target"].append(measure_lengths((target for _, target in pairs), tokenizer))
        done += len(pairs)
        progress.advance(done, -(-total // step), {})
    arrays = {name: np.concatenate(parts) for name, parts in found.items()}
    source = describe_lengths(arrays["source"], reader.max_source_tokens)
    target = describe_lengths(arrays["target"], reader.max_target_tokens)
    return Lengths(base=reader.base, prefix=reader.prefix, source=source, target=target), arrays


def count_examples(folder: Path) -> dict[str, int]:
    """Rows of every split.

    Raises:
        DataError: the folder is no prepared data set.
    """
    try:
        return {name: pa.parquet.ParquetFile(folder / f"{name}.parquet").metadata.num_rows for name in SPLIT_NAMES}
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{folder} is no prepared data set; make one with pareft prepare") from error


def _describe_step(step: Step) -> tuple[str, SplitStatistics]:
    name, pairs = step
    return name, describe_pairs(pairs)


def _read_steps(folder: Path) -> Iterator[Step]:
    """Some pairs at a time, and the split they are in."""
    for name in SPLIT_NAMES:
        with pa.parquet.ParquetFile(folder / f"{name}.parquet") as file:
            for number in range(file.num_row_groups):  # which hold no more text than memory does
                group = file.read_row_group(number, columns=["source", "target"])
                for batch in group.to_batches(max_chunksize=PAIRS_PER_STEP):
                    yield name, list(zip(batch["source"].to_pylist(), batch["target"].to_pylist(), strict=True))
