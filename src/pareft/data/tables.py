"""Any table with two text columns, as a stream of pairs: a file, or a data set on the Hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pareft.data.batches import Batch, Flaw
from pareft.data.blocks import explain_missing
from pareft.data.prepared import SPLIT_NAMES
from pareft.data.rows import Row, read_rows
from pareft.data.sections import Pair
from pareft.data.sources import looks_like_file, read_hub
from pareft.errors import DataError
from pareft.files import hash_file

ROWS_PER_BATCH = 1000


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


def describe_table(place: str) -> tuple[dict[str, Any], bool]:
    """What identifies a file or a data set on the Hub, and whether it has three splits of its own.

    Raises:
        DataError: there is no such thing, or it has some of the splits only.
    """
    path = Path(place)
    if looks_like_file(place):
        if not path.is_file():
            raise DataError(f"no file {place}")
        return {"file": path.name, "bytes": path.stat().st_size, "sha256": hash_file(path)}, False
    splits = read_hub(place)
    if len(splits) == 1 or set(splits) == set(SPLIT_NAMES):
        rows = {name: table.num_rows for name, table in splits.items()}
        return {"file": place, "hub": True, "rows": rows, "fingerprints": {n: t._fingerprint for n, t in splits.items()}}, len(
            splits
        ) > 1
    raise DataError(
        f"{place} on the Hub has the splits {', '.join(splits)}; one that is divided, or all of {', '.join(SPLIT_NAMES)}, would do"
    )


def pair_table(place: str, columns: Columns, *, published: bool, show_text: bool = False) -> Iterator[Batch]:
    """The pairs of a table in its order. Where its own splits are kept, they are the pairs' groups.

    Raises:
        DataError: a column is missing.
    """
    batch, checked = Batch(), False
    for label, row in _read(place):
        if isinstance(row, Flaw):
            batch.report(row.line, row.reason)
        else:
            number, values, batch.part = row
            if not checked:
                _check_columns(place, values, columns)
                checked = True
            _pair(batch, number, values, columns, label if published else None, show_text=show_text)
        if batch.rows >= ROWS_PER_BATCH:
            yield batch
            batch = Batch()
    yield batch


def _read(place: str) -> Iterator[tuple[str, Row | Flaw]]:
    if looks_like_file(place):
        yield from (("train", row) for row in read_rows(Path(place)))
        return
    splits = read_hub(place)
    total, done = max(1, sum(table.num_rows for table in splits.values())), 0
    for label, table in splits.items():
        for values in table:
            done += 1
            yield label, (done, values, done / total)


def _check_columns(place: str, values: dict[str, Any], columns: Columns) -> None:
    for role, name in columns.describe().items():
        if name not in values:
            raise DataError(f"{place}: {explain_missing([name], list(values))}. Name the {role} with --{role}.")


def _pair(batch: Batch, number: int, values: dict[str, Any], columns: Columns, label: str | None, *, show_text: bool) -> None:
    source, target = values.get(columns.source), values.get(columns.target)
    pair = _join(source, target)
    if isinstance(pair, str):
        batch.report(number, pair, str(source) if show_text else "")
        return
    identity = values.get(columns.id) if columns.id else None
    group = label or (str(values.get(columns.group)) if columns.group else "")
    batch.keep(str(number) if identity is None else str(identity), group, pair)


def _join(source: Any, target: Any) -> Pair | str:
    """The pair of two values, or the reason why they give none."""
    if source is None or target is None:
        return "empty text"
    if not isinstance(source, str) or not isinstance(target, str):
        return "no text"
    if not source.strip() or not target.strip():
        return "empty text"
    try:
        (source + target).encode()
    except UnicodeEncodeError:  # lone surrogates, which stand for bytes that are no UTF-8
        return "invalid UTF-8"
    return Pair(source, target)
