"""Trackers get numbers and nothing else, and nothing of a run depends on them."""

import importlib.machinery
import json
import socket
import sys
import types
import warnings

import pytest

import pareft
from pareft import pipeline
from pareft.errors import PareftWarning, RecipeError, RunError
from pareft.measurement import digest_arm
from pareft.recipe import resolve, select_arm
from pareft.records import RunRecord
from pareft.tuning import trackers, training
from pareft.tuning.trackers import Tracked, check_trackers, track

LOG = {"loss": 2.5, "grad_norm": 1, "epoch": 0.5, "note": "patient 7 has"}
NUMBERS = {"train/loss": 2.5, "train/grad_norm": 1.0, "train/epoch": 0.5}


def read_events(folder):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return events


def list_scalars(folder, name):
    return [(event.step, pytest.approx(event.value, rel=1e-4)) for event in read_events(folder).Scalars(name)]


@pytest.fixture
def recipe(values):
    train = values["train"] | {"max_steps": 6, "evaluate_every": 0.5}
    return resolve(values | {"train": train})


def test_tensorboard_holds_the_losses_and_no_text_and_changes_nothing(recipe, table, tmp_path, monkeypatch):
    plain = pareft.run(recipe, out=tmp_path / "plain", arm="lora+l-prun")
    record = pareft.run(recipe, {"train.report_to": "tensorboard"}, out=tmp_path / "runs" / "run", arm="lora+l-prun")
    assert (record.scores, record.best_step, record.protocol) == (plain.scores, plain.best_step, plain.protocol)
    folder = tmp_path / "runs" / "run" / "tensorboard"
    losses = [(entry["step"], entry["loss"]) for entry in record.history if "loss" in entry]
    assert losses == [(entry["step"], entry["loss"]) for entry in plain.history if "loss" in entry]
    assert list_scalars(folder, "train/loss") == losses
    with monkeypatch.context() as patch:
        patch.setattr(trackers, "find_spec", lambda name: None)  # the run went to a machine that has no tracker
        assert pareft.evaluate(tmp_path / "runs" / "run").scores["rouge1"].value == pytest.approx(record.scores["rouge1"])
    scores = [(entry["step"], entry["eval_rouge1"]) for entry in record.history if "eval_rouge1" in entry]
    assert list_scalars(folder, "eval/rouge1") == scores
    tags = read_events(folder).Tags()
    assert not any(found for kind, found in tags.items() if kind != "scalars")
    (file,) = folder.iterdir()
    written = file.read_bytes() + file.name.encode()
    words = {word for line in table.read_text().split() for word in line.split(",") if len(word) > 4}
    for private in (*words, str(tmp_path), recipe.base, "bart", *([socket.gethostname()] if len(socket.gethostname()) > 4 else [])):
        assert private.encode() not in written, private


def test_a_run_that_goes_on_goes_on_in_tensorboard(recipe, tmp_path, monkeypatch):
    asked = {"train.report_to": ["tensorboard"]}
    plain = training._Report.on_step_end

    def interrupt(self, args, state, control, **more):
        if state.global_step == 5:
            raise KeyboardInterrupt
        plain(self, args, state, control, **more)

    with monkeypatch.context() as patch:
        patch.setattr(training._Report, "on_step_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pareft.run(recipe, asked, out=tmp_path / "run", arm="full")
    record = pareft.run(recipe, asked, out=tmp_path / "run", arm="full")
    losses = [(entry["step"], entry["loss"]) for entry in record.history if "loss" in entry]
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 2
    assert list_scalars(tmp_path / "run" / "tensorboard", "train/loss") == losses


def test_trackers_are_no_part_of_the_run(recipe, tmp_path, monkeypatch):
    record = pareft.run(recipe, out=tmp_path / "run", arm="full")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "prepare", lambda _: pytest.fail("ran again"))
        assert pareft.run(recipe, {"train.report_to": ["tensorboard"]}, out=tmp_path / "run", arm="full") == record
    arm = select_arm(recipe, "full")
    tracked = arm.model_copy(update={"train": arm.train.model_copy(update={"report_to": ["wandb"]})})
    assert digest_arm(arm) == digest_arm(tracked)
    assert "report_to" not in json.dumps(RunRecord.model_json_schema())


@pytest.mark.parametrize("name", ["tensorboard", "trackio", "wandb", "mlflow"])
def test_a_library_that_is_missing_is_said_first(recipe, tmp_path, monkeypatch, name):
    (tmp_path / "here" / name).mkdir(parents=True)  # a folder that a tracker left is no library
    monkeypatch.setattr(sys, "path", [str(tmp_path / "here")])
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(RecipeError, match=f"train.report_to: {name} is not installed: pip install {name}"):
        check_trackers([name])
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=f"{name} is not installed"):
        pareft.run(recipe, {"train.report_to": name}, out=tmp_path / "run", arm="full")
    assert not (tmp_path / "run").exists()


def test_only_the_first_process_reports(recipe, tmp_path, monkeypatch):
    asked = []
    plain = pipeline.track
    monkeypatch.setattr(pipeline, "track", lambda names, run: asked.append(names) or plain([], run))
    for rank in (0, 1):
        processes = types.SimpleNamespace(first=rank == 0, count=1, wait=lambda: None, share=lambda value: value)
        monkeypatch.setattr(pipeline, "find_processes", lambda processes=processes: processes)
        prepared = pipeline.prepare(
            resolve(recipe.model_dump() | {"arms": {}, "train": recipe.train.model_dump() | {"report_to": "tensorboard"}})
        )
        pipeline._train(prepared, None, tmp_path / str(rank), None, pipeline.SILENT)
    assert asked == [["tensorboard"], []]


