"""Laws of budgets: a plan of a budget meets it, is the best of those that could be, and what cannot be had is said."""

import pytest
from conftest import call, save_base
from safetensors.torch import load_file, save_file

import pareft
from pareft import budgeting, forking
from pareft.budgeting import find_front, list_counts
from pareft.errors import MeasurementError, ModelError, PareftError
from pareft.models.checkpoint import open_base
from pareft.models.structure import build_on_meta, count_parameters
from pareft.planner import costs, reference, writers
from pareft.planner.amounts import UNITS, read_budgets, say_amount
from pareft.planner.arms import open_arm
from pareft.planner.costs import Cost
from pareft.planning import choose_within
from pareft.processes import watch_parent
from pareft.pruning.choosing import Limits
from pareft.recipe import resolve
from pareft.records import PlanningRecord


@pytest.fixture
def recipe(values):
    return resolve(values)


@pytest.fixture
def known(monkeypatch):
    """Costs that need no measuring: an encoder layer takes one, a decoder layer three of a hundred."""
    cost = Cost(100.0, {"encoder": 8, "decoder": 6}, {"encoder": 1.0, "decoder": 3.0})
    monkeypatch.setattr(budgeting, "find_costs", lambda arm, names, progress: dict.fromkeys(names, cost))
    monkeypatch.setattr(
        budgeting, "_forecast", lambda arm, counts, costs: {name: found.at(counts) for name, found in costs.items()}
    )
    return cost


@pytest.mark.parametrize("by", ["influence", "magnitude", "angular", "even", "drop-top"])
def test_a_plan_is_within_its_budgets_and_none_that_keeps_more_is(recipe, bases, by, known):
    budget = {"step_time": "90%", "latency": "95s"}
    plan, record = choose_within(bases["bart"], budget, by=by, data=recipe, examples=6)
    counts = {stack: len(kept) for stack, kept in plan.layers.items()}
    assert known.at(counts) <= 90
    assert all(known.at({**counts, stack: counts[stack] + 1}) > 90 for stack in counts if counts[stack] < known.depths[stack])
    assert [(line.name, line.limit, line.whole, line.found) for line in record.budgets] == [
        ("step_time", 90.0, 100.0, known.at(counts)), ("latency", 95.0, 100.0, known.at(counts)),
    ]  # fmt: skip
    best = min(record.tried, key=lambda tried: tried.loss)
    assert best.layers == counts
    assert len(record.tried) > 2
    assert PlanningRecord.from_json(record.to_json()) == record
    assert pareft.load(str(bases["bart"]), plan).config.encoder_layers == counts["encoder"]


def test_what_turns_out_to_take_more_is_passed_over(recipe, bases, known, monkeypatch):
    first, _ = choose_within(bases["bart"], {"step_time": "90%"}, by="even", data=recipe, examples=6)
    spoilt = {stack: len(kept) for stack, kept in first.layers.items()}
    monkeypatch.setattr(
        budgeting, "_forecast", lambda arm, counts, costs: {"step_time": 91.0 if counts == spoilt else known.at(counts)}
    )
    plan, record = choose_within(bases["bart"], {"step_time": "90%"}, by="even", data=recipe, examples=6)
    assert {stack: len(kept) for stack, kept in plan.layers.items()} != spoilt
    assert [tried.layers for tried in record.tried if not tried.within] == [spoilt]


def test_numbers_whose_blocks_would_take_what_must_stay_are_passed_over(recipe, bases, known):
    plan, record = choose_within(
        bases["bart"], {"step_time": "93%"}, by="angular", data=recipe, examples=6, never_drop={"encoder": [3]}
    )
    assert 3 in plan.layers["encoder"]
    assert all(8 - tried.layers["encoder"] <= 4 for tried in record.tried)  # no block of five is without layer 3
    with pytest.raises(PareftError, match="never_drop leaves no blocks"):
        choose_within(
            bases["bart"],
            {"step_time": "93%"},
            by="angular",
            data=recipe,
            examples=6,
            never_drop={"encoder": [0, 2, 4, 6], "decoder": [0, 2, 4]},
        )


