"""A recipe: its parts, checked key by key and value by value, its arms, and lines of it that are changed. No files and no torch in
here; the parts with their defaults are in `settings`.
"""

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from pareft.adapter_settings import AdapterSettings, BottleneckSettings, DistillSettings, Ia3Settings, LightSettings, LoraSettings
from pareft.errors import RecipeError, suggest
from pareft.named_tasks import NAMED_TASKS
from pareft.settings import CHOICES, DataSettings, EvaluateSettings, MeasureSettings, PruneSettings, Settings, TrainSettings

OF_BY: dict[str, Any] = {
    "keep": None,
    "never_drop": {},
    "least": 1,
    "symmetric": False,
}  # lines that only go with prune.by, when they say nothing
PARTS = ("data", "prune", "adapt", "light", "distill", "train", "evaluate", "measure")
METHOD = "lora"  # of an adapter for which none is named
ADAPTERS = {name: model for model in (LoraSettings, Ia3Settings, BottleneckSettings) for name in model.list_methods()}
ARM_NAME = r"[A-Za-z0-9][A-Za-z0-9_.+ -]*"


class Recipe(Settings):
    """One run, or with `arms` the comparison of several: each arm is the recipe with some lines changed."""

    base: str
    revision: str | None = None
    seed: int = Field(42, ge=0, lt=2**32)
    data: DataSettings
    prune: PruneSettings | None = None
    adapt: Annotated[LoraSettings | Ia3Settings | BottleneckSettings, Field(discriminator="method")] | None = None
    light: LightSettings | None = None
    distill: DistillSettings | None = None
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    measure: MeasureSettings | None = MeasureSettings()
    arms: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _follow_name(cls, values: Any) -> Any:
        """A named task is scored as it is scored officially, unless the recipe says otherwise."""
        data = values.get("data") if isinstance(values, Mapping) else None
        name = data.get("name") if isinstance(data, Mapping) else None
        if not isinstance(data, Mapping) or name is None:
            return values
        named = NAMED_TASKS.get(name)
        if named is None:
            raise ValueError(f"data.name: no task {name!r}.{suggest(str(name), NAMED_TASKS)} There is {', '.join(NAMED_TASKS)}")
        task = data.get("task") or named.task
        more = {"unanswerable": True} if named.unanswerable and task == named.task else {}
        return {
            **values,
            "data": {**more, **data, "task": task},
            "train": {"best_metric": named.best, **(values.get("train") or {})},
            "evaluate": {"metrics": list(named.metrics), **(values.get("evaluate") or {})},
        }

    @field_validator("adapt", mode="before")
    @classmethod
    def _name_method(cls, values: Any) -> Any:
        return {"method": METHOD, **values} if isinstance(values, Mapping) else values


def resolve(values: Mapping[str, Any]) -> Recipe:
    """Check every key and value, in the arms too, and fill in the defaults.

    Raises:
        RecipeError: names the key, its place, what is allowed and, for an unknown key, the nearest known one.
    """
    _check_keys(values, Recipe, "")
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"recipe: {'; or '.join(_describe(single) for single in error.errors())}") from error
    for name in recipe.arms:
        if not re.fullmatch(ARM_NAME, name) or name == "untouched":
            raise RecipeError(
                f"recipe: arms: {name!r} cannot be an arm's name, which is also its folder's; use letters, digits and _ . + - "
                "(untouched is the base as it is)"
            )
        select_arm(recipe, name)
    return recipe


def _describe(error: ErrorDetails) -> str:
    """One of pydantic's errors in a line; a value with several allowed forms has one for each form."""
    place = ".".join(
        str(part)
        for before, part in zip(("", *error["loc"]), error["loc"], strict=False)
        if not str(part).startswith(("literal[", "dict[", "list[", "constrained-")) and not (before == "adapt" and part in ADAPTERS)
    )
    said = error["msg"].removeprefix("Value error, ")
    return f"{place}: {said} (got {error['input']!r})" if place else said


def list_said(recipe: Recipe) -> dict[str, Any]:
    """The values that a recipe was given, nested, without defaults: where an arm changes the method or the task, its own apply."""
    said = recipe.model_dump(exclude_unset=True)
    return said | ({"adapt": {"method": recipe.adapt.method, **said["adapt"]}} if recipe.adapt else {})


def select_arm(recipe: Recipe, name: str) -> Recipe:
    """The recipe of one arm, with no arms of its own."""
    if name not in recipe.arms:
        raise RecipeError(f"no arm {name!r}: the arms are {', '.join(recipe.arms) or 'none'}")
    said = {line: value for line, value in list_said(recipe).items() if line != "arms"}
    try:
        return resolve(override(said, recipe.arms[name]))
    except RecipeError as error:
        raise RecipeError(f"arm {name!r}: {error}") from error


