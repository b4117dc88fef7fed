"""`pareft show`: what runs' files tell, at once, in any terminal."""

import errno
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import call

import pareft
from pareft import listing
from pareft.errors import RunError
from pareft.listing import list_runs, summarize
from pareft.recipe import resolve
from pareft.run_tables import BLOCKS, draw_sparkline, format_time
from pareft.tuning import training

HEAVY = {"torch", "transformers", "peft", "datasets", "polars", "numpy", "matplotlib", "accelerate"}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, bases):
    """A comparison with its base as it is, and an unfinished run beside it."""
    from conftest import TEXTS

    place = tmp_path_factory.mktemp("runs")
    table = place / "table.csv"
    table.write_text("source,target\n" + "".join(f"case {n}: {TEXTS[n % 8]},{TEXTS[n % 8][:18]}\n" for n in range(20)))
    train = {"max_steps": 4, "batch_size": 4, "warmup_steps": 1, "evaluate_every": 0.5, "evaluate_share": None}
    recipe = resolve(
        {
            "base": str(bases["bart"]),
            "data": {"path": str(table), "max_source_tokens": 32, "max_target_tokens": 16},
            "train": train,
            "evaluate": {"num_beams": 1, "max_new_tokens": 8, "untouched": True},
            "measure": None,
            "arms": {"pruned": {"prune": {}, "adapt": {"rank": 2}}, "full": {}},
        }
    )
    pareft.compare(recipe, out=place / "trial")
    plain = training._Report.on_step_end

    def interrupt(self, args, state, control, **more):
        if state.global_step == 3:
            raise KeyboardInterrupt
        plain(self, args, state, control, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training._Report, "on_step_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pareft.run(recipe, out=place / "deeper" / "still" / "stopped", arm="pruned")
    return place


@pytest.mark.parametrize("place", ["", "trial/pruned"])
def test_show_imports_nothing_heavy_and_takes_no_second(runs, place):
    script = f"""
import sys, time
started = time.process_time()
sys.argv = ["pareft", "show", {str(runs / place)!r}]
from pareft.cli import main
try:
    main()
except SystemExit as ended:
    assert not ended.code
assert time.process_time() - started < 1, time.process_time() - started
assert not {HEAVY!r} & set(sys.modules), {HEAVY!r} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pruned" in done.stdout


def test_runs_are_listed_by_folder_and_in_the_order_of_the_arms(runs):
    found = list_runs(runs)
    assert [(run.folder.name, run.state) for run in found] == [
        ("stopped", "training"),
        ("untouched", "untouched"),
        ("pruned", "done"),
        ("full", "done"),
    ]
    stopped, untouched, pruned, full = found
    assert (stopped.steps, stopped.max_steps, len(stopped.series("loss"))) == (2, 4, 1)
    assert (stopped.best_step, stopped.record) == (2, None)
    assert {len(kept) for kept in pruned.plan.layers.values()} == {6, 5}
    assert pruned.trainable < pruned.total < full.total
    assert pruned.scores == pruned.record.scores
    assert untouched.scores["rouge1"] == json.loads((runs / "trial/untouched/scores.json").read_text())["scores"]["rouge1"]


def test_a_run_that_has_trained_is_evaluating(runs, tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "adapter").mkdir()
    record = json.loads((runs / "trial/pruned/record.json").read_text())
    for name in ("recipe.yaml", "plan.json"):
        (folder / name).write_bytes((runs / "trial/pruned" / name).read_bytes())
    assert summarize(folder).state == "begun"
    trained = {"steps": 4, "best_step": 2, "seconds": 1.0, "evaluation_seconds": 0.5, "evaluations_left_out": 0}
    (folder / "checkpoints" / "trained.json").write_text(json.dumps(trained | {"history": record["history"], "trainable": 7}))
    told = summarize(folder)
    assert (told.state, told.trainable, told.history) == ("evaluating", 7, record["history"])


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("record.json", b'{"arm": '),
        ("record.json", b"\xff\xfe"),
        ("plan.json", b'{"base": "x"}'),
        ("checkpoints/checkpoint-1/trainer_state.json", b'{"global_step": "no"}'),
        ("recipe.yaml", b"a: [1"),
        ("scores.json", b"[]"),
    ],
)
def test_a_damaged_run_is_named_and_the_others_are_shown(runs, tmp_path, monkeypatch, capsys, file, content):
    whole = tmp_path / "whole"
    whole.mkdir()
    for name in ("recipe.yaml", "plan.json", "record.json"):
        (whole / name).write_bytes((runs / "trial/pruned" / name).read_bytes())
    damaged = tmp_path / "torn"
    (damaged / file).parent.mkdir(parents=True)
    (damaged / "recipe.yaml").write_bytes((whole / "recipe.yaml").read_bytes())
    if not file.startswith(("recipe", "scores", "plan")):
        (damaged / "plan.json").write_bytes((whole / "plan.json").read_bytes())
    (damaged / file).write_bytes(content)
    code, out, _ = call(monkeypatch, capsys, "show", tmp_path)
    (reason,) = [line for line in out.splitlines() if line.startswith("torn is damaged: ")]
    assert len(reason) > 25
    assert (code, "whole" in out, "done" in out) == (0, True, True)
    code, _, err = call(monkeypatch, capsys, "show", damaged)
    assert (code, err.count("\n"), "is damaged: " in err) == (2, 1, True)


@pytest.mark.parametrize("width", [40, 80, 140])
def test_the_table_fits_the_terminal(runs, monkeypatch, capsys, width):
    monkeypatch.setenv("COLUMNS", str(width))
    for place, expected in (
        (runs, ["deeper/still", "stopped", "training", "R-1", "as is", *(["6+5 of 8+6"] if width > 40 else [])]),
        (runs / "trial/pruned", []),
    ):
        code, out, _ = call(monkeypatch, capsys, "show", place)
        assert code == 0
        assert max(map(len, out.splitlines())) <= width
        assert "\x1b" not in out
        for words in expected:
            assert words in out
    cells = next(line.split() for line in out.splitlines() if "Encoder" in line)
    kept = list_runs(runs / "trial/pruned")[0].plan.layers["encoder"]
    assert cells == ["Encoder", *("■" if layer in kept else "·" for layer in range(8))]
    for words in ("adapter/", "LoRA of rank 2", "Best step", "R-1", "Validation", "Precision", "Versions"):
        assert words in out


def test_colours_only_where_they_are_wanted(runs, monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b" in call(monkeypatch, capsys, "show", runs)[1]
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in call(monkeypatch, capsys, "show", runs)[1]


def test_a_folder_without_runs_is_one_line(runs, tmp_path, monkeypatch, capsys):
    for place, message in ((tmp_path, "no run in"), (tmp_path / "nowhere", "no folder")):
        code, out, err = call(monkeypatch, capsys, "show", place)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err
        assert "give the folder of a run" in err
    with pytest.raises(RunError, match="no run in"):
        list_runs(runs / "trial" / "pruned" / "validation")


@pytest.mark.parametrize("refused", ["recipe.yaml", "closed"])
def test_a_folder_that_may_not_be_read_does_not_hide_the_others(runs, tmp_path, monkeypatch, refused):
    """Its own permissions do not stop root, whom tests run as here and there."""
    (tmp_path / "closed").mkdir()
    shutil.copytree(runs / "trial" / "full", tmp_path / "open")
    for owner, name in ((Path, "is_file"), (listing.os, "scandir")):
        plain = getattr(owner, name)

        def ask(path, *more, plain=plain, **named):
            if path.name == refused and "closed" in path.parts:
                raise PermissionError(errno.EACCES, "Permission denied", str(path))
            return plain(path, *more, **named)

        monkeypatch.setattr(owner, name, ask)
    assert [run.folder.name for run in list_runs(tmp_path)] == ["open"]
    with pytest.raises(PermissionError):
        list_runs(tmp_path / "closed")


def test_a_sparkline_goes_from_the_lowest_to_the_highest():
    assert draw_sparkline([7, 0, 3], 10) == "█▁▄"
    assert draw_sparkline(range(80), 8) == BLOCKS
    assert draw_sparkline([5, 5], 8) == "▁▁"
    assert draw_sparkline([], 8) == draw_sparkline([math.nan], 8) == ""
    assert draw_sparkline([1, math.nan, math.inf, 2], 8) == "▁  █"
    assert len(draw_sparkline(range(1000), 7)) == 7


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (592, "10 min"), (5999, "100 min"), (11_000, "3.1 h")])
def test_times_are_short(seconds, text):
    assert format_time(seconds) == text
