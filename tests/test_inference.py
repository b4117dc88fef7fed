"""`pareft evaluate` and `pareft generate`: the run's own scores again, the same file after a kill and from two processes."""

import fcntl
import gzip
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from test_cli import call

import pareft
from pareft import inference, scoring
from pareft.data.inputs import open_inputs
from pareft.errors import DataError, ModelError, PareftError, RecipeError, RunError
from pareft.evaluation import predictions as module
from pareft.files import open_alone
from pareft.frames import pl
from pareft.listing import list_runs
from pareft.recipe import resolve
from pareft.recipe_file import parse_changes
from pareft.records import RunRecord
from pareft.runtime import Processes
from pareft.scoring import evaluate_split

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
        "train": {
            "max_steps": 3,
            "batch_size": 4,
            "warmup_steps": 1,
            "learning_rate": 1e-2,
            "precision": "fp32",
            "evaluate_share": None,
        },
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


def test_a_run_whose_data_have_grown_is_not_evaluated(run, tmp_path):
    """Of one table that is split here, other rows would be the test split, some of which it was trained on."""
    shutil.copytree(run, tmp_path / "run")
    shutil.copytree(run.parent, tmp_path / "data", ignore=shutil.ignore_patterns("run", "base"))
    recipe = (run / "recipe.yaml").read_text()
    (tmp_path / "run" / "recipe.yaml").write_text(recipe.replace(f"path: {run.parent}", f"path: {tmp_path / 'data'}"))
    pareft.evaluate(tmp_path / "run")
    with (tmp_path / "data" / "test.csv").open("a") as file:
        file.write("one more,one\n")
    with pytest.raises(RunError, match=r"no longer holds the examples of .* Put the data back"):
        pareft.evaluate(tmp_path / "run")


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


LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"],
    "accelerate": ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"],
}


