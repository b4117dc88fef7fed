"""A named task's published files, or tables on the Hub, as splits that have labels.

Where the published test split has none, the published validation split is the test; a validation split is then one that a folder
has besides, or is held out of the training split, so that nothing is chosen by what is reported.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pareft.data.batches import Flaw
from pareft.data.blocks import Blocks
from pareft.data.hub import load_hub
from pareft.data.named import NAMED, Example, Row, Rows
from pareft.data.prepared import SPLIT_NAMES, assign_splits
from pareft.data.rows import LONGEST_ROW, find_format, read_rows
from pareft.errors import DataError
from pareft.frames import pl
from pareft.settings import EITHER, GROUPED, list_answers

BROKEN = 0.01  # of the lines of a file, that may have other columns and are left out, as some of QQP's have
HELD_OUT = 1000  # validation examples at most, where they are taken from the training split
VERSION = re.compile(r"-v\d[\d.]*$")  # in the name of a file: train-v1.1.json
BESIDE = ("val", "dev32", "valid")  # of one that a folder has besides


def read_named(name: str, tables: Mapping[str, tuple[Iterable[Row], str]], *, seed: int) -> dict[str, pl.DataFrame]:
    """The splits of a task as frames with the columns `id`, `source`, `target`, and `pair` where it has two texts. Of examples that
    are scored together the id is `GROUP::number`.

    Args:
        name: of `NAMED`.
        tables: the rows of published splits by their names, and where they are from.
        seed: by which a validation split is held out.

    Raises:
        DataError: no training or labelled test split; rows that are not the task's, or a label that it does not have.
    """
    rows = NAMED[name]
    frames = {split: frame for split, (table, where) in tables.items() if (frame := _make_frame(rows, table, where)) is not None}
    official = next((split for split in rows.official if split in frames), None)
    test = "test" if "test" in frames else official
    if "train" not in frames or test is None:
        raise DataError(f"{name}: there is no {'train' if 'train' not in frames else 'test or validation'} split with labels")
    passages = _number_passages(frames["train"], rows.passage)
    frames["train"] = _take_fewer(frames["train"], rows.most_options, seed=seed)
    others = [official] if official and test != official else [split for split in BESIDE if split != test]
    beside = next((split for split in others if split in frames), None)
    if beside:
        return {"train": frames["train"], "validation": frames[beside], "test": frames[test]}
    held = pl.Series(_hold_out(passages, seed=seed))
    return {"train": frames["train"].filter(~held), "validation": frames["train"].filter(held), "test": frames[test]}


def _number_passages(frame: pl.DataFrame, column: str) -> np.ndarray[Any, Any]:
    """The number of every example's passage: of equal values of the column; without one, its own."""
    if not column:
        return np.arange(frame.height)
    numbers: dict[str, int] = {}
    return np.asarray([numbers.setdefault(repr(value), len(numbers)) for value in frame[column].to_list()])


def _hold_out(passages: np.ndarray[Any, Any], *, seed: int) -> np.ndarray[Any, Any]:
    """Which examples are held out: a tenth of the passages, or so many of them as there may be examples. All examples of a passage
    are, or none; with fewer than three passages there is no other way than by examples.
    """
    groups = passages if len(np.unique(passages)) >= 3 else np.arange(len(passages))
    held = assign_splits(groups, by="patient", seed=seed) == SPLIT_NAMES.index("validation")
    numbers, first, counts = np.unique(groups[held], return_index=True, return_counts=True)
    order = np.argsort(first)
    few = np.cumsum(counts[order]) <= max(HELD_OUT, counts[order[0]])
    return held & np.isin(groups, numbers[order[few]])


def _take_fewer(frame: pl.DataFrame, most: int | None, *, seed: int) -> pl.DataFrame:
    """The frame with no more options of an example than that: a right one, and of the wrong ones some by chance."""
    if most is None:
        return frame
    draw, taken = random.Random(seed), []
    for target, options in zip(frame["target"], frame["options"].to_list(), strict=True):
        answers = list_answers(target)
        right = [option for option in options if option in answers][:1]
        wrong = [option for option in options if option not in answers]
        kept = {*right, *draw.sample(wrong, min(most - len(right), len(wrong)))}
        taken.append([option for option in options if option in kept])
    return frame.with_columns(options=pl.Series(taken, dtype=pl.List(pl.String)))


def _make_frame(rows: Rows, table: Iterable[Row], where: str) -> pl.DataFrame | None:
    """A split's examples; `None` where none has a label."""
    examples: list[Example] = []
    for number, row in enumerate(table):
        try:
            made = list(rows.make(row))
        except DataError as error:
            raise DataError(f"{where} row {number + 1}: {error}") from error
        except (LookupError, TypeError, AttributeError, ValueError) as error:  # which may name a patient's text
            raise DataError(f"{where} row {number + 1}: it is not of the shape that rows of this task have") from error
        for example in made:
            place, value = f"{where} row {number + 1}", example.pop("target")
            options = example.get("options")
            if isinstance(value, list):
                label: str | None = EITHER.join(dict.fromkeys(map(str, value))) if value or options is None else None
            elif options is None:
                label = _name_label(value, rows.labels, place)
            else:
                label = _name_option(value, options, rows.from_one, place)
            if label is not None:
                texts = {key: value if key in ("options", "start") else str(value) for key, value in example.items()}
                examples.append(texts | {"target": label})
    if not examples:
        return None
    numbers = pl.int_range(pl.len()).cast(pl.String)
    try:
        frame = pl.DataFrame(examples)
    except (UnicodeEncodeError, pl.exceptions.PolarsError, TypeError) as error:  # which would quote a value
        raise DataError(f"{where}: its rows are not of one shape, or hold what is no UTF-8; mend or drop them") from error
    named = frame.with_columns(id=pl.concat_str(pl.col("group"), pl.lit(GROUPED), numbers) if "group" in frame.columns else numbers)
    return named.select("id", *(column for column in ("source", "target", "pair", "options", "start") if column in frame.columns))


