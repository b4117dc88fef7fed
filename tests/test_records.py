"""Files are there whole or not at all."""

import errno
import json
import math
import os

import pytest

from pareft.errors import RunError
from pareft.files import write_atomic
from pareft.records import TrainingRecord


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "new" / "record.json"

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"no space left on the disk of .*--out"):
        write_atomic(path, "x")
    assert list(path.parent.iterdir()) == []


def test_what_was_there_stays_until_the_new_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "record.json"
    write_atomic(path, "old")

    def stop(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["record.json"]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        write_atomic(tmp_path / "file" / "x", "x")


def test_a_record_with_numbers_that_are_none_is_read_back():
    """Gradients in fp16 overflow in the first steps, as a matter of course."""
    numbers = {"grad_norm": math.inf, "loss": math.nan, "least": -math.inf}
    record = TrainingRecord(steps=1, best_step=None, seconds=1, evaluation_seconds=0, evaluations_left_out=0, history=[numbers])
    text = record.to_json()
    json.loads(text, parse_constant=pytest.fail)  # JSON as everybody reads it
    assert repr(TrainingRecord.from_json(text)) == repr(record)
