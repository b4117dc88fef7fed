"""Equal time and equal operations: more steps for arms whose steps cost less, with their schedules stretched."""

import pytest
from test_cli import call

import pareft
from pareft import measurement
from pareft.arms import compare
from pareft.budgets import share_out, stretch
from pareft.comparison import Comparison
from pareft.errors import RunError
from pareft.measurement import digest_arm
from pareft.recipe import resolve, select_arm
from pareft.recipe_file import read_recipe
from pareft.records import ArmEfficiency, EfficiencyRecord
from pareft.report.table import write_markdown
from pareft.settings import PruneSettings


@pytest.fixture
def recipe(values):
    return resolve(values)


def make_efficiency(recipe, **seconds):
    return make_measured({name: (select_arm(recipe, name), taken) for name, taken in seconds.items()})


def make_measured(arms):
    """A measurement of arms that took so many seconds a step."""
    found = {
        name: ArmEfficiency(
            digest=digest_arm(arm), step_seconds=[taken], median_step_seconds=taken, peak_bytes=1, trainable=1, total=1
        )
        for name, (arm, taken) in arms.items()
    }
    return EfficiencyRecord(method="m", steps=2, warmup_steps=1, batch_size=4, versions={}, hardware={}, arms=found)


def test_an_arm_that_steps_in_half_the_time_takes_twice_the_steps(recipe):
    efficiency = make_efficiency(recipe, **{"full": 2.0, "lora+l-prun": 1.0})
    budget = share_out(recipe, "time", efficiency)
    assert budget.planned == {"full": 4, "lora+l-prun": 4}
    assert budget.steps == {"full": 4, "lora+l-prun": 8}
    stretched = stretch(recipe, budget)
    arm, was = select_arm(stretched, "lora+l-prun").train, recipe.train
    assert (arm.max_steps, arm.warmup_steps, arm.evaluate_every) == (8, 2, 2 * was.evaluate_every)
    assert select_arm(stretched, "full").train == select_arm(recipe, "full").train
    assert digest_arm(select_arm(stretched, "lora+l-prun")) == digest_arm(select_arm(recipe, "lora+l-prun"))  # the same steps


def test_a_step_of_several_batches_takes_as_many_times_as_long(values):
    """What is measured is a batch."""
    values["arms"]["lora+l-prun"] = {"train": {"accumulation": 2, "max_steps": 4}}
    recipe = resolve(values)
    budget = share_out(recipe, "time", make_efficiency(recipe, **{"full": 1.0, "lora+l-prun": 1.0}))
    assert budget.steps == {"full": 4, "lora+l-prun": 2}


def test_a_measurement_is_of_a_plan_and_where_it_writes_of_how(recipe, bases, tmp_path):
    file, plain = tmp_path / "plan.json", select_arm(recipe, "full")
    arm, found = plain.model_copy(update={"prune": PruneSettings(plan=str(file))}), []
    for layers in ([0, 1], [0, 2]):
        file.write_text(pareft.plan(bases["bart"], layers={"encoder": layers}).to_json())
        found.append(digest_arm(arm))
    assert found[0] != found[1]
    beams = plain.evaluate.model_copy(update={"num_beams": 5})
    other = plain.model_copy(update={"evaluate": beams})
    assert digest_arm(plain) == digest_arm(other)
    assert digest_arm(plain, writes=True) != digest_arm(other, writes=True)


def test_steps_are_measured_against_those_of_the_first_arm(values):
    values["arms"]["lora+l-prun"] = {"train": {"max_steps": 3}}
    recipe = resolve(values)
    budget = share_out(recipe, "time", make_efficiency(recipe, **{"full": 1.0, "lora+l-prun": 1.0}))
    assert budget.steps == {"full": 4, "lora+l-prun": 4}
    assert select_arm(stretch(recipe, budget), "lora+l-prun").train.max_steps == 4


def test_operations_are_counted_and_come_out_equal(recipe):
    budget = share_out(recipe, "flops", None)
    spent = {name: steps * budget.costs[name] for name, steps in budget.steps.items()}
    assert budget.costs["lora+l-prun"] < budget.costs["full"]
    assert budget.steps["lora+l-prun"] > budget.steps["full"] == 4
    assert abs(spent["lora+l-prun"] - spent["full"]) <= budget.costs["lora+l-prun"] / 2  # to the nearest step


@pytest.mark.parametrize("layers", [{"decoder": "all"}, {"encoder": "upper", "decoder": "all"}])
def test_a_frozen_prefix_counts_once(values, layers):
    """What is computed in the first of four epochs alone is a quarter of what it is without the cache."""
    lora = values["arms"]["lora+l-prun"] | {"adapt": {"target": "all", "rank": 2, "layers": layers}}
    more = {"train": values["train"] | {"max_steps": 4 * 12}}
    arms = {"plain": lora, "cached": lora | {"train.cache_frozen_prefix": True}}
    budget = share_out(resolve(values | more | {"arms": arms}), "flops", None)
    assert budget.costs["cached"] < budget.costs["plain"]
    assert budget.steps["cached"] > budget.steps["plain"]
    short = {"train": values["train"] | {"max_steps": 4}, "arms": {"cached": arms["cached"]}}
    one = share_out(resolve(values | short), "flops", None)
    assert one.costs["cached"] == budget.costs["plain"]  # within the first epoch


def test_a_comparison_says_what_was_equal_and_reads_itself_again(recipe, tmp_path, monkeypatch):
    found = compare(recipe, out=tmp_path / "runs", equal="flops")
    steps = found.budget.steps
    records = {name: read_recipe(tmp_path / "runs" / name / "recipe.yaml").train.max_steps for name in steps}
    assert records == steps
    assert "training FLOPs of full; steps: full 4, lora+l-prun" in write_markdown(found).replace("\n", " ")
    assert Comparison.from_json((tmp_path / "runs" / "comparison.json").read_text()) == found
    monkeypatch.setattr("pareft.pipeline.train", None)  # nothing is trained again
    monkeypatch.setattr(measurement, "measure", None)
    assert compare(recipe, out=tmp_path / "runs", equal="flops") == found
    with pytest.raises(RunError, match="another recipe"):
        compare(recipe, out=tmp_path / "runs")


def test_equal_time_measures_first_and_by_that_again(recipe, tmp_path, monkeypatch):
    found = compare(recipe, out=tmp_path / "runs", equal="time")
    seconds = {name: arm.median_step_seconds for name, arm in found.efficiency.arms.items()}
    assert found.budget.costs == seconds
    assert found.budget.steps["lora+l-prun"] == max(1, round(4 * seconds["full"] / seconds["lora+l-prun"]))
    monkeypatch.setattr("pareft.pipeline.train", None)
    assert compare(recipe, out=tmp_path / "runs", equal="time") == found


def test_what_cannot_be_equal_is_refused(values, tmp_path, monkeypatch, capsys):
    with pytest.raises(RunError, match=r"measures none \(measure: null\)"):
        compare(resolve(values | {"measure": None}), out=tmp_path / "runs", equal="time")
    assert not (tmp_path / "runs").exists()
    (tmp_path / "one").mkdir()
    code, _, said = call(monkeypatch, capsys, "compare", tmp_path / "one", tmp_path / "one", "--equal", "time")
    assert code == 2
    assert "these runs are finished; give a recipe" in " ".join(said.split())
