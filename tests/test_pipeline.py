"""A run from end to end on tiny bases: what it leaves behind, and what it refuses."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from conftest import write_all
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

import pareft
from pareft import pipeline, scoring
from pareft.artefact import make_writer
from pareft.errors import DataError, PareftError, RecipeError, RunError
from pareft.evaluation import predictions
from pareft.holding import hold
from pareft.readying import prepare
from pareft.recipe import resolve, select_arm
from pareft.recipe_file import read_recipe
from pareft.records import RunRecord
from pareft.tuning import training

TIMINGS = {"train_seconds", "train_evaluation_seconds", "evaluate_seconds", "history"}


def without_timings(record):
    losses = [entry["loss"] for entry in record.history if "loss" in entry]
    return record.model_dump(exclude=TIMINGS) | {"losses": losses}


def interrupt(*_, **__):
    raise KeyboardInterrupt


def interrupt_at(patch, step):
    """Training is interrupted after so many steps."""
    stopped = training._Report.on_step_end

    def stop(self, args, state, control, **more):
        if state.global_step == step:
            raise KeyboardInterrupt
        stopped(self, args, state, control, **more)

    patch.setattr(training._Report, "on_step_end", stop)


@pytest.fixture
def recipe(values):
    return resolve(values)


@pytest.fixture(params=["bart", "t5-gated"])
def any_recipe(request, values, bases):
    return resolve(values | {"base": str(bases[request.param])})


def test_an_adapter_run_leaves_everything_and_reproduces_its_predictions(any_recipe, tmp_path):
    out = tmp_path / "run"
    record = pareft.run(any_recipe, out=out, arm="lora+l-prun")
    assert {path.name for path in out.iterdir()} == {
        "recipe.yaml",
        "plan.json",
        "record.json",
        "adapter",
        "predictions.jsonl",
        "validation",
    }
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
    splits = prepare(any_recipe).splits
    assert [row["reference"] for row in rows] == splits["test"]["target"].to_list()
    merged, tokenizer = model.float().merge_and_unload(), AutoTokenizer.from_pretrained(any_recipe.base)
    again = write_all(merged, tokenizer, splits["test"]["source"].to_list(), any_recipe.evaluate, max_source_tokens=32)
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
    assert record.evaluations_left_out == 0


def test_evaluation_in_training_is_of_a_part_short_by_any_metric_and_its_cost_is_told(recipe, tmp_path, monkeypatch):
    seen, plain = [], scoring.evaluate_split

    def count(model, tokenizer, frame, target, recipe, *, settings=None, **more):
        if settings:
            seen.append((frame.height, settings.num_beams, settings.max_new_tokens))
        return plain(model, tokenizer, frame, target, recipe, settings=settings, **more)

    monkeypatch.setattr(scoring, "evaluate_split", count)
    for asked, expected in ((0.4, 1), (2, 2), (None, 2)):
        seen.clear()
        train = recipe.train.model_copy(
            update={"max_steps": 4, "evaluate_examples": asked, "best_metric": "bleu", "evaluate_max_new_tokens": 3}
        )
        record = pareft.run(recipe.model_copy(update={"train": train}), out=tmp_path / str(asked))
        evaluations = [entry for entry in record.history if "eval_bleu" in entry]
        assert seen == [(expected, 1, 3)] * len(evaluations)
        files = sorted((tmp_path / str(asked) / "validation").iterdir())
        assert [file.name for file in files] == [f"step-{int(entry['step']):06}.jsonl" for entry in evaluations]
        assert all(len(file.read_text().splitlines()) == expected for file in files)
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
    assert resolve({"base": "x", "data": {}}).train.evaluate_share == 0.5


def test_times_count_what_was_before_an_interruption(recipe, tmp_path, monkeypatch):
    import time

    plain, calls = pipeline.score_validation, []

    def slow(*arguments):
        time.sleep(0.5)
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return plain(*arguments)

    monkeypatch.setattr(pipeline, "score_validation", slow)
    train = recipe.train.model_copy(update={"max_steps": 4, "evaluate_every": 0.25, "evaluate_share": None})
    changed = recipe.model_copy(update={"train": train})
    with pytest.raises(KeyboardInterrupt):
        pareft.run(changed, out=tmp_path / "run")
    record = pareft.run(changed, out=tmp_path / "run")
    assert len(calls) == 5
    assert 2.0 <= record.train_evaluation_seconds < record.train_seconds
    elapsed = [entry["elapsed"] for entry in record.history]
    assert elapsed == sorted(elapsed)
    assert record.evaluations_left_out == 0


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("arm", [pytest.param("full", marks=pytest.mark.slow), "lora+l-prun"])
def test_a_run_killed_in_its_last_evaluation_goes_on_there(any_recipe, tmp_path, monkeypatch, arm, precision):
    """It is not trained again, and what was written is not written again."""
    changes = {"train.precision": precision, "evaluate.batch_size": 1}
    whole = pareft.run(any_recipe, changes, out=tmp_path / "whole", arm=arm)
    plain, calls = predictions.write_batch, []

    def kill(model, tokenizer, batch, settings):
        calls.append(settings.num_beams)
        if calls.count(2) == 2:
            raise KeyboardInterrupt
        return plain(model, tokenizer, batch, settings)

    with monkeypatch.context() as patch:
        patch.setattr(predictions, "write_batch", kill)
        with pytest.raises(KeyboardInterrupt):
            pareft.run(any_recipe, changes, out=tmp_path / "run", arm=arm)
        calls.clear()
        patch.setattr(predictions, "write_batch", lambda *arguments: calls.append(1) or plain(*arguments))
        patch.setattr(pipeline, "build_model", lambda *_: pytest.fail("trained again"))
        resumed = pareft.run(any_recipe, changes, out=tmp_path / "run", arm=arm)
    assert len(calls) == 1
    assert without_timings(resumed) == without_timings(whole)
    assert (tmp_path / "run/predictions.jsonl").read_bytes() == (tmp_path / "whole/predictions.jsonl").read_bytes()
    assert not (tmp_path / "run/checkpoints").exists()


@pytest.mark.parametrize("changes", [{"arms.full.prune": None}, {"arms.full.adapt": {"method": "bottleneck", "rank": 4}}])
def test_a_trained_model_writes_in_the_precision_of_the_evaluation(any_recipe, tmp_path, monkeypatch, changes):
    """accelerate has the model that it trains compute in the training's precision for ever."""
    held = []
    monkeypatch.setattr(pipeline, "make_writer", lambda model, **how: held.append(model) or make_writer(model, **how))
    pareft.run(any_recipe, {"train.precision": "bf16"} | changes, out=tmp_path / "run", arm="full")
    assert not {"forward", "_original_forward"} & set(vars(held[0]))
    dtypes = []
    hook = next(module for module in held[0].modules() if isinstance(module, torch.nn.Linear))
    hook.register_forward_hook(lambda module, inputs, output: dtypes.append(output.dtype))
    ids = torch.ones(1, 4, dtype=torch.long)
    held[0](input_ids=ids, decoder_input_ids=ids)
    assert set(dtypes) == {torch.float32}


