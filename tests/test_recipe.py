"""What a user may ask for, and what is said when it cannot be."""

from contextlib import nullcontext

import pytest
import yaml

from pareft.adapter_settings import Ia3Settings
from pareft.errors import RecipeError
from pareft.recipe import Recipe, check_changes, override, resolve, select_arm
from pareft.recipe_file import change_recipe, parse_changes, read_recipe, write_yaml

MINIMAL = {"base": "pareft-mini", "data": {"path": "x.csv"}}


def test_defaults_are_the_papers():
    recipe = resolve(MINIMAL | {"prune": {}, "adapt": {}})
    assert recipe.prune.layers == "alternating"
    assert (recipe.adapt.target, recipe.adapt.rank, recipe.adapt.alpha, recipe.adapt.dropout) == ("ffn", 16, 32, 0.1)
    assert (recipe.train.epochs, recipe.train.warmup_steps, recipe.train.weight_decay) == (10, 1000, 0.01)
    assert (recipe.evaluate.num_beams, recipe.evaluate.max_new_tokens) == (6, 128)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (MINIMAL | {"prun": {}}, r"unknown key prun\. Did you mean prune\? Known here: base, "),
        (MINIMAL | {"train": {"epoch": 3}}, r"unknown key train\.epoch\. Did you mean train\.epochs\?"),
        (MINIMAL | {"adapt": {"ranks": 3}}, r"unknown key adapt\.ranks\. Did you mean adapt\.rank\?"),
        (MINIMAL | {"train": {"zzz": 3}}, r"unknown key train\.zzz\. Known here: epochs"),
        (MINIMAL | {"adapt": {"rank": 0}}, r"adapt\.rank: .*greater than 0 .*got 0"),
        (MINIMAL | {"adapt": {"rank": -4}}, r"adapt\.rank"),
        (MINIMAL | {"adapt": {"target": "fnn"}}, r"adapt\.target.*'ffn'.*got 'fnn'"),
        (MINIMAL | {"train": {"epochs": "many"}}, r"train\.epochs: .*got 'many'"),
        (MINIMAL | {"train": 3}, r"train must be a mapping"),
        (
            MINIMAL | {"train": {"report_to": ["tensorbord"]}},
            r"train\.report_to: no tracker 'tensorbord'\. Did you mean tensorboard\?",
        ),
        (MINIMAL | {"train": {"report_to": "all"}}, r"no tracker 'all'\. Known here: tensorboard, trackio, wandb, mlflow"),
        (MINIMAL | {"train": {"report_to": None}}, r"train\.report_to: .*list"),
        (MINIMAL | {"prune": {"layers": "every-other"}}, r"prune\.layers.*alternating"),
        ({"base": "x"}, r"recipe: data: Field required"),
        (MINIMAL | {"arms": {"a": {"train.epoch": 3}}}, r"arm 'a': .*train\.epoch\. Did you mean train\.epochs"),
        (MINIMAL | {"arms": {"a": {"adapt": {"rank": 0}}}}, r"arm 'a': .*adapt\.rank"),
        (MINIMAL | {"arms": {"a": 3}}, r"arms\.a"),
        (MINIMAL | {"arms": {"../a": {}}}, r"'\.\./a' cannot be an arm's name"),
        (MINIMAL | {"arms": {"untouched": {}}}, r"cannot be an arm's name"),
        (MINIMAL | {"prune": {"layers": {"encoder": [0, "x"]}}}, r"prune\.layers\.encoder\.1: .*integer.*got 'x'"),
        (MINIMAL | {"adapt": {"target": []}}, r"adapt\.target: .*at least 1 item"),
        (MINIMAL | {"evaluate": {"metrics": []}}, r"evaluate\.metrics: .*at least 1 item"),
        (MINIMAL | {"seed": -1}, r"seed: .*greater than or equal to 0"),
        (MINIMAL | {"train": {"epochs": float("inf")}}, r"train\.epochs: .*finite"),
    ],
)
def test_a_mistake_is_named_with_its_place(values, message):
    with pytest.raises(RecipeError, match=message) as caught:
        resolve(values)
    assert "\n" not in str(caught.value)


