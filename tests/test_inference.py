"""`pareft evaluate` and `pareft generate`: the run's own scores again, the same file after a kill and from two processes."""

import json
import os
import subprocess
import sys

import pytest
from test_cli import call

import pareft
from pareft.errors import DataError, ModelError, PareftError, RecipeError, RunError
from pareft.evaluation import predictions as module

PLAIN = module.write_batch


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """A finished run with an adapter, on a table of its own."""
    import polars as pl
    from conftest import TEXTS, save_base

    place = tmp_path_factory.mktemp("inference")
    base = save_base("bart", place / "base")
    rows = [{"source": f"case {i}: {TEXTS[i % 8] * (1 + i % 3)}", "target": TEXTS[i % 8].split(" is ")[0]} for i in range(60)]
    pl.DataFrame(rows[:20]).write_csv(place / "train.csv")
    pl.DataFrame(rows).write_csv(place / "test.csv")
    recipe = {
        "base": str(base),
        "data": {
            "path": str(place),
            "train": "train.csv",
            "validation": "train.csv",
            "test": "test.csv",
            "max_source_tokens": 32,
            "max_target_tokens": 16,
        },
        "prune": {"layers": "alternating"},
        "adapt": {"rank": 2, "dropout": 0.0},
        "train": {"max_steps": 3, "batch_size": 4, "warmup_steps": 1, "learning_rate": 1e-2, "precision": "fp32"},
        "evaluate": {"num_beams": 2, "max_new_tokens": 8, "batch_size": 4},
    }
    pareft.run(pareft.Recipe.model_validate(recipe), out=place / "run")
    return place / "run"


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_evaluated_again_has_its_own_scores(run):
    record = pareft.evaluate(run)
    own = json.loads((run / "record.json").read_text())["scores"]
    assert {name: score.value for name, score in record.scores.items()} == own
    assert (run / "evaluation" / "test" / "predictions.jsonl").read_bytes() == (run / "predictions.jsonl").read_bytes()
    assert all(score.low <= score.value <= score.high for score in record.scores.values())
    assert json.loads((run / "evaluation" / "test" / "scores.json").read_text())["examples"] == 60
    assert not list((run / "evaluation" / "test").glob(".*"))


def test_another_split_other_metrics_and_other_beams(run, tmp_path):
    record = pareft.evaluate(
        run, {"evaluate.num_beams": 1}, split="validation", metrics=["surface", "bleu"], out=tmp_path, merged=False
    )
    assert {"bleu", "words", "empty"} <= set(record.scores)
    assert "rouge1" not in record.scores
    assert record.protocol.num_beams == 1
    assert len(read(tmp_path / "predictions.jsonl")) == record.examples == 20


class Killed(BaseException):
    pass


def kill_after(monkeypatch, batches):
    """Count the batches that are written, and die after so many; none: never."""
    calls = []

    def write(*arguments):
        calls.append(1)
        if batches is not None and len(calls) > batches:
            raise Killed
        return PLAIN(*arguments)

    monkeypatch.setattr(module, "write_batch", write)
    return calls


@pytest.mark.parametrize("cut", [0, 7])
def test_a_killed_evaluation_goes_on_and_ends_with_the_same_file(run, tmp_path, monkeypatch, cut):
    """Killed after some batches, and with the last line cut short."""
    pareft.evaluate(run, out=tmp_path / "whole")
    calls = kill_after(monkeypatch, 5)
    with pytest.raises(Killed):
        pareft.evaluate(run, out=tmp_path / "killed")
    (partial,) = (tmp_path / "killed").glob(".*.partial")
    if cut:
        partial.write_bytes(partial.read_bytes()[:-cut])
    assert not (tmp_path / "killed" / "predictions.jsonl").exists()
    done = len(calls) - 1
    calls = kill_after(monkeypatch, None)
    pareft.evaluate(run, out=tmp_path / "killed")
    assert len(calls) == 15 - done + bool(cut)
    assert (tmp_path / "killed" / "predictions.jsonl").read_bytes() == (tmp_path / "whole" / "predictions.jsonl").read_bytes()


def test_what_was_begun_under_other_settings_is_begun_again(run, tmp_path, monkeypatch):
    kill_after(monkeypatch, 3)
    with pytest.raises(Killed):
        pareft.evaluate(run, out=tmp_path / "x")
    calls = kill_after(monkeypatch, None)
    pareft.evaluate(run, {"evaluate.num_beams": 1}, out=tmp_path / "x")
    assert len(calls) == 15