@pytest.mark.parametrize("step", [3, None])
def test_an_unfinished_run_whose_data_have_changed_is_refused(recipe, table, tmp_path, monkeypatch, step):
    """Of one table, other rows would be the test split now, some of which it was trained on."""
    with monkeypatch.context() as patch:
        if step:
            interrupt_at(patch, step)
        else:
            patch.setattr(pipeline, "evaluate_split", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pareft.run(recipe, out=tmp_path / "run", arm="full")
    with table.open("a") as file:
        file.write(table.read_text().splitlines()[1] + "\n")
    with pytest.raises(RunError, match="began with other examples"):
        pareft.run(recipe, out=tmp_path / "run", arm="full")


def test_two_processes_do_not_train_in_one_folder(recipe, tmp_path):
    with hold(tmp_path / "run"), pytest.raises(RunError, match="another process is training in"), hold(tmp_path / "run"):
        pytest.fail("both train")
    pareft.run(recipe, out=tmp_path / "run", arm="full")


def test_a_process_that_is_refused_changes_nothing(recipe, tmp_path, monkeypatch):
    """Another one that waits for the folder with other metrics must not have its recipe there."""
    plain, seen = pipeline._train, []

    def train(*arguments):
        before = (tmp_path / "run" / "recipe.yaml").read_bytes()
        with pytest.raises(RunError, match="another process is training in"):
            pareft.run(recipe, {"evaluate.metrics": ["rouge", "surface"]}, out=tmp_path / "run", arm="full")
        seen.append((tmp_path / "run" / "recipe.yaml").read_bytes() == before)
        return plain(*arguments)

    monkeypatch.setattr(pipeline, "_train", train)
    pareft.run(recipe, out=tmp_path / "run", arm="full")
    assert seen == [True]


def test_a_finished_run_of_a_plan_that_was_made_anew_is_not_passed_off_for_it(recipe, tmp_path):
    file = tmp_path / "plan.json"
    for place, layers in enumerate(([0, 1], [0, 2])):
        file.write_text(pareft.plan(recipe.base, layers={"encoder": layers}).to_json())
        if not place:
            record = pareft.run(recipe, {"arms.full.prune": {"plan": str(file)}}, out=tmp_path / "run", arm="full")
            assert pareft.run(recipe, {"arms.full.prune": {"plan": str(file)}}, out=tmp_path / "run", arm="full") == record
    with pytest.raises(RunError, match=r"holds a run of plan .*; give another folder"):
        pareft.run(recipe, {"arms.full.prune": {"plan": str(file)}}, out=tmp_path / "run", arm="full")


@pytest.mark.parametrize(
    "ending", [{"train.max_steps": 3}, {"train.max_steps": 9, "train.patience": 1, "train.learning_rate": 1e-9}]
)
def test_a_run_killed_after_its_last_checkpoint_takes_no_further_step(recipe, tmp_path, monkeypatch, ending):
    changes = ending | {"train.evaluate_every": 0.25}
    whole = pareft.run(recipe, changes, out=tmp_path / "whole", arm="lora+l-prun")
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "save_artefact", interrupt)
        with pytest.raises(KeyboardInterrupt):
            pareft.run(recipe, changes, out=tmp_path / "run", arm="lora+l-prun")
    resumed = pareft.run(recipe, changes, out=tmp_path / "run", arm="lora+l-prun")
    assert (resumed.steps, resumed.best_step) == (whole.steps, whole.best_step)
    assert whole.steps <= 3
    assert without_timings(resumed) == without_timings(whole)
    assert (tmp_path / "run/predictions.jsonl").read_bytes() == (tmp_path / "whole/predictions.jsonl").read_bytes()


