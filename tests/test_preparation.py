"""Preparing a data set: the same bytes however it is read, whole or not at all, and no text but in the splits."""

import errno
import gzip
import json
import os
import signal
import stat
import subprocess
import sys
from typing import get_args

import datasets
import polars as pl
import pytest

from pareft import files
from pareft.data.notes import parse_record
from pareft.data.prepared import SPLIT_NAMES, digest_frames, split_keys
from pareft.data.sections import Pair, pair_sections
from pareft.data.sources import read_splits
from pareft.data.synthetic import Forum, generate_consultations, generate_discharge_notes, generate_radiology_notes
from pareft.data.tables import Columns, open_table, pair_table
from pareft.data.workers import map_in_order
from pareft.errors import DataError, RunError
from pareft.files import hash_file
from pareft.preparation import prepare_both, prepare_notes, prepare_table, writing
from pareft.preparation.synthetic import GENERATORS, write_notes, write_synthetic
from pareft.preparation.writing import Handling
from pareft.settings import DataSettings

NOTES = {
    "radiology": [*generate_radiology_notes(300, seed=5)],
    "discharge": [*generate_discharge_notes(60, seed=5)],
}


@pytest.fixture
def notes(tmp_path):
    folder = tmp_path / "notes"
    folder.mkdir()
    for kind, rows in NOTES.items():
        with (folder / f"{kind}.csv").open("wb") as file:
            write_notes(iter(rows), file, len(rows))
    return folder


def read(folder):
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in SPLIT_NAMES}


