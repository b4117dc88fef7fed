"""Plans by criteria, on a recipe's examples: what comes out, what is refused before anything is loaded."""

import json
import shutil
from typing import get_args

import polars as pl
import pytest
from conftest import save_base
from safetensors.torch import load_file, save_file
from test_budgets import make_measured
from test_cli import call

import pareft
from pareft import arms, calibrating, readying
from pareft.arms import compare
from pareft.calibrating import CRITERIA
from pareft.errors import ModelError, PareftError, PlanError, RecipeError
from pareft.planning import choose_layers
from pareft.pruning.depth import RULES
from pareft.recipe import override, resolve
from pareft.records import PlanningRecord
from pareft.run_folder import PLANS
from pareft.settings import AUTO, CriterionName, PruneSettings, RuleName


@pytest.fixture
def recipe(values):
    return resolve(values)


@pytest.mark.parametrize("by", CRITERIA)
def test_every_criterion_makes_a_plan_that_loads(recipe, bases, by):
    plan, record = choose_layers(str(bases["bart"]), by=by, keep={"encoder": 5, "decoder": 4}, data=recipe, examples=6)
    assert {stack: len(kept) for stack, kept in plan.layers.items()} == {"encoder": 5, "decoder": 4}
    assert (plan.by, record.by, record.fingerprint) == (by, by, plan.fingerprint)
    assert record.examples == (None if by == "magnitude" else 6)
    assert record.path if by == "greedy" else record.scores
    assert pareft.load(str(bases["bart"]), plan).config.encoder_layers == 5
    again, _ = choose_layers(str(bases["bart"]), by=by, keep={"encoder": 5, "decoder": 4}, data=recipe, examples=6)
    assert again == plan


def test_a_recipe_with_a_frozen_prefix_calibrates_and_its_base_is_scored(values, bases, tmp_path):
    """Neither has an adapter, and so nothing that is frozen."""
    values |= {"adapt": {"target": "ffn", "rank": 2, "layers": {"decoder": "all"}}, "measure": None}
    values["train"] |= {"cache_frozen_prefix": True, "max_steps": 2}
    values["evaluate"] |= {"untouched": True}
    recipe = resolve(values | {"arms": {"lora": {"prune": None}}})
    plan = pareft.plan(bases["bart"], by="influence", keep=3, data=recipe, examples=6)
    assert plan.depths == {"encoder": 8, "decoder": 6}
    rows = compare(recipe, out=tmp_path / "out").rows
    assert {row.arm: row.layers_kept for row in rows} == dict.fromkeys(("untouched", "lora"), plan.depths)


def test_a_plan_that_came_from_elsewhere_is_of_the_base_where_it_is(values, bases, tmp_path):
    shutil.copytree(bases["bart"], tmp_path / "elsewhere")
    (tmp_path / "plan.json").write_text(pareft.plan(tmp_path / "elsewhere").to_json())
    shutil.rmtree(tmp_path / "elsewhere")
    values["train"] |= {"max_steps": 1}
    recipe = resolve(values | {"prune": {"plan": str(tmp_path / "plan.json")}, "measure": None, "arms": {}})
    pareft.run(recipe, out=tmp_path / "run")
    assert pareft.PruningPlan.read(tmp_path / "run/plan.json").base == values["base"]
    assert pareft.load(tmp_path / "run").get_base_model().config.encoder_layers == 6


def test_a_plan_needs_no_recipe_where_weights_say_all(bases):
    plan = pareft.plan(str(bases["t5"]), by="magnitude", keep={"total": 9}, least=4, never_drop={"encoder": [0, -1]})
    assert sum(map(len, plan.layers.values())) == 9
    assert {0, 7} <= set(plan.layers["encoder"])
    assert len(plan.layers["decoder"]) >= 4


def test_a_recipe_names_a_criterion_and_its_arms_share_the_plan(values, tmp_path, monkeypatch):
    values |= {"prune": {"by": "influence", "keep": {"encoder": 5, "decoder": 3}, "examples": 6}, "measure": None}
    values["arms"] = {"full": {"prune": None, "adapt": None}, "l-prun": {"adapt": None}, "lora+l-prun": {}}
    plain, calls = readying.choose_by, []
    monkeypatch.setattr(readying, "choose_by", lambda *given: calls.append(1) or plain(*given))
    recipe = resolve(values)
    compare(recipe, out=tmp_path / "out")
    assert len(calls) == 1
    plans = [pareft.PruningPlan.read(tmp_path / "out" / arm / "plan.json") for arm in ("l-prun", "lora+l-prun")]
    assert plans[0] == plans[1] == choose_layers(values["base"], by="influence", keep=recipe.prune.keep, data=recipe, examples=6)[0]
    stored = list((tmp_path / "out" / PLANS).iterdir())
    assert sorted(path.suffixes[0] for path in stored) == [".json", ".scores"]
    compare(recipe, out=tmp_path / "out")
    pareft.run(recipe, out=tmp_path / "alone", arm="lora+l-prun")
    pareft.run(recipe, {"evaluate.metrics": ["bleu"]}, out=tmp_path / "alone", arm="lora+l-prun")  # scored anew, not planned anew
    assert len(calls) == 2
    assert pareft.PruningPlan.read(tmp_path / "alone" / "plan.json") == plans[0]
    assert (tmp_path / "out" / "lora+l-prun" / "planning.json").is_file()
    assert pareft.evaluate(tmp_path / "alone", split="validation").scores
    assert len(calls) == 2


