"""Runs that learn from a teacher: the base, a run, an arm; its texts; what is refused."""

import json
import shutil

import polars as pl
import pytest
import torch
from conftest import save_base
from safetensors.torch import load_file, save_file
from test_cli import call

import pareft
from pareft import readying, teaching
from pareft.adapter_settings import DistillSettings
from pareft.arms import compare, order_arms
from pareft.artefact import load_writer
from pareft.budgets import share_out
from pareft.errors import ModelError, PareftError, RecipeError, RunError
from pareft.evaluation import predictions
from pareft.files import digest_file
from pareft.measurement import measure
from pareft.readying import prepare
from pareft.recipe import resolve, select_arm
from pareft.records import RunRecord
from pareft.settings import PAIRED
from pareft.teaching import writing
from pareft.teaching.finding import find_teacher
from pareft.teaching.opening import forecast_bytes, open_teacher
from pareft.tuning import training
from pareft.tuning.distilling import Distiller

LEARNING = {"teacher": "base", "top": 8}


def losses(record):
    return [entry["loss"] for entry in record.history if "loss" in entry]


def run_and_kill(monkeypatch, recipe, out, *, step):
    """A run that is interrupted in its training."""
    plain = training._Report.on_step_end

    def kill(self, args, state, control, **more):
        if state.global_step == step:
            raise KeyboardInterrupt
        return plain(self, args, state, control, **more)

    with monkeypatch.context() as patched:
        patched.setattr(training._Report, "on_step_end", kill)
        with pytest.raises(KeyboardInterrupt):
            pareft.run(recipe, out=out, arm="lora+l-prun")


def make(values, arm="lora+l-prun", **distill):
    changed = values | {"arms": {**values["arms"], arm: {"distill": LEARNING | distill}}}
    return resolve(changed)


@pytest.fixture
def run_full(values, tmp_path):
    """A folder with a finished run of the unpruned base."""
    pareft.run(resolve(values), out=tmp_path / "runs" / "full", arm="full")
    return tmp_path / "runs"


def test_a_run_of_weight_zero_is_a_run_without(values, tmp_path):
    plain = pareft.run(resolve(values), out=tmp_path / "plain", arm="lora+l-prun")
    zero = pareft.run(make(values, logits=0.0, hidden=0.0), out=tmp_path / "zero", arm="lora+l-prun")
    assert losses(zero) == losses(plain)
    assert zero.scores == plain.scores
    assert zero.distill is None
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert digest_file(tmp_path / "zero" / "adapter" / name) == digest_file(tmp_path / "plain" / "adapter" / name)


@pytest.mark.parametrize("settings", [{}, {"cache": True}, {"top": None}, {"logits": 0.0, "hidden": 1.0}])
def test_a_run_learns_from_the_unpruned_base_and_says_so(values, tmp_path, settings):
    record = pareft.run(make(values, **settings), out=tmp_path / "run", arm="lora+l-prun")
    assert record == RunRecord.from_json((tmp_path / "run" / "record.json").read_text())
    assert record.distill
    assert record.distill.teacher == "base"
    assert 0 < record.distill.added_bytes < record.distill.shared_bytes
    plain = pareft.run(resolve(values), out=tmp_path / "plain", arm="lora+l-prun")
    assert losses(record) != losses(plain)
    assert {path.name for path in (tmp_path / "run").iterdir()} == {path.name for path in (tmp_path / "plain").iterdir()}


def test_cached_and_live_runs_are_one(values, tmp_path):
    live, cached = (pareft.run(make(values, cache=cache), out=tmp_path / str(cache), arm="lora+l-prun") for cache in (False, True))
    assert losses(cached) == pytest.approx(losses(live), rel=2e-3)


@pytest.mark.parametrize("cache", [False, True])
def test_killed_and_resumed_is_never_killed(values, tmp_path, monkeypatch, cache):
    values["train"] |= {"max_steps": 6, "evaluate_every": 0.5}
    recipe = make(values, cache=cache)
    whole = pareft.run(recipe, out=tmp_path / "whole", arm="lora+l-prun")
    run_and_kill(monkeypatch, recipe, tmp_path / "killed", step=5)
    resumed = pareft.run(recipe, out=tmp_path / "killed", arm="lora+l-prun")
    assert losses(resumed) == pytest.approx(losses(whole), rel=1e-3 if cache else 1e-9)
    assert resumed.scores == whole.scores or cache


