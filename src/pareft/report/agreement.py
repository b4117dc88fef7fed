"""Where a prediction agrees with its reference, word by word, as ROUGE-1 counts it."""

import re
from collections import Counter
from dataclasses import dataclass

from pareft.evaluation.metrics.rouge import list_stems

# What rouge-score splits a text into, before it is in lower case: K (Kelvin) becomes a k, and İ an i and a mark that ends the word.
WORD = re.compile("[a-zA-Z0-9\u212a]*\u0130|[a-zA-Z0-9\u212a]+")


@dataclass(frozen=True)
class Span:
    """A piece of a text, and whether its words are in the reference."""

    text: str
    agrees: bool


def find_agreement(prediction: str, reference: str) -> list[Span]:
    """The prediction in pieces that together are it. A word agrees if its stem is one of the reference's, each of which is found
    once: as many words agree as ROUGE-1 counts, the first ones.
    """
    left, spans, end = Counter(list_stems(reference)), [Span("", False)], 0
    for match in WORD.finditer(prediction):
        stems = list_stems(match.group())
        agrees = bool(stems) and left[stems[0]] > 0
        if agrees:
            left[stems[0]] -= 1
        spans += [Span(prediction[end : match.start()], False), Span(match.group(), agrees)]
        end = match.end()
    return _join([*spans, Span(prediction[end:], False)])


def _join(spans: list[Span]) -> list[Span]:
    """Neighbours that are alike as one, blanks between words that agree with them."""
    joined: list[Span] = []
    for index, span in enumerate(spans):
        between = 0 < index < len(spans) - 1 and spans[index - 1].agrees and spans[index + 1].agrees and not span.text.strip()
        agrees = span.agrees or between
        if joined and (joined[-1].agrees == agrees or not span.text):
            joined[-1] = Span(joined[-1].text + span.text, joined[-1].agrees)
        elif span.text:
            joined.append(Span(span.text, agrees))
    return joined