def test_a_killed_planner_leaves_no_process(recipe, monkeypatch):
    """Processes of a pool wait for orders for ever, unless they look after who started them."""
    asked = []

    def refuse(*_, initializer=None, **__):
        asked.append(initializer)
        raise RuntimeError

    monkeypatch.setattr(forking, "ProcessPoolExecutor", refuse)
    arm = open_arm("", recipe)
    for ask in (
        lambda: costs._find_latency(arm),
        lambda: reference.measure_reference(arm, [], recomputing=False),
        lambda: writers.measure_beside(arm),
    ):
        with pytest.raises(MeasurementError):
            ask()
    assert asked == [watch_parent] * 3


def test_layers_that_must_stay_do(recipe, bases, known):
    plan, _ = choose_within(
        bases["bart"], {"step_time": "88%"}, by="influence", data=recipe, examples=6, never_drop={"decoder": [0, 1, -1]}, least=3
    )
    assert {0, 1, 5} <= set(plan.layers["decoder"])
    assert min(map(len, plan.layers.values())) >= 3
    even, _ = choose_within(bases["bart"], {"step_time": "90%"}, by="influence", data=recipe, examples=6, symmetric=True)
    assert len({len(kept) for kept in even.layers.values()}) == 1


def test_parameters_are_counted(recipe, bases):
    whole = count_parameters(pareft.load(str(bases["t5"]))).total
    plan = pareft.plan(bases["t5"], by="even", budget={"parameters": "70%"}, data=recipe, examples=4)
    kept = count_parameters(pareft.load(str(bases["t5"]), plan)).total
    assert kept <= 0.7 * whole
    assert len(plan.layers["encoder"]) >= len(plan.layers["decoder"])  # T5 could not write else


def test_memory_and_time_are_forecast_for_this_machine(recipe, bases):
    budget = {"memory": "10GB", "step_time": "70%", "latency": "90%"}
    plan, record = choose_within(bases["bart"], budget, by="even", data=recipe, examples=4)
    assert not plan.keeps_everything
    assert all(0 < line.found <= line.limit for line in record.budgets)
    assert record.budgets[1].limit == pytest.approx(0.7 * record.budgets[1].whole)


@pytest.mark.parametrize("depths", [{"encoder": 2, "decoder": 2}, {"encoder": 6, "decoder": 2}])
def test_the_layers_of_a_shallow_stack_count(values, tmp_path, depths):
    base = save_base("bart", tmp_path / "base", **depths)
    whole = count_parameters(build_on_meta(open_base(str(base)).config)).total
    least = count_parameters(build_on_meta(open_base(str(base)).config, pareft.plan(base, by="even", keep=1))).total
    budget = {"parameters": f"{100 * least / whole + 0.1:.1f}%"}
    found = pareft.plan(base, by="even", budget=budget, data=resolve(values | {"base": str(base)}))
    assert {stack: len(kept) for stack, kept in found.layers.items()} == {"encoder": 1, "decoder": 1}


def test_a_base_that_computes_no_numbers_has_no_plan_within_a_budget(values, tmp_path):
    base = save_base("bart", tmp_path / "base")
    weights = load_file(base / "model.safetensors")
    weights["model.encoder.layers.0.fc1.weight"][0, 0] = float("nan")
    save_file(weights, base / "model.safetensors", metadata={"format": "pt"})
    for by in ("influence", "even"):
        with pytest.raises(ModelError, match=f"numbers that are none .* so {by} cannot choose"):
            pareft.plan(base, by=by, budget={"parameters": "80%"}, data=resolve(values | {"base": str(base)}), examples=4)


def test_what_cannot_be_had_says_the_smallest_that_can(recipe, bases, known):
    with pytest.raises(
        PareftError, match=r"step_time=5% is 5 s, and 1 encoder \+ 1 decoder layers take 1.3 min \(78 % of"
    ) as raised:
        choose_within(bases["bart"], {"step_time": "5%", "latency": "99%"}, by="even", data=recipe)
    assert "latency" not in str(raised.value)


