"""ROUGE by google-research's `rouge-score`, as the paper's release uses it: Porter stemming, F1, percent."""

import re
from collections.abc import Sequence
from functools import lru_cache

from nltk.stem.porter import PorterStemmer
from rouge_score import tokenize
from rouge_score.rouge_scorer import RougeScorer
from rouge_score.tokenizers import Tokenizer

from pareft.evaluation.metrics.scores import Scores, average

SENTENCE_SPLITTING = "a line per sentence, split after . ! ? before a blank and at line ends (offline)"
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
    scorer = RougeScorer(list(ROUGE_TYPES), tokenizer=_TOKENIZER)
    examples = []
    for prediction, reference in zip(predictions, references, strict=True):
        scored = scorer.score(join_sentences(reference), join_sentences(prediction))
        examples.append({name: 100 * scored[name].fmeasure for name in ROUGE_TYPES})
    return average(examples, ROUGE_TYPES)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, by `SENTENCE_SPLITTING`."""
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+|\n+", text.strip()) if sentence]


def join_sentences(text: str) -> str:
    """One sentence per line."""
    return "\n".join(split_sentences(text))
