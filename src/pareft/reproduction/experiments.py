"""The paper's experiments as recipes: which a table needs, with whose bases and data, and whether all of it is there."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pareft.data.prepared import SPLIT_NAMES
from pareft.errors import PareftError, RecipeError, RunError
from pareft.evaluation.metrics import describe_scorers
from pareft.models.checkpoint import load_tokenizer, open_base
from pareft.models.families import find_family
from pareft.models.weights import list_tensors
from pareft.readying import check_writes
from pareft.recipe import Recipe, select_arm
from pareft.recipe_file import read_recipe
from pareft.reproduction.paper import TABLES
from pareft.run_folder import check_folder
from pareft.runtime import choose_precision
from pareft.settings import METRIC_OF
from pareft.tuning.trackers import check_trackers

Side = Literal["bart", "t5"]
NOT_FOR_ALL = {"arms", "base", "revision", "data", "data.path", "data.train", "data.validation", "data.test"}
HOW_PREPARED = {
    "discharge": "pareft prepare mimic --notes FOLDER --out {home} --rules paper",
    "radiology": "pareft prepare mimic --notes FOLDER --out {home} --rules paper",
    "healthcaremagic": "pareft prepare dialogue HealthCareMagic-200k.json --out {home}/healthcaremagic",
    "icliniq": "pareft prepare dialogue icliniq-15k.json --out {home}/icliniq",
}


def split_name(recipe: str) -> tuple[str, Side]:
    """`discharge-t5` → its data set and whose half of the table it is."""
    data, _, side = recipe.partition("-")
    return data, side  # type: ignore[return-value]


def read_experiment(
    name: str, arms: Iterable[str], changes: Mapping[str, Any], *, data: Path, bases: Mapping[Side, str | None]
) -> Recipe:
    """A recipe of `assets/paper` with some of its arms, its data in the folder `data`, and another base if one is given.

    Raises:
        RecipeError: a change that `read_recipe` refuses.
    """
    kind, side = split_name(name)
    if named := sorted(NOT_FOR_ALL & {*changes}):
        raise RecipeError(f"{named[0]} is another for every recipe of the table; --bart, --t5 and --data name bases and data")
    own = {"data.path": str(data / kind), **({"base": bases[side]} if bases.get(side) else {}), **changes}
    recipe = read_recipe(Path(str(files("pareft") / "assets" / "paper" / f"{name}.yaml")), own)
    return recipe.model_copy(update={"arms": {arm: recipe.arms[arm] for arm in arms}})


def list_tables(name: str) -> list[str]:
    """`table4a` alone, or `all`.

    Raises:
        RecipeError: no such table.
    """
    if name != "all" and name not in TABLES:
        raise RecipeError(f"no table {name!r} to reproduce; there is {', '.join(TABLES)} and all")
    return list(TABLES) if name == "all" else [name]


def check_ready(experiments: Mapping[str, Recipe], out: Path) -> None:
    """Raise `RunError` with everything that is missing or in the way, before any of it is run: data, bases, models that score, and
    folders of other recipes. Weights are looked for last, as they may have to be fetched.
    """
    found: dict[str, None] = {}
    for check in (_check_data, _check_settings, _check_scorers, partial(_check_folders, out=out)):
        for name, recipe in experiments.items():
            found |= dict.fromkeys(check(name, recipe))
    if not found:
        for name, recipe in experiments.items():
            found |= dict.fromkeys(_check_weights(name, recipe))
    if found:
        raise RunError("; ".join(found))


def _check_data(name: str, recipe: Recipe) -> Iterator[str]:
    folder = Path(recipe.data.path or "")
    if lost := [split for split in SPLIT_NAMES if not (folder / f"{split}.parquet").is_file()]:
        how = HOW_PREPARED[split_name(name)[0]].format(home=folder.parent)
        yield f"{folder} has no {lost[0]}.parquet (make it: {how})"


def _check_settings(name: str, recipe: Recipe) -> Iterator[str]:
    def look() -> None:
        base = open_base(recipe.base, revision=recipe.revision)
        check_writes(base, "a table's recipe trains")
        choose_precision(recipe.train.precision, half_precision=find_family(base.config).half_precision)
        check_trackers(recipe.train.report_to)
        load_tokenizer(base)

    yield from _list_problems(look)


def _check_scorers(name: str, recipe: Recipe) -> Iterator[str]:
    for metric in dict.fromkeys([*recipe.evaluate.metrics, METRIC_OF[recipe.train.best_metric]]):
        yield from _list_problems(partial(describe_scorers, [metric], recipe.evaluate))


def _check_folders(name: str, recipe: Recipe, *, out: Path) -> Iterator[str]:
    for arm in recipe.arms:
        yield from _list_problems(partial(check_folder, out / name / arm, select_arm(recipe, arm)))


def _check_weights(name: str, recipe: Recipe) -> Iterator[str]:
    yield from _list_problems(lambda: list_tensors(open_base(recipe.base, revision=recipe.revision)))


def _list_problems(look: Callable[[], object]) -> Iterator[str]:
    try:
        look()
    except PareftError as error:
        yield str(error)