def test_an_adapter_on_the_unpruned_base_teaches_and_its_frozen_weights_are_shared(values, tmp_path):
    values["arms"]["lora"] = {"prune": None}
    recipe = make(values, teacher="lora")
    pareft.run(recipe, out=tmp_path / "lora", arm="lora")
    record = pareft.run(recipe, out=tmp_path / "student", arm="lora+l-prun")
    assert record.distill
    assert record.distill.teacher == "lora"
    assert record.distill.shared_bytes > record.distill.added_bytes > 0
    prepared = prepare(select_arm(recipe, "lora+l-prun"))
    model = pareft.load(tmp_path / "student", dtype=torch.float32)
    teacher = open_teacher(find_teacher(prepared, tmp_path), model, prepared)
    alone = pareft.load(tmp_path / "lora", dtype=torch.float32)
    inputs = {"input_ids": torch.tensor([[5, 6, 7, 8]]), "labels": torch.tensor([[5, 6, 2]])}
    torch.testing.assert_close(teacher(**inputs).logits, alone.eval()(**inputs).logits)


def test_trained_weights_and_pruned_runs_teach_too(values, run_full):
    values["arms"]["l-prun"] = {"adapt": None}
    pareft.run(resolve(values), out=run_full / "l-prun", arm="l-prun")
    for teacher in ("full", "l-prun", str(run_full / "full" / "weights")):
        record = pareft.run(make(values, teacher=teacher), out=run_full / f"of-{teacher.rsplit('/', 1)[-1]}", arm="lora+l-prun")
        assert record.distill
        assert (record.distill.shared_bytes, record.distill.teacher) == (0, teacher)
    learns = select_arm(make(values, teacher="full"), "lora+l-prun")
    shutil.rmtree(run_full / "full")
    assert order_arms({"of-full": learns}, run_full) == ["of-full"]  # is finished, and needs it no more
    with pytest.raises(RecipeError, match="no 'full'"):
        order_arms({"another": learns}, run_full)


def test_a_base_without_the_dropped_layers_cannot_teach(values, tmp_path):
    base = save_base("bart", tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    dropped = next(name for name in tensors if name.startswith("model.encoder.layers.1.fc1"))
    save_file({name: tensor for name, tensor in tensors.items() if name != dropped}, base / "model.safetensors", {"format": "pt"})
    values |= {"base": str(base), "prune": {"layers": {"encoder": [0, 2], "decoder": [0, 2]}}}
    with pytest.raises(ModelError, match=f"lacks .* {dropped}"):
        pareft.run(make(values), out=tmp_path / "run", arm="lora+l-prun")


def test_a_cache_in_a_folder_serves_other_runs_of_the_same_teacher(values, tmp_path, monkeypatch):
    values["train"] |= {"epochs": 2, "max_steps": None}
    first = pareft.run(make(values, cache=str(tmp_path / "cache")), out=tmp_path / "first", arm="lora+l-prun")
    assert (tmp_path / "cache" / "soft" / "soft.json").is_file()
    values["adapt"]["rank"] = 3
    monkeypatch.setattr(teaching, "open_teacher", lambda *_: pytest.fail("the teacher was opened"))
    second = pareft.run(make(values, cache=str(tmp_path / "cache")), out=tmp_path / "second", arm="lora+l-prun")
    assert first.distill
    assert first.distill.added_bytes
    assert second.distill
    assert second.distill.added_bytes is None
    values["seed"] = 43  # another split
    with pytest.raises(RunError, match="other examples"):
        pareft.run(make(values, cache=str(tmp_path / "cache")), out=tmp_path / "third", arm="lora+l-prun")


def test_the_teachers_texts_are_the_targets(values, run_full, monkeypatch):
    seen = []
    plain = training.train
    recipe = make(values, teacher="full", targets="teacher", logits=0.0, num_beams=3)

    def look(model, task, *more, **options):
        seen.extend(task.tokenizer.batch_decode(list(task.examples["labels"]), skip_special_tokens=True))
        return plain(model, task, *more, **options)

    monkeypatch.setattr("pareft.pipeline.train", look)
    record = pareft.run(recipe, out=run_full / "student", arm="lora+l-prun")
    assert record.distill
    assert record.distill.writing_seconds
    assert record.distill.added_bytes is None
    prepared = prepare(select_arm(recipe, "full"))
    frame = prepared.splits["train"]
    model = load_writer(run_full / "full")
    source = prepared.tokenizer(frame["source"][0], truncation=True, max_length=32, return_tensors="pt")
    written = model.generate(**source, num_beams=3, max_new_tokens=16, no_repeat_ngram_size=3)
    assert seen[0].strip() == prepared.tokenizer.decode(written[0], skip_special_tokens=True).strip()
    assert len(seen) == frame.height


def test_a_teacher_reads_the_second_text_too(values, table, run_full, monkeypatch):
    """What a source is paired with is a part of it for whoever writes for it."""
    frame = pl.read_csv(table).with_columns(second=pl.lit("and more"))
    frame.write_csv(table)
    asked = []

    def write(model, tokenizer, sources, written, settings, **_):
        asked.extend(sources)
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "predict", write)
    values["data"] |= {"pair": "second"}
    recipe = make(values, teacher="base", logits=0.0, targets="teacher")
    with pytest.raises(KeyboardInterrupt):
        pareft.run(recipe, out=run_full / "student", arm="lora+l-prun")
    assert asked
    assert all(text.endswith(f"{PAIRED}and more") for _, text in asked)


