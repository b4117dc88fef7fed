"""Reports of finished runs, whatever the runs are called and whatever is wrong with their folders."""

import csv
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import polars as pl
import pytest
from conftest import TEXTS, call

from pareft.data.prepared import digest_frames
from pareft.data.sources import read_splits
from pareft.evaluation.metrics.rouge import rouge
from pareft.evaluation.predictions import write_rows
from pareft.models.plan import PLAN_FILE
from pareft.pruning import plan
from pareft.recipe import resolve
from pareft.recipe_file import write_yaml
from pareft.records import Parameters, Protocol, RunRecord


@pytest.fixture
def runs(bases, tmp_path):
    """Two finished runs, `one` and `two`, that were never trained, and the table of their data."""
    table = tmp_path / "table.csv"
    sources = [f"case {number}: {TEXTS[number % 8]}" for number in range(120)]
    pl.DataFrame({"source": sources, "target": [source[8:30] for source in sources]}).write_csv(table)
    recipe = resolve({"base": str(bases["bart"]), "data": {"path": str(table)}})
    splits = read_splits(recipe.data, seed=recipe.seed)
    protocol = Protocol(
        data=str(table), data_digest=digest_frames(splits), source="source", target="target", prefix="",
        examples={name: frame.height for name, frame in splits.items()}, max_source_tokens=32, max_target_tokens=16,
        metrics=["rouge"], sentence_splitting="by line", num_beams=1, max_new_tokens=8, no_repeat_ngram_size=3, seed=recipe.seed,
    )  # fmt: skip
    kept = plan(str(bases["bart"]))
    for name in ("one", "two"):
        folder, references = tmp_path / name, splits["test"]["target"].to_list()
        folder.mkdir()
        texts = [f"{reference} {name}" for reference in references]
        scores = rouge(texts, references)
        rows = zip(splits["test"]["id"].to_list(), texts, references, scores.examples, strict=True)
        write_rows(
            folder / "predictions.jsonl",
            ({"id": identity, "prediction": text, "reference": there} | values for identity, text, there, values in rows),
        )
        record = RunRecord(
            arm=name, base=recipe.base, plan_fingerprint=kept.fingerprint, protocol=protocol,
            parameters=Parameters(base=10, total=10, trainable=5, layers_kept={"encoder": 4}, layers_dropped_ratio=0.5),
            precision="fp32", seed=recipe.seed, versions={}, hardware={}, train_seconds=1, evaluate_seconds=1, steps=1, best_step=1,
            scores=scores.corpus, history=[{"loss": 1.0, "step": 1.0}],
        )  # fmt: skip
        (folder / "record.json").write_text(record.to_json())
        (folder / PLAN_FILE).write_text(kept.to_json())
        (folder / "recipe.yaml").write_text(write_yaml(recipe))
    return tmp_path


@pytest.fixture
def compare(monkeypatch, capsys):
    """Run `pareft compare`; returns exit code, standard output, standard error."""
    return lambda *arguments: call(monkeypatch, capsys, "compare", *arguments)


def test_only_the_owner_reads_what_examples_are_in(runs, compare):
    code, _, err = compare(runs / "one", runs / "two", "--report", runs / "report")
    assert (code, err) == (0, "")
    text = json.loads((runs / "one/predictions.jsonl").read_text().splitlines()[0])["reference"]
    for path in (runs / "report").iterdir():
        holds = path.is_file() and text in path.read_text()
        assert holds == (path.suffix in (".html", ".json"))
        assert not holds or path.stat().st_mode & 0o077 == 0


def test_sources_are_shown_only_if_they_are_those_of_the_runs(runs, compare):
    asked = (runs / "one", runs / "two", "--show-text", "--report", runs / "report")
    assert compare(*asked)[0] == 0
    assert ">case " in (runs / "report/report.html").read_text()
    table = runs / "table.csv"
    table.write_text(table.read_text().replace("case ", "another case "))
    code, _, err = compare(*asked[:-1], runs / "later")
    assert (code, err.count("\n"), "leave out --show-text" in err) == (2, 1, True)
    assert not (runs / "later").exists()


@pytest.mark.parametrize("name", ["a|b", "a,b–c ≈", "[2em] x", "* 50% & $x_1$ #~^{\\", "$\\frac$", "<b>&amp;"])
def test_a_name_is_the_same_in_every_file(runs, compare, name):
    (runs / "two").rename(runs / name)
    assert compare(runs / "one", runs / name, "--out", runs / "out", "--report", runs / "report")[0] == 0
    assert [row[0] for row in csv.reader((runs / "report/report.csv").open())] == ["Arm", "one", name]
    lines = [re.split(r"(?<!\\)\|", line)[1:-1] for line in (runs / "report/report.md").read_text().splitlines() if line[:1] == "|"]
    assert {len(cells) for cells in lines} == {10, 9}
    assert name in [cells[0].strip().replace("\\|", "|") for cells in lines]
    if shutil.which("pdflatex"):
        (runs / "main.tex").write_text(
            r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{booktabs,graphicx}\begin{document}\input{report/report}\end{document}"
        )
        asked = ["pdflatex", "-draftmode", "-halt-on-error", "-interaction=nonstopmode", "main"]
        done = subprocess.run(asked, cwd=runs, capture_output=True, text=True, errors="replace", check=False)
        assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("name", ["[bold]run", "[red]", ":x:"])
def test_names_on_the_terminal_are_no_markup(runs, compare, monkeypatch, capsys, name):
    (runs / "two").rename(runs / name)
    code, out, err = compare(runs / "one", runs / name, "--out", runs / "[" / "out]")
    assert (code, err) == (0, "")
    assert out.count(name) > 2
    assert "[/out]: " in out
    assert name in call(monkeypatch, capsys, "show", runs / name)[1]


def test_any_folder_has_a_name_that_can_be_written(runs, compare, monkeypatch, capsys):
    odd = os.fsdecode(b"a\xff\n\nb")
    (runs / "two").rename(runs / odd)
    monkeypatch.chdir(runs / "one")
    code, _, err = compare(".", Path("..") / odd, "--report", runs / "report", "--out", runs / "out")
    assert (code, err) == (0, "")
    report = json.loads((runs / "report/report.json").read_text())
    assert [row["arm"] for row in report["comparison"]["rows"]] == ["one", "a���b"]
    assert call(monkeypatch, capsys, "show", ".")[1].startswith("one")
    assert "a���b" in call(monkeypatch, capsys, "show", runs)[1]


@pytest.mark.parametrize(
    ("file", "before", "after", "message"),
    [
        ("predictions.jsonl", '"prediction": "', '"prediction": null, "x": "', "a row without id, prediction or reference"),
        ("record.json", '"arm"', '"arms"', "two/record.json: this is no RunRecord"),
        ("plan.json", '"family"', '"familie"', "two/plan.json"),
    ],
)
def test_what_is_damaged_is_one_line_and_leaves_no_report(runs, compare, file, before, after, message):
    path = runs / "two" / file
    path.write_text(path.read_text().replace(before, after, 1))
    code, _, err = compare(runs / "one", runs / "two", "--report", runs / "report")
    assert (code, err.count("\n"), message in err) == (2, 1, True), err
    assert not (runs / "report").exists()


def test_an_example_without_a_score_is_shown_without(runs, compare):
    path = runs / "two" / "predictions.jsonl"
    path.write_text(re.sub(r'"rouge1": [0-9.]+', '"rouge1": null', path.read_text(), count=1))
    assert compare(runs / "one", runs / "two", "--report", runs / "report", "--examples", 4)[0] == 0
    assert len(json.loads((runs / "report/report.json").read_text())["examples"]) == 4