def override(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested `values` with some lines changed: `{"train.epochs": 3}` or `{"train": {"epochs": 3}}`, which is the same.

    A part that was null begins empty, and a line that excludes another (`prune.plan` and `prune.layers`) takes its place.

    Raises:
        RecipeError: a line of an arm that is not there.
    """
    changed = dict(values)
    named = {_as_line(line) for line in list_lines(changes)}
    ordered = sorted(changes.items(), key=lambda change: change[0] != "adapt.method")  # which drops lines that it has not
    for key, value in ((str(key), value) for key, value in ordered):
        head, _, rest = key.partition(".")
        if rest and head == "arms" and "." in rest:
            arm, _, inner = rest.partition(".")
            arms = dict(changed.get("arms") or {})
            if arm not in arms:
                raise RecipeError(f"recipe: no arm {arm!r} to change.{suggest(arm, arms)} The arms are {', '.join(arms) or 'none'}")
            changed["arms"] = arms | {arm: {**_without_other(arms[arm] or {}, inner), inner: value}}
        elif rest:
            part = changed.get(head)
            there = part if isinstance(part, Mapping) else {}
            changed[head] = override(_without_method(there, {rest: value}) if head == "adapt" else there, {rest: value})
        elif key in PARTS and isinstance(value, Mapping) and isinstance(changed.get(key), Mapping):
            changed[key] = override(_without_method(changed[key], value) if key == "adapt" else changed[key], value)
        else:
            changed[key] = value
    prune = changed.get("prune")
    if isinstance(prune, Mapping):
        for one in CHOICES:
            if f"prune.{one}" in named and prune.get(one) is not None:
                gone = dict.fromkeys((other for other in CHOICES if other != one), None) | ({} if one == "by" else OF_BY)
                prune = {**prune, **{line: value for line, value in gone.items() if f"prune.{line}" not in named}}
        changed["prune"] = prune
    return changed


def _as_line(line: str) -> str:
    """A line of the recipe: the layers of a stack are part of one, and so are how many of it stay."""
    whole = next((f"prune.{name}" for name in ("layers", "keep", "never_drop") if line.startswith(f"prune.{name}.")), None)
    return whole or line


def _as_choice(line: str) -> str:
    """A line, whichever of those that exclude each other it is."""
    return "prune.layers" if _as_line(line) in {f"prune.{name}" for name in CHOICES} else _as_line(line)


def _overlap(line: str, other: str) -> bool:
    return line == other or line.startswith(f"{other}.") or other.startswith(f"{line}.")


def _without_method(adapt: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """An adapter's settings without those that one of another method has not."""
    there, wanted = (ADAPTERS.get(str(values.get("method", METHOD))) for values in (adapt, {**adapt, **changes}))
    return dict(adapt) if there == wanted else {key: value for key, value in adapt.items() if key in AdapterSettings.model_fields}


def _without_other(arm: Mapping[str, Any], line: str) -> dict[str, Any]:
    """An arm without the lines whose place this one takes."""
    part, _, one = _as_line(line).partition(".")
    if part != "prune" or one not in CHOICES:
        return dict(arm)
    gone = {*CHOICES, *(() if one == "by" else OF_BY)} - {one}
    kept = {key: value for key, value in arm.items() if _as_line(key) not in {f"prune.{other}" for other in gone}}
    if isinstance(kept.get("prune"), Mapping):
        kept["prune"] = {key: value for key, value in kept["prune"].items() if key not in gone}
    return kept


def list_lines(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values as lines: `{"train": {"epochs": 3}}` and `{"train.epochs": 3}` are both `{"train.epochs": 3}`."""
    lines: dict[str, Any] = {}
    for key, value in values.items():
        lines |= list_lines(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return lines


def check_changes(recipe: Recipe, changes: Mapping[str, Any]) -> None:
    """Raise `RecipeError` if a change would be lost, because arms set that line, or what it is a part of, themselves. An arm that
    has no such part at all is meant so, and so is one whose line is named beside the change, or is what it would become.

    Args:
        recipe: with the changes made.
        changes: as they were asked for.
    """
    asked = list_lines(changes)
    for line, wanted in asked.items():
        for name, arm in recipe.arms.items():
            own = {key: value for key, value in list_lines(arm).items() if f"arms.{name}.{key}" not in asked}
            if any(
                _overlap(_as_choice(line), _as_choice(key))
                and (value is not None or _as_choice(key) == line)
                and (key, value) != (line, wanted)
                for key, value in own.items()
            ):
                raise RecipeError(f"{line} is set by arm {name!r} itself, which wins over the recipe's; change arms.{name}.{line}")


def _check_keys(values: object, model: type[BaseModel], place: str) -> None:
    if not isinstance(values, Mapping):
        raise RecipeError(
            f"recipe: {place.rstrip('.') or 'the file'} must be a mapping of {', '.join(model.model_fields)}, not {values!r}"
        )
    for key, value in values.items():
        if key not in model.model_fields:
            hint = suggest(str(key), model.model_fields, place)
            raise RecipeError(f"recipe: unknown key {place}{key}.{hint} Known here: {', '.join(model.model_fields)}")
        if value is not None:
            for inner in _choose(list(_models(model.model_fields[key].annotation)), value, f"{place}{key}"):
                _check_keys(value, inner, f"{place}{key}.")


def _choose(models: Sequence[type[BaseModel]], value: object, place: str) -> Sequence[type[BaseModel]]:
    """Of several models that a part may be of, the one that its method names.

    Raises:
        RecipeError: no such method.
    """
    if len(models) < 2 or not isinstance(value, Mapping):
        return models[:1]
    method = str(value.get("method", METHOD))
    if method not in ADAPTERS:
        raise RecipeError(f"recipe: {place}.method: no {method!r}.{suggest(method, ADAPTERS)} Known here: {', '.join(ADAPTERS)}")
    return [ADAPTERS[method]]


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if get_origin(annotation) is Annotated:
        yield from _models(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _models(part)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
