"""Texts as token ids, where what learns and what scores must see them alike: options, targets, windows. No torch in here."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import BatchEncoding, PreTrainedTokenizerBase

IGNORED = -100  # in labels: what is not learnt, and padding
SPECIAL = 6  # tokens around two texts, and some room
Encoded = dict[str, list[list[int]]]


def pair_options(
    sources: Sequence[str], options: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, *, max_tokens: int
) -> BatchEncoding:
    """Every source with each of its options, as two texts for an encoder: one after the other, not padded."""
    firsts = [source for source, found in zip(sources, options, strict=True) for _ in found]
    seconds = [option for found in options for option in found]
    return tokenizer(firsts, seconds, truncation=True, max_length=max_tokens)


def answer_sources(
    sources: Sequence[str],
    targets: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_source_tokens: int,
    max_target_tokens: int,
    pairs: Sequence[str] | None = None,
) -> Encoded:
    """Every source, or it and the text that it is a pair with, and its target for an encoder-decoder: `input_ids`, `attention_mask`
    and `labels`, not padded.
    """
    read = tokenizer(list(sources), pairs, truncation=True, max_length=max_source_tokens)
    written = tokenizer(text_target=list(targets), truncation=True, max_length=max_target_tokens)
    return {"input_ids": read["input_ids"], "attention_mask": read["attention_mask"], "labels": written["input_ids"]}


def continue_sources(
    sources: Sequence[str],
    targets: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_source_tokens: int,
    max_target_tokens: int,
) -> Encoded:
    """Every source, a space, its target and the end for a decoder, as in `answer_sources`; labels are the target's and the end's,
    and of the source `IGNORED`. Of a source that is too long, the middle goes: what is asked may be before or behind a text.

    The source is cut as it is by itself, and the target is what the two together have besides.
    """
    alone = tokenizer(list(sources), add_special_tokens=False)["input_ids"]
    joined = [f"{source} {target}" if source else target for source, target in zip(sources, targets, strict=True)]
    both = tokenizer(joined, add_special_tokens=False)["input_ids"]
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    found: Encoded = {"input_ids": [], "attention_mask": [], "labels": []}
    for source, tokens in zip(alone, both, strict=True):
        start = _find_start(tokenizer, needed=not source)
        room = max(0, max_source_tokens - len(start))
        kept = tokens[: len(source)]
        if len(kept) > room:
            kept = kept[: room // 2] + kept[len(kept) - (room - room // 2) :]
        before = start + kept
        after = tokens[len(source) :][: max_target_tokens - len(end)] + end
        found["input_ids"].append(before + after)
        found["attention_mask"].append([1] * len(before + after))
        found["labels"].append([IGNORED] * len(before) + after)
    return found


def _find_start(tokenizer: PreTrainedTokenizerBase, *, needed: bool) -> list[int]:
    """The token before a text, if the tokenizer puts one there, or if it is `needed`: the first token is foretold by none."""
    first = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    puts = tokenizer("")["input_ids"][:1] == [first]
    return [first] if first is not None and (puts or needed) else []


@dataclass(frozen=True)
class Windows:
    """Questions, each with a part of its text: `inputs` by name, a row for each; `owners`, which question's a window is; `letters`,
    of every token which characters of the text it is, from and to, `None` of those that are not of it.
    """

    inputs: Encoded
    owners: list[int]
    letters: list[list[tuple[int, int] | None]]

    def reaches(self, number: int, letter: int) -> bool:
        """Whether a window holds a character of its text, or the space between two tokens that it holds."""
        there = [span for span in self.letters[number] if span]
        return bool(there) and there[0][0] <= letter < there[-1][1]


def cut_windows(questions: Sequence[str], texts: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, max_tokens: int) -> Windows:
    """Every question with its text, as two texts for an encoder; in windows that overlap by a third of what may be together, where
    that is too long. Of a question, no more than half of that stays.
    """
    asked = tokenizer(list(questions), truncation=True, max_length=max_tokens // 2, return_offsets_mapping=True)["offset_mapping"]
    cut = [question[: max((end for _, end in spans), default=0)] for question, spans in zip(questions, asked, strict=True)]
    found = tokenizer(
        cut,
        list(texts),
        truncation="only_second",
        max_length=max_tokens,
        stride=max(0, min(max_tokens // 3, max_tokens - max_tokens // 2 - SPECIAL)),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    letters: list[list[tuple[int, int] | None]] = [
        [span if side == 1 else None for side, span in zip(found.sequence_ids(number), spans, strict=True)]
        for number, spans in enumerate(found["offset_mapping"])
    ]
    inputs = {name: found[name] for name in ("input_ids", "attention_mask", "token_type_ids") if name in found}
    return Windows(inputs, found["overflow_to_sample_mapping"], letters)
