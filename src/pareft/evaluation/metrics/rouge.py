"""ROUGE by google-research's `rouge-score`, as the paper's release uses it: Porter stemming, F1, percent."""

import warnings
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from nltk.stem.porter import PorterStemmer
from rouge_score import scoring, tokenize
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from pareft.errors import PareftWarning
from pareft.evaluation.metrics.scores import Scores, average
from pareft.sentences import join_sentences

ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
KEPT_STEMS = 100_000


class _RememberingTokenizer(Tokenizer):
    """rouge-score's own tokenizer, with a stemmer that remembers: most of the time goes into stemming the same words again."""

    def __init__(self) -> None:
        self.stem = lru_cache(KEPT_STEMS)(PorterStemmer().stem)

    def tokenize(self, text: str) -> list[str]:
        """The stems of a text; `self` is the stemmer."""
        return tokenize.tokenize(text, self)


_TOKENIZER = _RememberingTokenizer()


def rouge(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """ROUGE-1, -2, -L and -Lsum F1 in percent, with Porter stemming (Lin 2004; google-research's port), corpus scores as means.

    `rougeLsum`, which the paper prints as R-L, takes one sentence per line; `SENTENCE_SPLITTING` says how they are told apart,
    without a download.
    """
    scorer = RougeScorer([name for name in ROUGE_TYPES if name != "rougeL"], tokenizer=_TOKENIZER)
    examples, unread = [], 0
    for prediction, reference in zip(predictions, references, strict=True):
        scored = scorer.score(join_sentences(reference), join_sentences(prediction))
        own, expected = _TOKENIZER.tokenize(prediction), _TOKENIZER.tokenize(reference)
        unread += not expected and any(map(str.isalnum, reference))
        scored["rougeL"] = score_longest(own, expected)
        examples.append({name: 100 * scored[name].fmeasure for name in ROUGE_TYPES})
    if unread:
        warnings.warn(
            f"ROUGE knows letters from a to z and digits: {unread} of {len(references)} references have none of them and score 0",
            PareftWarning,
            stacklevel=2,
        )
    return average(examples, ROUGE_TYPES)


def list_stems(text: str) -> list[str]:
    """The words of a text as ROUGE compares them."""
    return _TOKENIZER.tokenize(text)


def score_longest(prediction: Sequence[str], reference: Sequence[str]) -> scoring.Score:
    """ROUGE-L of two token lists: rouge-score's value, by a table that is filled a row at a time, which long texts need."""
    if not prediction or not reference:
        return scoring.Score(0, 0, 0)
    numbers: dict[str, int] = {}
    columns, rows = (np.asarray([numbers.setdefault(token, len(numbers)) for token in text]) for text in (prediction, reference))
    longest = np.zeros(len(columns) + 1, dtype=int)  # common subsequence of the rows so far and the first so many columns
    for token in rows:
        longest[1:] = np.maximum.accumulate(np.maximum(longest[1:], longest[:-1] + (columns == token)))
    precision, recall = longest[-1] / len(prediction), longest[-1] / len(reference)
    return scoring.Score(precision, recall, scoring.fmeasure(precision, recall))
