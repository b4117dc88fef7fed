"""Answers to questions, compared as SQuAD's evaluation compares them (Rajpurkar et al. 2016, arXiv 1606.05250)."""

import re
import string
from collections import Counter
from collections.abc import Sequence

from pareft.evaluation.metrics.scores import Scores, average
from pareft.settings import list_answers

ARTICLES = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def answers(predictions: Sequence[str], references: Sequence[str]) -> Scores:
    """Of every prediction, whether it is one of the answers, and the F1 of its words with the nearest, in percent; without case,
    punctuation and articles. A reference of several answers has ` ||| ` between them; of none, it is empty.
    """
    found = []
    for prediction, reference in zip(predictions, references, strict=True):
        own, allowed = _normalise(prediction), [_normalise(answer) for answer in list_answers(reference)]
        found.append({"answer_f1": 100 * max(_f1(own, answer) for answer in allowed), "answer_match": 100.0 * (own in allowed)})
    return average(found)


def _normalise(text: str) -> str:
    return " ".join(ARTICLES.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION)).split())


def _f1(one: str, other: str) -> float:
    own, expected = one.split(), other.split()
    if not own or not expected:  # no answer
        return float(own == expected)
    common = (Counter(own) & Counter(expected)).total()
    return 2 * common / (len(own) + len(expected))
