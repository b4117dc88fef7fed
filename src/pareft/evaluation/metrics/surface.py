"""What texts look like, without a judgement: length, empty outputs, repetition, how much is copied and how much is new."""

from collections import Counter
from collections.abc import Sequence

from pareft.evaluation.metrics.scores import Scores, average

REPEATED_ORDER = 3
NOVEL_ORDERS = (1, 2)


def surface(predictions: Sequence[str], references: Sequence[str], sources: Sequence[str] | None = None) -> Scores:
    """Words are what white space divides, in lower case.

    - `words`: words of a prediction; `length_ratio`: words per word of the reference;
    - `empty`: percent of predictions without a word;
    - `repeated_trigrams`: percent of a prediction's trigrams that it has written before;
    - `copied`: percent of a prediction's words that its source has; `novel_1grams`, `novel_2grams`: percent of its n-grams that its
      source has not (both with sources only).

    What an empty prediction or reference has no value for is left out of the mean.
    """
    examples = []
    for index, (prediction, reference) in enumerate(zip(predictions, references, strict=True)):
        words, expected = prediction.lower().split(), reference.lower().split()
        example = {"words": float(len(words)), "empty": 0.0 if words else 100.0}
        if expected:
            example["length_ratio"] = len(words) / len(expected)
        if trigrams := _ngrams(words, REPEATED_ORDER):
            example["repeated_trigrams"] = 100 * (1 - len(set(trigrams)) / len(trigrams))
        if sources is not None:
            example |= _compare(words, sources[index].lower().split())
        examples.append(example)
    return average(examples)


def _compare(words: list[str], source: list[str]) -> dict[str, float]:
    values = {}
    if words:
        there = set(source)
        values["copied"] = 100 * sum(word in there for word in words) / len(words)
    for order in NOVEL_ORDERS:
        if own := Counter(_ngrams(words, order)):
            known = set(_ngrams(source, order))
            values[f"novel_{order}grams"] = 100 * sum(count for ngram, count in own.items() if ngram not in known) / own.total()
    return values


def _ngrams(words: list[str], order: int) -> list[tuple[str, ...]]:
    return list(zip(*(words[start:] for start in range(order)), strict=False))