def test_of_several_cards_a_process_has_one(recipe, tmp_path, monkeypatch):
    """transformers would spread a process over all of them, with a batch for each."""

    def find(arguments):
        arguments._n_gpu = 2
        return torch.device("cpu")

    monkeypatch.setattr(training.Seq2SeqTrainingArguments, "_setup_devices", property(find))
    arguments = training.make_arguments(recipe.train, examples=16, precision="fp32", seed=1, folder=tmp_path)
    assert arguments.train_batch_size == recipe.train.batch_size


def test_a_batch_that_processes_cannot_share_is_said_before_anything_is_written(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "find_processes", lambda: SimpleNamespace(count=3, first=True))
    with pytest.raises(RecipeError, match="cannot be shared by 3 processes"):
        pareft.run(recipe, {"train.batch_size": 4}, out=tmp_path / "run", arm="full")
    assert not (tmp_path / "run").exists()


def test_data_that_have_changed_are_not_scored_again(recipe, table, tmp_path):
    pareft.run(recipe, out=tmp_path / "run", arm="full")
    table.write_text(table.read_text().replace("case", "patient"))
    with pytest.raises(RunError, match=r"was written by another protocol \(data_digest"):
        pareft.run(recipe, {"evaluate.metrics": ["rouge", "surface"]}, out=tmp_path / "run", arm="full")


