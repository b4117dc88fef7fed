"""Equal what? Every arm gets as much time, or as many operations, as the first one, in place of the recipe's steps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from pareft.errors import RunError
from pareft.lightening import lighten
from pareft.models.structure import build_on_meta
from pareft.operations import build_counted, count_operations
from pareft.readying import Prepared, build_trained, encode_split, prepare
from pareft.recipe import Recipe, select_arm
from pareft.records import BudgetRecord, EfficiencyRecord, Equal
from pareft.tuning.prefix.ending import find_prefix
from pareft.tuning.training import plan_steps

SAMPLE = 256  # examples whose operations are counted


def share_out(recipe: Recipe, equal: Equal, efficiency: EfficiencyRecord | None, *, plans: Path | None = None) -> BudgetRecord:
    """How many steps every arm of a recipe gets. `efficiency`: of these arms, for equal time; `plans`: where those of criteria are
    kept.

    Raises:
        RunError: equal time, and nothing was measured.
    """
    arms = {name: select_arm(recipe, name) for name in recipe.arms}
    prepared = {name: lighten(prepare(arm, plans=plans), plans) for name, arm in arms.items()}
    planned = {name: found.steps for name, found in prepared.items()}
    if equal == "time":
        if efficiency is None:
            raise RunError("equal time is shared out by measured steps, and this recipe measures none (measure: null)")
        costs = {name: efficiency.arms[name].median_step_seconds * arm.train.accumulation for name, arm in arms.items()}
    else:
        costs = {name: _count(found) for name, found in prepared.items()}
    first = next(iter(arms))
    whole = planned[first] * costs[first]
    steps = {name: max(1, round(whole / costs[name])) for name in arms}
    return BudgetRecord(equal=equal, steps=steps, planned=planned, costs=costs)


def stretch(recipe: Recipe, budget: BudgetRecord) -> Recipe:
    """A recipe whose arms take the steps of a budget: warm-up and the time between evaluations grow with them."""
    arms = {}
    for name, changes in recipe.arms.items():
        arm = select_arm(recipe, name)
        arms[name] = {**changes, **_stretch(arm, budget.steps[name], budget.steps[name] / budget.planned[name])}
    return recipe.model_copy(update={"arms": arms})


def _stretch(arm: Recipe, steps: int, times: float) -> Mapping[str, Any]:
    return {
        "train.max_steps": steps,
        "train.warmup_steps": round(arm.train.warmup_steps * times),
        "train.evaluate_every": round(arm.train.evaluate_every * times, 6),
    }


def _count(prepared: Prepared) -> float:
    """Operations of an arm's training step, by the lengths of some of its examples, which are those of all its arms. A teacher's
    are those of the unpruned base's forward pass, in every epoch or, with a cache, in one; so are those of a cached frozen prefix.
    """
    train, examples = prepared.recipe.train, encode_split(prepared, "train", limit=SAMPLE)
    pairs = _list_lengths(examples)
    model = build_trained(prepared, build_on_meta(prepared.base.config, prepared.plan))
    counted, distill = count_operations(model, [pairs])[0], prepared.recipe.distill
    of_epoch, _ = plan_steps(train, prepared.splits["train"].height)
    once = min(1.0, of_epoch / prepared.steps)  # of all steps, those of the first epoch
    if distill and distill.listens:
        whole = prepared.recipe.model_copy(update={"prune": None, "adapt": None})
        counted += (once if distill.cache else 1.0) * count_operations(build_counted(whole), [pairs], backward=False)[0]
    if train.cache_frozen_prefix:
        counted -= (1 - once) * _count_prefix(model, pairs)
    return counted / len(examples) * train.batch_size * train.accumulation


def _count_prefix(model: Any, pairs: Sequence[tuple[int, int]]) -> float:
    """Forward operations of a model's frozen prefix, which is taken out of it."""
    prefix, whole = find_prefix(model), count_operations(model, [pairs], backward=False)[0]
    for entry in filter(None, (prefix.encoder, prefix.decoder)):
        del entry.layers[: entry.first]
    made = sum(2 * linear.in_features * linear.out_features for linear in prefix.projections)
    return whole - count_operations(model, [pairs], backward=False)[0] + made * sum(source for source, _ in pairs)


def _list_lengths(examples: Dataset) -> list[tuple[int, int]]:
    """The tokens of every source and its target, 0 of one that is no text; of options, of each."""
    sources = examples["input_ids"]
    if isinstance(sources[0][0], list):
        return [(len(option), 0) for options in sources for option in options]
    targets = examples["labels"] if "labels" in examples.column_names else [0] * len(sources)
    return [(len(source), len(target) if isinstance(target, list) else 0) for source, target in zip(sources, targets, strict=True)]
