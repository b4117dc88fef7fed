"""Any table with two text columns, as a stream of pairs: a file, or a data set on the Hub."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pareft.data.batches import SHOWN_CHARACTERS, Batch, Flaw
from pareft.data.blocks import has_surrogates, name_missing
from pareft.data.prepared import SPLIT_NAMES
from pareft.data.rows import HEADED, Row, find_format, read_rows
from pareft.data.sections import Pair
from pareft.data.sources import looks_like_file, read_hub
from pareft.errors import DataError
from pareft.files import hash_file
from pareft.settings import PAIRED

ROWS_PER_BATCH = 1000  # at most,
CHARACTERS_PER_BATCH = 2**22  # and with no more text


@dataclass(frozen=True)
class Columns:
    """Where the texts are; `id` and `group`, whose rows stay together, are optional."""

    source: str
    target: str
    id: str | None = None
    group: str | None = None

    def describe(self) -> dict[str, str]:
        """The names that are given."""
        given = {"source": self.source, "target": self.target, "id": self.id, "group": self.group}
        return {role: name for role, name in given.items() if name is not None}


def describe_file(path: Path) -> dict[str, Any]:
    """What identifies a file: its name, size and SHA-256.

    Raises:
        DataError: it is not there, or cannot be read.
    """
    if not path.is_file():
        raise DataError(f"no file {path}")
    try:
        size, digest = path.stat().st_size, hash_file(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    return {"file": os.fsencode(path.name).decode(errors="backslashreplace"), "bytes": size, "sha256": digest}


@dataclass(frozen=True)
class Table:
    """A file, or the splits of a data set on the Hub; what identifies it, and whether it has three splits of its own."""

    place: str
    splits: dict[str, Any] | None
    origin: dict[str, Any]
    published: bool

    def rows(self, columns: Columns) -> Iterator[tuple[str, Row | Flaw]]:
        """Every row, and the split it is in."""
        if self.splits is None:
            yield from (("train", row) for row in read_rows(Path(self.place), list(columns.describe().values())))
            return
        total, done = max(1, sum(table.num_rows for table in self.splits.values())), 0
        for label, table in self.splits.items():
            for values in table:
                done += 1
                yield label, (done, values, done / total)

    @property
    def names_are_sure(self) -> bool:
        """Whether what is called a column is one, and not the first row of a file without a header."""
        return self.splits is not None or find_format(Path(self.place)) not in HEADED


def open_table(place: str) -> Table:
    """A file, or a data set on the Hub.

    Raises:
        DataError: there is no such thing, it is a folder, or it has some of the splits only.
    """
    path = Path(place)
    if path.is_dir():
        raise DataError(f"{place} is a folder; name a file in it. A prepared folder is ready: recipes name it as data.path.")
    if looks_like_file(place):
        return Table(place, None, describe_file(path), published=False)
    splits = read_hub(place)
    if len(splits) != 1 and set(splits) != set(SPLIT_NAMES):
        raise DataError(
            f"{place} on the Hub has the splits {', '.join(splits)}; one to divide, or all of {', '.join(SPLIT_NAMES)}, would do"
        )
    rows = {name: table.num_rows for name, table in splits.items()}
    prints = {name: table._fingerprint for name, table in splits.items()}
    return Table(place, splits, {"file": place, "hub": True, "rows": rows, "fingerprints": prints}, published=len(splits) > 1)


def pair_table(table: Table, columns: Columns, *, show_text: bool = False) -> Iterator[Batch]:
    """The pairs of a table in its order. Where its own splits are kept, they are the pairs' groups.

    Raises:
        DataError: a column is missing.
    """
    batch, checked = Batch(), False
    for number, (label, row) in enumerate(table.rows(columns)):
        if isinstance(row, Flaw):
            batch.report(row.line, row.reason, row.text if show_text else "")
        else:
            line, values, batch.part = row
            if not checked:
                _check_columns(table, values, columns)
                checked = True
            found = _pair(number, values, columns)
            if isinstance(found, str):
                batch.report(line, found, _show(values, columns) if show_text else "")
            else:
                identity, group, pair = found
                batch.keep(identity, label if table.published else group, pair)
        if batch.rows >= ROWS_PER_BATCH or batch.characters >= CHARACTERS_PER_BATCH:
            yield batch
            batch = Batch()
    yield batch


def _check_columns(table: Table, values: dict[str, Any], columns: Columns) -> None:
    asked = columns.describe()
    for role, name in asked.items():
        if name not in values:
            wanted = list(values) if table.names_are_sure else list(asked.values())
            raise DataError(f"{table.place}: {name_missing([name], list(values), wanted=wanted)}. Name the {role} with --{role}.")


def _pair(number: int, values: dict[str, Any], columns: Columns) -> tuple[str, str, Pair] | str:
    """Id, group and pair of a row, or the reason why it gives none. `number`, of all rows from 0, is its id where it has none."""
    identity = values.get(columns.id) if columns.id else None
    group = values.get(columns.group) if columns.group else None
    name, own = str(number if identity is None else identity), "" if group is None or group != group else str(group)  # NaN
    own = own if own.strip() else ""
    pair = _join(values.get(columns.source), values.get(columns.target))
    if isinstance(pair, Pair) and has_surrogates(name + own):
        return "invalid UTF-8"
    return pair if isinstance(pair, str) else (name, own, pair)


def _show(values: dict[str, Any], columns: Columns) -> str:
    """How source and target begin."""
    return " | ".join(str(values.get(name)).strip()[: SHOWN_CHARACTERS // 2] for name in (columns.source, columns.target))


def _join(source: Any, target: Any) -> Pair | str:
    """The pair of two values, or the reason why they give none."""
    if source is None or target is None:
        return "empty text"
    if not isinstance(source, str) or not isinstance(target, str):
        return "no text"
    if not source.strip() or not target.strip():
        return "empty text"
    if PAIRED in source + target:
        return "NUL byte"
    return "invalid UTF-8" if has_surrogates(source + target) else Pair(source, target)
