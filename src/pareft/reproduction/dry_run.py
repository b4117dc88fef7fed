"""What a table will take, without weights, data or a download: every arm built on `meta`, counted beside the paper's figures, and a
forecast of its memory and hours.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pareft.data.prepared import SPLIT_NAMES
from pareft.forecast.rates import UTILISATION, measure_rate
from pareft.forecast.tracing import trace_step
from pareft.models.families import find_family
from pareft.preparation.writing import DESCRIPTION
from pareft.recipe import Recipe, select_arm
from pareft.reproduction.counting import Counted, count_arm
from pareft.reproduction.experiments import split_name
from pareft.reproduction.paper import EXAMPLES, NOT_REPRODUCIBLE, TABLES, Row
from pareft.runtime import Precision, choose_precision
from pareft.tuning.training import plan_steps


@dataclass(frozen=True)
class Forecast:
    """An arm before it is run: the paper's row, ours by count, and what it takes: bytes, steps, and hours of training steps."""

    paper: Row
    base: str
    counted: Counted
    memory_bytes: int
    steps: int
    hours: float
    precision: Precision
    remark: str | None

    @property
    def agrees(self) -> bool:
        """Whether the paper's count of trained parameters is met under its convention."""
        return self.counted.millions_as_paper == self.paper.trained_millions


def forecast_table(name: str, experiments: Mapping[str, Recipe], rate: float | None = None) -> Iterator[Forecast]:
    """The rows of a table, one after the other. `rate`: operations a second of the matrix products of another machine than this.

    Raises:
        RecipeError: a precision that a base or this machine cannot train in.
        ModelError: a base that is not one of the paper's is not there.
    """
    for row in TABLES[name].rows:
        recipe = select_arm(experiments[row.recipe], row.arm)
        counted = count_arm(recipe)
        precision = choose_precision(recipe.train.precision, half_precision=find_family(counted.base.config).half_precision)
        step = trace_step(counted.model, recipe, precision)
        _, steps = plan_steps(recipe.train, count_examples(row.recipe, recipe))
        hours = steps * step.operations / ((rate or _rate(precision)) * UTILISATION) / 3600
        remark = NOT_REPRODUCIBLE.get((name, row.arm))
        yield Forecast(row, recipe.base, counted, step.peak_bytes, steps, hours, precision, remark)


_rate = cache(measure_rate)


def count_examples(name: str, recipe: Recipe) -> int:
    """How many examples there are to train on: in the prepared folder, where it is there, else in the paper's Table 1."""
    described = Path(recipe.data.path or "") / DESCRIPTION
    try:
        there = int(json.loads(described.read_text(encoding="utf-8"))["examples"][SPLIT_NAMES[0]])
    except (OSError, ValueError, KeyError, TypeError):
        there = EXAMPLES[split_name(name)[0]]
    return min(there, recipe.data.limit.get("train", there))
