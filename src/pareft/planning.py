"""Plans by every rule and criterion, as a user asks for them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from pareft.budgeting import plan_within
from pareft.calibrating import CRITERIA, NEED_NOTHING, Calibration, choose_by, limit, limit_family, name_how
from pareft.errors import PlanError, RecipeError, suggest
from pareft.models.checkpoint import Base, open_base
from pareft.models.plan import PruningPlan
from pareft.planner.amounts import read_budgets
from pareft.planner.arms import open_arm
from pareft.progress import SILENT, Progress
from pareft.pruning import Layers, Rule, Units
from pareft.pruning import plan as plan_by_rule
from pareft.pruning.choosing import TOTAL, Keep
from pareft.pruning.depth import RULES
from pareft.readying import prepare
from pareft.recipe import Recipe
from pareft.recipe_file import take_recipe
from pareft.records import PlanningRecord
from pareft.settings import PruneSettings
from pareft.tasking import check_texts

EXAMPLES: int = PruneSettings.model_fields["examples"].default


def plan(
    base: str | Path | Base,
    *,
    by: str | None = None,
    keep: Keep | None = None,
    layers: Layers | None = None,
    heads: Units | None = None,
    neurons: Units | None = None,
    never_drop: Mapping[str, Sequence[int]] | None = None,
    least: int = 1,
    symmetric: bool = False,
    data: Recipe | str | Path | None = None,
    examples: int = EXAMPLES,
    budget: Mapping[str, str] | None = None,
    revision: str | None = None,
    weights: bool = True,
) -> PruningPlan:
    """Plan what of a base stays; all numbers are 0-based and the base's own.

    Args:
        base: `pareft-mini`, a folder, or a name on the Hub.
        by: a rule for the layers, or a criterion; the paper's rule, `alternating`, by default, and within a budget `auto`,
            which is `influence` (docs/choosing.md). Where `layers`, `heads` or `neurons` are given none is asked, and what is
            not named is kept whole.
        keep: how many layers of every stack stay, for a rule or criterion that does not say so itself: a number, a part up to 1.0,
            or one of these for each stack, others staying whole; for a criterion also `{"total": n}` of all stacks together.
        layers: the kept layers of each stack; for a model with one stack, a list does.
        heads: the kept heads (key-value groups under GQA) by `stack.attention` and layer: `{"decoder.cross": {3: [0, 2]}}`.
        neurons: the kept feed-forward neurons by stack and layer: `{"encoder": {0: range(1024)}}`.
        never_drop: layers that a criterion leaves, by stack; -1 is the last.
        least: of a total, how many layers of each stack stay at least.
        symmetric: of a total, as many layers of each stack.
        data: a recipe, or the file of one, of whose training split a criterion sees `examples`.
        examples: how many, evenly from the split.
        budget: in the place of `keep`, what the recipe in `data` may take with the plan: `{"memory": "8GB", "step_time": "60%",
            "latency": "0.5s", "parameters": "300M"}`, some of them, each absolute or in % of what it takes unpruned.
        revision: the Hub's.
        weights: whether the plan is to know the base's weights, and fit no others; without, only its config is read. A criterion
            looks at weights.

    Raises:
        PlanError: a layer, head or neuron out of range, nothing left of a stack, no such stack, layers that could not run; a
            criterion without the data that it needs; a budget that no plan is within.
        MeasurementError: a budget is of what could not be measured here.
        ModelError: the base is not there, is damaged, or of no family that can be pruned.
    """
    by = name_how(by, budgeted=budget is not None)
    if budget is not None:
        if any(given is not None for given in (keep, layers, heads, neurons)):
            raise PlanError("a budget says how much stays, and so do keep, layers, heads and neurons; give one of them")
        asked: dict[str, Any] = {"never_drop": never_drop, "least": least, "symmetric": symmetric, "revision": revision}
        return choose_within(base, budget, by=by, data=data, examples=examples, **asked)[0]
    told = layers is not None or heads is not None or neurons is not None
    if by in CRITERIA and told:
        raise PlanError(f"by {by} chooses layers, and layers, heads or neurons say themselves what stays; give one of both")
    if by in CRITERIA:
        return choose_layers(
            base,
            by=by,
            keep=keep,
            data=data,
            examples=examples,
            never_drop=never_drop,
            least=least,
            symmetric=symmetric,
            revision=revision,
        )[0]
    if by not in get_args(Rule):
        known = [*get_args(Rule), *CRITERIA, "auto"]
        raise PlanError(f"no rule or criterion {by!r}.{suggest(by, known)} There is {', '.join(known)}")
    if never_drop or least != 1 or symmetric or data is not None or examples != EXAMPLES:
        raise PlanError(
            f"never_drop, least, symmetric, data and examples are for criteria ({', '.join(CRITERIA)}), and {by} is none"
        )
    rule: Any = by
    return plan_by_rule(base, by=rule, keep=keep, layers=layers, heads=heads, neurons=neurons, revision=revision, weights=weights)


def choose_layers(
    base: str | Path | Base,
    *,
    by: str,
    keep: Keep | None,
    data: Recipe | str | Path | None = None,
    examples: int = EXAMPLES,
    never_drop: Mapping[str, Sequence[int]] | None = None,
    least: int = 1,
    symmetric: bool = False,
    revision: str | None = None,
    progress: Progress = SILENT,
) -> tuple[PruningPlan, PlanningRecord]:
    """The plan of a criterion, and what it found. The arguments are those of `plan`.

    Raises:
        PlanError, ModelError, RecipeError, DataError: as `plan`, and what is wrong with the recipe or its data; before anything is
            loaded.
    """
    source = base if isinstance(base, Base) else open_base(str(base), revision=revision)
    if keep is None:
        raise PlanError(f"{by} keeps as many layers as it is told to: keep=8, {{'encoder': 10, 'decoder': 6}} or {{'total': 16}}")
    asked = {"by": by, "keep": keep, "examples": examples, "least": least, "symmetric": symmetric}
    settings = _read(asked | {"never_drop": {stack: list(layers) for stack, layers in (never_drop or {}).items()}})
    assert settings.criterion
    limits, whole = limit(source, settings), plan_by_rule(source, by="everything")
    if data is None:
        if by not in NEED_NOTHING:
            raise PlanError(f"{by} looks at examples: give a recipe whose training split they are of (data=, or --data RECIPE)")
        return choose_by(settings.criterion, Calibration(source, whole, limits, examples), progress)
    plain: dict[str, Any] = {"prune": None, "distill": None, "arms": {}}
    recipe = take_recipe(data).model_copy(update={"base": source.name, "revision": source.revision, **plain})
    prepared = prepare(_without_adapter(recipe))
    check_texts(by, prepared.task)
    split = prepared.splits["train"]
    given = Calibration(source, whole, limits, examples, prepared.recipe, prepared.tokenizer, split, prepared.precision)
    return choose_by(settings.criterion, given, progress)


def choose_within(
    base: str | Path | Base,
    budget: Mapping[str, str],
    *,
    by: str,
    data: Recipe | str | Path | None,
    examples: int = EXAMPLES,
    never_drop: Mapping[str, Sequence[int]] | None = None,
    least: int = 1,
    symmetric: bool = False,
    revision: str | None = None,
    progress: Progress = SILENT,
) -> tuple[PruningPlan, PlanningRecord]:
    """The plan of least loss within a budget, and what was tried. The arguments are those of `plan`; `data` is the recipe that is
    to be within the budget, and of whose training split the examples are.

    Raises:
        PlanError, ModelError, RecipeError, DataError: as `plan`, before anything is loaded; a budget that no plan is within, before
            the base is.
        MeasurementError: as `plan`.
    """
    budgets = read_budgets(budget)
    _read({"by": "influence", "keep": 1, "examples": examples, "never_drop": {k: list(v) for k, v in (never_drop or {}).items()}})
    if by not in RULES and (by not in CRITERIA or by == "greedy"):
        known = [*RULES, *(name for name in CRITERIA if name != "greedy")]
        raise PlanError(f"by {by!r} does not choose among numbers of layers; within a budget, give one of {', '.join(known)}")
    if by in RULES and never_drop:
        raise PlanError(f"never_drop is for criteria, and {by} is a rule")
    if data is None:
        raise PlanError("a budget is of what a recipe takes: give one (data=, or --data RECIPE)")
    source = base if isinstance(base, Base) else open_base(str(base), revision=revision)
    whole = plan_by_rule(source, by="everything")
    limits = limit_family(source, {TOTAL: sum(whole.depths.values())}, never_drop=never_drop or {}, least=least, symmetric=False)
    plain: dict[str, Any] = {"base": source.name, "revision": source.revision, "prune": None, "distill": None, "arms": {}}
    recipe = take_recipe(data).model_copy(update=plain)
    prepared = prepare(_without_adapter(recipe))
    if prepared.task != "generation":
        raise RecipeError(
            f"a budget ranks plans by a loss of texts, and data.task is {prepared.task}; say how many layers, with keep"
        )
    limits, split = replace(limits, symmetric=symmetric), prepared.splits["train"]
    given = Calibration(source, whole, limits, examples, prepared.recipe, prepared.tokenizer, split, prepared.precision)
    return plan_within(budgets, by, given, open_arm("", recipe), progress=progress)


def _without_adapter(recipe: Recipe) -> Recipe:
    """A recipe of the base alone, of which nothing is frozen."""
    return take_recipe(recipe, {"adapt": None, "train.cache_frozen_prefix": False})


def _read(asked: Mapping[str, Any]) -> PruneSettings:
    try:
        return PruneSettings.model_validate(asked)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("constrained", "dict", "int", "float")))
        raise PlanError(f"{place or 'plan'}: {first['msg'].removeprefix('Value error, ')} (got {first['input']!r})") from error
