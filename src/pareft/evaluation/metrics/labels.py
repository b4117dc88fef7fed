"""Tasks whose targets are labels or numbers: accuracy, F1, Matthews, Pearson and Spearman, by scikit-learn and scipy."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pareft.errors import DataError
from pareft.evaluation.metrics.scores import Scores, average
from pareft.extras import explain_missing
from pareft.settings import GROUPED, list_answers


@dataclass(frozen=True)
class Recomputed:
    """A corpus score that is no function of sums: computed anew from the examples that a corpus holds; `compute` gets the distinct
    pairs of prediction and reference, and how often each is there.
    """

    predictions: Any
    references: Any
    place: Any  # of every example's pair among them
    compute: Callable[[Any, Any, Any], float]

    def score(self, weights: Any = None) -> float:
        """The corpus score; with `weights` (n), that of a corpus that holds every example so many times. Undefined (one class
        alone, constant numbers) it is NaN, and 0 of the corpus itself.
        """
        counts = np.bincount(self.place, weights, minlength=len(self.predictions)).astype(int)
        there = counts > 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about constant numbers
            value = 100 * float(self.compute(self.predictions[there], self.references[there], counts[there]))
        return 0.0 if weights is None and math.isnan(value) else value


def classification(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Accuracy, macro F1 over the references' labels, and Matthews' correlation, in percent. Labels are compared as texts, in lower
    case; a prediction that is no label is wrong.

    Raises:
        DataError: scikit-learn is not installed.
    """
    with explain_missing("scikit-learn", extra="nlu", error=DataError):
        from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
    own, expected = ([text.strip().lower() for text in texts] for texts in (predictions, references))

    def macro_f1(predicted: Any, true: Any, counts: Any) -> float:
        return f1_score(true, predicted, labels=sorted(set(true)), average="macro", zero_division=0, sample_weight=counts)

    def matthews(predicted: Any, true: Any, counts: Any) -> float:
        one_class = len(set(true)) < 2 or len(set(predicted)) < 2
        return math.nan if one_class else matthews_corrcoef(true, predicted, sample_weight=counts)

    functions: dict[str, Callable[[Any, Any, Any], float]] = {
        "accuracy": lambda predicted, true, counts: accuracy_score(true, predicted, sample_weight=counts),
        "macro_f1": macro_f1,
        "matthews": matthews,
    }
    examples = [{"accuracy": 100.0 * (one == other)} for one, other in zip(own, expected, strict=True)]
    return Scores(examples, _recompute(own, expected, functions, object))


def exact_match(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """The share of predictions that are the reference, or one of its several, in percent, but for case and spaces around."""
    found = []
    for prediction, reference in zip(predictions, references, strict=True):
        right = {text.strip().lower() for text in (reference, *list_answers(reference))}
        found.append({"exact_match": 100.0 * (prediction.strip().lower() in right)})
    return average(found)


@dataclass(frozen=True)
class AllRight:
    """The share of groups all of whose examples are right. `group` (n): each example's, as a number; `right` (n) bool."""

    group: Any
    right: Any

    def score(self, weights: Any = None) -> float:
        """The corpus score; with `weights` (n), of a corpus that holds every group as often as its first example: groups are drawn
        whole, as one without its wrong answers would be right.
        """
        _, first = np.unique(self.group, return_index=True)
        right = np.bincount(self.group, ~self.right) == 0
        held = np.ones(len(first)) if weights is None else np.asarray(weights)[first]
        return 100 * float((held * right).sum() / held.sum()) if held.any() else math.nan


def f1(predictions: Sequence[str], references: Sequence[str], ids: Sequence[Any] | None = None) -> Scores:
    """F1 of the label 1 of 0 and 1, in percent; where ids say which examples belong together (`GROUP::number`, as of the answers to
    one question of MultiRC), also the share of groups that are right as a whole.

    Raises:
        DataError: a reference that is neither, or scikit-learn is not installed.
    """
    with explain_missing("scikit-learn", extra="nlu", error=DataError):
        from sklearn.metrics import f1_score
    check_binary(references)
    own, expected = ([text.strip() for text in texts] for texts in (predictions, references))

    def score(predicted: Any, true: Any, counts: Any) -> float:
        return f1_score(true == "1", predicted == "1", zero_division=0, sample_weight=counts)

    totals: dict[str, Any] = dict(_recompute(own, expected, {"f1": score}, object))
    groups = [name for name, mark, _ in (str(identity).rpartition(GROUPED) for identity in ids or ()) if mark]
    right = np.asarray(own) == np.asarray(expected)
    if len(groups) == len(own):
        totals["group_exact_match"] = AllRight(np.unique(groups, return_inverse=True)[1], right)
    return Scores([{"right": 100.0 * value} for value in right], totals)


def regression(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Pearson's and Spearman's correlation, in percent, of predictions and references that are numbers; a prediction that is none
    counts as the references' mean.

    Raises:
        DataError: a reference that is no number, or scipy is not installed.
    """
    with explain_missing("scipy", extra="nlu", error=DataError):
        from scipy.stats import pearsonr, spearmanr
    check_numbers(references)
    expected = np.asarray([_number(text) for text in references], dtype=float)
    own = np.asarray([_number(text) for text in predictions], dtype=float)
    missing = np.isnan(own)
    own = np.where(missing, expected.mean(), own)

    def repeat(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any, Any], float]:
        def find(predicted: Any, true: Any, counts: Any) -> float:
            return function(np.repeat(predicted, counts), np.repeat(true, counts))[0] if counts.sum() > 1 else math.nan

        return find

    functions = {"pearson": repeat(pearsonr), "spearman": repeat(spearmanr)}
    examples = [{"no_number": 100.0 * lost} for lost in missing]
    return Scores(examples, _recompute(own.tolist(), expected.tolist(), functions, float))


def check_binary(references: Sequence[str]) -> None:
    """Raise `DataError` if a reference is neither 0 nor 1."""
    if wrong := [place for place, text in enumerate(references) if text.strip() not in ("0", "1")]:
        raise DataError(f"f1: the reference of example {wrong[0]} is neither 0 nor 1; choose another metric or target column")


def check_numbers(references: Sequence[str]) -> None:
    """Raise `DataError` if a reference is no number."""
    if wrong := [place for place, text in enumerate(references) if math.isnan(_number(text))]:
        raise DataError(f"regression: the reference of example {wrong[0]} is no number; choose another metric or target column")


def _recompute(
    own: Sequence[Any], expected: Sequence[Any], functions: Mapping[str, Callable[[Any, Any, Any], float]], kind: type
) -> dict[str, Recomputed]:
    """For every function its score, of the distinct pairs of values."""
    places: dict[tuple[Any, Any], int] = {}
    place = np.asarray([places.setdefault(pair, len(places)) for pair in zip(own, expected, strict=True)], dtype=int)
    predicted: Any
    true: Any
    predicted, true = (np.asarray([pair[side] for pair in places], dtype=kind) for side in (0, 1))
    return {name: Recomputed(predicted, true, place, function) for name, function in functions.items()}


def _number(text: str) -> float:
    try:
        value = float(text.strip())
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