def test_a_base_that_computes_no_numbers_is_refused(recipe, tmp_path):
    base = save_base("bart", tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    tensors["model.decoder.layers.2.fc1.bias"][0] = float("nan")
    save_file(tensors, base / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match="computes numbers that are none"):
        choose_layers(str(base), by="influence", keep=4, data=recipe, examples=2)


@pytest.mark.parametrize(
    ("prune", "said"),
    [
        ({"by": "influence"}, "keeps as many layers as keep says"),
        ({"by": "influence", "keep": 4, "layers": "alternating"}, "give one of prune.layers, prune.by"),
        ({"keep": 4}, "none is named; give by"),
        ({"by": "even", "keep": 4, "symmetric": True}, "are for a criterion"),
        ({"by": "influense", "keep": 4}, "influence"),
        ({"by": "influence", "keep": 9}, "9 of 8 encoder layers"),
        ({"by": "influence", "keep": "4"}, "keep"),
        ({"by": "influence", "keep": 0}, "0 of 8 encoder layers"),
        ({"by": "influence", "keep": {}, "never_drop": {"encoder": [9]}}, "no encoder layer 9"),
    ],
)
def test_what_a_recipe_cannot_ask_for_is_refused_before_anything_is_loaded(values, tmp_path, monkeypatch, prune, said):
    monkeypatch.setattr(calibrating, "load", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(PareftError, match=said):
        pareft.run(resolve(values | {"prune": prune}), out=tmp_path / "run", arm="lora+l-prun")
    assert not (tmp_path / "run").exists()


def test_auto_is_the_criterion_that_did_best(recipe, values, bases, tmp_path):
    assert resolve(values | {"prune": {"by": "auto", "keep": 4}}).prune == PruneSettings(by=AUTO, keep=4)
    asked = {"keep": 4, "data": recipe, "examples": 4}
    assert pareft.plan(str(bases["bart"]), by="auto", **asked) == pareft.plan(str(bases["bart"]), by=AUTO, **asked)
    assert pareft.plan(str(bases["bart"])).by == "alternating"
    assert pareft.plan(str(bases["bart"]), budget={"parameters": "80%"}, data=recipe, examples=4).by == AUTO


def test_rules_go_in_recipes_too(values, tmp_path):
    recipe = resolve(override(values, {"prune": {"by": "drop-top", "keep": 3, "layers": None}, "train.max_steps": 1}))
    pareft.run(recipe, out=tmp_path / "run", arm="lora+l-prun")
    assert pareft.PruningPlan.read(tmp_path / "run" / "plan.json").layers == {"encoder": (0, 1, 2), "decoder": (0, 1, 2)}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"by": "influense", "keep": 4}, "no rule or criterion 'influense'. Did you mean influence?"),
        ({"by": "influence", "keep": 4}, "give a recipe"),
        ({"by": "influence"}, "keeps as many layers as it is told"),
        ({"by": "influence", "keep": 9, "data": "RECIPE"}, "9 of 8 encoder layers"),
        ({"by": "influence", "keep": 4, "data": "RECIPE", "examples": 0}, "examples: .*greater than 0 .got 0."),
        ({"by": "angular", "keep": {"total": 8}, "data": "RECIPE"}, "a block of every stack"),
        ({"by": "angular", "keep": 4, "data": "RECIPE", "never_drop": {"encoder": [2, 5]}}, "no block of 4 encoder layers"),
        ({"by": "even"}, "even keeps as many layers as it is told"),
        ({"by": "even", "keep": {"total": 8}}, "each stack alone"),
        ({"by": "alternating", "keep": 8}, "alternating says itself"),
        ({"by": "even", "keep": 4, "never_drop": {"encoder": [0]}}, "are for criteria"),
        ({"layers": {"encoder": [0]}, "keep": 4}, "give one of both"),
        ({"layers": {"encoder": [0]}, "by": "influence"}, "by influence chooses layers, and layers"),
    ],
)
def test_what_cannot_be_planned_is_refused_before_anything_is_loaded(recipe, bases, monkeypatch, asked, said):
    monkeypatch.setattr(calibrating, "load", lambda *_, **__: pytest.fail("loaded"))
    if asked.get("data"):
        asked = asked | {"data": recipe}
    with pytest.raises(PlanError, match=said):
        pareft.plan(str(bases["bart"]), **asked)


def test_a_recipe_can_name_every_rule_and_criterion():
    assert set(RULES) == set(get_args(RuleName))
    assert set(CRITERIA) == set(get_args(CriterionName))


