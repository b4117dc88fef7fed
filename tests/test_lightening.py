"""Light-PEFT as a stage of a run: what it leaves, what it shares, what it goes on with after a kill, and what it refuses."""

import pytest
import torch
from conftest import call
from peft import PeftModel
from safetensors.torch import load_file
from test_inference import start_two

import pareft
from pareft import lightening, pipeline
from pareft.budgets import share_out
from pareft.errors import DataError, PareftError
from pareft.lightening import lighten
from pareft.readying import prepare
from pareft.recipe import override, resolve
from pareft.recipe_file import write_yaml

LIGHT = {"steps": 4, "heads": 0.5, "neurons": 0.5, "modules": 0.5, "ranks": 0.5}


@pytest.fixture
def light(values):
    """A small recipe with early pruning."""
    return override(values, {"arms": {}, "light": LIGHT, "adapt.target": "all", "train.precision": "fp32", "measure": None})


@pytest.fixture(params=["bart", "t5-gated"])
def any_light(request, light, bases):
    return light | {"base": str(bases[request.param])}


def kill_in(monkeypatch, module, name, start):
    """Begin something that is interrupted where a module calls this."""

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(module, name, die)
        with pytest.raises(KeyboardInterrupt):
            start()


def test_a_run_leaves_a_narrow_plan_and_a_standard_adapter_that_fits_it(any_light, tmp_path):
    record = pareft.run(resolve(any_light), out=tmp_path / "run")
    found = record.light
    plan = pareft.PruningPlan.read(tmp_path / "run" / "plan.json")
    assert plan.by == "alternating, then early-masks"
    assert (
        {stack: len(kept) for stack, kept in plan.layers.items()} == record.parameters.layers_kept == {"encoder": 6, "decoder": 5}
    )
    assert found.heads == {"encoder.self": [1] * 6, "decoder.self": [1] * 5, "decoder.cross": [1] * 5}
    assert sum(found.neurons["encoder"]) == 6 * 24 // 2
    assert (found.modules_kept, found.ranks_kept) <= (found.modules // 2, found.ranks // 4)
    assert 0.4 < found.removed_ratio < 0.6
    stock = PeftModel.from_pretrained(pareft.load(any_light["base"], plan), tmp_path / "run" / "adapter")
    trained = sum(tensor.numel() for name, tensor in stock.named_parameters() if "lora_" in name)
    assert sum(name.endswith("lora_A.default.weight") for name, _ in stock.named_parameters()) == found.modules_kept
    assert trained <= record.parameters.trainable < record.parameters.total
    again = {name: found.value for name, found in pareft.evaluate(tmp_path / "run").scores.items()}
    assert again == pytest.approx(record.scores, abs=1e-2)


def test_early_weights_go_on_or_start_anew(light, tmp_path):
    place = tmp_path / "plans"
    carried, fresh = (lighten(prepare(resolve(override(light, {"light.carry": carry}))), place) for carry in (True, False))
    assert carried.plan == fresh.plan
    assert fresh.trimmed.tensors is None
    assert any(tensor.abs().sum() > 0 for name, tensor in carried.trimmed.tensors.items() if "lora_B" in name)
    assert len(list(place.iterdir())) == 1  # one estimate for both


def test_other_ratios_share_an_estimate_and_chance_is_another_choice_of_as_much(light, tmp_path, monkeypatch):
    first = lighten(prepare(resolve(light)), tmp_path)
    monkeypatch.setattr(lightening, "estimate", None)
    base_alone = lighten(prepare(resolve(override(light, {"light.modules": 0, "light.ranks": 0}))), tmp_path)
    assert (base_alone.plan, base_alone.light.modules_kept) == (first.plan, first.light.modules)
    peft_alone = lighten(prepare(resolve(override(light, {"light.heads": 0, "light.neurons": 0}))), tmp_path)
    assert not peft_alone.plan.narrows
    assert peft_alone.light.modules_kept == first.light.modules_kept
    chance = lighten(prepare(resolve(override(light, {"light.by": "random"}))), tmp_path)
    assert chance.plan != first.plan
    assert [sum(counts) for counts in chance.light.neurons.values()] == [sum(counts) for counts in first.light.neurons.values()]
    assert chance.light.ranks_kept == first.light.ranks_kept


def test_the_estimate_is_of_the_second_half_and_the_masks_have_moved(light, tmp_path):
    lighten(prepare(resolve(light)), tmp_path)
    [folder] = tmp_path.glob("*.light")
    masks = {key: values for key, values in load_file(folder / "importance.safetensors").items() if key.startswith("mask.")}
    rate = light["train"]["learning_rate"]
    moved = torch.cat([(values - 1).abs().flatten() for values in masks.values()])
    assert 0 < float(moved.max()) <= 1.05 * 4 * rate  # Adam moves by the rate a step at most
    assert float((moved > 0).double().mean()) > 0.9


def test_without_learning_a_plan_depends_on_nothing_learnt(light, tmp_path):
    still = override(light, {"light.sparsity": 0.0, "light.learning_rate": 1e-30})
    plan = lighten(prepare(resolve(still)), tmp_path).plan
    assert plan.heads["encoder.self"] == dict.fromkeys(plan.layers["encoder"], (0,))  # all equal: the first stay
    assert lighten(prepare(resolve(still)), tmp_path / "again").plan == plan


def test_a_killed_estimate_begins_again_and_comes_to_the_same(light, tmp_path, monkeypatch):
    whole = pareft.run(resolve(light), out=tmp_path / "whole")
    kill_in(monkeypatch, lightening, "save_file", lambda: pareft.run(resolve(light), out=tmp_path / "run"))
    again = pareft.run(resolve(light), out=tmp_path / "run")
    assert again.plan_fingerprint == whole.plan_fingerprint
    assert again.scores == whole.scores
    assert [entry.get("loss") for entry in again.history] == [entry.get("loss") for entry in whole.history]


def test_training_that_was_killed_goes_on_with_the_same_plan(light, tmp_path, monkeypatch):
    whole = pareft.run(resolve(light), out=tmp_path / "whole")
    kill_in(monkeypatch, pipeline, "train", lambda: pareft.run(resolve(light), out=tmp_path / "run"))
    monkeypatch.setattr(lightening, "estimate", None)
    again = pareft.run(resolve(light), out=tmp_path / "run")
    assert (again.plan_fingerprint, again.scores) == (whole.plan_fingerprint, whole.scores)


@pytest.mark.slow
def test_two_processes_come_to_the_same_plan(light, tmp_path):
    (tmp_path / "recipe.yaml").write_text(write_yaml(resolve(light)))
    one = pareft.run(tmp_path / "recipe.yaml", out=tmp_path / "one")
    done = start_two("run", "recipe.yaml", "--out", "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    two = pareft.run(tmp_path / "recipe.yaml", out=tmp_path / "two")
    assert two.hardware["processes"] == 2
    assert two.plan_fingerprint == one.plan_fingerprint
    assert two.light.importance == pytest.approx(one.light.importance, rel=1e-3)
    assert (two.light.modules_kept, two.light.ranks_kept) == (one.light.modules_kept, one.light.ranks_kept)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"light.heads": 1.0}, "light.heads: Input should be less than 1"),
        ({"adapt": None}, "light prunes a LoRA"),
        ({"adapt.method": "ia3"}, "light prunes a LoRA"),
        ({"adapt.dora": True}, "light prunes a LoRA"),
        ({"distill": {"teacher": "base"}}, "let distill be null"),
        ({"light.head": 0.5}, "unknown key light.head. Did you mean light.heads"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(light, tmp_path, changes, message):
    with pytest.raises(PareftError, match=message):
        pareft.run(resolve(override(light, changes)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_narrow_plan_is_refused(light, tmp_path):
    plan = pareft.plan(light["base"], neurons={"encoder": {0: [0, 1]}})
    (tmp_path / "plan.json").write_text(plan.to_json())
    with pytest.raises(PareftError, match="let one of them be"):
        pareft.run(resolve(override(light, {"prune": {"plan": str(tmp_path / "plan.json")}})), out=tmp_path / "run")


def test_a_refused_comparison_leaves_nothing(light, tmp_path):
    with pytest.raises(DataError):
        pareft.compare(
            resolve(override(light, {"arms": {"a": {}}, "data.path": str(tmp_path / "none.csv")})), out=tmp_path / "runs"
        )
    assert not (tmp_path / "runs").exists()


def test_arms_share_what_was_found_and_are_compared(light, tmp_path):
    arms = {
        "lora": {"light": None},
        "light": {},
        "peft": {"light.heads": 0, "light.neurons": 0},
        "random": {"light.by": "random"},
    }
    compared = pareft.compare(resolve(override(light, {"arms": arms})), out=tmp_path / "runs")
    assert len(list((tmp_path / "runs" / "_plans").glob("*.light"))) == 1
    rows = {row.arm: row for row in compared.rows}
    assert max(rows["light"].trainable, rows["random"].trainable) < rows["peft"].trainable < rows["lora"].trainable
    assert rows["light"].total < rows["peft"].total < rows["lora"].total


def test_the_verb_stops_after_the_plan(light, tmp_path, monkeypatch, capsys):
    (tmp_path / "recipe.yaml").write_text(write_yaml(resolve(light)))
    asked = ("plan", tmp_path / "recipe.yaml", "--strategy", "early-masks", "-o", tmp_path / "plan.json")
    code, _, said = call(monkeypatch, capsys, *asked)
    assert code == 0
    assert "of attention and feed-forward gone" in said
    assert pareft.PruningPlan.read(tmp_path / "plan.json") == lighten(prepare(resolve(light)), tmp_path).plan
    for line, message in (("light=null", "has no light"), ("light.heads=2", "light.heads")):
        code, _, said = call(monkeypatch, capsys, *asked[:2], line, *asked[2:])
        assert code == 2
        assert message in said
    for option in (("--keep", "3"), ("--grid", "rank=2"), ("--symmetric",)):
        code, _, said = call(monkeypatch, capsys, *asked, *option)
        assert code == 2
        assert f"{option[0]} does not go with --strategy" in " ".join(said.split())
    code, _, said = call(monkeypatch, capsys, *asked[:3], "late-masks")
    assert code == 2
    assert "Did you mean early-masks?" in said


def test_equal_operations_count_what_is_left(light):
    arms = {"lora": {"light": None}, "light": {}}
    budget = share_out(resolve(override(light, {"arms": arms})), "flops", None)
    assert budget.steps["light"] > budget.steps["lora"] == 4


BOTTLENECK = {"method": "bottleneck", "rank": 6}


def test_bottleneck_adapters_are_pruned_with_the_base_trained_and_evaluated(any_light, tmp_path):
    recipe = resolve(override(any_light, {"adapt": None}) | {"adapt": BOTTLENECK})
    record = pareft.run(recipe, out=tmp_path / "run")
    assert record.light.modules == 6 * 2 + 5 * 3
    assert 0 < record.light.modules_kept <= 14
    assert record.light.ranks_kept == 14 * 6 // 2
    model = pareft.load(tmp_path / "run")
    widths = [layer.bottleneck_down["default"].weight.shape[0] for layer in model.modules() if hasattr(layer, "bottleneck_down")]
    assert (len(widths), sum(widths)) == (record.light.modules_kept, record.light.ranks_kept)
    again = {name: found.value for name, found in pareft.evaluate(tmp_path / "run").scores.items()}
    assert again == pytest.approx(record.scores, abs=1e-2)
    with pytest.raises(PareftError, match="has an activation inside"):
        pareft.export(tmp_path / "run", tmp_path / "merged")
    exported = pareft.export(tmp_path / "run", tmp_path / "adapter", "adapter")
    assert exported.difference < 1e-4
    assert "verified through pareft" in exported.notes[0]


def test_bottlenecks_that_would_read_what_is_cut_are_refused(light, tmp_path):
    inside = resolve(override(light, {"adapt": None}) | {"adapt": BOTTLENECK | {"target": "all"}})
    with pytest.raises(PareftError, match="read heads and neurons that light cuts; let it be outputs"):
        pareft.run(inside, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    adapter_alone = resolve(override(inside.model_dump(), {"light.heads": 0, "light.neurons": 0}))
    assert pareft.run(adapter_alone, out=tmp_path / "alone").light.modules_kept > 0