def _name_label(value: Any, labels: tuple[str, ...], where: str) -> str | None:
    """A label by its name, from a name, a number or a truth; `None` where there is none."""
    text = str(int(value)) if isinstance(value, bool) else "" if value is None else str(value).strip()
    if text in ("", "-1", "-1.0", "-"):  # as the Hub has it: of numbers a number, too
        return None
    if not labels or text in labels:
        return text
    if text.isdecimal() and int(text) < len(labels):
        return labels[int(text)]
    raise DataError(f"{where}: {_tell(text)} is none of {', '.join(labels)}")


def _tell(label: str) -> str:
    """A label in a message: others than numbers may be a patient's text."""
    return f"the label {label!r}" if label.isdecimal() and len(label) < 4 else "its label"


def _name_option(value: Any, options: Sequence[str], from_one: bool, where: str) -> str | None:
    """The right option, from its number; `None` where there is none."""
    text = "" if value is None else str(value).strip()
    if text in ("", "-1"):
        return None
    number = int(text) - from_one if text.isdecimal() else -1
    if not 0 <= number < len(options):
        raise DataError(f"{where}: {_tell(text)} is none of {len(options)} options")
    return str(options[number])


def find_tables(name: str, folder: Path) -> dict[str, tuple[Iterable[Row], str]]:
    """The files of a task's published splits in a folder, by split.

    Raises:
        DataError: there is no such file.
    """
    rows = NAMED[name]
    wanted = ("train", "test", *dict.fromkeys((*rows.official, *BESIDE)))
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".tsv", ".json", ".jsonl", ".parquet")]
    found: dict[str, Path] = {}
    for path in files:
        split = VERSION.sub("", path.stem)
        if split in found and split in wanted:
            raise DataError(
                f"{folder} has {found[split].name} and {path.name}; name the files in data.train, data.validation and data.test"
            )
        found[split] = path
    if "train" not in found:
        raise DataError(f"{folder} has no file {name} is trained on: train.tsv, train.json, train.jsonl or train.parquet")
    return {split: (read_table(name, found[split]), str(found[split])) for split in wanted if split in found}


def read_table(name: str, path: Path) -> Iterator[Row]:
    """The rows of a file. Tabs part the cells of a .tsv, and quotes are letters, as GLUE has it."""
    if find_format(path) == ".tsv":
        yield from _read_tabs(path, NAMED[name].columns)
        return
    if NAMED[name].field and find_format(path) == ".json":
        yield from _read_object(path, NAMED[name].field)
        return
    for row in read_rows(path):
        if isinstance(row, Flaw):
            raise DataError(f"{path} line {row.line}: {row.reason}")
        yield row[1]


def _read_object(path: Path, field: str) -> Iterator[Row]:
    """The rows that a file's one object has under a name."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as JSON") from error
    rows = found.get(field) if isinstance(found, dict) else found
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"{path} has no list of objects called {field!r}")
    yield from rows


def _read_tabs(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    if not path.is_file():
        raise DataError(f"no file {path}")
    with Blocks(path) as blocks:
        names: tuple[str, ...] = ()
        number, broken = 0, []
        for number, line in enumerate(blocks.lines(longest=LONGEST_ROW), 1):
            cells = (line or "").removeprefix("\ufeff").rstrip("\r\n").split("\t")
            if not names:
                headed = not columns or {"sentence", "sentence1", "question"} & set(cells)
                names = tuple(cells) if headed else columns
                if headed:
                    continue
            if len(cells) == len(names):
                yield dict(zip(names, cells, strict=True))
            else:
                broken.append(f"line {number}: {len(cells)} cells, and there are {len(names)} columns")
    if len(broken) > BROKEN * number:
        raise DataError(f"{path} {broken[0]}")


def list_published(name: str) -> dict[str, tuple[Iterable[Row], str]]:
    """A task's published splits on the Hub.

    Raises:
        DataError: it cannot be read from there.
    """
    repository, configuration = NAMED[name].hub
    splits = load_hub(repository, configuration)
    return {split: (table, f"{repository}/{configuration}[{split}]") for split, table in splits.items()}


def read_files(name: str, files: Mapping[str, Path], *, seed: int) -> dict[str, pl.DataFrame]:
    """The splits of a task from a file for each. `seed`: by which options are drawn, where there are too many.

    Raises:
        DataError: a split without a file, or a file without labels.
    """
    if missing := [split for split in SPLIT_NAMES if split not in files]:
        raise DataError(f"no {missing[0]} split; name its file in data.{missing[0]}, or only the folder, in data.path")
    frames = {split: _make_frame(NAMED[name], read_table(name, path), str(path)) for split, path in files.items()}
    if empty := [split for split, frame in frames.items() if frame is None]:
        raise DataError(f"{files[empty[0]]}: no row has a label")
    found = {split: frame for split, frame in frames.items() if frame is not None}
    return found | {"train": _take_fewer(found["train"], NAMED[name].most_options, seed=seed)}
