"""A grid: every combination of what a user wants forecast side by side."""

from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Any

import yaml

from pareft.errors import RecipeError, suggest
from pareft.models.families import find_family
from pareft.recipe import OF_BY, Recipe, override, resolve
from pareft.reproduction.counting import open_shape

Lines = dict[str, Any]


def _keep(text: str, recipe: Recipe) -> Lines:
    """`8`, or of each stack `10+6`, evenly spaced."""
    base = open_shape(recipe.base, revision=recipe.revision)
    depths = find_family(base.config).depths(base.config)
    counts = [_read_count("layers", part) for part in text.split("+")]
    if len(counts) not in (1, len(depths)):
        raise RecipeError(
            f"--grid layers={text}: {recipe.base} has {len(depths)} stacks; give a number for all, or {'+'.join('8' * len(depths))}"
        )
    keep = dict(zip(depths, counts * len(depths) if len(counts) == 1 else counts, strict=True))
    return {"prune": None if keep == depths else {**OF_BY, "by": "even", "keep": keep}}


def _change_rank(text: str, recipe: Recipe) -> Lines:
    """The rank; nothing, where nothing is adapted."""
    rank = _read_count("rank", text)
    return recipe.adapt.change_rank(rank) if recipe.adapt else {}


def _change_lengths(text: str, recipe: Recipe) -> Lines:
    source, slash, target = text.partition("/")
    if not slash:
        raise RecipeError(f"--grid lengths={text}: give SOURCE/TARGET in tokens, such as 512/128")
    return {"data.max_source_tokens": _read_count("lengths", source), "data.max_target_tokens": _read_count("lengths", target)}


def _line(key: str) -> Callable[[str, Recipe], Lines]:
    def read(text: str, recipe: Recipe) -> Lines:
        try:
            return {key: yaml.safe_load(text)}
        except (yaml.YAMLError, ValueError) as error:
            raise RecipeError(f"--grid: {text!r} is no value of {key}") from error

    return read


AXES: dict[str, Callable[[str, Recipe], Lines]] = {
    "layers": _keep,
    "rank": _change_rank,
    "batch": _line("train.batch_size"),
    "dtype": _line("train.precision"),
    "lengths": _change_lengths,
    "checkpointing": _line("train.gradient_checkpointing"),
    "beams": _line("evaluate.num_beams"),
}


def _read_count(axis: str, text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise RecipeError(f"--grid {axis}: {text!r} is no number; give whole numbers above 0 with commas, such as {axis}=8,16")
    return int(text)


def read_axes(texts: Iterable[str]) -> dict[str, list[str]]:
    """`["layers=12,8", "rank=8"]` → {"layers": ["12", "8"], "rank": ["8"]}.

    Raises:
        RecipeError: no axis of this name, one twice, or without values.
    """
    axes: dict[str, list[str]] = {}
    for text in texts:
        name, _, values = text.partition("=")
        found = [value.strip() for value in values.split(",") if value.strip()]
        if name not in AXES:
            raise RecipeError(f"--grid: no {name!r}.{suggest(name, AXES)} There is {', '.join(AXES)}")
        if name in axes or not found:
            raise RecipeError(f"--grid {text}: give {name} once, with values and commas between them, such as {name}=8,16")
        axes[name] = found
    return axes


def spread_out(recipes: Mapping[str, Recipe], axes: Mapping[str, list[str]]) -> dict[str, Recipe]:
    """Every recipe with every combination of values, by a name that says those that differ; what comes to the same, once.

    Raises:
        RecipeError: a value that is none.
    """
    found: dict[str, Recipe] = {}
    for name, recipe in recipes.items():
        for values in product(*axes.values()):
            said = dict(zip(axes, values, strict=True))
            changed, telling = recipe, [name] if name else []
            for axis, text in said.items():
                if lines := AXES[axis](text, changed):
                    changed = resolve(override(changed.model_dump(), lines))
                    telling += [f"{axis} {text}"] if len(axes[axis]) > 1 else []
            if changed not in found.values():
                found[", ".join(telling) or name] = changed
    return found
