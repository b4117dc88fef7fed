"""Splits: the paper's rule, and no patient on both sides."""

import random
from itertools import chain

import polars as pl
import pytest

from pareft.data.prepared import digest_frames, split_frame, split_keys
from pareft.demo import write_notes
from pareft.errors import DataError, RunError
from pareft.preparation import write_prepared


def test_split_is_the_papers():
    order = list(range(25))
    random.Random(42).shuffle(order)
    parts = split_keys(25, seed=42)
    assert parts["test"] == sorted(order[-2:])
    assert parts["validation"] == sorted(order[-4:-2])
    assert parts["train"] == sorted(order[:-4])


def test_too_few_for_three_splits():
    with pytest.raises(DataError, match="3 is the least"):
        split_keys(2, seed=0)


@pytest.mark.parametrize("count", [3, 10, 99, 1000])
def test_every_row_is_in_one_split(count):
    parts = split_keys(count, seed=0)
    assert sorted(chain(*parts.values())) == list(range(count))
    assert all(parts.values())


def test_no_patient_is_in_two_splits():
    rng = random.Random(0)
    frame = pl.DataFrame({"subject_id": [str(rng.randrange(60)) for _ in range(300)], "row": range(300)})
    splits = split_frame(frame, by="patient", seed=1)
    patients = [set(part["subject_id"]) for part in splits.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == frame["subject_id"].n_unique()
    assert sorted(chain(*(part["row"] for part in splits.values()))) == list(range(300))
    by_report = [set(part["subject_id"]) for part in split_frame(frame, by="report", seed=1).values()]
    assert by_report[0] & by_report[2]  # which is why `patient` is the default of `clean`


def test_prepared_folder_says_what_it_is(tmp_path):
    notes = tmp_path / "radiology.csv"
    notes.write_text(write_notes(120, seed=5))
    said = write_prepared(notes, tmp_path / "out", rules="clean", split_by=None, seed=42)
    frames = {name: pl.read_parquet(tmp_path / "out" / f"{name}.parquet") for name in ("train", "validation", "test")}
    assert said["digest"] == digest_frames(frames)
    assert said["examples"] == {name: frame.height for name, frame in frames.items()}
    assert said["notes"] == 120 == sum(said["examples"].values()) + sum(said["dropped"].values())
    assert said["split_by"] == "patient"
    (tmp_path / "out" / "dataset.json").unlink()  # as if it had been interrupted
    assert write_prepared(notes, tmp_path / "out", rules="clean", split_by=None, seed=42) == said
    with pytest.raises(RunError, match="holds another prepared data set"):
        write_prepared(notes, tmp_path / "out", rules="paper", split_by=None, seed=42)
    assert write_prepared(notes, tmp_path / "paper", rules="paper", split_by=None, seed=42)["split_by"] == "report"


def test_a_folder_with_other_things_is_not_written_to(tmp_path):
    (tmp_path / "radiology.csv").write_text(write_notes(20, seed=5))
    with pytest.raises(RunError, match="holds no prepared data set"):
        write_prepared(tmp_path, tmp_path, rules="clean", split_by=None, seed=42)
