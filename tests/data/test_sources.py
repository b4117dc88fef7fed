"""Any table with two text columns, and one line about whatever is not one."""

import os
from pathlib import Path

import polars as pl
import pytest
from transformers import AutoTokenizer

from pareft.data.encoding import encode
from pareft.data.sources import read_splits
from pareft.errors import DataError
from pareft.settings import DataSettings

ROWS = pl.DataFrame({"dialogue": [f"d {i}" for i in range(20)], "note": [f"n {i}" for i in range(20)], "n": range(20)})
WRITERS = {
    "csv": pl.DataFrame.write_csv,
    "tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
    "jsonl": pl.DataFrame.write_ndjson,
    "parquet": pl.DataFrame.write_parquet,
}


def settings(path=None, **more):
    return DataSettings(path=str(path) if path else None, **{"source": "dialogue", "target": "note"} | more)


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_gives_the_same(tmp_path, kind):
    path = tmp_path / f"rows.{kind}"
    WRITERS[kind](ROWS, path)
    splits = read_splits(settings(path), seed=42)
    assert {name: frame.height for name, frame in splits.items()} == {"train": 16, "validation": 2, "test": 2}
    assert pl.concat(splits.values()).columns == ["id", "source", "target"]
    assert sorted(pl.concat(splits.values())["source"]) == sorted(ROWS["dialogue"])


def test_a_file_per_split_and_a_limit(tmp_path):
    paths = {}
    for name, start in (("train", 0), ("validation", 12), ("test", 16)):
        paths[name] = str(tmp_path / f"{name}.csv")
        ROWS[start : start + 4].write_csv(paths[name])
    names = {name: f"{name}.csv" for name in paths}
    assert read_splits(settings(tmp_path, **names), seed=42)["test"].height == 4
    splits = read_splits(settings(**paths, limit={"test": 3}), seed=42)
    assert splits["test"]["source"].to_list() == ["d 16", "d 17", "d 18"]
    with pytest.raises(DataError, match="no test split; name the files in data"):
        read_splits(settings(**{name: path for name, path in paths.items() if name != "test"}), seed=42)


def test_a_name_with_brackets_is_no_pattern(tmp_path):
    ROWS.write_parquet(tmp_path / "rows[1].parquet")
    ROWS.with_columns(dialogue=pl.lit("another file's")).write_parquet(tmp_path / "rows1.parquet")
    splits = read_splits(settings(tmp_path / "rows[1].parquet"), seed=42)
    assert sorted(pl.concat(splits.values())["source"]) == sorted(ROWS["dialogue"])


@pytest.mark.parametrize(
    ("column", "values"),
    [("note", [b"\xff\xfe"] * 20), ("id", [b"\xff\xfe"] * 20), ("note", [[["a"]]] * 20)],
)
def test_a_column_that_is_no_text_is_one_line(tmp_path, column, values):
    ROWS.with_columns(pl.Series(column, values)).write_parquet(tmp_path / "rows.parquet")
    with pytest.raises(DataError, match=r"cannot be read as text|not text|no lists of options"):
        read_splits(settings(tmp_path / "rows.parquet"), seed=42)
    with pytest.raises(DataError, match=r"cannot be read as text|no lists of options"):
        read_splits(settings(tmp_path / "rows.parquet", target="dialogue", options=column if column == "note" else "n"), seed=42)


def test_what_is_no_number_is_no_target(tmp_path):
    ROWS.with_columns(note=pl.when(pl.col("n") < 15).then(pl.lit(1.5)).otherwise(float("nan"))).write_parquet(
        tmp_path / "rows.parquet"
    )
    assert set(pl.concat(read_splits(settings(tmp_path / "rows.parquet"), seed=42).values())["target"]) == {"1.5"}