def start_two(*arguments, cwd, launcher="torchrun"):
    """Two processes of pareft that share the work, as launchers start them; on a machine without GPUs, by gloo."""
    command = [sys.executable, "-m", *LAUNCHERS[launcher], "-m", "pareft"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")} | {"OMP_NUM_THREADS": "1"}
    return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, env=environment, cwd=cwd, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_two_processes_write_the_same_file_as_one(run, tmp_path, launcher):
    pareft.evaluate(run, out=tmp_path / "one")
    done = start_two("evaluate", run, "--out", tmp_path / "two", cwd=tmp_path, launcher=launcher)
    assert done.returncode == 0, done.stderr
    assert "evaluate 60/60" in done.stdout
    assert json.loads((tmp_path / "two" / "scores.json").read_text())["processes"] == 2
    assert (tmp_path / "two" / "predictions.jsonl").read_bytes() == (tmp_path / "one" / "predictions.jsonl").read_bytes()
    assert done.stdout.count("predictions.jsonl") == 1
    assert not list((tmp_path / "two").glob(".*"))


def test_processes_take_each_their_share_and_one_alone_goes_on_with_both(run, tmp_path, monkeypatch):
    pareft.evaluate(run, out=tmp_path / "one")
    for rank, expected in ((1, 7), (0, 8)):
        calls = kill_after(monkeypatch, None)
        shared = Processes(rank, 2)
        monkeypatch.setattr(scoring, "find_processes", lambda shared=shared: shared)
        monkeypatch.setattr(module.Predictions, "rows", lambda *_: (_ for _ in ()).throw(Killed))
        with suppress(Killed, RunError):  # the second has no record from the first
            pareft.evaluate(run, out=tmp_path / "two")
        assert len(calls) == expected
    assert len(list((tmp_path / "two").glob(".*.partial"))) == 2
    monkeypatch.undo()
    calls = kill_after(monkeypatch, None)
    pareft.evaluate(run, out=tmp_path / "two")
    assert not calls
    assert (tmp_path / "two" / "predictions.jsonl").read_bytes() == (tmp_path / "one" / "predictions.jsonl").read_bytes()


BY_LOSS = "prune={by: leave-one-out, keep: 3, examples: 8}"
MORE = [
    ["distill={top: 8, cache: true}"],
    *(pytest.param(more, marks=pytest.mark.slow) for more in ([], ["adapt=null"], [BY_LOSS])),
]


@pytest.mark.parametrize("more", MORE)
def test_two_processes_train_as_one(run, tmp_path, more):
    """A batch is shared, so that the steps, the losses and what is written are those of one process."""
    recipe = (run / "recipe.yaml").read_text()
    (tmp_path / "recipe.yaml").write_text(recipe)
    changes = ["train.best_metric=bleu", *more]
    one = pareft.run(tmp_path / "recipe.yaml", parse_changes(changes), out=tmp_path / "one")
    done = start_two("run", "recipe.yaml", "--out", "two", *changes, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("parameters trained") == 1
    two = RunRecord.from_json((tmp_path / "two" / "record.json").read_text())
    assert (two.steps, two.best_step, two.hardware["processes"]) == (one.steps, one.best_step, 2)
    losses = [[entry["loss"] for entry in record.history if "loss" in entry] for record in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert two.plan_fingerprint == one.plan_fingerprint
    assert two.scores == pytest.approx(one.scores, abs=1.0)
    assert sorted(path.name for path in (tmp_path / "two" / "validation").iterdir()) == sorted(
        path.name for path in (tmp_path / "one" / "validation").iterdir()
    )


def test_somebody_else_at_the_same_file_is_told(run, tmp_path, monkeypatch):
    def write(*arguments):
        with pytest.raises(RunError, match="another process is writing"):
            pareft.evaluate(run, out=tmp_path / "x")
        return PLAIN(*arguments)

    monkeypatch.setattr(module, "write_batch", write)
    assert pareft.evaluate(run, out=tmp_path / "x").examples == 60


def test_who_locks_a_file_that_was_just_removed_has_nothing(tmp_path, monkeypatch):
    """The one before removes it between opening and locking: another one is opened, and the next to come is told."""
    path, plain, calls = tmp_path / "x", fcntl.flock, []

    def slow(*arguments):
        if not calls:
            path.unlink()
        calls.append(1)
        return plain(*arguments)

    monkeypatch.setattr(fcntl, "flock", slow)
    with open_alone(path) as held:
        assert len(calls) == 2
        assert open_alone(path) is None
        assert os.path.samestat(os.fstat(held.fileno()), path.stat())


@pytest.mark.parametrize("change", ["buffer", "one value", "generation config", "tokenizer"])
def test_what_was_begun_with_another_model_is_begun_again(run, tmp_path, monkeypatch, change):
    base = tmp_path / "base"
    shutil.copytree(run.parent / "base", base)
    (tmp_path / "in.txt").write_text("".join(f"the lung {i} is clear\n" for i in range(12)))
    arguments = (base, str(tmp_path / "in.txt"), tmp_path / "out.jsonl", {"evaluate.batch_size": 4, "evaluate.max_new_tokens": 4})
    kill_after(monkeypatch, 2)
    with pytest.raises(Killed):
        pareft.generate(*arguments)
    if change in ("buffer", "one value"):
        tensors = load_file(base / "model.safetensors")
        name = "final_logits_bias" if change == "buffer" else "model.encoder.layers.3.fc1.weight"
        tensors[name].view(-1)[tensors[name].numel() // 2 + 70] += 1
        save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    else:
        file = base / ("generation_config.json" if change == "generation config" else "tokenizer.json")
        values = json.loads(file.read_text())
        if change == "tokenizer":
            values["post_processor"] = None
        file.write_text(json.dumps(values | ({"repetition_penalty": 1.5} if change == "generation config" else {})))
    calls = kill_after(monkeypatch, None)
    pareft.generate(*arguments)
    assert len(calls) == 3


def test_a_lost_row_is_no_result(run, tmp_path, monkeypatch):
    """What another process should have written and has not is said, and not left out."""
    monkeypatch.setattr(module.Predictions, "holds", lambda *_: True)
    (tmp_path / "in.txt").write_text("one\ntwo\n")
    for name in ("out.txt", "out.jsonl"):
        with pytest.raises(RunError, match=r"the prediction for example 0 .* is lost"):
            pareft.generate(run, str(tmp_path / "in.txt"), tmp_path / name)
        assert not (tmp_path / name).exists()


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


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("bom.csv", "\ufeffid,source\r\na7,one\r\nb8,two\r\n", [("a7", 2)]),
        ("bom.jsonl", '\ufeff{"id": 7, "source": "one"}\n{"id": 8, "source": "two"}\n', [(7, 2)]),
        ("headed", "id,source\na7,one\nb8,two\n", [("a7", 2)]),
        ("tabs", "source\tid\none\ta7\ntwo\tb8\n", [("a7", 2)]),
        ("lines", "\ufeffone\ntwo\n", [("0", 2)]),
        ("late", '\n\n{"id": 7, "source": "one"}\n{"id": 8, "source": "two"}\n', [(7, 2)]),
        ("returns", "one\rtwo\r", [("0", 2)]),
        ("wide", "long, " * 50_000 + "\ntwo\n", [("0", 2)]),
        ("long.csv", "id,source\na7," + "long " * 50_000 + "\nb8,two\n", [("a7", 2)]),
        ("array.json", '[\n{"id": 7, "source": "one"},\n{"id": 8, "source": "two"}\n]\n', [(7, 2)]),
        ("each.json", '{"id": 7, "source": "one"}\n{"id": 8, "source": "two"}\n', [(7, 2)]),
        ("array", '[\n{"id": 7, "source": "one"},\n{"id": 8, "source": "two"}\n]\n', [(7, 2)]),
        ("dates", "[**2101-2-3**] one\ntwo\n", [("0", 2)]),
        ("odd.jsonl", '{"id": "\u2028", "source": "one\u2028two"}\n{"id": true, "source": "two"}\n', [("\u2028", 2)]),
    ],
)
def test_what_files_begin_with_and_how_ids_are_kept(tmp_path, name, content, expected):
    (tmp_path / name).write_text(content, encoding="utf-8", newline="")
    with open_inputs(str(tmp_path / name), column="source") as inputs:
        rows = list(inputs.rows())
        assert [(rows[0][0], inputs.check())] == expected
        assert not rows[0][1].startswith("\ufeff")
        assert rows[1][1] == "two"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("comma.csv", "id,source\n1,Fever, cough\n2,fine\n", "line 2: wrong number of columns"),
        ("short.csv", "source,id\nFever\n", "line 2: wrong number of columns"),
        ("twice.csv", "source,id,source\na,1,b\n", "two columns of its first line have one name"),
        ("quote.csv", 'id,source\n1,"Fever\n2,fine\n', "line 2: broken quoting"),
        ("latin.csv", b"id,source\n1,Fi\xe8vre\n", "row 1 holds what is no UTF-8"),
        ("object.json", '"one"', "is no JSON array"),
        ("damaged.parquet", "PAR1", "cannot be read as Parquet"),
        ("blank.csv", "id,source\n1,fine\n2, \n", "row 2 has an empty text in 'source'"),
    ],
)
def test_a_table_that_loses_text_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    with open_inputs(str(tmp_path / name), column="source") as inputs, pytest.raises(DataError, match=message):
        inputs.check()