def test_a_metric_that_cannot_be_computed_is_said_before_training_and_mended_after(recipe, tmp_path, monkeypatch):
    """A wrong name costs nothing; one that shows only after training is mended without training again."""
    wrong = {"evaluate.metrics": ["rouge", "bertscore"], "evaluate.bertscore.model": "/nowhere"}
    for changes in (wrong, wrong | {"evaluate.bertscore.model": recipe.base, "evaluate.bertscore.layer": 99}):
        with pytest.raises(DataError, match=r"evaluate\.bertscore\.(model|layer)"):
            pareft.run(recipe, changes, out=tmp_path / "run", arm="full")
    assert not (tmp_path / "run").exists()
    with monkeypatch.context() as patch:
        patch.setattr(scoring, "compute", lambda *_: (_ for _ in ()).throw(DataError("the NLI model is broken")))
        with pytest.raises(DataError, match="broken"):
            pareft.run(recipe, {"train.evaluate_share": None, "train.max_steps": 1}, out=tmp_path / "run", arm="full")


def test_regression_needs_numbers_before_anything_is_trained(recipe, tmp_path):
    with pytest.raises(DataError, match="is no number"):
        pareft.run(recipe, {"evaluate.metrics": ["regression"]}, out=tmp_path / "run", arm="full")
    assert not (tmp_path / "run").exists()


def test_a_batch_may_come_in_parts(any_recipe, tmp_path):
    """1 x 4 = 4 x 1, with targets of different lengths: the same losses, and the same weights but for rounding."""
    losses, weights = [], []
    for size in (4, 2, 1):
        changes = {"train.batch_size": size, "train.accumulation": 4 // size, "train.precision": "fp32", "data.target": "source"}
        record = pareft.run(any_recipe, changes, out=tmp_path / str(size), arm="lora+l-prun")
        losses.append([entry["loss"] for entry in record.history if "loss" in entry])
        weights.append(load_file(tmp_path / str(size) / "adapter" / "adapter_model.safetensors"))
    for other in (1, 2):
        assert losses[other] == pytest.approx(losses[0], rel=1e-4)
        for name, tensor in weights[0].items():
            torch.testing.assert_close(weights[other][name], tensor, rtol=1e-3, atol=1e-4)


def test_what_data_say_to_start_with_does_not_depend_on_the_parts(recipe, tmp_path):
    found = []
    for size in (4, 1):
        changes = {"train.batch_size": size, "train.accumulation": 4 // size, "train.precision": "fp32", "adapt.start": "gap"}
        record = pareft.run(recipe, changes, out=tmp_path / str(size), arm="lora+l-prun")
        found.append((record.start, [entry["loss"] for entry in record.history if "loss" in entry]))
    assert found[0][0] == found[1][0]
    assert found[1][1] == pytest.approx(found[0][1], rel=1e-4)


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
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
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


@pytest.mark.parametrize(
    "ask",
    [
        lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")),
        lambda: torch.empty(1 << 60, dtype=torch.uint8),
        lambda: bytearray(1 << 60),
    ],
    ids=["accelerator", "tensor", "python"],
)
def test_too_little_memory_is_one_line(recipe, tmp_path, monkeypatch, ask):
    def full(*_, **__):
        ask()

    for stage in ("build_model", "prepare"):  # which a criterion computes in
        monkeypatch.setattr(pipeline, stage, full)
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