def test_numbers_that_yaml_reads_as_text_are_numbers():
    recipe = resolve(override(MINIMAL, parse_changes(["train.learning_rate=3e-4"])))
    assert recipe.train.learning_rate == 3e-4


def test_changes_reach_every_depth_and_leave_the_rest():
    values = MINIMAL | {"adapt": None, "arms": {"a": {"train.epochs": 3}}}
    changed = override(values, parse_changes(["adapt.rank=4", "arms.a.train.epochs=5", "seed=7"]))
    recipe = resolve(changed)
    assert (recipe.adapt.rank, recipe.seed, select_arm(recipe, "a").train.epochs) == (4, 7, 5)
    assert values["adapt"] is None
    assert values["arms"] == {"a": {"train.epochs": 3}}


def test_a_nested_part_changes_only_the_lines_it_names():
    base = MINIMAL | {"train": {"epochs": 1, "batch_size": 2}, "prune": {"layers": {"encoder": [0], "decoder": [0]}}}
    arms = {"a": {"train": {"learning_rate": 5e-5}}, "b": {"prune": {"layers": {"encoder": [1]}}}, "c": {"prune": None}}
    recipe = resolve(base | {"arms": arms})
    arm = select_arm(recipe, "a")
    assert (arm.train.epochs, arm.train.batch_size, arm.train.learning_rate) == (1, 2, 5e-5)
    assert select_arm(recipe, "b").prune.layers == {"encoder": [1]}
    assert select_arm(recipe, "c").prune is None


def test_a_plan_takes_the_place_of_layers_and_they_of_it():
    values = MINIMAL | {"prune": {"layers": {"encoder": [0]}}, "arms": {"a": {"prune.plan": "plan.json"}}}
    assert (select_arm(resolve(values), "a").prune.layers, select_arm(resolve(values), "a").prune.plan) == (None, "plan.json")
    recipe = resolve(override(values, {"prune": {"plan": "plan.json"}}))
    assert (recipe.prune.layers, recipe.prune.plan) == (None, "plan.json")
    assert resolve(override(recipe.model_dump(), {"prune.layers": "alternating"})).prune.plan is None


def test_a_criterion_takes_the_place_of_layers_and_they_of_it_and_of_how_many():
    chosen = {"by": "influence", "keep": {"encoder": 3}, "never_drop": {"decoder": [0]}}
    values = MINIMAL | {"prune": chosen, "arms": {"a": {"prune.layers": "alternating"}, "b": {"prune": {"plan": "plan.json"}}}}
    recipe = resolve(values)
    assert (recipe.prune.layers, recipe.prune.criterion) == (None, "influence")
    for name, line in (("a", "layers"), ("b", "plan")):
        arm = select_arm(recipe, name).prune
        assert (getattr(arm, line) is not None, arm.by, arm.keep, arm.never_drop) == (True, None, None, {})
    other = resolve(override(recipe.model_dump(), {"prune.by": "even", "prune.never_drop": {}, "prune.keep": 4}))
    assert (other.prune.by, other.prune.keep, other.prune.criterion) == ("even", 4, None)
    again = resolve(override(select_arm(recipe, "a").model_dump(), {"prune": {"by": "even", "keep": 0.5}}))
    assert (again.prune.layers, again.prune.keep) == (None, 0.5)


