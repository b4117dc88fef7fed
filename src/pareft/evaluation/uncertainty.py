"""How sure a score is: bootstrap intervals of corpus scores, and of the difference of two runs on the same examples."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pareft.errors import DataError
from pareft.evaluation.metrics.scores import Scores
from pareft.records import ScoreRecord

RESAMPLES, LEVEL, SEED = 1000, 95.0, 42
Counts = np.ndarray[Any, np.dtype[np.uint16]]


def intervals(scores: Scores, *, resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, ScoreRecord]:
    """The percentile bootstrap of every corpus score (Efron 1979): examples are drawn with replacement, `resamples` times."""
    draws = _draw(len(scores.examples), resamples, seed)
    return {name: _interval(totals.score(), [totals.score(weights) for weights in draws]) for name, totals in scores.totals.items()}


def differences(one: Scores, other: Scores, *, resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, ScoreRecord]:
    """The paired bootstrap (Koehn 2004) of `one` minus `other`, for every corpus score that both have: the same examples are drawn
    for both.

    Raises:
        DataError: they are not of equally many examples.
    """
    if len(one.examples) != len(other.examples):
        raise DataError(
            f"{len(one.examples)} and {len(other.examples)} examples cannot be paired; score both runs on the same ones"
        )
    draws = _draw(len(one.examples), resamples, seed)
    return {
        name: _interval(
            totals.score() - other.totals[name].score(),
            [totals.score(weights) - other.totals[name].score(weights) for weights in draws],
        )
        for name, totals in one.totals.items()
        if name in other.totals
    }


def _draw(examples: int, resamples: int, seed: int) -> list[Counts]:
    """How often every example is in a corpus that was drawn; the same for the same number of examples and seed."""
    generator = np.random.default_rng(seed)
    drawn = (
        np.bincount(generator.integers(examples, size=examples), minlength=examples) for _ in range(resamples if examples else 0)
    )
    return [counts.astype(np.uint16) for counts in drawn]


def _interval(value: float, drawn: Sequence[float]) -> ScoreRecord:
    low, high = np.percentile(drawn, [50 - LEVEL / 2, 50 + LEVEL / 2]) if drawn else (value, value)
    return ScoreRecord(value=value, low=float(low), high=float(high))
