"""Plans within budgets: how many layers of each stack stay, so that a recipe takes no more than it may, and which.

All numbers of layers that are within the budgets, and of which no stack could keep one more, are tried: the criterion or rule says
which layers stay, and the loss on the calibration examples, with the others gated off, which of these plans is best.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

from pareft.calibrating import CRITERIA, Calibration, check_numbers, record_choice
from pareft.errors import PlanError
from pareft.models.plan import PruningPlan
from pareft.models.surgery import check_plan
from pareft.planner.amounts import Budget, say_amount
from pareft.planner.arms import Arm
from pareft.planner.costs import Cost, Counts, count_layers, find_costs, forecast_counts
from pareft.progress import SILENT, Progress
from pareft.pruning.choosing import Kept, Limits, choose
from pareft.pruning.depth import RULES
from pareft.pruning.gates import gate
from pareft.pruning.scores import Scores
from pareft.pruning.searching import has_blocks
from pareft.records import BudgetLine, PlanningRecord, TriedRecord

Keeper = Callable[[Counts], Kept]


def plan_within(
    budgets: Sequence[Budget], by: str, given: Calibration, arm: Arm, *, progress: Progress = SILENT
) -> tuple[PruningPlan, PlanningRecord]:
    """The plan of least loss within budgets, and all that were tried.

    Args:
        budgets: all of which it is within.
        by: a rule or criterion that takes numbers of layers.
        given: the base, limits that have a floor for every stack and no number, and examples.
        arm: the recipe, unpruned.
        progress: is told how far it is.

    Raises:
        PlanError: no plan is within the budgets; it says what the smallest are that can be had.
        MeasurementError: a cost could not be measured.
    """
    started = time.perf_counter()
    allowed = list_counts(given.limits)
    if not allowed:
        raise PlanError("least, symmetric and never_drop leave no number of layers that all of them allow; ask for less")
    costs = find_costs(arm, [budget.name for budget in budgets], progress=progress)
    limits = {budget.name: budget.limit(costs[budget.name].whole) for budget in budgets}
    within = [counts for counts in allowed if all(costs[name].at(counts) <= most for name, most in limits.items())]
    if not within:
        raise PlanError(_say_smallest(budgets, costs, limits, given.limits))
    if by == "angular":
        within = [counts for counts in within if has_blocks(_fix(given.limits, counts))]
        if not within:
            raise PlanError("never_drop leaves no blocks of layers whose going would be within the budget")
    progress.start(f"choose layers by {by}", None)
    keep, scores = _make_keeper(by, given)
    tried: list[TriedRecord] = []
    while within:
        front = find_front(within)
        losses = _measure_losses(given, [keep(counts) for counts in front], progress)
        check_numbers(by, given, losses)
        ranked = sorted(zip(losses, front, strict=True), key=lambda found: found[0])
        for place, (loss, counts) in enumerate(ranked):
            found = _forecast(arm, counts, costs)
            met = all(found[name] <= most for name, most in limits.items())
            tried.append(TriedRecord(layers=dict(counts), costs=found, loss=loss, within=met))
            if met:
                tried += [_note(other, lost, costs) for lost, other in ranked[place + 1 :]]
                return _finish(by, given, keep(counts), scores, _tell(budgets, costs, limits, found), tried, started)
            within.remove(counts)
    raise PlanError(_say_smallest(budgets, costs, limits, given.limits))


def list_counts(limits: Limits) -> list[Counts]:
    """All numbers of layers that limits without a number allow."""
    stacks = list(limits.depths)
    found = [
        dict(zip(stacks, counts, strict=True))
        for counts in product(*(range(limits.floor(stack), limits.depths[stack] + 1) for stack in stacks))
    ]
    if limits.encoder_leads:
        found = [counts for counts in found if counts["encoder"] >= counts["decoder"]]
    return [counts for counts in found if not limits.symmetric or len(set(counts.values())) == 1]


def find_front(within: Sequence[Counts]) -> list[Counts]:
    """Those of which no other keeps as many of every stack, and more of one."""

    def is_less(one: Counts, other: Counts) -> bool:
        return one != other and all(one[stack] <= other[stack] for stack in one)

    return [counts for counts in within if not any(is_less(counts, other) for other in within)]


def _make_keeper(by: str, given: Calibration) -> tuple[Keeper, Scores]:
    """Which layers stay of so many, by a rule or criterion; and what layers score."""
    depths = given.limits.depths
    if by in RULES:
        return lambda counts: {stack: RULES[by](depth, counts[stack]) for stack, depth in depths.items()}, {}
    assert given.model  # once, for all numbers of layers
    assert given.batches
    find: Any = CRITERIA[by]  # type: ignore[index]
    if by == "angular":
        return lambda counts: find(_with_counts(given, counts))[0], {}
    _, scores, _ = find(_with_counts(given, depths))
    check_numbers(by, given, [value for values in scores.values() for value in values])
    return lambda counts: choose(scores, _with_counts(given, counts).limits), scores


def _with_counts(given: Calibration, counts: Counts) -> Calibration:
    """As a calibration with numbers of layers; its model is the same."""
    other = replace(given, limits=_fix(given.limits, counts))
    other.__dict__ |= {name: value for name, value in given.__dict__.items() if name in ("model", "rows", "batches")}
    return other


def _fix(limits: Limits, counts: Counts) -> Limits:
    return replace(limits, counts=dict(counts), total=None, least=1, symmetric=False)


def _measure_losses(given: Calibration, plans: Sequence[Kept], progress: Progress) -> list[float]:
    """The loss of a target's token with what each keeps."""
    losses = []
    with gate(given.model) as gates:
        for done, kept in enumerate(plans, 1):
            for stack, values in gates.items():
                values.zero_()
                values[list(kept[stack])] = 1.0
            losses.append(given.measure_loss())
            progress.advance(done, len(plans), {})
    return losses