def test_writing_that_is_killed_goes_on_and_is_kept_in_a_cache(values, run_full, monkeypatch):
    folder = run_full / "cache" / "teacher"
    recipe = make(values, teacher="full", targets="teacher", logits=0.0, cache=str(folder.parent))
    plain, calls = predictions.write_batch, []

    def write(*arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return plain(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(predictions, "write_batch", write)
        with pytest.raises(KeyboardInterrupt):
            pareft.run(recipe, out=run_full / "student", arm="lora+l-prun")
    assert not (folder / "targets.jsonl").exists()
    kept = list(folder.glob(".targets.jsonl*"))
    assert len(kept[0].read_text().splitlines()) > 1
    pareft.run(recipe, out=run_full / "student", arm="lora+l-prun")
    rows = [json.loads(line) for line in (folder / "targets.jsonl").read_text().splitlines()]
    assert len(rows) == prepare(select_arm(recipe, "full")).splits["train"].height
    assert ((folder / "targets.jsonl").stat().st_mode & 0o077) == 0
    monkeypatch.setattr(writing, "predict", lambda *_, **__: pytest.fail("written again"))
    values["adapt"]["rank"] = 3
    pareft.run(
        make(values, teacher="full", targets="teacher", logits=0.0, cache=str(folder.parent)), out=run_full / "b", arm="lora+l-prun"
    )
    other = make(values, teacher="full", targets="teacher", logits=0.0, cache=str(folder.parent), num_beams=4)
    with pytest.raises(RunError, match="written otherwise"):
        pareft.run(other, out=run_full / "c", arm="lora+l-prun")


def test_an_arm_is_trained_before_those_it_teaches(values, tmp_path):
    values["arms"] = {"student": {"distill": LEARNING | {"teacher": "full"}}, "full": {"prune": None, "adapt": None}}
    recipe, ended = resolve(values), []
    comparison = compare(recipe, out=tmp_path / "out", on_arm=lambda name, _: ended.append(name))
    assert ended == ["full", "student"]
    assert [row.arm for row in comparison.rows] == ["student", "full"]  # as in the recipe: the first is 100 %
    assert comparison.efficiency
    record = RunRecord.from_json((tmp_path / "out" / "student" / "record.json").read_text())
    assert record.distill
    assert record.distill.teacher == "full"
    shutil.move(tmp_path / "out", tmp_path / "moved")
    assert compare(recipe, out=tmp_path / "moved").rows[0].scores == comparison.rows[0].scores


def test_equal_operations_count_the_teachers(values):
    alone = share_out(resolve(values), "flops", None)
    live = share_out(make(values), "flops", None)
    assert live.costs["full"] == alone.costs["full"]
    values["arms"] = {"lora+l-prun": {}}
    values["train"] |= {"epochs": 4, "max_steps": None}
    cached = share_out(make(values, cache=True), "flops", None)
    assert alone.costs["lora+l-prun"] < cached.costs["lora+l-prun"] < live.costs["lora+l-prun"]


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ({"a": {"distill": {"teacher": "a"}}}, "'a' teach each other or themselves"),
        ({"a": {"distill": {"teacher": "b"}}, "b": {"distill": {"teacher": "a"}}}, "'a', 'b' teach each other"),
        ({"a": {"distill": {"teacher": "b", "hidden": 1.0}}, "b": {}}, "'b' is pruned"),
        ({"a": {"distill": {"teacher": "ful"}}}, r"no 'ful'"),
    ],
)
def test_arms_that_cannot_teach_are_refused_before_any_is_run(values, tmp_path, arms, said):
    values["arms"] = {"full": {"prune": None, "adapt": None}, **arms}
    with pytest.raises(RecipeError, match=said):
        compare(resolve(values), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert order_arms({"full": select_arm(resolve(values), "full")}, tmp_path) == ["full"]


def test_a_teacher_with_another_vocabulary_can_teach_by_its_texts_alone(values, tmp_path):
    other = save_base("t5", tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["added_tokens"].append(
        {
            "id": 299,
            "content": "<more>",
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
    )
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(RecipeError, match=r"has another vocabulary \(.*targets=teacher"):
        pareft.run(make(values, teacher=str(other)), out=tmp_path / "run", arm="lora+l-prun")
    assert not (tmp_path / "run").exists()
    asked = make(values, teacher=str(other), targets="teacher", logits=0.0)
    assert pareft.run(asked, out=tmp_path / "texts", arm="lora+l-prun").distill


def test_states_are_learnt_from_a_teacher_of_the_same_layers(values, bases, tmp_path):
    with pytest.raises(RecipeError, match=r"distill\.hidden: .* is a t5"):
        pareft.run(make(values, teacher=str(bases["t5"]), hidden=1.0), out=tmp_path / "run", arm="lora+l-prun")


def test_a_run_that_is_not_finished_cannot_teach(values, run_full):
    shutil.rmtree(run_full / "full" / "weights")
    with pytest.raises(RunError, match="is not finished"):
        pareft.run(make(values, teacher="full"), out=run_full / "student", arm="lora+l-prun")


def test_the_command_line_says_what_teachers_there_are(values, run_full, tmp_path, monkeypatch, capsys):
    path = tmp_path / "recipe.yaml"
    path.write_text(json.dumps(values | {"distill": {"teacher": "fulll"}, "arms": {}}))
    code, _, said = call(monkeypatch, capsys, "run", path, "--out", run_full / "student")
    assert code == 2
    assert "no 'fulll'. Did you mean full?" in said
    assert not (run_full / "student").exists()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"labels": 0, "logits": 0}, "of labels, logits and hidden one must be more than 0"),
        ({"hidden": 1, "cache": True}, "a cache and hidden do not go together"),
        ({"top": None, "cache": True}, "give top, such as 64"),
        ({"temperature": 0}, "distill.temperature"),
        ({"labels": 0.5, "logits": 0}, "labels counts beside logits or hidden"),
        ({"num_beams": 4}, "num_beams is how a teacher writes"),
        ({"teachr": "base"}, "Did you mean distill.teacher"),
    ],
)
def test_settings_that_make_no_sense_are_refused(values, settings, said):
    with pytest.raises(PareftError, match=said):
        resolve(values | {"distill": settings})