@pytest.mark.parametrize(
    ("budget", "more", "said"),
    [
        ({"memory": "8"}, {}, "a unit, KB"),
        ({"memory": "8Gb"}, {}, "a unit, KB"),
        ({"memory": "-1GB"}, {}, "above 0"),
        ({"step_time": "0%"}, {}, "above 0"),
        ({"latency": "3GB"}, {}, "ms, s, min"),
        ({"memroy": "8GB"}, {}, "Did you mean memory"),
        ({}, {}, "give one at least"),
        ({"memory": "8GB"}, {"by": "greedy"}, "does not choose among"),
        ({"memory": "8GB"}, {"by": "alternating"}, "does not choose among"),
        ({"memory": "8GB"}, {"data": None}, "--data RECIPE"),
        ({"memory": "8GB"}, {"never_drop": {"encoder": [0]}}, "even is a rule"),
        ({"memory": "8GB"}, {"by": "influence", "least": 9}, "least 9"),
        ({"memory": "8GB"}, {"by": "influence", "examples": 0}, "examples: .*greater than 0"),
        (
            {"memory": "8GB"},
            {"by": "influence", "symmetric": True, "never_drop": {"encoder": [0, 1, 2, 3, 4, 5, 6]}},
            "leave no number of layers",
        ),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_before_anything_is_loaded(recipe, bases, monkeypatch, budget, more, said):
    monkeypatch.setattr("pareft.calibrating.load", None)
    monkeypatch.setattr(budgeting, "find_costs", None)
    with pytest.raises(PareftError, match=said):
        choose_within(bases["bart"], budget, **({"by": "even", "data": recipe} | more))


def test_a_budget_and_numbers_exclude_each_other(recipe, bases):
    with pytest.raises(PareftError, match="give one of them"):
        pareft.plan(bases["bart"], by="even", keep=3, budget={"memory": "8GB"}, data=recipe)


def test_the_command_writes_plan_scores_and_picture_and_says_how_near_it_came(values, bases, tmp_path, monkeypatch, capsys, known):
    import json

    path, out = tmp_path / "recipe.yaml", tmp_path / "plan.json"
    path.write_text(json.dumps(values))
    arguments = [
        "plan",
        bases["bart"],
        "--by",
        "influence",
        "--budget",
        "step_time=90%",
        "--data",
        path,
        "--examples",
        4,
        "--out",
        out,
    ]
    code, _, error = call(monkeypatch, capsys, *arguments)
    assert code == 0, error
    assert "step_time=90%" in error
    assert "✓ chosen" in error
    assert pareft.PruningPlan.read(out).by == "influence"
    assert PlanningRecord.from_json(out.with_suffix(".scores.json").read_text()).tried
    assert out.with_suffix(".png").stat().st_size > 5000
    code, _, error = call(monkeypatch, capsys, *arguments, "--keep", 3)
    assert code == 2
    assert "give one of both" in error
    code, _, error = call(monkeypatch, capsys, *arguments, "--budget", "step_time=80%")
    assert code == 2
    assert "once for each" in error


def test_all_numbers_of_layers_are_those_that_limits_allow():
    depths = {"encoder": 3, "decoder": 2}
    assert len(list_counts(Limits(depths, None))) == 6
    assert all(counts["encoder"] >= counts["decoder"] for counts in list_counts(Limits(depths, None, encoder_leads=True)))
    assert [tuple(counts.values()) for counts in list_counts(Limits(depths, None, symmetric=True))] == [(1, 1), (2, 2)]


def test_the_front_is_what_no_other_exceeds():
    counts = [{"a": 1, "b": 3}, {"a": 2, "b": 2}, {"a": 1, "b": 2}, {"a": 2, "b": 1}]
    assert find_front(counts) == [{"a": 1, "b": 3}, {"a": 2, "b": 2}]


def test_amounts_are_read_and_said_in_their_units():
    read = {
        budget.name: budget.limit(1000) for budget in read_budgets({"memory": "1.5 GiB", "latency": "300ms", "parameters": "50%"})
    }
    assert read == {"memory": 1.5 * 2**30, "latency": 0.3, "parameters": 500.0}
    said = [
        say_amount(name, value) for name, value in (("memory", 2.5e9), ("step_time", 0.25), ("parameters", 3e8), ("latency", 3.0))
    ]
    assert said == ["2.5 GB", "250 ms", "300 M", "3 s"]
    assert set(UNITS) == {"memory", "step_time", "latency", "parameters"}
