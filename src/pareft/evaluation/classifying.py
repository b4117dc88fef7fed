"""A label or a number for every source, as text, so that what is stored and scored is as for texts that are written."""

from collections.abc import Mapping, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.errors import ModelError
from pareft.evaluation.generation import MULTIPLE, Batch
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
def choose_batch(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: Batch, *, max_source_tokens: int) -> list[str]:
    """The likeliest option of every source, which is never an empty one; C: as many as every source of a split has.

    Raises:
        ModelError: as `classify_batch`.
    """
    parted = part_texts(batch)
    sources, options = [source for source, _ in parted], [found for _, found in parted]
    encoded = pair_options(sources, options, tokenizer, max_tokens=max_source_tokens)
    padded = tokenizer.pad(encoded, pad_to_multiple_of=MULTIPLE, return_tensors="pt").to(model.device)
    outputs = compute_logits(model, {name: value.view(len(parted), -1, value.shape[1]) for name, value in padded.items()})  # (B, C)
    return [_choose(found, row.tolist()) for found, row in zip(options, outputs, strict=True)]


def part_texts(batch: Batch) -> list[tuple[str, list[str]]]:
    """Every source of a batch, and its options, or its second text."""
    return [(source, others) for source, *others in (text.split(PAIRED) for text in batch.texts)]


def _choose(options: Sequence[str], values: Sequence[float]) -> str:
    """The option of the highest value; empty ones only fill up."""
    return max(zip(options, values, strict=False), key=lambda found: (bool(found[0]), found[1]))[0]


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