@pytest.mark.parametrize(
    ("arm", "change", "lost"),
    [
        ({"prune": {"layers": "alternating"}}, {"prune.layers": {"encoder": [0]}}, True),
        ({"prune": {"layers": {"encoder": [0]}}}, {"prune.layers": "alternating"}, True),
        ({"prune": {"layers": {"encoder": [0]}}}, {"prune.layers.decoder": [0]}, True),
        ({"prune.layers": "alternating"}, {"prune.plan": "p.json"}, True),
        ({"prune": {"by": "even", "keep": 2}}, {"prune.layers": "alternating"}, True),
        ({"prune": {"by": "even", "keep": {"encoder": 2}}}, {"prune.keep.encoder": 3}, True),
        ({"prune.layers": "alternating"}, {"prune": None}, True),
        ({"prune": None}, {"prune.layers": "alternating"}, False),
        ({"adapt": None}, {"adapt.rank": 4}, False),
        ({"train": {"epochs": 3}}, {"train.batch_size": 4}, False),
        ({"train.epochs": 3}, {"train": {"epochs": 4}}, True),
    ],
)
def test_a_change_that_an_arm_would_undo_is_refused(arm, change, lost):
    recipe = resolve(MINIMAL | {"prune": {}, "adapt": {}, "arms": {"a": arm}})
    with pytest.raises(RecipeError, match="which wins over the recipe's") if lost else nullcontext():
        check_changes(recipe, change)


@pytest.mark.parametrize("changes", [{"train.epochs": 4, "arms.a.train.epochs": 2}, {"train.epochs": 3}])
def test_a_change_that_loses_nothing_is_taken(changes):
    values = override(MINIMAL | {"arms": {"a": {"train.epochs": 3}, "b": {}}}, changes)
    check_changes(resolve(values), changes)


def test_what_nobody_said_is_by_the_arms_own_default():
    """Also where the arm changes the method or the task, and however it is asked for."""
    values = MINIMAL | {"adapt": {"rank": 2}, "arms": {"a": {"adapt.method": "bottleneck"}, "b": {"adapt": {"method": "ia3"}}}}
    assert [select_arm(resolve(values), name).adapt.target for name in "ab"] == [
        "outputs",
        resolve(MINIMAL | {"adapt": {"method": "ia3"}}).adapt.target,
    ]
    assert change_recipe(values, {"adapt.method": "bottleneck"}, arm="b").adapt.target == "outputs"
    python = Recipe(base="x", data={"path": "y"}, adapt=Ia3Settings(method="ia3"), arms={"a": {"train.epochs": 3}})
    assert select_arm(python, "a").adapt == python.adapt
    named = {"base": "x", "data": {"name": "glue/sst2"}, "arms": {"a": {}}}
    changes = {"data.name": "glue/mrpc"}
    alone, among = change_recipe(named, changes, arm="a"), select_arm(change_recipe(named, changes), "a")
    assert (
        (alone.train.best_metric, alone.evaluate.metrics)
        == (among.train.best_metric, among.evaluate.metrics)
        == ("f1", ["classification", "f1"])
    )


@pytest.mark.parametrize("arm", [{"prune.layers": "alternating"}, {"prune": {"layers": {"encoder": [0], "decoder": [1]}}}])
def test_an_arms_plan_takes_the_place_of_its_layers(arm):
    values = MINIMAL | {"prune": {"plan": "base.json"}, "arms": {"a": arm}}
    assert select_arm(resolve(values), "a").prune.plan is None
    changed = resolve(override(values, {"arms.a.prune.plan": "p.json"}))
    assert (select_arm(changed, "a").prune.layers, select_arm(changed, "a").prune.plan) == (None, "p.json")


def test_one_stacks_layers_of_an_arm_leave_the_others():
    values = MINIMAL | {"prune": {}, "arms": {"a": {"prune.layers": {"encoder": [0], "decoder": [1]}}}}
    changed = resolve(override(values, {"arms.a.prune.layers.encoder": [2]}))
    assert select_arm(changed, "a").prune.layers == {"encoder": [2], "decoder": [1]}


def test_a_key_that_is_no_text_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"unknown key data\.1"):
        resolve(override(MINIMAL, {"data": {1: 2}}))