def test_parquet_and_packed_tables_are_read(tmp_path):
    frame = pl.DataFrame({"id": [7, 8], "source": ["one", "two"], "other": [[1], [2]]})
    frame.write_parquet(tmp_path / "in.parquet")
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(b"id,source\n7,one\n8,two\n"))
    for name, first in (("in.parquet", 7), ("in.csv.gz", "7")):
        with open_inputs(str(tmp_path / name), column="source") as inputs:
            assert [row[1] for row in inputs.rows()] == ["one", "two"]
            assert next(inputs.rows())[0] == first


def test_a_run_of_two_texts_reads_two(run, tmp_path):
    """What it writes for rows like those of its test split is what it wrote there, and scores look at both texts."""
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    table = pl.read_csv(f"{recipe['data']['path']}/test.csv").with_columns(ctx=pl.lit("the large mass is seen ") + pl.col("target"))
    for split in ("train", "validation", "test"):
        table.head(12).write_csv(tmp_path / f"{split}.csv")
    recipe["data"] |= {"path": str(tmp_path), "validation": "validation.csv", "pair": "ctx"}
    recipe["evaluate"]["metrics"] = ["rouge", "surface"]
    pareft.run(pareft.Recipe.model_validate(recipe), out=tmp_path / "two")
    own = [row["prediction"] for row in read(tmp_path / "two/predictions.jsonl")]
    pareft.generate(tmp_path / "two", str(tmp_path / "test.csv"), tmp_path / "out.jsonl")
    assert [row["prediction"] for row in read(tmp_path / "out.jsonl")] == own
    renamed = table.head(12).rename({"ctx": "passage"})
    renamed.write_csv(tmp_path / "other.csv")
    with pytest.raises(DataError, match=r"row 1 has no text in 'ctx'.*Name the column with --pair"):
        pareft.generate(tmp_path / "two", str(tmp_path / "other.csv"), tmp_path / "other.jsonl")
    pareft.generate(tmp_path / "two", str(tmp_path / "other.csv"), tmp_path / "other.jsonl", pair="passage")
    assert read(tmp_path / "other.jsonl") == read(tmp_path / "out.jsonl")
    renamed.with_columns(passage=pl.lit("other words")).write_csv(tmp_path / "other.csv")
    pareft.generate(tmp_path / "two", str(tmp_path / "other.csv"), tmp_path / "other.jsonl", pair="passage")
    assert read(tmp_path / "other.jsonl") != read(tmp_path / "out.jsonl")
    with pytest.raises(RunError, match="this run was trained on one text"):
        pareft.generate(run, str(tmp_path / "other.csv"), tmp_path / "no.jsonl", pair="passage")
    scored = scoring._compute(
        pl.DataFrame({"id": ["0"], "source": ["what is wrong"], "pair": ["the left lung"], "target": ["x"]}),
        ["left lung"],
        resolve(recipe).evaluate,
    )
    assert scored.corpus["copied"] == 100