def test_two_processes_write_the_same_file_as_one(run, tmp_path):
    pareft.evaluate(run, out=tmp_path / "one")
    command = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m", "pareft"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")} | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "evaluate", str(run), "--out", str(tmp_path / "two")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "two" / "predictions.jsonl").read_bytes() == (tmp_path / "one" / "predictions.jsonl").read_bytes()
    assert done.stdout.count("predictions.jsonl") == 1
    assert not list((tmp_path / "two").glob(".*"))


def test_all_formats_give_the_same_and_keep_ids_and_order(run, tmp_path):
    texts = ["the lung is clear", 'a "quoted", small effusion', "x"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": f"n{i}", "source": t}) + "\n" for i, t in enumerate(texts)))
    (tmp_path / "in.txt").write_text("\n".join(texts) + "\n")
    quoted = [text.replace('"', '""') for text in texts]
    (tmp_path / "in.csv").write_text("note,source\n" + "".join(f'k,"{text}"\n' for text in quoted))
    for name in ("in.jsonl", "in.txt", "in.csv"):
        assert pareft.generate(run, str(tmp_path / name), tmp_path / f"{name}.out") == 3
    rows = read(tmp_path / "in.jsonl.out")
    assert [row["id"] for row in rows] == ["n0", "n1", "n2"]
    assert [row["prediction"] for row in rows] == [row["prediction"] for row in read(tmp_path / "in.txt.out")]
    assert read(tmp_path / "in.txt.out") == read(tmp_path / "in.csv.out")
    assert read(tmp_path / "in.txt.out")[1]["id"] == "1"
    pareft.generate(run, str(tmp_path / "in.csv"), tmp_path / "out.txt", {"evaluate.num_beams": 2})
    assert (tmp_path / "out.txt").read_text().splitlines() == [" ".join(row["prediction"].split()) for row in rows]
    assert pareft.generate(run, str(tmp_path / "in.csv"), tmp_path / "k.out", column="note") == 3


def test_standard_input_and_a_base(run, tmp_path):
    command = [sys.executable, "-m", "pareft", "generate", str(run.parent / "base"), "--input", "-", "--output", "out.jsonl"]
    done = subprocess.run(
        [*command, "evaluate.max_new_tokens=4"], input="one\ntwo\n", capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "2 texts written to out.jsonl" in done.stdout
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == ["0", "1"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"id": 1, "source": "x"}\n{"id": 1, "source": "y"}\n', "two rows have the id '1'"),
        ('{"text": "x"}\n', "row 1 has no text 'source'; it has text. Name the column with --source"),
        ('{"source": 3}\n', "row 1 has no text 'source'"),
        ('{"source": "x"}\n{"source": \n', "line 2 is no JSON"),
        ('{"source": "x"}\n[1]\n', "line 2 is no JSON object"),
        ("", "has no rows"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_written(run, tmp_path, monkeypatch, capsys, content, message):
    (tmp_path / "in.jsonl").write_text(content)
    code, _, err = call(
        monkeypatch, capsys, "generate", run, "--input", tmp_path / "in.jsonl", "--output", tmp_path / "out" / "o.jsonl"
    )
    assert (code, err.count("\n"), message in err) == (2, 1, True), err
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_evaluated_says_why(run, tmp_path):
    for error, message, arguments in (
        (RunError, "is no run that has trained", {"run": tmp_path}),
        (RecipeError, "lines of evaluate can", {"run": run, "changes": {"train.epochs": 1}}),
        (RecipeError, "no split 'dev'", {"run": run, "split": "dev"}),
        (RecipeError, "evaluate.metrics", {"run": run, "metrics": ["rogue"]}),
        (DataError, "give evaluate.summac.model", {"run": run, "metrics": ["summac"]}),
    ):
        with pytest.raises(error, match=message):
            pareft.evaluate(**{"out": tmp_path / "out"} | arguments)
    with pytest.raises(DataError, match="no file"):
        pareft.generate(run, str(tmp_path / "none.txt"), tmp_path / "o")
    from tiny import make_model

    make_model("llama").save_pretrained(tmp_path / "llama")
    (tmp_path / "in.txt").write_text("x\n")
    with pytest.raises(ModelError, match="pareft writes with text encoder-decoders"):
        pareft.generate(tmp_path / "llama", str(tmp_path / "in.txt"), tmp_path / "o")


def test_predictions_that_are_made_are_kept_when_a_metric_fails(run, tmp_path, monkeypatch):
    """The model's work is not lost: with the metric's model given, the same command only scores."""
    with pytest.raises(PareftError, match="cannot load the encoder"):
        pareft.evaluate(run, {"evaluate.bertscore.model": str(tmp_path)}, metrics=["rouge", "bertscore"], out=tmp_path / "x")
    monkeypatch.setattr(module, "write_batch", None)  # nothing is written again
    assert pareft.evaluate(run, metrics=["rouge"], out=tmp_path / "x").examples == 60