def test_rows_without_text_are_left_out(tmp_path):
    path = tmp_path / "rows.csv"
    ROWS.with_columns(note=pl.when(pl.col("n") < 15).then(pl.col("note")).otherwise(pl.lit(" "))).write_csv(path)
    assert sum(frame.height for frame in read_splits(settings(path), seed=42).values()) == 15


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("none.csv", None, r"no file or folder .*none\.csv"),
        ("rows.csv", "id,b\n1,2\n", "no column dialogue, note; the columns are id, b. Name the columns in data.source"),
        ("rows.doc", "x", r"cannot read \.doc; give one of \.csv"),
        ("rows.parquet", "x", "cannot be read as parquet: damaged"),
        ("rows.jsonl", "{", "line 1: broken JSON; pareft prepare table leaves such rows out"),
        ("rows.csv", "dialogue,note\nx,y\n", "has 1 usable rows; three splits need at least 3"),
        ("rows.csv", "", "has no rows"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, name, text, message):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_splits(settings(path), seed=42)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dialogue": pl.lit("before\0behind")}, "example 0 of the train split holds a NUL character"),
        ({"note": pl.when(pl.col("n") == 3).then(pl.lit("\0")).otherwise("note")}, "holds a NUL character"),
        ({"note": pl.concat_list(pl.lit("a"), pl.lit("b\0"))}, "holds a NUL character"),
        ({"id": pl.when(pl.col("n") > 0).then("n")}, "rows without an id"),
    ],
)
def test_rows_that_nothing_could_be_told_by_are_refused(tmp_path, change, message):
    """NUL parts two texts that are one source; ids tell predictions apart."""
    ROWS.with_columns(**change).write_parquet(tmp_path / "rows.parquet")
    more = {"target": "dialogue", "options": "note"} if ROWS.with_columns(**change)["note"].dtype == pl.List else {}
    with pytest.raises(DataError, match=message):
        read_splits(settings(tmp_path / "rows.parquet", **more), seed=42)


def test_no_data_and_folders_that_are_none(tmp_path):
    with pytest.raises(DataError, match="no data: give data"):
        read_splits(settings(), seed=42)
    with pytest.raises(DataError, match=r"is no folder; where data\.train names a file"):
        read_splits(settings("x.csv", train="y.csv"), seed=42)
    with pytest.raises(DataError, match="no prepared data set: no train"):
        read_splits(settings(tmp_path), seed=42)


def test_a_hub_name_without_a_network_is_one_line():
    with pytest.raises(DataError, match="'nobody/nothing' is no file here, and it cannot be read from the Hub") as caught:
        read_splits(settings("nobody/nothing"), seed=42)
    assert "\n" not in str(caught.value)


def test_encoding_truncates_and_prefixes(bases):
    tokenizer = AutoTokenizer.from_pretrained(bases["bart"])
    frame = pl.DataFrame({"source": ["the small nodule " * 9, "x"], "target": ["the lung " * 9, "y"]})
    rows = encode(frame, tokenizer, prefix="sum: ", max_source_tokens=12, max_target_tokens=5)
    assert [len(row["input_ids"]) <= 12 for row in rows] == [True, True]
    assert len(rows[0]["labels"]) == 5
    assert rows[1]["input_ids"] == tokenizer("sum: x")["input_ids"]


def test_encoded_rows_in_a_file_are_those_in_memory_and_the_owners(bases, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(bases["bart"])
    frame = pl.DataFrame({"source": [f"the small nodule {number} " for number in range(600)], "target": ["the lung"] * 600})
    how = {"prefix": "", "max_source_tokens": 12, "max_target_tokens": 5}
    file = tmp_path / "checkpoints/encoded/train.arrow"
    plain = encode(frame, tokenizer, **how)
    encode(frame.head(3), tokenizer, **how, file=file)
    kept = encode(frame, tokenizer, **how, file=file)
    assert kept.to_list() == plain.to_list()
    assert [Path(cached["filename"]) for cached in kept.cache_files] == [file]
    assert not plain.cache_files
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    if os.name == "posix":
        assert file.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("rows.csv", 'source,target\n"ZEBRA open,b\nx,y\n'),
        ("rows.csv", 'source,target\nx,"John ZEBRA\nand more" x\n'),
        ("rows.csv", "ZEBRA,John\nx,y\n"),
        ("rows.jsonl", '{"source": "ZEBRA", "target": 1}\n{"source": {"ZEBRA": 1}}\n{"ZEBRA'),
    ],
)
def test_no_message_quotes_a_text(name, content, tmp_path):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError) as raised:
        read_splits(DataSettings(path=str(tmp_path / name)), seed=0)
    assert "ZEBRA" not in str(raised.value)
