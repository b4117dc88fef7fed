"""A label or a number for every source, as text, so that what is stored and scored is as for texts that are written."""

from collections.abc import Mapping, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.errors import ModelError
from pareft.evaluation.generation import MULTIPLE, Batch, group_by_length
from pareft.settings import PAIRED
from pareft.token_ids import pair_options


@torch.inference_mode()
def classify_batch(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: Batch) -> list[str]:
    """The likeliest label of every source, by the config's names, or of a model with one output the number.

    Raises:
        ModelError: the model computes NaN.
    """
    inputs = {"input_ids": list(batch.tokens)} | ({"token_type_ids": list(batch.types)} if batch.types else {})
    padded = tokenizer.pad(inputs, pad_to_multiple_of=MULTIPLE, return_tensors="pt").to(model.device)
    outputs = compute_logits(model, padded)  # (B, labels)
    if outputs.shape[1] == 1:
        return [repr(round(float(value), 6)) for value in outputs[:, 0]]
    return [model.config.id2label[int(number)] for number in outputs.argmax(1)]


@torch.inference_mode()
def choose_batch(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: Batch, *, max_source_tokens: int, batch_tokens: int
) -> list[str]:
    """The likeliest option of every source; empty ones only fill up. No more than `batch_tokens` are computed together, unless one
    source with an option alone has more.

    Raises:
        ModelError: as `classify_batch`.
    """
    parted = part_options(batch)
    encoded = pair_options(
        [source for source, _ in parted], [options for _, options in parted], tokenizer, max_tokens=max_source_tokens
    )
    values = [0.0] * len(encoded["input_ids"])
    for together in group_by_length(list(map(len, encoded["input_ids"])), tokens=batch_tokens):
        chosen = {name: [found[row] for row in together] for name, found in encoded.items()}
        padded = tokenizer.pad(chosen, pad_to_multiple_of=MULTIPLE, return_tensors="pt").to(model.device)
        outputs = compute_logits(model, {name: value[:, None] for name, value in padded.items()})  # (options, 1): each by itself
        for row, value in zip(together, outputs[:, 0].tolist(), strict=True):
            values[row] = value
    return pick_options(parted, values)


def part_texts(batch: Batch) -> list[tuple[str, list[str]]]:
    """Every source of a batch, and its options, or its second text."""
    return [(source, others) for source, *others in (text.split(PAIRED) for text in batch.texts)]


def part_options(batch: Batch) -> list[tuple[str, list[str]]]:
    """Every source of a batch, and its options without those that only fill up."""
    return [(source, [option for option in options if option]) for source, options in part_texts(batch)]


def pick_options(parted: Sequence[tuple[str, Sequence[str]]], values: Sequence[float]) -> list[str]:
    """Of every source, the option of the highest value, of equals the first; `values` are those of all options in their order."""
    chosen, place = [], 0
    for _, options in parted:
        own = values[place : place + len(options)]
        chosen.append(options[own.index(max(own))])
        place += len(options)
    return chosen


def compute_logits(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """A model's logits in float32.

    Raises:
        ModelError: NaN or infinity is among them.
    """
    return check_finite(model(**inputs).logits.float())


def check_finite(logits: torch.Tensor) -> torch.Tensor:
    """The logits; raise `ModelError` if NaN or infinity is among them."""
    if not bool(logits.isfinite().all()):
        raise ModelError(
            "the model computes NaN or infinity: its weights are damaged, or it was trained in a precision that is too small for "
            "it (train.precision: fp32)"
        )
    return logits
