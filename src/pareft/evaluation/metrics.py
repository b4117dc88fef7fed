"""Metrics: functions of predictions and references, in percent, per example and for all."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from rouge_score.rouge_scorer import RougeScorer

SENTENCE_SPLITTING = "a line per sentence, split after . ! ? before a blank and at line ends (offline)"
ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")


@dataclass(frozen=True)
class Scores:
    """A metric's values: by name for every example, and their mean."""

    examples: list[dict[str, float]]
    mean: dict[str, float]


def rouge(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """ROUGE-1, -2, -L and -Lsum F1 in percent, with Porter stemming, by `rouge-score` (Lin 2004; google-research's port).

    `rougeLsum` takes one sentence per line; `SENTENCE_SPLITTING` says how they are told apart, without a download.
    """
    scorer = RougeScorer(list(ROUGE_TYPES), use_stemmer=True)
    examples = []
    for prediction, reference in zip(predictions, references, strict=True):
        scored = scorer.score(split_sentences(reference), split_sentences(prediction))
        examples.append({name: 100 * scored[name].fmeasure for name in ROUGE_TYPES})
    return Scores(examples, {name: fmean(example[name] for example in examples) for name in ROUGE_TYPES})


def split_sentences(text: str) -> str:
    """One sentence per line."""
    return "\n".join(sentence for sentence in re.split(r"(?<=[.!?])\s+|\n+", text.strip()) if sentence)


METRICS: dict[str, Callable[[Sequence[str], Sequence[str]], Scores]] = {"rouge": rouge}