def test_nothing_else_is_written_over_unless_asked_for(run, tmp_path):
    (tmp_path / "in.txt").write_text("one\ntwo\n")
    out = tmp_path / "out.jsonl"
    for _ in range(2):
        assert pareft.generate(run, str(tmp_path / "in.txt"), out) == 2  # its own, again
    for content in ("base: x\n", '{"id": "0", "prediction": "x", "reference": "y"}\n', "7\n"):
        out.write_text(content)
        with pytest.raises(RunError, match="was not written by pareft generate; give another file, or --overwrite"):
            pareft.generate(run, str(tmp_path / "in.txt"), out)
        assert out.read_text() == content
    assert pareft.generate(run, str(tmp_path / "in.txt"), out, overwrite=True) == 2
    for name in ("out.csv", "train.parquet", "out.json", "out.jsonl.gz"):
        with pytest.raises(RunError, match=r"JSONL is written, or with \.txt plain lines"):
            pareft.generate(run, str(tmp_path / "in.txt"), tmp_path / name)
    with pytest.raises(RunError, match=r"in\.txt is a file, so that there is no folder"):
        pareft.generate(run, str(tmp_path / "in.txt"), tmp_path / "in.txt/deeper/out.jsonl")


def test_an_export_is_no_run_and_a_run_that_was_killed_is_one(run, tmp_path, monkeypatch, capsys):
    pareft.export(run, tmp_path / "merged")
    for command in (("evaluate", tmp_path / "merged"), ("export", tmp_path / "merged", tmp_path / "again")):
        code, _, said = call(monkeypatch, capsys, *command)
        assert (code, "is an export, and no run" in " ".join(said.split())) == (2, True)
    with pytest.raises(RunError, match="is an export, and no run"):
        pareft.compare_runs([run, tmp_path / "merged"])
    with pytest.raises(RunError, match="no run in"):
        list_runs(tmp_path)
    (tmp_path / "begun").mkdir()
    shutil.copy(run / "recipe.yaml", tmp_path / "begun")
    with pytest.raises(RunError, match="is not finished; the command that started it goes on"):
        pareft.evaluate(tmp_path / "begun")
    with pytest.raises(ModelError, match="is a run, and no base"):
        pareft.run(resolve(yaml.safe_load((run / "recipe.yaml").read_text()) | {"base": str(run)}), out=tmp_path / "other")


def test_a_run_that_writes_nothing_is_told_apart(run, tmp_path):
    shutil.copytree(run, tmp_path / "chooser")
    (tmp_path / "chooser/labels.json").write_text('"likelihood"')
    (tmp_path / "in.txt").write_text("one\n")
    with pytest.raises(ModelError, match=r"was trained for data\.task choice and writes no texts"):
        pareft.generate(tmp_path / "chooser", str(tmp_path / "in.txt"), tmp_path / "out.jsonl")


def test_nothing_is_written_over_the_input_a_folder_or_a_device(run, tmp_path):
    (tmp_path / "in.txt").write_text("one\n")
    (tmp_path / "link").symlink_to(tmp_path / "in.txt")
    for target, message in (
        ("in.txt", "is the input"),
        ("link", "is the input"),
        (".", "is a folder"),
        ("/dev/null", "is no file"),
    ):
        with pytest.raises(RunError, match=message):
            pareft.generate(run, str(tmp_path / "in.txt"), tmp_path / target)
    assert (tmp_path / "in.txt").read_text() == "one\n"
    (tmp_path / "elsewhere.jsonl").write_text("")
    (tmp_path / "out.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    pareft.generate(run, str(tmp_path / "in.txt"), tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").is_symlink()
    assert len(read(tmp_path / "elsewhere.jsonl")) == 1


def test_names_with_brackets_leave_nothing_and_neighbours_stay(run, tmp_path):
    (tmp_path / "in.txt").write_text("one\n")
    (tmp_path / ".a.jsonl.0.partial").write_text("of another output")
    for name in ("a[1].jsonl", "a"):
        pareft.generate(run, str(tmp_path / "in.txt"), tmp_path / name)
    assert [path.name for path in tmp_path.glob(".*")] == [".a.jsonl.0.partial"]


