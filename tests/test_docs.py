"""What the documents say is what the code does."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from pareft.data.sections import FIXES
from pareft.recipe import Recipe, check_changes, resolve, select_arm
from pareft.recipe_file import parse_changes, read_recipe
from pareft.settings import BestMetric, MetricName

ROOT = Path(__file__).parents[1]


def list_keys(model, prefix=""):
    for name, field in model.model_fields.items():
        nested = [part for part in list_parts(field.annotation) if isinstance(part, type) and issubclass(part, BaseModel)]
        for part in reversed(nested):  # of what two kinds have, the first's default counts
            yield from list_keys(part, f"{prefix}{name}.")
        if not nested:
            yield f"{prefix}{name}", field


def list_parts(annotation):
    inner = getattr(annotation, "__args__", ())
    return [annotation] if not inner else [part for one in inner for part in list_parts(one)]


def read_table():
    """Key → documented default."""
    documented = {}
    for line in (ROOT / "docs/recipes.md").read_text().splitlines():
        if line.startswith("| `"):
            keys, defaults = (re.findall(r"`([^`]*)`", cell) for cell in line.split("|")[1:3])
            defaults = defaults or [line.split("|")[2].strip()] * len(keys)
            documented |= dict(zip(keys, defaults * len(keys) if len(defaults) == 1 else defaults, strict=False))
    return documented


def test_every_key_of_a_recipe_is_documented_with_its_default():
    documented = read_table()
    keys = dict(list_keys(Recipe))
    assert set(documented) == set(keys)
    for key, field in keys.items():
        said = documented[key]
        if said == "required":
            assert field.is_required()
        elif said != "empty":
            assert yaml.safe_load(said) == field.get_default(call_default_factory=True), key


def test_every_metric_is_named():
    text = (ROOT / "docs/recipes.md").read_text()
    metrics, best = (
        next(line for line in text.splitlines() if f"`{key}`" in line) for key in ("evaluate.metrics", "train.best_metric")
    )
    assert all(f"`{name}`" in metrics for name in list_names(MetricName))
    assert all(f"`{name}`" in best for name in list_names(BestMetric) if not name.startswith("rouge"))


def list_names(literal):
    return [name for part in get_args(literal) for name in (list_names(part) if get_args(part) else [part])]


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/**/*.yaml")), ids=lambda path: path.name)
def test_recipes_resolve_and_say_what_they_cost(path):
    recipe = read_recipe(path)
    assert recipe.arms
    head = path.read_text().split("base:")[0]
    for word in ("command", "hardware", "time", "expected"):
        assert word in head, word


def list_commands(head):
    """The changes of every `pareft compare` of a recipe's head; `…` stands for what the first says."""
    lines, commands = [line[1:] for line in head.splitlines() if line.startswith("#")], []
    for line in lines:
        if re.search(r"pareft compare recipes/|  … ", line):
            commands.append(re.split(r"pareft compare recipes/\S+|  … ", line)[1])
        elif commands and re.match(r" {12,}\S+=", line):
            commands[-1] += f" {line}"
        else:
            commands += [""]
    said = [re.findall(r"(?<!\S)([\w.+-]+=)('[^']*'|\S+)", command) for command in commands]
    return [[key + value.strip("':") for key, value in changes] for changes in said if changes]


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/**/*.yaml")), ids=lambda path: path.name)
def test_the_commands_of_a_recipe_are_taken(path):
    """No change that a head names would be lost."""
    commands = list_commands(path.read_text().split("\nbase:")[0])
    for changes in [[], *commands]:
        asked = parse_changes(changes)
        recipe = read_recipe(path, asked)
        check_changes(recipe, asked)
    assert commands or "data.path=" not in path.read_text().split("\nbase:")[0]


def test_the_readmes_tree_is_the_tree():
    readme = (ROOT / "README.md").read_text()
    for path in (ROOT / "src/pareft").rglob("*.py"):
        if path.name not in ("__init__.py", "__main__.py") and "data/synthetic" not in path.as_posix():
            assert path.name in readme, path


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))], ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", path.read_text()):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))], ids=lambda path: path.name)
def test_yaml_in_the_documents_is_valid(path):
    for block in re.findall(r"```yaml\n(.*?)```", path.read_text(), re.S):
        for part in [block] if "base:" in block else block.strip().splitlines():
            values = yaml.safe_load(part)
            resolve({"base": "x", "data": {"path": "y"}} | values)


def test_the_table_of_families_is_generated_from_the_rows():
    from pareft.report.families import write_families

    assert write_families() in (ROOT / "docs/families.md").read_text()


def test_every_fix_of_clean_has_its_name_in_the_docs_and_a_test():
    documented = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs/data.md").read_text(), re.M)
    assert documented == list(FIXES)
    tests = (ROOT / "tests/data/test_sections.py").read_text() + (ROOT / "tests/test_preparation.py").read_text()
    for name in FIXES:
        assert f"def test_{name.replace('-', '_')}" in tests, name


@pytest.mark.parametrize(
    "path", [ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("recipes/**/*.yaml")], ids=lambda path: path.name
)
def test_no_figure_is_left_to_fill_in(path):
    assert not re.search(r"\b(TIME|EXPECTED|TODO|[A-Z]+_(SPEED|TABLE))\b", path.read_text())


@pytest.mark.parametrize("name", ["sst2", "rte", "notes"])
def test_early_pruning_is_beside_what_it_says(name):
    recipe = read_recipe(ROOT / "recipes" / "light-peft" / f"{name}.yaml")
    arms = {arm: select_arm(recipe, arm) for arm in recipe.arms}
    assert next(iter(arms)) == "lora"
    assert {name for name, arm in arms.items() if arm.light is None} == {"lora", "depth"}
    assert {name for name, arm in arms.items() if arm.prune} == {"depth"}
    assert arms["random"].light.by == "random"
    steps = {name: (arm.train.max_steps or 0) + (arm.light.steps if arm.light else 0) for name, arm in arms.items()}
    assert steps.pop("longer") == pytest.approx(1.7 * steps["lora"], rel=0.01)
    assert len(set(steps.values())) == 1, steps
    assert arms["light"].light.steps == pytest.approx(0.15 * steps["light"], abs=1)


def test_polars_is_imported_where_interrupts_are_mended():
    sources = {path.name for path in (ROOT / "src").rglob("*.py") if re.search(r"^\s*(import|from) polars", path.read_text(), re.M)}
    assert sources == {"frames.py"}
