"""Tasks whose targets are labels or numbers: accuracy, F1, Matthews, Pearson and Spearman, by scikit-learn and scipy."""

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pareft.errors import DataError
from pareft.evaluation.metrics.scores import Scores
from pareft.extras import explain_missing


@dataclass(frozen=True)
class Recomputed:
    """A corpus score that is no function of sums: computed anew from the examples that a corpus holds."""

    predictions: Any
    references: Any
    compute: Callable[[Any, Any], float]

    def score(self, weights: Any = None) -> float:
        """The corpus score; with `weights` (n), that of a corpus that holds every example so many times. Undefined ones are 0."""
        index = np.arange(len(self.predictions)) if weights is None else np.repeat(np.arange(len(weights)), weights.astype(int))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about one class alone, or constant numbers
            value = float(self.compute(self.predictions[index], self.references[index]))
        return 0.0 if math.isnan(value) else 100 * value


def classification(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Accuracy, macro F1 over the references' labels, and Matthews' correlation, in percent. Labels are compared as texts, in lower
    case; a prediction that is no label is wrong.

    Raises:
        DataError: scikit-learn is not installed.
    """
    with explain_missing("scikit-learn", extra="nlu", error=DataError):
        from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
    own, expected = (np.asarray([text.strip().lower() for text in texts], dtype=object) for texts in (predictions, references))
    labels = sorted(set(expected))

    def macro_f1(predicted: Any, true: Any) -> float:
        return f1_score(true, predicted, labels=labels, average="macro", zero_division=0)

    functions: dict[str, Callable[[Any, Any], float]] = {
        "accuracy": lambda predicted, true: accuracy_score(true, predicted),
        "macro_f1": macro_f1,
        "matthews": lambda predicted, true: matthews_corrcoef(true, predicted),
    }
    examples = [{"accuracy": 100.0 * (one == other)} for one, other in zip(own, expected, strict=True)]
    return Scores(examples, {name: Recomputed(own, expected, function) for name, function in functions.items()})


def regression(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Pearson's and Spearman's correlation, in percent, of predictions and references that are numbers; a prediction that is none
    counts as the references' mean.

    Raises:
        DataError: a reference that is no number, or scipy is not installed.
    """
    with explain_missing("scipy", extra="nlu", error=DataError):
        from scipy.stats import pearsonr, spearmanr
    expected = np.asarray([_number(text) for text in references], dtype=float)
    if np.isnan(expected).any():
        wrong = references[int(np.isnan(expected).argmax())]
        raise DataError(f"regression: the reference {wrong!r} is no number; choose another metric, or another target column")
    own = np.asarray([_number(text) for text in predictions], dtype=float)
    missing = np.isnan(own)
    own = np.where(missing, expected.mean(), own)
    functions: dict[str, Callable[[Any, Any], float]] = {
        "pearson": lambda predicted, true: pearsonr(predicted, true)[0] if len(true) > 1 else math.nan,
        "spearman": lambda predicted, true: spearmanr(predicted, true)[0] if len(true) > 1 else math.nan,
    }
    examples = [{"no_number": 100.0 * lost} for lost in missing]
    return Scores(examples, {name: Recomputed(own, expected, function) for name, function in functions.items()})


def _number(text: str) -> float:
    try:
        value = float(text.strip())
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
