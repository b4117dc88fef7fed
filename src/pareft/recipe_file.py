"""Recipes on disk: YAML in, with `key=value` overrides from the command line; the resolved recipe out."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pareft.errors import RecipeError
from pareft.recipe import Recipe, list_said, override, resolve, select_arm


def read_recipe(path: Path, changes: Mapping[str, Any] | None = None, *, arm: str | None = None) -> Recipe:
    """Read a recipe and change lines of it; with `arm`, that arm's, whatever it sets itself. Relative data paths are seen from the
    working directory. One that `extends: FILE` (seen from its own folder) is that recipe with its lines changed and its arms added.

    Raises:
        RecipeError: no such file, no YAML, or what `resolve` refuses.
    """
    return change_recipe(_read_lines(path), changes or {}, arm=arm)


def _read_lines(path: Path, extended_by: tuple[Path, ...] = ()) -> dict[str, Any]:
    """What a file and those it extends say, unchecked."""
    whose = f", which {extended_by[-1]} extends" if extended_by else ""
    if not path.is_file():
        raise RecipeError(f"no recipe {path}{whose}; give the path of a YAML file, such as recipes/mts-dialog.yaml")
    if path.resolve() in map(Path.resolve, extended_by):
        raise RecipeError(f"{path} extends itself by way of {extended_by[-1]}; leave one extends out")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError) as error:  # no UTF-8, or a day that no month has
        raise RecipeError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, Mapping):
        raise RecipeError(f"{path} must be a mapping with at least base and data")
    own = dict(values)
    place = own.pop("extends", None)
    if place is None:
        return own
    if not isinstance(place, str):
        raise RecipeError(f"{path}: extends is {place!r}; give the path of one recipe")
    there = _read_lines(path.parent / place, (*extended_by, path))
    arms, added = there.get("arms") or {}, own.get("arms") or {}
    if not (isinstance(arms, Mapping) and isinstance(added, Mapping)):
        return override(there, own)  # what is wrong with them is said where they are checked
    own.pop("arms", None)
    return override(there | {"arms": {**arms, **added}}, own)


def take_recipe(recipe: Recipe | str | Path, changes: Mapping[str, Any] | None = None, *, arm: str | None = None) -> Recipe:
    """A recipe, or the file of one, as `read_recipe` and `change_recipe`."""
    if isinstance(recipe, Recipe):
        return change_recipe(list_said(recipe), changes or {}, arm=arm)
    return read_recipe(Path(recipe), changes, arm=arm)


def change_recipe(values: Mapping[str, Any], changes: Mapping[str, Any], *, arm: str | None = None) -> Recipe:
    """The recipe of some values with lines changed; with `arm`, that arm's, which has no arms of its own.

    Raises:
        RecipeError: what `resolve` refuses.
    """
    if arm is None:
        return resolve(override(values, changes))
    for_arms = {key: value for key, value in changes.items() if key.partition(".")[0] == "arms"}
    own = {key: value for key, value in changes.items() if key not in for_arms}
    whole = override(values, for_arms)
    recipe = resolve(whole)
    select_arm(recipe, arm)  # what is wrong with the arm is said of the arm
    said = {key: value for key, value in whole.items() if key != "arms"}
    return resolve(override(override(said, recipe.arms[arm]), own))


def parse_changes(arguments: Iterable[str]) -> dict[str, Any]:
    """`["train.epochs=3", "prune=null"]` → `{"train.epochs": 3, "prune": None}`; values are YAML.

    Raises:
        RecipeError: an argument without "=".
    """
    changes = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not key:
            raise RecipeError(f"{argument!r} is no override; write key=value, such as train.epochs=3")
        try:
            changes[key.strip()] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:  # a day that no month has
            raise RecipeError(f"{argument!r}: the value is no YAML; put a text in quotes") from error
        found = changes[key.strip()]
        if isinstance(found, dict) and (joined := [name for name, value in found.items() if value is None and ":" in str(name)]):
            raise RecipeError(f"{argument!r}: YAML wants a blank behind a colon: {{{str(joined[0]).replace(':', ': ', 1)}}}")
    return changes


def write_yaml(recipe: Recipe) -> str:
    """The resolved recipe as YAML, every default written out."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
