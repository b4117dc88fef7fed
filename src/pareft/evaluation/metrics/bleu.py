"""BLEU by `sacrebleu`: corpus BLEU, and the plain n-gram precisions that the paper prints as BLEU-1 and BLEU-4."""

from collections.abc import Callable, Sequence

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from pareft.evaluation.metrics.scores import Array, Scores, Totals

ORDERS = 4
_SENTENCE = BLEU(effective_order=True)


def bleu(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Corpus BLEU in percent (Papineni et al. 2002; 13a tokens, exponential smoothing), a sentence's with effective order."""
    counted = [_count(prediction, reference) for prediction, reference in zip(predictions, references, strict=True)]
    examples = [{"bleu": score} for score, _ in counted]
    return Scores(examples, {"bleu": Totals(_stack(counted), _finish)})


def bleu_precisions(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Plain corpus precisions of 1- and 4-grams in percent, 13a tokens: what arXiv 2305.08285 calls BLEU-1 and BLEU-4. They know no
    brevity penalty and are not cumulative.
    """
    counted = [_count(prediction, reference) for prediction, reference in zip(predictions, references, strict=True)]
    finish = {f"bleu_precision{n}": _precision_of(n) for n in (1, ORDERS)}
    examples = [{name: find(statistics) for name, find in finish.items()} for _, statistics in counted]
    stacked = _stack(counted)
    return Scores(examples, {name: Totals(stacked, find) for name, find in finish.items()})


def _count(prediction: str, reference: str) -> tuple[float, Array]:
    """A sentence's BLEU, and its matching n-grams, n-grams, and the lengths of both texts."""
    scored = _SENTENCE.sentence_score(prediction, [reference])
    return scored.score, np.asarray([*scored.counts, *scored.totals, scored.sys_len, scored.ref_len], dtype=float)


def _stack(counted: Sequence[tuple[float, Array]]) -> Array:
    return np.asarray([statistics for _, statistics in counted], dtype=float).reshape(-1, 2 * ORDERS + 2)


def _finish(sums: Array) -> float:
    counts, totals, (own, reference) = sums[:ORDERS], sums[ORDERS : 2 * ORDERS], sums[2 * ORDERS :]
    return BLEU.compute_bleu(counts.tolist(), totals.tolist(), int(own), int(reference), smooth_method="exp").score


def _precision_of(order: int) -> Callable[[Array], float]:
    def find(sums: Array) -> float:
        total = sums[ORDERS + order - 1]
        return float(100 * sums[order - 1] / total) if total else 0.0

    return find