def test_a_name_says_no_more_than_the_last_two_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "alice"))
    for folder, name in (("runs/mts/lora", "mts/lora"), ("alice/out", "out"), ("alice/trial/full", "trial/full")):
        assert Tracked(tmp_path / folder, 0).name == name
    assert Tracked(trackers.Path("out"), 0).name == "out"
    (tmp_path / "home").symlink_to(tmp_path / "alice")
    (tmp_path / "alice").mkdir()
    assert Tracked(tmp_path / "home" / "out", 0).name == "out"


@pytest.fixture
def fake(monkeypatch):
    """A library that is not installed here, as an empty module of that name."""

    def make(name, **content):
        module = types.ModuleType(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None, origin="fake")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
        return module

    return make


class FakeRun:
    """Takes what `wandb` and `trackio` runs take."""

    def __init__(self):
        self.config, self.logged, self.ended = {"_Username": "alice"}, [], 0

    def log(self, values, step):
        self.logged.append((values, step))

    def finish(self):
        self.ended += 1

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.finish()


def test_wandb_gets_numbers_and_collects_nothing(fake, tmp_path):
    run, asked = FakeRun(), {}
    fake("wandb", Settings=dict, init=lambda **settings: asked.update(settings) or run)
    with track(["wandb"], Tracked(tmp_path / "mts" / "lora", 0)) as send:
        send(LOG, 50)
        send({}, 51)
    assert run.logged == [(NUMBERS, 50)]
    assert run.ended == 1
    assert (asked["name"], asked["resume"], asked["dir"]) == ("mts/lora", None, tmp_path / "mts" / "lora")
    assert "config" not in asked
    settings = asked["settings"]
    assert settings["console"] == "off"
    assert not settings["save_code"]
    for switch in ("disable_code", "disable_git", "x_disable_meta", "x_disable_stats", "x_disable_machine_info"):
        assert settings[switch]
    with track(["wandb"], Tracked(tmp_path, 50)):
        assert asked["resume"] == "auto"


def test_trackio_gets_numbers_and_forgets_who_you_are(fake, tmp_path):
    run, asked = FakeRun(), {}
    fake("trackio", init=lambda **settings: asked.update(settings) or run, finish=run.finish)
    with track(["trackio"], Tracked(tmp_path / "mts" / "lora", 7)) as send:
        send(LOG, 50)
    assert (run.logged, run.config, run.ended) == ([(NUMBERS, 50)], {}, 1)
    assert (asked["private"], asked["auto_log_cpu"], asked["auto_log_gpu"], asked["resume"]) == (True, False, False, "allow")


def test_mlflow_gets_numbers_by_its_client(fake, tmp_path):
    calls = []

    class Client:
        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, name):
            return "7"

        def create_run(self, experiment, **more):
            calls.append(("create", experiment, more))
            return types.SimpleNamespace(info=types.SimpleNamespace(run_id="r"))

        def log_batch(self, identity, metrics):
            calls.append((identity, {metric[0]: metric[1] for metric in metrics}, {metric[3] for metric in metrics}))

        def set_terminated(self, identity, state):
            calls.append((identity, state))

    fake("mlflow", MlflowClient=Client, __path__=[])
    fake("mlflow.entities", Metric=lambda *parts: parts)
    with track(["mlflow"], Tracked(tmp_path / "mts" / "lora", 0)) as send:
        send(LOG, 50)
    assert calls == [("create", "7", {"run_name": "mts/lora"}), ("r", NUMBERS, {50}), ("r", "FINISHED")]
    with pytest.raises(KeyboardInterrupt), track(["mlflow"], Tracked(tmp_path, 0)):
        raise KeyboardInterrupt
    assert calls[-1] == ("r", "FAILED")


def test_mlflow_finds_a_run_whose_name_has_a_quote():
    asked = []
    client = types.SimpleNamespace(search_runs=lambda _, where, **__: asked.append(where) or [])
    for name in ("mts/lora", "carol's/lora"):
        assert trackers._find_mlflow_run(client, "7", name) is None
    assert asked == ["attributes.run_name = 'mts/lora'", 'attributes.run_name = "carol\'s/lora"']


def test_a_tracker_that_fails_later_does_not_end_training(fake, tmp_path):
    class Broken(FakeRun):
        def log(self, values, step):
            super().log(values, step)
            raise ConnectionError("the server is gone\nat some length")

        def __exit__(self, *_):
            raise ConnectionError("the server is gone")

    run = Broken()
    fake("wandb", Settings=dict, init=lambda **_: run)
    with warnings.catch_warnings(record=True) as caught, track(["wandb"], Tracked(tmp_path, 0)) as send:
        warnings.simplefilter("always")
        send(LOG, 1)
        send(LOG, 2)
    assert len(run.logged) == 1
    said = [str(warning.message) for warning in caught if warning.category is PareftWarning]
    assert said == ["wandb gets nothing more of this run: the server is gone"] * 2  # of the log, and of the end


def test_a_tracker_that_does_not_start_is_one_line(fake, tmp_path):
    def refuse(**_):
        raise ValueError("No API key configured.\nmore")

    fake("wandb", Settings=dict, init=refuse)
    with (
        pytest.raises(RunError, match=r"^wandb does not start: No API key configured\.; mend it"),
        track(["wandb"], Tracked(tmp_path, 0)),
    ):
        pass
