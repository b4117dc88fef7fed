"""What recipes name: any table with two text columns in a file, a prepared folder, or a data set on the Hub."""

from pathlib import Path
from typing import Any

from pareft.data.batches import Flaw
from pareft.data.blocks import name_missing
from pareft.data.hub import load_hub
from pareft.data.prepared import SPLIT_NAMES, split_keys
from pareft.data.published import find_tables, list_published, read_files, read_named
from pareft.data.rows import HEADED, READERS, Row, find_format, read_rows
from pareft.errors import DataError
from pareft.frames import pl
from pareft.settings import PAIRED, DataSettings

SPLIT_ALIASES = {"valid": "validation", "val": "validation", "dev": "validation"}


def read_splits(settings: DataSettings, *, seed: int) -> dict[str, pl.DataFrame]:
    """The splits as frames with the columns `id`, `source`, `target`; where only one table is given it is split 8:1:1.

    Rows whose source or target is empty are left out; `limit` keeps the first rows of a split.

    Raises:
        DataError: a file or column is missing, a table cannot be read, a split has no rows.
    """
    if settings.name:
        return _limit(_read_named(settings.name, settings, seed), settings)
    tables = _read_tables(settings)
    frames = {name: _pick_columns(table, settings, where) for name, (table, where) in tables.items()}
    if set(frames) == {"train"}:
        whole = frames["train"]
        if whole.height < 3:
            raise DataError(f"{tables['train'][1]} has {whole.height} usable rows; three splits need at least 3")
        frames = {name: whole[indices] for name, indices in split_keys(whole.height, seed=seed).items()}
    if missing := [name for name in SPLIT_NAMES if name not in frames]:
        raise DataError(f"no {' and no '.join(missing)} split; name the files in data.{missing[0]}, or one table in data.path")
    return _limit(frames, settings)


def _read_named(name: str, settings: DataSettings, seed: int) -> dict[str, pl.DataFrame]:
    """The splits of a named task: from the files that are named, from those of a folder, or from the Hub."""
    files = _list_files(settings)
    if files:
        return read_files(name, files, seed=seed)
    if settings.path is None:
        return read_named(name, list_published(name), seed=seed)
    if not Path(settings.path).is_dir():
        raise DataError(f"data.path {settings.path} is no folder; it is where the files of {name} are")
    return read_named(name, find_tables(name, Path(settings.path)), seed=seed)


def _limit(frames: dict[str, pl.DataFrame], settings: DataSettings) -> dict[str, pl.DataFrame]:
    limited = {name: frame.head(settings.limit.get(name, frame.height)) for name, frame in frames.items()}  # type: ignore[call-overload]
    if empty := [name for name, frame in limited.items() if frame.height == 0]:
        raise DataError(f"the {empty[0]} split has no row with both {settings.source} and {settings.target}")
    for name, frame in limited.items():
        columns = [pl.col(column) for column in ("source", "pair", "target") if column in frame.columns]
        if "options" in frame.columns:
            columns.append(pl.col("options").list.join(" "))
        held = frame.select(pl.any_horizontal(column.str.contains(PAIRED, literal=True) for column in columns)).to_series()
        if held.any():
            place = held.arg_max()
            raise DataError(f"example {place} of the {name} split holds a NUL character; pareft prepare table leaves such rows out")
        if frame["id"].null_count():
            raise DataError(f"the {name} split has rows without an id; give every row one, or leave the column out")
    return limited


def _read_tables(settings: DataSettings) -> dict[str, tuple[pl.DataFrame, str]]:
    if files := _list_files(settings):
        return {name: (_read_file(file), str(file)) for name, file in files.items()}
    if not settings.path:
        raise DataError("no data: give data.path, or data.train, data.validation and data.test")
    path = Path(settings.path)
    if path.is_dir():
        found = {name: path / f"{name}.parquet" for name in SPLIT_NAMES}
        if lost := [file.name for file in found.values() if not file.is_file()]:
            raise DataError(f"{path} is no prepared data set: no {lost[0]} in it. Make one with pareft prepare.")
        return {name: (_read_file(file), str(file)) for name, file in found.items()}
    if path.is_file():
        return {"train": (_read_file(path), str(path))}
    if looks_like_file(settings.path):
        raise DataError(f"no file or folder {settings.path}")
    return {split: (table.to_polars(), f"{settings.path}[{split}]") for split, table in read_hub(settings.path).items()}


def _list_files(settings: DataSettings) -> dict[str, Path]:
    """The files that are named for splits, if any are."""
    named = {name: getattr(settings, name) for name in SPLIT_NAMES if getattr(settings, name)}
    folder = Path(settings.path or ".")
    if named and not folder.is_dir():
        raise DataError(f"data.path {folder} is no folder; where data.train names a file, it is the folder the files are in")
    return {name: folder / file for name, file in named.items()}