def read_bytes(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", NOTES)
@pytest.mark.parametrize("rules", ["paper", "clean"])
def test_streaming_gives_what_memory_would(kind, rules, notes, tmp_path):
    options = {"discharge_count": 50} if (kind, rules) == ("radiology", "paper") else {}
    prepared = prepare_notes(kind, notes, tmp_path / "out", rules=rules, split_by="report", **options)
    said = prepared.description
    pairs = [(note, pair_sections(note["text"], kind, rules)) for note in NOTES[kind]]
    pairs = [(note, pair) for note, pair in pairs if isinstance(pair, Pair)]
    if rules == "clean":
        pairs = list({pair: (note, pair) for note, pair in reversed(pairs)}.values())[::-1]
        assert said["dropped"].get("duplicate", 0) == 0 or len(pairs) < len(NOTES[kind])
    keys = split_keys(len(pairs), seed=42, shuffled_before=options.get("discharge_count", 0))
    indices = {name: part.tolist() for name, part in keys.items()}
    frames = read(tmp_path / "out")
    for name in SPLIT_NAMES:
        expected = [(pairs[i][0]["note_id"], pairs[i][0]["subject_id"], *vars(pairs[i][1]).values()) for i in indices[name]]
        assert frames[name].rows() == expected
        assert frames[name].columns == ["id", "subject_id", "source", "target"]
    assert json.loads((tmp_path / "out" / "dataset.json").read_text()) == said | {"indices": indices}
    assert {name: part.tolist() for name, part in prepared.indices.items()} == indices
    assert said["digest"] == digest_frames(frames)
    assert said["examples"] == {name: frame.height for name, frame in frames.items()}
    assert said["rows"] == len(NOTES[kind]) == sum(said["examples"].values()) + sum(said["dropped"].values())
    assert said["source"]["sha256"] == hash_file(notes / f"{kind}.csv")


def test_neither_slabs_nor_processes_nor_gzip_change_a_byte(notes, tmp_path, monkeypatch):
    prepare_notes("radiology", notes, tmp_path / "one")
    expected = read_bytes(tmp_path / "one")
    prepare_notes("radiology", notes, tmp_path / "two", handling=Handling(workers=2))
    assert read_bytes(tmp_path / "two") == expected
    for size in (500, 3000):
        monkeypatch.setattr("pareft.data.notes.SLAB_BYTES", size)
        monkeypatch.setattr("pareft.preparation.pair_notes", lambda *a, size=size, **o: writing_pairs(*a, slab_bytes=size, **o))
        prepare_notes("radiology", notes, tmp_path / str(size))
        assert read_bytes(tmp_path / str(size)) == expected


def writing_pairs(*arguments, **options):
    from pareft.data.notes import pair_notes

    return pair_notes(*arguments, **options)


def test_row_groups_do_not_depend_on_how_pairs_come(notes, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "GROUP_ROWS", 20)
    monkeypatch.setattr(writing, "GROUP_BYTES", 5000)
    prepare_notes("radiology", notes, tmp_path / "one")
    monkeypatch.setattr("pareft.preparation.pair_notes", lambda *a, **o: writing_pairs(*a, slab_bytes=700, **o))
    prepare_notes("radiology", notes, tmp_path / "two")
    assert read_bytes(tmp_path / "one") == read_bytes(tmp_path / "two")
    import pyarrow.parquet

    file = pyarrow.parquet.ParquetFile(tmp_path / "one" / "train.parquet")
    assert file.num_row_groups > 5


def test_paper_builds_both_with_one_stream_of_random_numbers(notes, tmp_path):
    both = prepare_both(notes, tmp_path / "both", rules="paper")
    count = sum(both["discharge"].description["examples"].values())
    assert both["radiology"].description["discharge_count"] == count
    prepare_notes("radiology", notes, tmp_path / "alone", rules="paper", discharge_count=count)
    assert read_bytes(tmp_path / "alone") == read_bytes(tmp_path / "both" / "radiology")
    with pytest.raises(DataError, match="--discharge-count, or build both"):
        prepare_notes("radiology", notes, tmp_path / "none", rules="paper")
    with pytest.raises(DataError, match="leave it out"):
        prepare_notes("radiology", notes, tmp_path / "none", discharge_count=3)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("kind", NOTES)
def test_clean_keeps_a_patient_in_one_split_and_paper_does_not(kind, notes, tmp_path):
    said = prepare_notes(kind, notes, tmp_path / "clean").description
    patients = {name: set(frame["subject_id"]) for name, frame in read(tmp_path / "clean").items()}
    assert sum(map(len, patients.values())) == len(set.union(*patients.values()))
    assert said["patients"] == {name: len(own) for name, own in patients.items()}
    assert said["split_by"] == "patient"
    assert "duplicates" in said["fixes"]
    assert prepare_notes(kind, notes, tmp_path / "by", split_by="report").description["split_by"] == "report"
    patients = [set(frame["subject_id"]) for frame in read(tmp_path / "by").values()]
    assert patients[0] & patients[2]


def test_duplicates_are_dropped_from_the_second_on(notes, tmp_path):
    with (notes / "radiology.csv").open("wb") as file:
        write_notes(iter([*NOTES["radiology"], *NOTES["radiology"][:40]]), file, 340)
    said = prepare_notes("radiology", notes, tmp_path / "twice").description
    once = prepare_notes("radiology", notes, tmp_path / "paper", rules="paper", discharge_count=0).description
    assert said["dropped"]["duplicate"] >= 35
    assert "duplicate" not in once["dropped"]
    pairs = [row for frame in read(tmp_path / "twice").values() for row in frame.select("source", "target").rows()]
    assert len(pairs) == len(set(pairs))


def test_a_folder_that_is_there_is_refused_or_replaced(notes, tmp_path):
    out = tmp_path / "out"
    prepare_notes("radiology", notes, out)
    before = read_bytes(out)
    with pytest.raises(RunError, match="--overwrite to replace"):
        prepare_notes("radiology", notes, out, seed=1)
    assert read_bytes(out) == before
    prepare_notes("radiology", notes, out, seed=1, handling=Handling(overwrite=True))
    assert read_bytes(out) != before
    (out / "mine.txt").write_text("x")
    with pytest.raises(RunError, match="is no prepared data set or holds more"):
        prepare_notes("radiology", notes, out, handling=Handling(overwrite=True))
    assert list(tmp_path.glob(".*")) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from pareft.preparation import prepare_notes
from pareft.preparation.writing import Handling

class Killer:
    def start(self, stage, total, *, done=0):
        self.stage = stage
    def advance(self, done, total, values):
        if self.stage.startswith(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    handling = Handling(progress=Killer(), workers=int(sys.argv[4]), overwrite=True)
    prepare_notes("radiology", Path(sys.argv[1]), Path(sys.argv[2]), handling=handling)
"""


@pytest.mark.parametrize(("stage", "workers"), [("reading", 0), ("reading", 1), ("writing", 0)])
@pytest.mark.parametrize("there", [False, True])
def test_killed_and_started_again_is_never_killed(stage, workers, there, notes, tmp_path):
    out = tmp_path / "out"
    if there:
        prepare_notes("radiology", notes, out, seed=1)
    before = read_bytes(out) if there else None
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    died = subprocess.run([sys.executable, script, notes, out, stage, str(workers)], capture_output=True, check=False)
    assert died.returncode == -signal.SIGKILL
    assert (read_bytes(out) if out.exists() else None) == before
    prepare_notes("radiology", notes, out, handling=Handling(overwrite=True))
    prepare_notes("radiology", notes, tmp_path / "other")
    assert read_bytes(out) == read_bytes(tmp_path / "other")
    assert list(tmp_path.glob(".*")) == []


def test_killed_between_the_old_and_the_new_the_old_comes_back(notes, tmp_path):
    out = tmp_path / "out"
    prepare_notes("radiology", notes, out)
    before = read_bytes(out)
    out.rename(tmp_path / ".out.old")
    with pytest.raises(DataError):
        prepare_notes("radiology", tmp_path, out, handling=Handling(overwrite=True))
    with pytest.raises(RunError, match="exists"), files.fill_private_folder(out):
        pass
    assert read_bytes(out) == before


def test_both_go_on_with_a_first_that_is_there(notes, tmp_path):
    whole = prepare_both(notes, tmp_path / "whole", rules="paper")
    prepare_notes("discharge", notes, tmp_path / "half" / "discharge", rules="paper")  # as if it had been killed after it
    before = (tmp_path / "half" / "discharge" / "dataset.json").stat().st_mtime_ns
    again = prepare_both(notes, tmp_path / "half", rules="paper")
    assert (tmp_path / "half" / "discharge" / "dataset.json").stat().st_mtime_ns == before
    assert read_bytes(tmp_path / "half" / "radiology") == read_bytes(tmp_path / "whole" / "radiology")
    assert again["discharge"].description == whole["discharge"].description
    with pytest.raises(RunError, match="radiology exists"):
        prepare_both(notes, tmp_path / "half", rules="paper")
    prepare_notes("discharge", notes, tmp_path / "other" / "discharge", rules="paper", seed=1)
    with pytest.raises(RunError, match="discharge exists"):
        prepare_both(notes, tmp_path / "other", rules="paper")
    with pytest.raises(DataError, match="is no folder"):
        prepare_both(notes / "discharge.csv", tmp_path / "none")


@pytest.mark.parametrize("place", ["a/../out", "link"])
def test_overwriting_leads_where_the_path_does(place, notes, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to("out")
    prepare_notes("radiology", notes, tmp_path / "out", seed=1)
    prepare_notes("radiology", notes, tmp_path / place, handling=Handling(overwrite=True))
    prepare_notes("radiology", notes, tmp_path / "other")
    assert read_bytes(tmp_path / "out") == read_bytes(tmp_path / "other")
    assert (tmp_path / "link").is_symlink()
    assert list(tmp_path.glob(".*")) == []


def test_what_is_no_data_set_is_not_overwritten(notes, tmp_path):
    own = tmp_path / "own"
    own.mkdir()
    pl.DataFrame(ROWS).write_parquet(own / "train.parquet")
    columns, handling = Columns("input", "output"), Handling(overwrite=True)
    with pytest.raises(RunError, match="is no prepared data set or holds more"):
        prepare_table(str(own / "train.parquet"), own, columns, handling=handling)
    out = tmp_path / "out"
    prepare_notes("radiology", notes, out)
    with pytest.raises(RunError, match="would be replaced"):
        prepare_table(str(out / "train.parquet"), out, Columns("source", "target"), handling=handling)
    (out / ".statistics.json.12ab").write_text("{")  # what a killed call left
    prepare_notes("radiology", notes, out, handling=handling)


def test_a_seed_is_honoured(notes, tmp_path):
    for by in ("report", "patient"):
        ids = [set(prepare_and_read(notes, tmp_path / f"{by}{seed}", split_by=by, seed=seed)["test"]["id"]) for seed in (1, 2)]
        assert ids[0] != ids[1]


def prepare_and_read(notes, out, **options):
    prepare_notes("radiology", notes, out, **options)
    return read(out)


def test_a_killed_helper_is_one_line(notes, tmp_path, monkeypatch):
    monkeypatch.setattr("pareft.preparation.pair_notes", lambda *_, **__: map_in_order(os._exit, [1] * 9, workers=1))
    with pytest.raises(RunError, match="a process that helped was killed"):
        prepare_notes("radiology", notes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_at_once_do_not_mix(notes, tmp_path):
    with files.fill_private_folder(tmp_path / "out"), pytest.raises(RunError, match="another process is writing"):
        prepare_notes("radiology", notes, tmp_path / "out")


def test_a_full_disk_leaves_nothing(notes, tmp_path, monkeypatch):
    def fill(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(RunError, match="no space left"):
        prepare_notes("radiology", notes, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_strict_stops_at_the_first_bad_row_and_leaves_nothing(notes, tmp_path):
    content = (notes / "radiology.csv").read_bytes()
    lines = content.split(b"\n")
    bad = next(number for number, line in enumerate(lines) if b"FINDINGS" in line)
    (notes / "radiology.csv").write_bytes(content.replace(b"FINDINGS", b"FIND\xff", 1))
    with pytest.raises(DataError, match=r"radiology\.csv line \d+: invalid UTF-8; without --strict") as raised:
        prepare_notes("radiology", notes, tmp_path / "out", handling=Handling(strict=True))
    assert not (tmp_path / "out").exists()
    said = prepare_notes("radiology", notes, tmp_path / "out").description
    assert said["dropped"]["invalid UTF-8"] == 1
    (line,) = said["flawed_lines"]["invalid UTF-8"]
    assert f"line {line}:" in str(raised.value)
    assert line <= bad + 1


def test_only_the_owner_reads_what_was_written(notes, tmp_path):
    old = os.umask(0)
    try:
        prepare_notes("radiology", notes, tmp_path / "out")
        (tmp_path / ".other.partial").mkdir(mode=0o777)
        prepare_notes("radiology", notes, tmp_path / "other")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "other").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()} == {0o600}


def test_no_text_is_in_the_description(notes, tmp_path):
    (notes / "radiology.csv").write_bytes((notes / "radiology.csv").read_bytes() + b'123-RR-1,123,"never closed zebra')
    prepared = prepare_notes("radiology", notes, tmp_path / "out")
    content = (tmp_path / "out" / "dataset.json").read_text()
    assert prepared.description["dropped"]["broken quoting"] == 1
    words = {word for note in NOTES["radiology"] for word in note["text"].split() if len(word) > 6}
    assert not words & set(content.replace('"', " ").split())
    assert "zebra" not in content
    assert all(note["subject_id"] not in content for note in NOTES["radiology"])
    assert prepared.flaws["broken quoting"][0].text == ""


ROWS = [{"instruction": "answer", "input": f"question {n}", "output": f"answer {n}", "who": f"p{n // 3}"} for n in range(60)]


def test_dialogues_in_chatdoctors_format(tmp_path):
    path = tmp_path / "icliniq-15k.json"
    path.write_text(json.dumps([{"instruction": "", "input": " ", "output": "x"}, *ROWS]))  # one line, as json.dump writes it
    said = prepare_table(str(path), tmp_path / "out", Columns("input", "output"), builder="dialogue").description
    frames, indices = read(tmp_path / "out"), split_keys(60, seed=42)
    for name in SPLIT_NAMES:
        assert frames[name].rows() == [(str(i + 1), ROWS[i]["input"], ROWS[i]["output"]) for i in indices[name]]  # its row's number
    assert "without a seed" in said["remark"]
    assert said["dropped"] == {"empty text": 1}
    assert said["seed"] == 42


def test_a_tables_groups_stay_together_and_repetitions_go(tmp_path):
    pl.DataFrame([*ROWS, *ROWS[:6]]).write_csv(tmp_path / "rows.csv")
    columns = Columns("input", "output", id="who", group="who")
    said = prepare_table(str(tmp_path / "rows.csv"), tmp_path / "out", columns, drop_duplicates=True).description
    frames = read(tmp_path / "out")
    groups = [set(frame["group"]) for frame in frames.values()]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 20
    assert said["dropped"] == {"duplicate": 6}
    assert said["split_by"] == "who"
    assert frames["train"]["id"].to_list() == frames["train"]["group"].to_list()
    settings = DataSettings(path=str(tmp_path / "out"))
    assert digest_frames(read_splits(settings, seed=0)) == said["digest"]


@pytest.mark.parametrize("nothing", [None, " ", float("nan")])
def test_rows_without_a_group_are_on_their_own(tmp_path, nothing):
    rows = [{**row, "who": row["who"] if n % 2 else nothing} for n, row in enumerate(ROWS)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    said = prepare_table(str(tmp_path / "rows.jsonl"), tmp_path / "out", Columns("input", "output", group="who")).description
    assert sum(said["groups"].values()) == 30 + len({row["who"] for row in rows[1::2]})
    assert said["examples"]["test"] < 12
    assert "patients" not in said


def test_long_texts_end_a_batch(tmp_path, monkeypatch):
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    table = open_table(str(tmp_path / "rows.jsonl"))
    assert len(list(pair_table(table, Columns("input", "output")))) == 1
    monkeypatch.setattr("pareft.data.tables.CHARACTERS_PER_BATCH", 100)
    assert len(list(pair_table(table, Columns("input", "output")))) > 5


def test_a_hub_data_sets_own_splits_are_kept(tmp_path, monkeypatch):
    parts = {"train": ROWS[:40], "dev": ROWS[40:50], "test": ROWS[50:]}
    loaded = datasets.DatasetDict({name: datasets.Dataset.from_list(rows) for name, rows in parts.items()})
    monkeypatch.setattr(datasets, "load_dataset", lambda name: loaded)
    said = prepare_table("somebody/talks", tmp_path / "out", Columns("input", "output")).description
    assert said["split_by"] == "as published"
    assert said["examples"] == {"train": 40, "validation": 10, "test": 10}
    assert read(tmp_path / "out")["validation"]["source"].to_list() == [row["input"] for row in ROWS[40:50]]
    with pytest.raises(DataError, match="leave --group out"):
        prepare_table("somebody/talks", tmp_path / "two", Columns("input", "output", group="who"))
    monkeypatch.setattr(
        datasets, "load_dataset", lambda name: datasets.DatasetDict({"train": loaded["train"], "test": loaded["test"]})
    )
    with pytest.raises(DataError, match="has the splits train, test"):
        prepare_table("somebody/talks", tmp_path / "two", Columns("input", "output"))
    monkeypatch.setattr(datasets, "load_dataset", lambda name: datasets.DatasetDict({"train": loaded["train"]}))
    assert prepare_table("somebody/talks", tmp_path / "two", Columns("input", "output")).description["examples"]["train"] == 32


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (Columns("question", "output"), r"no column question; the columns are instruction, input, output, who\. Name the source"),
        (Columns("input", "output", group="patient"), r"no column patient.*Name the group with --group"),
    ],
)
def test_missing_columns_are_named(columns, message, tmp_path):
    (tmp_path / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in ROWS))
    with pytest.raises(DataError, match=message):
        prepare_table(str(tmp_path / "rows.jsonl"), tmp_path / "out", columns)
    with pytest.raises(DataError, match="no file"):
        prepare_table(str(tmp_path / "none.jsonl"), tmp_path / "out", columns)
    assert not (tmp_path / "out").exists()


def test_nothing_to_prepare_is_an_error(tmp_path, notes):
    (tmp_path / "rows.csv").write_text("source,target\n")
    with pytest.raises(DataError, match="none of 0 rows gives a pair"):
        prepare_table(str(tmp_path / "rows.csv"), tmp_path / "out", Columns("source", "target"))
    with pytest.raises(DataError, match=r"expected radiology\.csv or radiology\.csv\.gz"):
        prepare_notes("radiology", tmp_path, tmp_path / "out")
    (tmp_path / "radiology.csv").write_text('note_id,subject_id,text\n1-RR-1,1,"none"\n2-RR-1,2,"none"\n')
    with pytest.raises(DataError, match=r"none of 2 rows gives a pair \(no target section: 2\)"):
        prepare_notes("radiology", tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match="is a folder; name a file in it"):
        prepare_table(str(notes), tmp_path / "out", Columns("source", "target"))


@pytest.mark.parametrize("kind", NOTES)
def test_synthetic_files_are_what_the_builders_read(kind, tmp_path):
    plain, packed = (write_synthetic(kind, 40, tmp_path / name, seed=3, packed=name == "gz") for name in ("csv", "gz"))
    again = write_synthetic(kind, 40, tmp_path / "again", seed=3, packed=True)
    assert packed.read_bytes() == again.read_bytes()
    first, second = (prepare_notes(kind, path, tmp_path / f"out{i}").description for i, path in enumerate((plain, packed)))
    assert first["digest"] == second["digest"]
    assert first["rows"] == 40
    with pytest.raises(RunError, match="exists"):
        write_synthetic(kind, 40, tmp_path / "csv")
    assert parse_record(b'1-RR-1,1,"a ""b"""\r', 3) == ["1-RR-1", "1", 'a "b"']


@pytest.mark.parametrize("forum", get_args(Forum))
def test_synthetic_consultations_are_what_the_dialogue_builder_reads(forum, tmp_path):
    plain, packed = (write_synthetic(forum, 60, tmp_path / name, seed=3, packed=name == "gz") for name in ("json", "gz"))
    assert [plain.name, packed.name] == [f"{forum}.json", f"{forum}.json.gz"]
    assert plain.read_bytes() == gzip.decompress(packed.read_bytes())
    rows = json.loads(plain.read_text())
    assert rows == list(generate_consultations(60, seed=3, forum=forum))
    digests = set()
    for path in (plain, packed):
        out = tmp_path / f"of-{path.name}"
        said = prepare_table(str(path), out, Columns("input", "output"), builder="dialogue").description
        digests.add(said["digest"])
        assert (said["rows"], said["dropped"]) == (60, {})
        kept = {row for frame in read(out).values() for row in frame.select("source", "target").rows()}
        assert kept == {(row["input"], row["output"]) for row in rows}
    assert len(digests) == 1
    with pytest.raises(RunError, match="exists"):
        write_synthetic(forum, 60, tmp_path / "json")


def test_a_synthetic_file_is_there_whole_or_not_at_all(tmp_path, monkeypatch):
    def interrupt(count, seed):
        yield from generate_consultations(2, seed=seed, forum="icliniq")
        raise KeyboardInterrupt

    monkeypatch.setitem(GENERATORS, "icliniq", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_synthetic("icliniq", 60, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