@pytest.mark.parametrize(
    ("changes", "settings", "message"),
    [
        ({}, {"max_source_tokens": 65}, "--max-source-tokens is 65; the base has 64 positions"),
        ({}, {"max_source_tokens": 2}, "a source has 2 special tokens, so that 3 is the least"),
        ({"evaluate.max_new_tokens": 65}, {}, "evaluate.max_new_tokens is 65; the base has 64"),
    ],
)
def test_lengths_that_the_base_has_no_room_for_are_refused(run, tmp_path, changes, settings, message):
    (tmp_path / "in.txt").write_text("one\n")
    with pytest.raises(DataError, match=message):
        pareft.generate(run, str(tmp_path / "in.txt"), tmp_path / "o.jsonl", changes, **settings)


def test_what_is_of_another_run_is_refused(run, tmp_path, monkeypatch, capsys):
    """An adapter of another plan, another run's weights, and both at once: a line each, exit code 2."""
    recipe = resolve(yaml.safe_load((run / "recipe.yaml").read_text()))
    kept = {"prune.layers": {"encoder": [0, 1], "decoder": [0, 1]}}
    pareft.run(recipe, kept, out=tmp_path / "adapter")
    pareft.run(recipe, kept | {"adapt": None}, out=tmp_path / "small")
    pareft.run(recipe, {"adapt": None}, out=tmp_path / "large")
    for kind, source, target, message in (
        ("adapter", "adapter", run, "trained on plan"),
        ("weights", "small", tmp_path / "large", "these are another run's weights"),
        ("weights", "small", run, "holds both adapter/ and weights/"),
    ):
        mixed = tmp_path / f"mixed-{message[:5]}"
        shutil.copytree(target, mixed)
        shutil.rmtree(mixed / kind, ignore_errors=True)
        shutil.copytree(tmp_path / source / kind, mixed / kind)
        code, _, err = call(monkeypatch, capsys, "evaluate", mixed)
        assert (code, err.count("\n"), message in err) == (2, 1, True), err


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
        ('{"id": 1, "source": "x"}\n{"id": 1, "source": "y"}\n', "two rows have the id 1"),
        ('{"text": "x"}\n', "row 1 has no text in 'source': no column source; the columns are text. Name the column with --source"),
        ('{"source": 3}\n', "row 1 has no text in 'source'"),
        ('{"source": "x"}\n{"source": \n', "line 2: broken JSON"),
        ('{"source": "x"}\n[1]\n', "line 2: no JSON object"),
        ('{"source": "x\\u00001"}\n', "row 1 holds a NUL character"),
        ('{"source": "x", "id": 1}\n{"source": "y"}\n', "row 2 has no id, unlike those before"),
        ('{"source": "x", "id": [1]}\n', "row 1: its id is neither a text nor a finite number"),
        ('{"source": "x", "id": 1e400}\n', "row 1: its id is neither a text nor a finite number"),
        ('{"source": "\\ud800"}\n', "row 1 holds what is no UTF-8, or half a surrogate pair"),
        ("[" * 100_000 + "\n", "line 1: broken JSON"),
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
        (RecipeError, "no metrics are named; there is rouge", {"run": run, "metrics": []}),
        (RunError, "is a run, whose predictions stay", {"run": run, "out": run}),
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
    with pytest.raises(PareftError, match="cannot load the encoder"):  # that shows before anything is written
        pareft.evaluate(run, {"evaluate.bertscore.model": str(tmp_path)}, metrics=["rouge", "bertscore"], out=tmp_path / "x")
    assert not (tmp_path / "x").exists()
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "compute", lambda *_: (_ for _ in ()).throw(DataError("the encoder is broken")))
        with pytest.raises(DataError, match="broken"):
            pareft.evaluate(run, out=tmp_path / "x")
    monkeypatch.setattr(module, "write_batch", None)  # nothing is written again
    assert pareft.evaluate(run, metrics=["rouge"], out=tmp_path / "x").examples == 60


@pytest.mark.parametrize("precision", [None, "bf16", "fp32"])
def test_what_writes_is_in_the_precision_asked_for_and_the_protocol_says_so(run, tmp_path, monkeypatch, precision):
    found = set()

    def watch(model, *args, **more):
        found.update(parameter.dtype for parameter in model.parameters())
        return evaluate_split(model, *args, **more)

    monkeypatch.setattr(inference, "evaluate_split", watch)
    record = pareft.evaluate(run, {"evaluate.precision": precision}, out=tmp_path)
    assert found == {torch.bfloat16 if precision == "bf16" else torch.float32}
    assert record.protocol.writing_precision == (precision or "as stored")