def _read_file(path: Path) -> pl.DataFrame:
    """A whole table. Where a row is bad, it is refused: `pareft prepare` is for tables that are not clean."""
    try:
        if find_format(path) == ".parquet" and path.is_file():
            return pl.read_parquet(path, glob=False)
        rows = [_take(path, row) for row in read_rows(path)]
        table = pl.DataFrame(rows, infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError, ValueError, TypeError) as error:  # what polars says would quote a text
        raise DataError(f"{path} cannot be read as {find_format(path)[1:]}: damaged, or its rows are not of one shape") from error
    if not rows:
        raise DataError(f"{path} has no rows")
    return table


def _take(path: Path, row: Row | Flaw) -> dict[str, Any]:
    if isinstance(row, Flaw):
        raise DataError(f"{path} line {row.line}: {row.reason}; pareft prepare table leaves such rows out")
    return row[1]


def looks_like_file(place: str) -> bool:
    """Whether a place is on this disk or named like a file, and not a name on the Hub."""
    path = Path(place)
    known = find_format(path) in READERS
    return path.exists() or known or path.is_absolute() or place.startswith(".") or place.count("/") > 1


def read_hub(name: str) -> dict[str, Any]:
    """The splits of a data set on the Hub that are training, validation or test ones, as `datasets` has them.

    Raises:
        DataError: it cannot be read, or has none of them.
    """
    tables = {SPLIT_ALIASES.get(split, split): table for split, table in load_hub(name).items()}
    return {split: tables[split] for split in SPLIT_NAMES if split in tables}


def _check_lists(table: pl.DataFrame, column: str, where: str) -> pl.DataFrame:
    """A table whose column of options holds lists, or texts that are JSON lists."""
    if column not in table.columns or (isinstance(kind := table.schema[column], pl.List) and not kind.inner.is_nested()):
        return table
    try:
        return table.with_columns(pl.col(column).cast(pl.String).str.json_decode(pl.List(pl.String)))
    except pl.exceptions.PolarsError as error:
        raise DataError(f"{where}: column {column!r} holds no lists of options; give lists, or a column for each option") from error


def _as_text(table: pl.DataFrame, column: str) -> pl.Expr:
    """A column's values as texts; what is no number of a column of numbers (NaN) is missing."""
    values = pl.col(column)
    return (values.fill_nan(None) if table.schema[column].is_float() else values).cast(pl.String)


def _pick_columns(table: pl.DataFrame, settings: DataSettings, where: str) -> pl.DataFrame:
    listed = settings.options if isinstance(settings.options, list) else []
    named = [column for column in (settings.source, settings.target, settings.pair, *listed) if column]
    if isinstance(settings.options, str):
        table = _check_lists(table, settings.options, where)
        named.append(settings.options)
    if lost := [column for column in named if column not in table.columns]:
        known = [] if find_format(Path(where)) in HEADED else table.columns
        there = name_missing(lost, table.columns, wanted=known)
        raise DataError(f"{where}: {there}. Name the columns in data.source and data.target.")
    for column in named:
        if table.schema[column].is_nested() and column != settings.options:
            raise DataError(f"{where}: column {column!r} holds {table.schema[column]}, not text; join it to one text per row first")
    ids = (
        pl.col("id").cast(pl.String)
        if "id" in table.columns and not table.schema["id"].is_nested()
        else pl.int_range(pl.len()).cast(pl.String)
    )
    texts = [_as_text(table, settings.source).alias("source"), _as_text(table, settings.target).alias("target")]
    if settings.pair:
        texts.append(_as_text(table, settings.pair).fill_null("").alias("pair"))
    if isinstance(settings.options, str):
        texts.append(pl.col(settings.options).cast(pl.List(pl.String)).alias("options"))
    elif settings.options:
        texts.append(pl.concat_list(_as_text(table, column).fill_null("") for column in settings.options).alias("options"))
    try:
        frame = table.select(ids.alias("id"), *texts)
    except pl.exceptions.PolarsError as error:  # bytes that are no UTF-8, or a type that has no text; it would quote a value
        kinds = ", ".join(
            f"{column} ({table.schema[column]})" for column in dict.fromkeys((*named, "id")) if column in table.columns
        )
        raise DataError(f"{where}: a column cannot be read as text; there is {kinds}. Make texts of them first") from error
    if settings.unanswerable:
        return frame.with_columns(pl.col("target").fill_null("")).filter(pl.col("source").fill_null("").str.strip_chars() != "")
    return frame.filter(pl.all_horizontal(pl.col("source", "target").fill_null("").str.strip_chars() != ""))
