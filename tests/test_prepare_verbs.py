"""The prepare verbs as a user meets them: what is printed, what is not, and exit codes."""

import json
import stat
import subprocess
import sys

import polars as pl
import pytest
from conftest import call

from pareft.data.statistics import describe_pairs
from pareft.errors import DataError
from pareft.preparation.statistics import Reader, describe_folder, measure_folder
from pareft.preparation.synthetic import write_synthetic


@pytest.fixture
def notes(tmp_path):
    return write_synthetic("radiology", 60, tmp_path / "notes", seed=4).parent


def test_no_text_is_printed_unless_it_is_asked_for(notes, tmp_path, monkeypatch, capsys):
    with (notes / "radiology.csv").open("a") as file:
        file.write('99-RR-1,99,"a zebra that is never closed')
    arguments = ["prepare", "mimic-radiology", "--notes", notes, "--out"]
    code, out, err = call(monkeypatch, capsys, *arguments, tmp_path / "quiet", "--statistics")
    assert code == 0
    assert "dropped 1: broken quoting, line " in out
    assert "findings" not in out.lower() + err.lower()
    assert "zebra" not in out + err
    code, out, _ = call(monkeypatch, capsys, *arguments, tmp_path / "shown", "--show-text")
    assert code == 0
    assert "findings:" in out
    assert "zebra" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "{there}"], "exists; give another folder with --out, or --overwrite"),
        (["--out", "{new}", "--strict"], "line 2: invalid UTF-8; without --strict"),
        (["--out", "{new}", "--rules", "paper"], "--discharge-count, or build both"),
    ],
)
def test_the_users_mistakes_are_one_line(arguments, message, notes, tmp_path, monkeypatch, capsys):
    (tmp_path / "there").mkdir()
    content = (notes / "radiology.csv").read_bytes()
    (notes / "radiology.csv").write_bytes(content.replace(b"FINAL REPORT", b"FINAL \xff REPORT", 1))
    places = {"there": tmp_path / "there", "new": tmp_path / "new"}
    filled = [str(argument).format(**places) for argument in arguments]
    code, _, err = call(monkeypatch, capsys, "prepare", "mimic-radiology", "--notes", notes, *filled)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "new").exists()
    assert not list((tmp_path / "there").iterdir())


@pytest.mark.parametrize(("option", "allowed"), [("--rules", "'paper', 'clean'"), ("--split-by", "'report', 'patient'")])
def test_what_is_allowed_is_said(option, allowed, notes, tmp_path, monkeypatch, capsys):
    code, _, err = call(monkeypatch, capsys, "prepare", "mimic-radiology", "--notes", notes, "--out", tmp_path / "out", option, "x")
    assert code == 2
    assert allowed in " ".join(err.replace("│", " ").split())


def test_both_kinds_at_once(tmp_path, monkeypatch, capsys):
    for kind in ("discharge", "radiology"):
        write_synthetic(kind, 40, tmp_path / "notes", packed=True)
    code, out, _ = call(
        monkeypatch, capsys, "prepare", "mimic", "--notes", tmp_path / "notes", "--out", tmp_path / "out", "--rules", "paper"
    )
    assert code == 0
    assert "mimic-discharge: 40 rows read" in out
    said = {kind: json.loads((tmp_path / "out" / kind / "dataset.json").read_text()) for kind in ("discharge", "radiology")}
    assert said["radiology"]["discharge_count"] == sum(said["discharge"]["examples"].values())


def test_a_dialogue_and_a_table(tmp_path, monkeypatch, capsys):
    rows = [{"instruction": "", "input": f"what is {n}?", "output": f"{n}"} for n in range(20)]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert call(monkeypatch, capsys, "prepare", "dialogue", tmp_path / "a.json", "--out", tmp_path / "one")[0] == 0
    columns = ["--source", "input", "--target", "output", "--out", tmp_path / "two"]
    assert call(monkeypatch, capsys, "prepare", "table", tmp_path / "a.jsonl", *columns)[0] == 0
    digests = {json.loads((tmp_path / name / "dataset.json").read_text())["digest"] for name in ("one", "two")}
    assert len(digests) == 1