def test_states_and_a_frozen_prefix_do_not_go_together(values, tmp_path):
    values["adapt"]["layers"] = {"decoder": "all"}
    values["train"]["cache_frozen_prefix"] = True
    with pytest.raises(RecipeError, match=r"distill\.hidden is learnt behind layers"):
        pareft.run(make(values, hidden=1.0), out=tmp_path / "run", arm="lora+l-prun")
    record = pareft.run(make(values), out=tmp_path / "run", arm="lora+l-prun")
    assert record.distill


def test_nothing_random_is_used_up_for_a_teacher(values, tmp_path):
    values["arms"]["lora"] = {"prune": None}
    recipe = make(values, teacher="lora")
    pareft.run(recipe, out=tmp_path / "lora", arm="lora")
    prepared = prepare(select_arm(recipe, "lora+l-prun"))
    model = pareft.load(recipe.base, prepared.plan)
    found = find_teacher(prepared, tmp_path)
    torch.manual_seed(3)
    expected = torch.random.get_rng_state()
    distiller = Distiller(model, DistillSettings(), prepared.plan, lambda: open_teacher(found, model, prepared))
    assert distiller.teacher is not None
    assert torch.equal(torch.random.get_rng_state(), expected)


def test_texts_and_chances_share_a_folder(values, run_full):
    for _ in range(2):
        record = pareft.run(
            make(values, teacher="full", targets="teacher", cache=str(run_full / "cache")), out=run_full / "s", arm="lora+l-prun"
        )
        assert record.distill
        shutil.rmtree(run_full / "s")
    assert {path.name for path in (run_full / "cache").iterdir()} == {"soft", "teacher"}


def test_a_refused_cache_leaves_no_run_that_refuses_another(values, run_full, tmp_path):
    cache = tmp_path / "cache"
    pareft.run(make(values, teacher="full", cache=str(cache)), out=run_full / "a", arm="lora+l-prun")
    with pytest.raises(RunError, match="another temperature"):
        pareft.run(make(values, teacher="full", temperature=1.0, cache=str(cache)), out=run_full / "b", arm="lora+l-prun")
    assert not (run_full / "b").exists()
    asked = make(values, teacher="full", temperature=1.0, cache=str(tmp_path / "other"))
    assert pareft.run(asked, out=run_full / "b", arm="lora+l-prun").distill