def test_rules_keep_what_they_say(bases):
    kept = {by: pareft.plan(str(bases["bart"]), by=by, keep={"encoder": 4, "decoder": 3}).layers for by in RULES}
    assert kept == {
        "even": {"encoder": (0, 2, 5, 7), "decoder": (0, 3, 5)},
        "drop-top": {"encoder": (0, 1, 2, 3), "decoder": (0, 1, 2)},
        "drop-bottom": {"encoder": (4, 5, 6, 7), "decoder": (3, 4, 5)},
        "drop-middle": {"encoder": (0, 1, 6, 7), "decoder": (0, 1, 5)},
    }


@pytest.mark.parametrize(
    "how", [{"by": "influence", "keep": 4}, {"by": "rouge", "keep": 4}, {"by": "even", "budget": {"memory": "90%"}}]
)
def test_where_no_texts_are_written_there_is_no_loss_of_texts(values, bases, tmp_path, how):
    rows = [{"source": "a", "target": str(number % 2), "options": ["b", "c"]} for number in range(30)]
    pl.DataFrame(rows).write_parquet(tmp_path / "choices.parquet")
    data = {"path": str(tmp_path / "choices.parquet"), "options": "options", "max_source_tokens": 16, "max_target_tokens": 8}
    scored = {"train": values["train"] | {"best_metric": "exact_match"}, "evaluate": {"metrics": ["exact_match"]}}
    recipe = resolve(values | {"data": data, "arms": {}, "prune": None} | scored)
    with pytest.raises(RecipeError, match="a loss of texts, and data"):
        pareft.plan(bases["bart"], data=recipe, **how)


def test_the_command_writes_the_plan_and_shows_the_scores(values, bases, tmp_path, monkeypatch, capsys):
    (tmp_path / "recipe.yaml").write_text(json.dumps(values))
    asked = ["plan", bases["bart"], "--by", "influence", "--keep", "encoder=5,decoder=50%", "--data", tmp_path / "recipe.yaml"]
    code, out, err = call(
        monkeypatch, capsys, *asked, "--never-drop", "encoder=0,-1", "--examples", "4", "-o", tmp_path / "plan.json"
    )
    assert (code, out) == (0, "")
    plan = pareft.PruningPlan.read(tmp_path / "plan.json")
    assert {stack: len(kept) for stack, kept in plan.layers.items()} == {"encoder": 5, "decoder": 3}
    assert {0, 7} <= set(plan.layers["encoder"])
    record = PlanningRecord.from_json((tmp_path / "plan.scores.json").read_text())
    assert (record.examples, record.fingerprint) == (4, plan.fingerprint)
    assert (tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")
    assert f"{record.scores['decoder'][5]:.4g}" in err
    code, out, err = call(
        monkeypatch, capsys, "plan", bases["bart"], "--by", "greedy", "--keep", "total=13", "--data", tmp_path / "recipe.yaml"
    )
    assert (code, json.loads(out)["by"]) == (0, "greedy")
    assert "step 1" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--keep", "eight"], "'eight' is no number of layers"),
        (["--keep", "nan"], "'nan' is no number of layers"),
        (["--keep", "encoder=inf"], "'inf' is no number of layers"),
        (["--keep", "encoder=3,encoder=4"], "encoder is named twice"),
        (["--keep", "1", "--encoder", "0,1"], "--keep is for layers that are chosen"),
        (["--by", "even", "--encoder", "0,1"], "--by is for layers that are chosen"),
        (["--symmetric", "--neurons", "encoder=0-3"], "--symmetric is for layers that are chosen"),
        (["--by", "magnitude", "--keep", "4", "--never-drop", "0,1"], "write STACK=LAYERS"),
        (["--by", "magnitude", "--keep", "4", "--never-drop", "encoder=9"], "no encoder layer 9"),
        (["--by", "influence", "--keep", "4", "--data", "nowhere.yaml"], "nowhere.yaml"),
        (["--by", "influence", "--keep", "4", "--data", "nowhere.yaml", "-o", "/"], "/ is a folder; give a file"),
    ],
)
def test_what_the_command_cannot_do_is_one_line(bases, monkeypatch, capsys, arguments, said):
    code, out, err = call(monkeypatch, capsys, "plan", bases["bart"], *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.strip().splitlines()) == 1


def test_a_recipe_is_no_base(tmp_path, monkeypatch, capsys):
    (tmp_path / "r.yaml").write_text("base: x\n")
    code, _, said = call(monkeypatch, capsys, "plan", tmp_path / "r.yaml")
    assert code == 2
    assert "is a recipe: add --dry-run for a forecast" in " ".join(said.split())


def test_a_criterion_chooses_once_where_steps_are_measured_first(values, tmp_path, monkeypatch):
    values |= {"prune": {"by": "magnitude", "keep": 4}}
    plain, calls = readying.choose_by, []
    monkeypatch.setattr(readying, "choose_by", lambda *given: calls.append(1) or plain(*given))

    def look(asked, *_, **__):
        assert len(list((tmp_path / "out" / PLANS).iterdir())) == 2
        return make_measured({name: (arm, 1.0) for name, arm in asked.items()})

    monkeypatch.setattr(arms, "measure", look)
    compare(resolve(values), out=tmp_path / "out", equal="time")
    assert len(calls) == 1
