"""What a recipe takes, by how many layers each stack keeps: every layer of a stack costs the same, so that a few models tell."""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import torch

from pareft.errors import MeasurementError
from pareft.forking import open_apart
from pareft.models.structure import count_parameters
from pareft.planner import forecast
from pareft.planner.arms import Arm
from pareft.planner.reference import FEW
from pareft.planner.writers import open_writer
from pareft.progress import SILENT, Progress
from pareft.recipe import override, resolve
from pareft.runtime import seed_everything

Counts = Mapping[str, int]  # kept layers by stack
MORE = 2  # layers by which one stack of a model whose writing is timed is deeper than another's
ROUNDS = 3  # of writing, in turn; the first does not count


@dataclass(frozen=True)
class Cost:
    """A cost that grows evenly with the layers of each stack: what the whole model takes, and a layer of each stack."""

    whole: float
    depths: Counts
    of_layer: Mapping[str, float]

    def at(self, counts: Counts) -> float:
        """With so many layers."""
        return self.whole - sum(self.of_layer[stack] * (depth - counts[stack]) for stack, depth in self.depths.items())


def find_costs(arm: Arm, names: Collection[str], *, progress: Progress = SILENT) -> dict[str, Cost]:
    """The costs by name: of `memory` (bytes of training's peak), `step_time`, `latency` (seconds), `parameters`, those asked for.

    Raises:
        MeasurementError: there is no time to be had: even a model of few layers does not fit, or failed.
    """
    depths = arm.plan.depths
    points = _lessen(depths)
    costs: dict[str, Cost] = {}
    if "parameters" in names:
        costs["parameters"] = _fit(points, [count_layers(arm, counts) for counts in points])
    if {"memory", "step_time"} & set(names):
        rows = forecast_counts(arm, points, progress=progress)
        costs["memory"] = _fit(points, [float(row.peak_bytes) for row in rows])
        seconds = [row.step_seconds for row in rows if row.step_seconds is not None]
        if "step_time" in names:
            if len(seconds) < len(rows):
                raise MeasurementError(rows[0].notes[0])
            costs["step_time"] = _fit(points, seconds)
    if "latency" in names:
        progress.start("time writing", None)
        costs["latency"] = _find_latency(arm)
    return {name: costs[name] for name in names}


def count_layers(arm: Arm, counts: Counts) -> float:
    """The parameters of the base with so many layers."""
    return count_parameters(arm.keep(counts).build_plain(torch.device("meta"))).total


def forecast_counts(arm: Arm, points: Sequence[Counts], *, progress: Progress = SILENT) -> list[Any]:
    """The forecasts of an arm with the first so many layers of each stack."""
    recipes = {}
    for counts in points:
        layers = {stack: list(range(count)) for stack, count in counts.items()}
        recipe = arm.keep(counts).recipe
        recipes["+".join(map(str, counts.values()))] = resolve(override(recipe.model_dump(), {"prune": {"layers": layers}}))
    by_name = {row.name: row for row in forecast(recipes, writing=False, progress=progress)}
    return [by_name["+".join(map(str, counts.values()))] for counts in points]


def _lessen(counts: Counts) -> list[Counts]:
    """Numbers of layers, with few in one stack after the other: in the decoder first, which some families allow no more layers than
    the encoder.
    """
    points = [counts]
    for stack in reversed(list(counts)):
        points.append({**points[-1], stack: min(FEW, max(1, counts[stack] - 1))})
    return points


def _fit(points: Sequence[Counts], values: Sequence[float]) -> Cost:
    """The cost from what points take, of which each has fewer layers than the one before in one stack, the last ones first."""
    depths = points[0]
    of_layer: dict[str, float] = {}
    steps = zip(reversed(list(depths)), pairwise(points), pairwise(values), strict=True)
    for stack, (counts, less), (value, lower) in steps:
        fewer = counts[stack] - less[stack]
        of_layer[stack] = max(0.0, (value - lower) / fewer) if fewer else 0.0
    return Cost(values[0], depths, of_layer)


def _find_latency(arm: Arm) -> Cost:
    """Seconds to write as many tokens as may be for one source as long as may be, from models of few layers, in a process of its
    own.
    """
    depths = arm.plan.depths
    points = _lessen({stack: min(FEW + MORE, depth) for stack, depth in depths.items()})
    try:
        with open_apart(__name__) as pool:
            seconds = pool.submit(time_writing, [arm.keep(counts) for counts in points]).result()
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise MeasurementError(f"the writing of a model with few layers could not be timed: {said[0]}") from error
    few = _fit(points, seconds)
    return Cost(few.at(depths), depths, few.of_layer)


def time_writing(arms: Sequence[Arm], *, rounds: int = ROUNDS) -> list[float]:
    """The median seconds in which each writes for one source, in turn, the first of `rounds` not counted; random weights, source
    and text as long as they may be.
    """
    seed_everything(arms[0].recipe.seed)
    writers = [open_writer(arm)[0] for arm in arms]
    seconds: list[list[float]] = [[] for _ in writers]
    for _ in range(rounds):
        for write, taken in zip(writers, seconds, strict=True):
            started = time.perf_counter()
            write(1)
            taken.append(time.perf_counter() - started)
    return [median(taken[1:]) for taken in seconds]
