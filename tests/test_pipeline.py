"""A run from end to end on tiny bases: what it leaves behind, and what it refuses."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import pareft
from pareft import pipeline
from pareft.errors import DataError, PareftError, RunError
from pareft.evaluation.generation import generate
from pareft.recipe import resolve, select_arm
from pareft.recipe_file import read_recipe
from pareft.records import RunRecord
from pareft.tuning import training

TIMINGS = {"train_seconds", "train_evaluation_seconds", "evaluate_seconds", "history"}


def without_timings(record):
    losses = [entry["loss"] for entry in record.history if "loss" in entry]
    return record.model_dump(exclude=TIMINGS) | {"losses": losses}


@pytest.fixture
def recipe(values):
    return resolve(values)


@pytest.fixture(params=["bart", "t5-gated"])
def any_recipe(request, values, bases):
    return resolve(values | {"base": str(bases[request.param])})


def test_an_adapter_run_leaves_everything_and_reproduces_its_predictions(any_recipe, tmp_path):
    out = tmp_path / "run"
    record = pareft.run(any_recipe, out=out, arm="lora+l-prun")
    assert {path.name for path in out.iterdir()} == {"recipe.yaml", "plan.json", "record.json", "adapter", "predictions.jsonl"}
    assert RunRecord.from_json((out / "record.json").read_text()) == record
    assert read_recipe(out / "recipe.yaml") == select_arm(any_recipe, "lora+l-prun")
    assert record.parameters.layers_kept == {"encoder": 6, "decoder": 5}
    assert record.parameters.trainable < record.parameters.total < record.parameters.base + record.parameters.trainable
    assert record.steps == 4
    plan = pareft.PruningPlan.from_json((out / "plan.json").read_text())
    assert plan.fingerprint == record.plan_fingerprint
    frozen = torch.bfloat16 if record.precision == "bf16" else torch.float32
    model = PeftModel.from_pretrained(pareft.load(any_recipe.base, plan, dtype=frozen), out / "adapter")
    rows = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    splits = pipeline.prepare(any_recipe).splits
    assert [row["reference"] for row in rows] == splits["test"]["target"].to_list()
    merged, tokenizer = model.float().merge_and_unload(), AutoTokenizer.from_pretrained(any_recipe.base)
    again = dict(generate(merged, tokenizer, splits["test"]["source"].to_list(), any_recipe.evaluate, max_source_tokens=32))
    assert [again[index] for index in range(len(rows))] == [row["prediction"] for row in rows]


def test_a_full_run_leaves_a_stock_checkpoint(recipe, tmp_path):
    record = pareft.run(recipe, out=tmp_path / "run", arm="full")
    weights = tmp_path / "run" / "weights"
    stock, report = AutoModelForSeq2SeqLM.from_pretrained(weights, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    base = AutoModelForSeq2SeqLM.from_pretrained(recipe.base)
    assert stock.config.use_cache == base.config.use_cache  # the trainer switches it off and leaves it so
    assert stock.generation_config.to_dict() == base.generation_config.to_dict()
    assert AutoTokenizer.from_pretrained(weights).get_vocab() == AutoTokenizer.from_pretrained(recipe.base).get_vocab()
    assert record.parameters.trainable == record.parameters.total == record.parameters.base


def test_the_last_step_is_evaluated(recipe, tmp_path):
    train = recipe.train.model_copy(update={"max_steps": 5, "evaluate_every": 0.75})  # every 3 steps
    record = pareft.run(recipe.model_copy(update={"train": train}), out=tmp_path / "run")
    assert [entry["step"] for entry in record.history if "eval_rouge1" in entry] == [3, 5]


def test_evaluation_in_training_is_of_a_part_by_any_metric_and_its_cost_is_told(recipe, tmp_path, monkeypatch):
    seen, plain = [], pipeline.generate

    def count(model, tokenizer, sources, settings, **more):
        seen.append((len(sources), settings.num_beams))
        return plain(model, tokenizer, sources, settings, **more)

    monkeypatch.setattr(pipeline, "generate", count)
    for asked, expected in ((0.4, 1), (2, 2), (None, 2)):
        seen.clear()
        train = recipe.train.model_copy(update={"max_steps": 4, "evaluate_examples": asked, "best_metric": "bleu"})
        record = pareft.run(recipe.model_copy(update={"train": train}), out=tmp_path / str(asked))
        evaluations = [entry for entry in record.history if "eval_bleu" in entry]
        assert seen == [(expected, 1)] * len(evaluations)
        assert all("eval_rouge1" in entry for entry in evaluations)
        best = max(evaluations, key=lambda entry: (entry["eval_bleu"], -entry["step"]))
        assert record.best_step == best["step"]
        assert record.train_evaluation_seconds == pytest.approx(sum(e["eval_seconds"] for e in evaluations), abs=0.01)
        assert 0 < record.train_evaluation_seconds < record.train_seconds
        assert record.evaluations_left_out == 0


def test_evaluations_that_take_more_than_their_share_are_left_out(recipe, tmp_path, monkeypatch):
    import time

    plain = pipeline.score_validation

    def slow(*arguments):
        time.sleep(1.0)
        return plain(*arguments)

    monkeypatch.setattr(pipeline, "score_validation", slow)
    train = recipe.train.model_copy(update={"max_steps": 12, "evaluate_every": 0.25, "evaluate_share": 0.05})
    record = pareft.run(recipe.model_copy(update={"train": train}), out=tmp_path / "run")
    steps = [entry["step"] for entry in record.history if "eval_rouge1" in entry]
    assert steps == [1, 12]
    assert record.evaluations_left_out == 10


def test_training_learns(recipe, tmp_path):
    train = recipe.train.model_copy(update={"max_steps": 60, "evaluate_every": 5.0})
    record = pareft.run(recipe.model_copy(update={"train": train, "prune": None, "adapt": None}), out=tmp_path / "run")
    losses = [entry["loss"] for entry in record.history if "loss" in entry]
    assert losses[-1] < 0.5 * losses[0]
    assert record.scores["rouge1"] > 25


def test_same_seed_same_record(any_recipe, tmp_path):
    first, second = (pareft.run(any_recipe, out=tmp_path / name, arm="lora+l-prun") for name in "ab")
    assert without_timings(first) == without_timings(second)
    assert (tmp_path / "a/predictions.jsonl").read_text() == (tmp_path / "b/predictions.jsonl").read_text()
    other = pareft.run(any_recipe.model_copy(update={"seed": 1}), out=tmp_path / "c", arm="lora+l-prun")
    assert without_timings(other)["losses"] != without_timings(first)["losses"]


def test_a_finished_run_is_read_and_not_run_again(recipe, tmp_path, monkeypatch):
    record = pareft.run(recipe, out=tmp_path / "run", arm="full")
    monkeypatch.setattr(pipeline, "prepare", lambda _: pytest.fail("ran again"))
    assert pareft.run(recipe, out=tmp_path / "run", arm="full") == record


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(recipe, tmp_path, monkeypatch):
    whole = pareft.run(recipe, out=tmp_path / "whole", arm="lora+l-prun")
    stopped = training._Report.on_step_end

    def interrupt(self, args, state, control, **more):
        if state.global_step == 3:
            raise KeyboardInterrupt
        stopped(self, args, state, control, **more)

    with monkeypatch.context() as patch:
        patch.setattr(training._Report, "on_step_end", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pareft.run(recipe, out=tmp_path / "run", arm="lora+l-prun")
    assert not (tmp_path / "run" / "record.json").exists()
    assert training.find_checkpoint(tmp_path / "run" / "checkpoints").endswith("checkpoint-2")
    torn = tmp_path / "run" / "checkpoints" / "checkpoint-3"  # a kill while it was being written
    shutil.copytree(tmp_path / "run" / "checkpoints" / "checkpoint-2", torn)
    (torn / "trainer_state.json").unlink()
    resumed = pareft.run(recipe, out=tmp_path / "run", arm="lora+l-prun")
    assert without_timings(resumed) == without_timings(whole)


def test_a_folder_of_another_recipe_is_refused_and_left(recipe, tmp_path):
    pareft.run(recipe, out=tmp_path / "run", arm="full")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")}
    changed = recipe.model_copy(update={"train": recipe.train.model_copy(update={"max_steps": 5})})
    with pytest.raises(RunError, match=r"another recipe \(train\.max_steps: 4 there, 5 asked\); give another folder"):
        pareft.run(changed, out=tmp_path / "run", arm="full")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "run").rglob("*")} == before


def test_a_folder_with_other_things_is_refused(recipe, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match="is no run folder"):
        pareft.run(recipe, out=tmp_path, arm="full")
    assert [path.name for path in tmp_path.iterdir() if path.is_file() and path.suffix == ".tex"] == ["thesis.tex"]


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"path": "none.csv"}},
        {"base": "nobody/nothing"},
        {"prune": {"layers": {"encoder": [99]}}},
        {"adapt": {"target": ["no_such_module"]}},
        {"base": "PICKLED"},
    ],
)
def test_a_mistake_leaves_nothing_behind(values, change, tmp_path):
    pickled = tmp_path / "pickled"
    shutil.copytree(values["base"], pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    if change.get("base") == "PICKLED":
        change = {"base": str(pickled)}
    recipe = resolve(values | {"arms": {}} | change)
    with pytest.raises(PareftError):
        pareft.run(recipe, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_tokens_than_the_base_has_positions_is_refused(recipe, tmp_path):
    data = recipe.data.model_copy(update={"max_source_tokens": 65})
    with pytest.raises(DataError, match="64"):
        pareft.run(recipe.model_copy(update={"data": data}), out=tmp_path / "run", arm="full")


def test_too_little_memory_is_one_line(recipe, tmp_path, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(pipeline, "build_model", full)
    with pytest.raises(RunError, match=r"full does not fit .* lower train\.batch_size"):
        pareft.run(recipe, out=tmp_path / "run", arm="full")


def test_a_full_disk_while_saving_is_one_line(recipe, tmp_path, monkeypatch):
    import errno

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pipeline, "save_artefact", full)
    with pytest.raises(RunError, match="no space left on the disk"):
        pareft.run(recipe, out=tmp_path / "run", arm="full")
    assert not (tmp_path / "run" / "record.json").exists()
