"""Write a target for every source: batches of similar length by a budget of tokens, the same whatever happens in between."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from transformers import LogitsProcessor, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from pareft.errors import ModelError
from pareft.evaluation.beams import share_sources
from pareft.evaluation.repeats import NoRepeat
from pareft.records import Identity
from pareft.settings import PAIRED, EvaluateSettings

MULTIPLE = 16  # to which sources are padded: processors keep a program for every shape they meet, so that few shapes save memory
WINDOW = 512  # sources that are sorted by length together, so that no more are held in memory


@dataclass(frozen=True)
class Batch:
    """Sources that are written for together: their numbers in the input, their ids, and their token ids."""

    indices: tuple[int, ...]
    ids: tuple[Identity, ...]
    tokens: tuple[list[int], ...]
    types: tuple[list[int], ...] = ()  # of every token, which of two texts it is of, where the tokenizer says so
    texts: tuple[str, ...] = ()  # of sources with options, or with a text to look into, which are not cut here


@dataclass(frozen=True)
class Reading:
    """How sources are read: how many tokens of one. With `options`, one of them is chosen, of which a model that writes reads
    `max_target_tokens`; a part of a second text, `unanswerable` if there may be none, has no more than these.
    """

    max_source_tokens: int
    max_target_tokens: int = 1
    options: bool = False
    unanswerable: bool = False


def make_batches(
    sources: Iterable[tuple[Identity, str]],
    tokenizer: PreTrainedTokenizerBase,
    settings: EvaluateSettings,
    *,
    max_source_tokens: int,
    as_texts: bool = False,
) -> Iterator[Batch]:
    """Cut a stream of (id, source) into batches, window by window, the longest of a window first: if memory does not suffice, it
    shows at once. A batch has at most `batch_size` sources and, padded, `batch_tokens` tokens, unless one source alone has more.
    `as_texts`: sources have options, or a text to look into, and stay texts; then as many are a batch as it may have, whatever
    their length.

    The batches depend on the sources and settings alone, so that they are the same in every process and after every interruption.
    """
    stream = iter(enumerate(sources))
    while window := list(islice(stream, WINDOW)):
        if as_texts:
            yield from _gather_texts(window, settings.batch_size)
            continue
        parts = [text.partition(PAIRED) for _, (_, text) in window]
        pairs = [pair for _, _, pair in parts] if any(separator for _, separator, _ in parts) else None
        inputs = tokenizer([text for text, _, _ in parts], pairs, truncation=True, max_length=max_source_tokens)
        encoded, types = inputs["input_ids"], inputs.get("token_type_ids") if pairs else None
        for chosen in group_by_length(list(map(len, encoded)), tokens=settings.batch_tokens, most=settings.batch_size):
            yield Batch(
                tuple(window[place][0] for place in chosen),
                tuple(window[place][1][0] for place in chosen),
                tuple(encoded[place] for place in chosen),
                tuple(types[place] for place in chosen) if types else (),
            )


def group_by_length(lengths: Sequence[int], *, tokens: int, most: int | None = None) -> Iterator[list[int]]:
    """The places of rows that are computed together, the longest first: at most `most`, and no more than `tokens` when they are
    padded, unless one alone has more.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    while order:
        fitting = max(1, tokens // max(1, lengths[order[0]]))
        size = fitting if most is None else min(most, fitting)
        yield order[:size]
        order = order[size:]


def _gather_texts(window: Sequence[tuple[int, tuple[Identity, str]]], size: int) -> Iterator[Batch]:
    """Batches of sources with what goes with them, those with the most text first."""
    ordered = sorted(window, key=lambda found: -len(found[1][1]))
    for start in range(0, len(ordered), size):
        chosen = ordered[start : start + size]
        texts = tuple(text for _, (_, text) in chosen)
        yield Batch(tuple(index for index, _ in chosen), tuple(name for _, (name, _) in chosen), (), texts=texts)


@torch.inference_mode()
def write_batch(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: Batch, settings: EvaluateSettings) -> list[str]:
    """The texts for a batch, by beam search or greedily.

    Raises:
        ModelError: the model computes NaN.
    """
    padded = tokenizer.pad({"input_ids": list(batch.tokens)}, pad_to_multiple_of=MULTIPLE, return_tensors="pt").to(model.device)
    fast, size = settings.fast, settings.no_repeat_ngram_size
    processors: list[LogitsProcessor] = [_RefuseNaN(batch.ids)]
    if fast.repeats and size > 1 and not (model.generation_config and model.generation_config.renormalize_logits):
        processors, size = [NoRepeat(size), *processors], 0
    with share_sources(model, settings.num_beams if fast.beams else 1) as shared:
        written = model.generate(
            **padded,
            **shared,
            num_beams=settings.num_beams,
            max_new_tokens=settings.max_new_tokens,
            max_length=None,
            min_length=0,
            no_repeat_ngram_size=size,
            do_sample=False,
            num_return_sequences=1,
            max_time=None,
            use_cache=True,
            logits_processor=LogitsProcessorList(processors),
        )
    return [text.strip() for text in tokenizer.batch_decode(written, skip_special_tokens=True)]


class _RefuseNaN(LogitsProcessor):
    """Greedy search takes the first token where all are NaN, and says nothing."""

    def __init__(self, ids: Sequence[Identity]) -> None:
        self.ids = ids

    def __call__(self, input_ids: Any, scores: torch.Tensor) -> torch.Tensor:
        if not math.isfinite(float(scores.max())):
            raise ModelError(
                f"the model computes NaN or infinity for one of the examples with the ids {', '.join(map(str, self.ids[:8]))}; its "
                "weights are damaged, or it was trained in a precision that is too small for it (train.precision: fp32)"
            )
        return scores
