"""Metrics: functions of predictions, references and sources, with values for every example and for all of them."""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

from pareft.errors import DataError
from pareft.evaluation.metrics.answers import answers
from pareft.evaluation.metrics.bertscore import bertscore, describe_bertscore
from pareft.evaluation.metrics.bleu import bleu, bleu_precisions
from pareft.evaluation.metrics.labels import check_binary, check_numbers, classification, exact_match, f1, regression
from pareft.evaluation.metrics.rouge import rouge
from pareft.evaluation.metrics.scores import Scores, join
from pareft.evaluation.metrics.summac import describe_summac, summac
from pareft.evaluation.metrics.surface import surface
from pareft.extras import explain_missing
from pareft.records import Identity
from pareft.runtime import choose_device
from pareft.settings import EvaluateSettings

Texts = Sequence[str]
DEFAULTS = EvaluateSettings()


class Metric(Protocol):
    """What every metric is."""

    def __call__(
        self,
        predictions: Texts,
        references: Texts,
        sources: Texts | None = None,
        settings: EvaluateSettings = DEFAULTS,
        ids: Sequence[Identity] | None = None,
    ) -> Scores:
        """The values of every example, and those of all of them."""


def _summac(
    predictions: Texts,
    references: Texts,
    sources: Texts | None = None,
    settings: EvaluateSettings = DEFAULTS,
    ids: Sequence[Identity] | None = None,
) -> Scores:
    if sources is None:
        raise DataError("summac compares a text with its source, and these examples have no sources; leave it out")
    return summac(predictions, sources, settings.summac, device=choose_device())


def _of_texts(metric: Callable[[Texts, Texts], Scores]) -> Metric:
    """A metric that looks at predictions and references alone."""
    return lambda predictions, references, sources=None, settings=DEFAULTS, ids=None: metric(predictions, references)


METRICS: dict[str, Metric] = {
    "rouge": _of_texts(rouge),
    "bleu": _of_texts(bleu),
    "bleu_precisions": _of_texts(bleu_precisions),
    "bertscore": lambda predictions, references, sources=None, settings=DEFAULTS, ids=None: bertscore(
        predictions, references, settings.bertscore, device=choose_device()
    ),
    "summac": _summac,
    "surface": lambda predictions, references, sources=None, settings=DEFAULTS, ids=None: surface(predictions, references, sources),
    "classification": _of_texts(classification),
    "f1": lambda predictions, references, sources=None, settings=DEFAULTS, ids=None: f1(predictions, references, ids),
    "exact_match": _of_texts(exact_match),
    "regression": _of_texts(regression),
    "answers": _of_texts(answers),
}


def describe_scorers(names: Collection[str], settings: EvaluateSettings) -> dict[str, dict[str, Any]]:
    """What the scores of these metrics depend on besides the texts: the models they score with, and how.

    Raises:
        DataError: a model, file or library that a metric needs is not there: before anything is written, and not after hours.
    """
    described = {}
    if "bertscore" in names:
        described["bertscore"] = describe_bertscore(settings.bertscore)
    if "summac" in names:
        described["summac"] = describe_summac(settings.summac)
    if {"classification", "f1", "regression"} & set(names):
        with explain_missing("scikit-learn", extra="nlu", error=DataError):
            import sklearn  # noqa: F401
    return described


def check_references(names: Collection[str], references: Iterable[str]) -> None:
    """Raise `DataError` if a metric cannot do with these references."""
    texts = list(references)
    if "regression" in names:
        check_numbers(texts)
    if "f1" in names:
        check_binary(texts)


def compute(
    names: Sequence[str],
    predictions: Texts,
    references: Texts,
    sources: Texts | None = None,
    settings: EvaluateSettings | None = None,
    ids: Sequence[Identity] | None = None,
) -> Scores:
    """All these metrics of `METRICS` together. `ids`: of the examples, by which those that belong together are known.

    Raises:
        DataError: no such metric, no examples, other numbers of texts, something that is no text, or what a metric cannot do
            without (a model, sources); a model that computes NaN.
    """
    if unknown := [name for name in names if name not in METRICS]:
        raise DataError(f"no metric {unknown[0]!r}; there is {', '.join(METRICS)}")
    given = {"prediction": predictions, "reference": references, "source": sources}
    texts = {kind: _check_texts(kind, found) for kind, found in given.items() if found is not None or kind != "source"}
    counts = [f"{len(found)} {kind}s" for kind, found in texts.items()]
    if len({len(found) for found in texts.values()}) > 1:
        raise DataError(f"{', '.join(counts)}: not as many")
    if not texts["prediction"]:
        raise DataError("there are no predictions to score")
    parts = []
    for name in names:
        parts.append(METRICS[name](texts["prediction"], texts["reference"], texts.get("source"), settings or DEFAULTS, ids))
        _check_finite(name, parts[-1])
    return join(parts)


def _check_texts(kind: str, found: Any) -> list[str]:
    if isinstance(found, str) or not isinstance(found, Iterable):
        raise DataError(f"{kind}s: give a list of texts, not {type(found).__name__}")
    texts = list(found)
    if wrong := [index for index, text in enumerate(texts) if not isinstance(text, str)]:
        raise DataError(f"{kind} {wrong[0]} is {type(texts[wrong[0]]).__name__}, and no text")
    return texts


def _check_finite(name: str, scores: Scores) -> None:
    for index, example in enumerate(scores.examples):
        for key, value in example.items():
            if not math.isfinite(value):
                raise DataError(f"{name}: {key} of example {index} is {value}: the model that scores computes NaN or infinity")
