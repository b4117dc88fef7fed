"""Texts as token ids, where what learns and what scores must see them alike: options, and targets. No torch in here."""

from collections.abc import Sequence

from transformers import BatchEncoding, PreTrainedTokenizerBase

IGNORED = -100  # in labels: what is not learnt, and padding
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
    and of the source `IGNORED`. Of a source that is too long, the last tokens stay.

    The source is cut as it is by itself, and the target is what the two together have besides.
    """
    alone = tokenizer(list(sources), add_special_tokens=False)["input_ids"]
    joined = [f"{source} {target}" if source else target for source, target in zip(sources, targets, strict=True)]
    both = tokenizer(joined, add_special_tokens=False)["input_ids"]
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    found: Encoded = {"input_ids": [], "attention_mask": [], "labels": []}
    for source, tokens in zip(alone, both, strict=True):
        start = _find_start(tokenizer, needed=not source)
        room = max_source_tokens - len(start)
        before = start + (tokens[: len(source)][-room:] if room else [])
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