def test_texts_that_were_changed_are_refused(values, run_full):
    recipe = make(values, teacher="full", targets="teacher", logits=0.0, cache=str(run_full / "cache"))
    pareft.run(recipe, out=run_full / "a", arm="lora+l-prun")
    texts = run_full / "cache" / "teacher" / "targets.jsonl"
    for content in ("{", "\n".join(texts.read_text().splitlines()[:3])):
        texts.write_text(content)
        shutil.rmtree(run_full / "a", ignore_errors=True)
        with pytest.raises(RunError, match="cannot read the teacher's texts"):
            pareft.run(recipe, out=run_full / "a", arm="lora+l-prun")


def test_a_teacher_that_changed_in_between_is_refused(values, run_full, monkeypatch):
    recipe = make(values, teacher="full")
    run_and_kill(monkeypatch, recipe, run_full / "student", step=3)
    shutil.rmtree(run_full / "full")
    values["seed"] = 7
    pareft.run(resolve(values), out=run_full / "full", arm="full")
    with pytest.raises(RunError, match="began to learn from full as it was"):
        pareft.run(recipe, out=run_full / "student", arm="lora+l-prun")


def test_adalora_and_an_arm_called_base_are_refused(values, tmp_path):
    values["adapt"] = {"method": "adalora", "rank": 2}
    with pytest.raises(RecipeError, match="adalora adds a penalty"):
        pareft.run(make(values), out=tmp_path / "run", arm="lora+l-prun")
    values["adapt"] = {"rank": 2}
    values["arms"]["base"] = {}
    with pytest.raises(RecipeError, match="an arm is called 'base'"):
        compare(make(values), out=tmp_path / "out")


def test_a_search_says_at_once_that_there_is_no_such_teacher(values, tmp_path):
    pytest.importorskip("optuna")
    from pareft.search import search

    with pytest.raises(RecipeError, match="no 'full'"):
        search(select_arm(make(values, teacher="full"), "lora+l-prun"), tmp_path / "out", metric="rouge1", trials=1, space=["rank"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("teacher", [{"prune": None, "adapt": None}, {"prune": None}, {"adapt": None}])
def test_steps_are_measured_beside_a_teacher_that_has_yet_to_be_trained(values, tmp_path, teacher):
    values["arms"] = {"teacher": teacher, "student": {"distill": LEARNING | {"teacher": "teacher"}}}
    recipe = resolve(values)
    prepared = prepare(select_arm(recipe, "student"))
    standing_in = find_teacher(prepared, tmp_path, stand_in=select_arm(recipe, "teacher"))
    pareft.run(recipe, out=tmp_path / "teacher", arm="teacher")
    trained = find_teacher(prepared, tmp_path)
    assert standing_in.shares(prepared) == trained.shares(prepared) == (teacher == {"prune": None})
    assert forecast_bytes(standing_in, prepared) == forecast_bytes(trained, prepared)
    model = readying.build_model(prepared)
    sizes = [sum(p.nbytes for p in open_teacher(found, model, prepared).parameters()) for found in (standing_in, trained)]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)  # of stored biases some are the adapter's


def test_equal_time_is_shared_out_before_the_teacher_is_trained(values, tmp_path):
    values["arms"] = {"teacher": {"prune": None}, "student": {"distill": LEARNING | {"teacher": "teacher"}}}
    recipe = resolve(values)
    assert recipe.measure
    measured = measure({name: select_arm(recipe, name) for name in recipe.arms}, recipe.measure, home=tmp_path)
    assert share_out(recipe, "time", measured).planned == {"teacher": 4, "student": 4}
    assert measured.arms["student"].median_step_seconds > 0
    assert measured.arms["student"].trainable < measured.arms["student"].total


def test_full_fine_tuning_under_bf16_has_its_teacher_in_bf16(values, tmp_path):
    values["train"]["precision"] = "bf16"
    values["arms"]["l-prun"] = {"adapt": None, "distill": LEARNING}
    recipe = resolve(values)
    prepared = prepare(select_arm(recipe, "l-prun"))
    model = readying.build_model(prepared)
    assert {p.dtype for p in open_teacher(find_teacher(prepared, None), model, prepared).parameters()} == {torch.bfloat16}
    assert pareft.run(recipe, out=tmp_path / "run", arm="l-prun").distill
