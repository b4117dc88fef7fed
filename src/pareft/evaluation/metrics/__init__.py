"""Metrics: functions of predictions, references and sources, with values for every example and for all of them."""

from collections.abc import Callable, Collection, Sequence

from pareft.errors import DataError
from pareft.evaluation.metrics.bertscore import bertscore
from pareft.evaluation.metrics.bleu import bleu, bleu_precisions
from pareft.evaluation.metrics.labels import classification, regression
from pareft.evaluation.metrics.rouge import rouge
from pareft.evaluation.metrics.scorers import check_given
from pareft.evaluation.metrics.scores import Scores, join
from pareft.evaluation.metrics.summac import summac
from pareft.evaluation.metrics.surface import surface
from pareft.recipe import EvaluateSettings
from pareft.runtime import choose_device

Texts = Sequence[str]
Metric = Callable[[Texts, Texts, Texts | None, EvaluateSettings], Scores]


def _summac(predictions: Texts, _: Texts, sources: Texts | None, settings: EvaluateSettings) -> Scores:
    if sources is None:
        raise DataError("summac compares a text with its source, and these examples have no sources; leave it out")
    return summac(predictions, sources, settings.summac, device=choose_device())


METRICS: dict[str, Metric] = {
    "rouge": lambda predictions, references, sources, settings: rouge(predictions, references),
    "bleu": lambda predictions, references, sources, settings: bleu(predictions, references),
    "bleu_precisions": lambda predictions, references, sources, settings: bleu_precisions(predictions, references),
    "bertscore": lambda predictions, references, sources, settings: bertscore(
        predictions, references, settings.bertscore, device=choose_device()
    ),
    "summac": _summac,
    "surface": lambda predictions, references, sources, settings: surface(predictions, references, sources),
    "classification": lambda predictions, references, sources, settings: classification(predictions, references),
    "regression": lambda predictions, references, sources, settings: regression(predictions, references),
}


METRIC_OF: dict[str, str] = {  # by what a checkpoint can be chosen, and the metric that computes it
    **dict.fromkeys(("rouge1", "rouge2", "rougeL", "rougeLsum"), "rouge"),
    "bleu": "bleu",
    "bertscore_f1": "bertscore",
    "summac_zs": "summac",
    **dict.fromkeys(("accuracy", "macro_f1", "matthews"), "classification"),
    **dict.fromkeys(("pearson", "spearman"), "regression"),
}


def check_metrics(names: Collection[str], settings: EvaluateSettings) -> None:
    """Raise `DataError` if a metric lacks the model it needs: before anything is written, and not after hours."""
    for name, model in (("bertscore", settings.bertscore.model), ("summac", settings.summac.model)):
        if name in names:
            check_given(name, model)


def compute(
    names: Sequence[str],
    predictions: Texts,
    references: Texts,
    sources: Texts | None = None,
    settings: EvaluateSettings | None = None,
) -> Scores:
    """All these metrics of `METRICS` together.

    Raises:
        DataError: no such metric, no examples, other numbers of texts, or what a metric cannot do without (a model, sources).
    """
    if unknown := [name for name in names if name not in METRICS]:
        raise DataError(f"no metric {unknown[0]!r}; there is {', '.join(METRICS)}")
    counts = [len(texts) for texts in (predictions, references, sources) if texts is not None]
    if len(set(counts)) > 1:
        raise DataError(
            f"{counts[0]} predictions, {counts[1]} references{f', {counts[2]} sources' if counts[2:] else ''}: not as many"
        )
    if not predictions:
        raise DataError("there are no predictions to score")
    return join([METRICS[name](predictions, references, sources, settings or EvaluateSettings()) for name in names])
