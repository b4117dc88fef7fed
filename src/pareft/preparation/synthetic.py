"""Synthetic notes as the files that PhysioNet ships, at any size."""

import csv
import gzip
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from pareft.data.sections import Kind
from pareft.data.synthetic import COLUMNS, generate_discharge_notes, generate_radiology_notes
from pareft.errors import RunError
from pareft.files import fill_file
from pareft.progress import SILENT, Progress

Generator = Callable[[int, int], Iterator[dict[str, str]]]
GENERATORS: dict[Kind, Generator] = {
    "discharge": lambda count, seed: generate_discharge_notes(count, seed=seed),
    "radiology": lambda count, seed: generate_radiology_notes(count, seed=seed, detailed=True),
}
NOTES_PER_STEP = 500


def write_synthetic(
    kind: Kind, count: int, out: Path, *, seed: int = 42, packed: bool = False, overwrite: bool = False, progress: Progress = SILENT
) -> Path:
    """Write `count` notes to `discharge.csv` or `radiology.csv` in a folder; `packed`, as `.csv.gz`. Returns the file.

    Raises:
        RunError: the file is there and not to be overwritten, or cannot be written.
    """
    path = out / (f"{kind}.csv.gz" if packed else f"{kind}.csv")
    if path.exists() and not overwrite:
        raise RunError(f"{path} exists; give another folder with --out, or --overwrite to replace it")
    progress.start(f"writing {path.name}", count)
    with fill_file(path) as file:
        if packed:
            with gzip.GzipFile(path.stem, "wb", compresslevel=6, fileobj=file, mtime=0) as archive:
                write_notes(GENERATORS[kind](count, seed), archive, count, progress)  # type: ignore[arg-type]
        else:
            write_notes(GENERATORS[kind](count, seed), file, count, progress)
    return path


def write_notes(notes: Iterator[dict[str, str]], file: BinaryIO, count: int, progress: Progress = SILENT) -> None:
    """Notes as CSV in MIMIC-IV-Note's shape."""
    text = io.TextIOWrapper(file, encoding="utf-8", newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for number, note in enumerate(notes, 1):
        writer.writerow(note)
        if number % NOTES_PER_STEP == 0:
            progress.advance(number, count, {})
    progress.advance(count, count, {})
    text.flush()
    text.detach()