def test_both_a_plan_and_layers_are_refused_in_plain_words():
    with pytest.raises(RecipeError, match=r"^recipe: prune: give one of prune\.layers, prune\.plan; the others are null") as raised:
        resolve(MINIMAL | {"prune": {"plan": "p.json", "layers": "alternating"}})
    assert "Value error" not in str(raised.value)


def test_a_line_of_an_arm_that_is_not_there_is_an_error():
    with pytest.raises(RecipeError, match=r"no arm 'ful' to change\. Did you mean full\?"):
        override(MINIMAL | {"arms": {"full": {}}}, {"arms.ful.train.epochs": 3})
    assert override(MINIMAL, {"arms.full": {"adapt": None}})["arms"] == {"full": {"adapt": None}}


def test_an_arm_is_the_recipe_with_some_lines_changed():
    recipe = resolve(MINIMAL | {"adapt": {"rank": 4}, "arms": {"full": {"adapt": None, "train.learning_rate": 5e-5}}})
    arm = select_arm(recipe, "full")
    assert arm.adapt is None
    assert arm.train.learning_rate == 5e-5
    assert arm.arms == {}
    with pytest.raises(RecipeError, match="no arm 'fool': the arms are full"):
        select_arm(recipe, "fool")


def test_recipe_to_yaml_to_recipe(values):
    recipe = resolve(values)
    assert resolve(yaml.safe_load(write_yaml(recipe))) == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match="no recipe"):
        read_recipe(tmp_path / "none.yaml")
    path = tmp_path / "bad.yaml"
    for text, message in (
        ("a: [", "is no YAML"),
        ("a: 2024-02-30", "is no YAML"),
        ("- 1", "must be a mapping"),
        ("", "must be a mapping"),
    ):
        path.write_text(text)
        with pytest.raises(RecipeError, match=message):
            read_recipe(path)


@pytest.mark.parametrize("argument", ["train.epochs", "=3"])
def test_an_override_needs_a_key_and_a_value(argument):
    with pytest.raises(RecipeError, match="key=value"):
        parse_changes([argument])


def test_a_colon_without_a_blank_is_said():
    with pytest.raises(RecipeError, match=r"YAML wants a blank behind a colon: \{train: 10\}"):
        parse_changes(["data.limit={train:10}"])


@pytest.mark.parametrize("argument", ["data.path=2024-02-30", "arms={"])
def test_an_override_is_yaml(argument):
    with pytest.raises(RecipeError, match="the value is no YAML"):
        parse_changes([argument])


def test_a_recipe_that_extends_another_is_that_with_lines_changed_and_arms_added(tmp_path):
    (tmp_path / "first.yaml").write_text(
        "base: pareft-mini\ndata: {path: x}\ntrain: {epochs: 3, batch_size: 4}\narms: {full: {}, lora: {adapt: {rank: 4}}}\n"
    )
    own = tmp_path / "own.yaml"
    own.write_text(
        "extends: first.yaml\ntrain: {epochs: 9}\narms.lora.adapt.rank: 2\narms.new.train.epochs: 1\narms: {new: {adapt: {}}}\n"
    )
    recipe = read_recipe(own)
    assert (recipe.train.epochs, recipe.train.batch_size) == (9, 4)
    assert list(recipe.arms) == ["full", "lora", "new"]
    assert (select_arm(recipe, "lora").adapt.rank, select_arm(recipe, "new").train.epochs) == (2, 1)
    for text, message in (
        ("extends: own.yaml", "extends itself"),
        ("extends: [first.yaml]", "give the path of one recipe"),
        ("extends: none.yaml", "no recipe .*none.yaml, which .*own.yaml extends"),
        ("extends: first.yaml\narms: [lora]", "arms"),
        ("extends: first.yaml\narms.lroa.seed: 1", "no arm 'lroa'"),
    ):
        own.write_text(text)
        with pytest.raises(RecipeError, match=message):
            read_recipe(own)
