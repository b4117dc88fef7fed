"""Where sentences end, without a download: the rule that ROUGE-Lsum and SummaC take, named in every protocol, and the one by which
statistics count, which comes close to NLTK's punkt.
"""

import re
from itertools import groupby

SENTENCE_SPLITTING = (
    "a line per sentence: split after . ! ? before a blank, but for Dr., vs. and the like, and at line ends; offline"
)
SENTENCE_COUNTING = (
    "a sentence ends at . ? ! with the quotes and brackets that close there, before white space; not at line ends, dots in "
    "a row, the dot of a single letter or of Dr., vs. and the like, or that of a number of up to three digits before a small letter"
)
ABBREVIATIONS = (
    *("dr", "mr", "mrs", "ms", "prof", "st", "jr", "sr", "pt", "pts"),
    *("vs", "e.g", "i.e", "cf", "approx", "fig", "figs", "resp"),
)
_ABBREVIATED = re.compile(rf"(?:^|[\s(\"'])(?:{'|'.join(map(re.escape, ABBREVIATIONS))})\.$", re.IGNORECASE)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, by `SENTENCE_SPLITTING`; after the full stops of Chinese and Japanese no blank is needed."""
    sentences: list[str] = []
    for line in text.split("\n"):
        open_end = False
        for part in re.split(r"(?<=[.!?])\s+|(?<=[。！？])\s*", line.strip()):
            if open_end:
                sentences[-1] += f" {part}"
            elif part:
                sentences.append(part)
            open_end = bool(part) and bool(_ABBREVIATED.search(part))
    return sentences


def join_sentences(text: str) -> str:
    """One sentence per line."""
    return "\n".join(split_sentences(text))


def count_sentences(text: str) -> int:
    """How many sentences a text has by `SENTENCE_COUNTING`, which takes hard-wrapped lines for what they are."""
    return len(cut_at_ends(text)) // 2 + bool(text.strip())


def cut_at_ends(text: str) -> list[str]:
    """A text in an odd number of pieces: what stands between sentence ends, and between those the . ? or ! of each. What ends the
    text itself is no piece of its own. Without the white space around the text, the pieces together are the text.
    """
    return _END.split(text.strip())


def _forbid_before(words: tuple[str, ...]) -> str:
    """A pattern that fails after a dot with one of these words before it; a lookbehind takes words of one length."""
    lengths = groupby(sorted(words, key=len), key=len)
    return "".join(rf"(?<!\b(?:{'|'.join(map(re.escape, same))})\.)" for _, same in lengths)


_END = re.compile(
    r"""([.?!])(?=["'’”»)\]}]*\s)"""
    r"(?:(?<!\.)"  # ? and ! always end; a dot does but for
    r"|(?<!\.\.)"  # dots in a row,
    r"(?<!(?<!['’])\b[^\W\d_]\.)"  # a single letter, other than that of 's and 't,
    rf"(?i:{_forbid_before(ABBREVIATIONS)})"
    r"(?:(?<!(?<!\S)\d\.)(?<!(?<!\S)\d\d\.)(?<!(?<!\S)(?:\d\d\d|\d\.\d)\.)|(?!\s+[a-z])))"
)