def test_synthetic_consultations_are_prepared_like_real_ones(tmp_path, monkeypatch, capsys):
    arguments = ["--kind", "healthcaremagic", "--notes", 30, "--out", tmp_path]
    code, out, _ = call(monkeypatch, capsys, "prepare", "synthetic", *arguments)
    assert code == 0
    assert "\n30 consultations written to " in out
    file = tmp_path / "healthcaremagic.json"
    code, out, _ = call(monkeypatch, capsys, "prepare", "dialogue", file, "--out", tmp_path / "hcm", "--statistics")
    assert code == 0
    assert "dialogue: 30 rows read" in out
    code, _, err = call(monkeypatch, capsys, "prepare", "synthetic", *arguments)
    assert (code, "exists; give another folder with --out, or --overwrite" in err) == (2, True)


def test_statistics_are_those_of_the_splits(notes, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    assert call(monkeypatch, capsys, "prepare", "mimic-radiology", "--notes", notes, "--out", out)[0] == 0
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"base: pareft-mini\ndata: {{path: {out}, prefix: 'summarize: ', max_source_tokens: 60, max_target_tokens: 9}}\n"
    )
    code, printed, _ = call(monkeypatch, capsys, "prepare", "statistics", out, "--recipe", recipe, "--max-target-tokens", 12)
    assert code == 0
    assert "see tokenizer in statistics.json" in printed
    said = json.loads((out / "statistics.json").read_text())
    assert said["tokenizer"].startswith("words after the Penn Treebank")
    assert {stat.S_IMODE(path.stat().st_mode) for path in out.iterdir()} == {0o600}
    assert (out / "lengths.png").read_bytes().startswith(b"\x89PNG")
    assert said["lengths"]["prefix"] == "summarize: "
    assert (said["lengths"]["source"]["limit"], said["lengths"]["target"]["limit"]) == (60, 12)
    pairs = {
        name: pl.read_parquet(out / f"{name}.parquet").select("source", "target").rows() for name in ("train", "validation", "test")
    }
    for name, own in pairs.items():
        assert said["splits"][name] == describe_pairs(own).model_dump()
    assert said["all"]["examples"] == sum(map(len, pairs.values())) == said["lengths"]["source"]["examples"]
    assert describe_folder(out, workers=1) == describe_folder(out)
    plain, arrays = measure_folder(out, Reader(), most=20)
    assert plain.source.examples == len(arrays["target"]) <= 20
    assert plain.source.mean < said["lengths"]["source"]["mean"]  # without the prefix
    with pytest.raises(DataError, match="is no prepared data set"):
        describe_folder(tmp_path)


def test_building_loads_no_torch(notes, tmp_path):
    script = f"""
import sys
sys.argv = ["pareft", "prepare", "mimic-radiology", "--notes", {str(notes)!r}, "--out", {str(tmp_path / "out")!r}]
from pareft.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
assert not {{"torch", "transformers", "datasets"}} & set(sys.modules), "heavy import"
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_interrupt_says_that_it_starts_anew(notes, tmp_path, monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pareft.preparation.prepare_notes", interrupt)
    code, _, err = call(monkeypatch, capsys, "prepare", "mimic-radiology", "--notes", notes, "--out", tmp_path / "out")
    assert (code, err) == (130, "pareft: interrupted; nothing half-written is left, start it again\n")


def test_what_the_system_refuses_is_one_line(notes, tmp_path, monkeypatch, capsys):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(notes))

    monkeypatch.setattr("pareft.preparation.prepare_notes", refuse)
    code, _, err = call(monkeypatch, capsys, "prepare", "mimic-radiology", "--notes", notes, "--out", tmp_path / "out")
    assert (code, err) == (2, f"pareft: {notes}: Permission denied\n")


def test_help_shows_what_is_taken_where_nothing_is_said(monkeypatch, capsys):
    _, out, _ = call(monkeypatch, capsys, "prepare", "mimic-radiology", "--help")
    assert "[default: patient; with" in " ".join(out.replace("│", " ").split())
