"""What a data set's texts are like: sentences, words, what of a target its source does not say (Table 1 of arXiv 2305.08285), and
how many tokens a model needs for them.

One pass, one pair in memory at a time. The authors counted with NLTK; the rules here come close to its and are many times as fast.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, islice, pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from pareft.records import Record
from pareft.sentences import SENTENCE_COUNTING, cut_at_ends

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TOKENIZER = (
    "words after the Penn Treebank, as NLTK's word_tokenize: punctuation apart, but hyphens, slashes, dots inside a sentence and "
    f", or : before a digit; don't = do + n't, it's = it + 's, cannot = can + not; {SENTENCE_COUNTING}; offline"
)
_APART = re.compile(
    r"""(
    [][(){}<>;@#$%&?!*"«»“”„‘’‒-―`:,'.-]  # the search leaps to one of these; then what it must be, or what comes with it
    (?: (?<=[][(){}<>;@#$%&?!*"«»“”„‘’‒-―])
      | (?<=`)`*
      | (?<=[:,])(?!\d)  # neither 10:30 nor 1,000
      | (?<=-)-
      | (?<=\.)(?:\.+ | (?=[])}>"'’”»]*\Z))  # an ellipsis, and the text's last dot; those of sentences are apart already
      | (?<=')'
      | (?<=')(?<!\w')(?!(?:re|ve|ll|[mtsdn])\b)(?=\w)  # 'opening
      | (?<=[^\s']')(?:(?i:[smd]|ll|re|ve)(?!\w) | (?=[\s,;:.?!)\]}"]|\Z))  # it's, the patients'
    ))""",
    re.VERBOSE,
)
_JOINED = re.compile(
    r"[CcGgLlWw](?i:(?<=\bc)an(?=not\b)|(?<=\bg)(?:im(?=me\b)|on(?=na\b)|ot(?=ta\b))|(?<=\bl)em(?=me\b)|(?<=\bw)an(?=na\s))"
)
_WEIGHTS = {
    "source_sentences": "examples",
    "source_words": "examples",
    "target_sentences": "examples",
    "target_words": "examples",
    "novel_unigrams": "with_unigrams",
    "novel_bigrams": "with_bigrams",
}


class SplitStatistics(Record):
    """A split in numbers: means per example; novel n-grams in percent of a target's n-grams, the mean over examples that have any.

    `with_unigrams` and `with_bigrams` are how many those are; where there are none, there is no percentage either.
    """

    examples: int = 0
    source_sentences: float = 0.0
    source_words: float = 0.0
    target_sentences: float = 0.0
    target_words: float = 0.0
    novel_unigrams: float | None = None
    novel_bigrams: float | None = None
    with_unigrams: int = 0
    with_bigrams: int = 0


class LengthStatistics(Record):
    """Texts in tokens, the special ones included, and the percentage that is longer than `limit`."""

    examples: int = 0
    mean: float = 0.0
    median: float = 0.0
    p95: float = 0.0
    longest: int = 0
    limit: int
    truncated_percent: float = 0.0


def split_words(text: str) -> list[str]:
    """The words of a text by `TOKENIZER`, in the case they have."""
    return _space(cut_at_ends(text)).split()


def describe_pairs(pairs: Iterable[tuple[str, str]]) -> SplitStatistics:
    """The statistics of (source, target) pairs, of which one at a time is held. Words are compared in lower case."""
    return pool(_describe_pair(source, target) for source, target in pairs)


def pool(parts: Iterable[SplitStatistics]) -> SplitStatistics:
    """The statistics of all parts together, as if they had been described at once."""
    sums, counts = dict.fromkeys(_WEIGHTS, 0.0), dict.fromkeys(_WEIGHTS.values(), 0)
    for part in parts:
        for name in counts:
            counts[name] += getattr(part, name)
        for name, weight in _WEIGHTS.items():
            sums[name] += (getattr(part, name) or 0.0) * getattr(part, weight)
    means = {name: sums[name] / counts[weight] for name, weight in _WEIGHTS.items() if counts[weight]}
    return SplitStatistics.model_validate({**counts, **means})


def measure_lengths(texts: Iterable[str], tokenizer: "PreTrainedTokenizerBase", *, batch: int = 256) -> npt.NDArray[np.int32]:
    """Tokens of every text by a fast tokenizer, special tokens included, nothing truncated; `batch` texts are in memory at a time.

    Returns (N,).
    """
    return np.fromiter(_count_tokens(iter(texts), tokenizer, batch), dtype=np.int32)


def describe_lengths(lengths: npt.NDArray[np.int32], limit: int) -> LengthStatistics:
    """What a recipe's `limit` means for texts of these lengths, (N,)."""
    if not len(lengths):
        return LengthStatistics(limit=limit)
    return LengthStatistics(
        examples=len(lengths),
        mean=float(lengths.mean()),
        median=float(np.median(lengths)),
        p95=float(np.percentile(lengths, 95)),
        longest=int(lengths.max()),
        limit=limit,
        truncated_percent=100 * float((lengths > limit).mean()),
    )


def _space(pieces: Sequence[str]) -> str:
    """A text cut at its sentence ends, with blanks between all words."""
    text = " ".join(pieces).replace("n't", " n't").replace("N'T", " N'T")
    return _JOINED.sub(r"\g<0> ", " ".join(_APART.split(text)))


def _describe_pair(source: str, target: str) -> SplitStatistics:
    source_pieces, target_pieces = cut_at_ends(source), cut_at_ends(target)
    source_words, words = _space(source_pieces).lower().split(), _space(target_pieces).lower().split()
    pairs = list(pairwise(words))
    known = set(words).intersection(source_words)
    starts = map(known.__contains__, source_words)  # only a target's words can start a pair that it shares with its source
    known_pairs = set(compress(pairwise(source_words), starts))
    return SplitStatistics(
        examples=1,
        source_sentences=len(source_pieces) // 2 + bool(source_words),
        source_words=len(source_words),
        target_sentences=len(target_pieces) // 2 + bool(words),
        target_words=len(words),
        novel_unigrams=_percent_outside(words, known),
        novel_bigrams=_percent_outside(pairs, known_pairs),
        with_unigrams=bool(words),
        with_bigrams=bool(pairs),
    )


def _percent_outside(ngrams: Sequence[object], known: set) -> float | None:
    """Percent of the n-grams, each as often as it occurs, that are not known."""
    return 100 * (1 - sum(map(known.__contains__, ngrams)) / len(ngrams)) if ngrams else None


def _count_tokens(texts: Iterator[str], tokenizer: "PreTrainedTokenizerBase", batch: int) -> Iterator[int]:
    while some := list(islice(texts, batch)):
        encoded = tokenizer(some, truncation=False, padding=False, return_attention_mask=False, verbose=False)
        yield from map(len, encoded["input_ids"])
