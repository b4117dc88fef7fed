"""How sure a score is: bootstrap intervals of corpus scores, and of the difference of two runs on the same examples."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pareft.errors import DataError
from pareft.evaluation.metrics.scores import Scores
from pareft.records import ScoreRecord

RESAMPLES, LEVEL, SEED = 1000, 95.0, 42
FEWEST = 10  # examples; the percentiles of fewer say too little, and of one nothing
Counts = np.ndarray[Any, np.dtype[np.uint16]]


def intervals(scores: Scores, *, resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, ScoreRecord]:
    """The percentile bootstrap of every corpus score (Efron 1979): examples are drawn with replacement, `resamples` times. Corpora
    in which a score is not defined do not count; of fewer than `FEWEST` examples there is no interval.
    """
    draws = _draw(len(scores.examples), resamples, seed)
    return {
        name: _interval(value, [scores.totals[name].score(weights) for weights in draws]) for name, value in scores.corpus.items()
    }


def differences(one: Scores, other: Scores, *, resamples: int = RESAMPLES, seed: int = SEED) -> dict[str, ScoreRecord]:
    """The paired bootstrap (Koehn 2004) of `one` minus `other`, for every corpus score that both have: the same examples are drawn
    for both.

    Raises:
        DataError: they are not of equally many examples.
    """
    _check_pair(one, other)
    draws, there = _draw(len(one.examples), resamples, seed), other.corpus
    return {
        name: _interval(
            value - there[name],
            [one.totals[name].score(weights) - other.totals[name].score(weights) for weights in draws],
        )
        for name, value in one.corpus.items()
        if name in there
    }


def shares(one: Scores, first: Scores, means: Mapping[str, Sequence[str]]) -> dict[str, ScoreRecord]:
    """What `one` keeps of `first`, in percent: for every key of `means`, the mean of 100 * one / first over the scores it names,
    with the interval of the paired bootstrap. Scores of which `first` has nothing, or less, say nothing.

    Raises:
        DataError: they are not of equally many examples.
    """
    _check_pair(one, first)
    draws, here, there = _draw(len(one.examples), RESAMPLES, SEED), one.corpus, first.corpus
    found = {}
    for key, names in means.items():
        if known := [name for name in names if name in here and there.get(name, 0) > 0]:
            pairs = [[(one.totals[name].score(drawn), first.totals[name].score(drawn)) for name in known] for drawn in draws]
            found[key] = _interval(_mean_share([(here[name], there[name]) for name in known]), [*map(_mean_share, pairs)])
    return found


def _mean_share(pairs: Sequence[tuple[float, float]]) -> float:
    """NaN where a corpus that was drawn has nothing to keep."""
    return sum(100 * one / first if first > 0 else math.nan for one, first in pairs) / len(pairs)


def _check_pair(one: Scores, other: Scores) -> None:
    if len(one.examples) != len(other.examples):
        raise DataError(
            f"{len(one.examples)} and {len(other.examples)} examples cannot be paired; score both runs on the same ones"
        )


def _draw(examples: int, resamples: int, seed: int) -> list[Counts]:
    """How often every example is in a corpus that was drawn; the same for the same number of examples and seed."""
    generator = np.random.default_rng(seed)
    return [
        np.bincount(generator.integers(examples, size=examples), minlength=examples).astype(np.uint16)
        for _ in range(resamples if examples >= FEWEST else 0)
    ]


def _interval(value: float, drawn: Sequence[float]) -> ScoreRecord:
    defined = [found for found in drawn if not math.isnan(found)]
    if 2 * len(defined) <= len(drawn):
        return ScoreRecord(value=value, low=None, high=None)
    low, high = np.percentile(defined, [50 - LEVEL / 2, 50 + LEVEL / 2])
    return ScoreRecord(value=value, low=float(low), high=float(high))