def _forecast(arm: Arm, counts: Counts, costs: Mapping[str, Cost]) -> dict[str, float]:
    """What a plan of so many layers takes: by its own forecast, where it can have one."""
    found = {name: cost.at(counts) for name, cost in costs.items()}
    if {"memory", "step_time"} & set(costs):
        [row] = forecast_counts(arm, [counts])
        found |= {
            name: value for name, value in (("memory", float(row.peak_bytes)), ("step_time", row.step_seconds)) if name in costs
        }
    if "parameters" in costs:
        found["parameters"] = count_layers(arm, counts)
    return found


def _note(counts: Counts, loss: float, costs: Mapping[str, Cost]) -> TriedRecord:
    """Numbers of layers that are within the budgets, with more loss than those that were chosen."""
    return TriedRecord(layers=dict(counts), costs={name: cost.at(counts) for name, cost in costs.items()}, loss=loss, within=True)


def _tell(
    budgets: Sequence[Budget], costs: Mapping[str, Cost], limits: Mapping[str, float], found: Mapping[str, float]
) -> list[BudgetLine]:
    return [
        BudgetLine(
            name=budget.name, asked=budget.text, limit=limits[budget.name], whole=costs[budget.name].whole, found=found[budget.name]
        )
        for budget in budgets
    ]


def _finish(
    by: str,
    given: Calibration,
    kept: Kept,
    scores: Scores,
    lines: list[BudgetLine],
    tried: list[TriedRecord],
    started: float,
) -> tuple[PruningPlan, PlanningRecord]:
    decided = given.whole.model_copy(update={"layers": kept, "by": by})
    check_plan(given.base.config, decided)
    record = record_choice(by, given, decided, scores, [], seconds=time.perf_counter() - started)
    return decided, record.model_copy(update={"budgets": lines, "tried": tried})


def _say_smallest(budgets: Sequence[Budget], costs: Mapping[str, Cost], limits: Mapping[str, float], of: Limits) -> str:
    """What cannot be had, and the smallest that can."""
    smallest = list_counts(of)[0]
    layers = " + ".join(f"{count} {stack}" for stack, count in smallest.items())
    missed = [
        f"{budget.name}={budget.text} is {say_amount(budget.name, limits[budget.name])}, and {layers} layers take "
        f"{say_amount(budget.name, least)} ({100 * least / costs[budget.name].whole:.0f} % of the unpruned base's)"
        for budget in budgets
        if (least := costs[budget.name].at(smallest)) > limits[budget.name]
    ]
    said = "; ".join(missed) or "its forecasts were too high by a little for every number of layers"
    return f"no plan is within the budget: {said}. Give more, or lower what the recipe takes (batch, lengths, rank)"
