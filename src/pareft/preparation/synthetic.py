"""Synthetic notes as the files that PhysioNet ships, and consultations as those of ChatDoctor, at any size."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Literal, get_args

from pareft.data.sections import Kind
from pareft.data.synthetic import COLUMNS, Forum, generate_consultations, generate_discharge_notes, generate_radiology_notes
from pareft.errors import RunError
from pareft.files import fill_file
from pareft.progress import SILENT, Progress

SyntheticKind = Literal[Kind, Forum]
Generator = Callable[[int, int], Iterator[dict[str, str]]]
GENERATORS: dict[SyntheticKind, Generator] = {
    "discharge": lambda count, seed: generate_discharge_notes(count, seed=seed),
    "radiology": lambda count, seed: generate_radiology_notes(count, seed=seed, detailed=True),
    "healthcaremagic": lambda count, seed: generate_consultations(count, seed=seed, forum="healthcaremagic"),
    "icliniq": lambda count, seed: generate_consultations(count, seed=seed, forum="icliniq"),
}
ROWS_PER_STEP = 500


def write_synthetic(
    kind: SyntheticKind,
    count: int,
    out: Path,
    *,
    seed: int = 42,
    packed: bool = False,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> Path:
    """Write `count` notes to `discharge.csv` or `radiology.csv` in a folder, or consultations to `healthcaremagic.json` or
    `icliniq.json`; `packed`, as `.csv.gz` or `.json.gz`. Returns the file.

    Raises:
        RunError: the file is there and not to be overwritten, or cannot be written.
    """
    suffix, write = (".json", write_consultations) if kind in get_args(Forum) else (".csv", write_notes)
    path = out / f"{kind}{suffix}{'.gz' if packed else ''}"
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists; give another folder with --out, or --overwrite to replace it")
    progress.start(f"writing {path.name}", count)
    with fill_file(path) as file:
        if packed:
            with gzip.GzipFile(path.stem, "wb", compresslevel=6, fileobj=file, mtime=0) as archive:
                write(GENERATORS[kind](count, seed), archive, count, progress)  # type: ignore[arg-type]
        else:
            write(GENERATORS[kind](count, seed), file, count, progress)
    return path


def write_notes(notes: Iterator[dict[str, str]], file: BinaryIO, count: int, progress: Progress = SILENT) -> None:
    """Notes as CSV in MIMIC-IV-Note's shape."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_tell(notes, count, progress))
    text.flush()
    text.detach()


def write_consultations(rows: Iterator[dict[str, str]], file: BinaryIO, count: int, progress: Progress = SILENT) -> None:
    """Consultations as JSON in ChatDoctor's shape: one list, an object a line."""
    before = b"[\n"
    for row in _tell(rows, count, progress):
        file.write(before + json.dumps(row, ensure_ascii=False).encode())
        before = b",\n"
    file.write(b"\n]\n")


def _tell(rows: Iterator[dict[str, str]], count: int, progress: Progress) -> Iterator[dict[str, str]]:
    """The rows, with progress told as they go by."""
    for number, row in enumerate(rows, 1):
        yield row
        if number % ROWS_PER_STEP == 0:
            progress.advance(number, count, {})
    progress.advance(count, count, {})
