"""A label or a number for every source, as text, so that what is stored and scored is as for texts that are written."""

from collections.abc import Mapping, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.errors import ModelError
from pareft.evaluation.generation import MULTIPLE, Batch
from pareft.settings import PAIRED


@torch.inference_mode()
def classify_batch(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: Batch) -> list[str]:
    """The likeliest label of every source, by the config's names, or of a model with one output the number.

    Raises:
        ModelError: the model computes NaN.
    """
    inputs = {"input_ids": list(batch.tokens)} | ({"token_type_ids": list(batch.types)} if batch.types else {})
    padded = tokenizer.pad(inputs, pad_to_multiple_of=MULTIPLE, return_tensors="pt").to(model.device)
    outputs = _compute(model, padded)  # (B, labels)
    if outputs.shape[1] == 1:
        return [repr(round(float(value), 6)) for value in outputs[:, 0]]
    return [model.config.id2label[int(number)] for number in outputs.argmax(1)]


@torch.inference_mode()
def choose_batch(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: Batch, *, max_source_tokens: int) -> list[str]:
    """The likeliest option of every source, which is never an empty one; C: as many as every source of a split has.

    Raises:
        ModelError: as `classify_batch`.
    """
    parted = [text.split(PAIRED) for text in batch.texts]
    firsts = [source for source, *options in parted for _ in options]
    seconds = [option for _, *options in parted for option in options]
    encoded = tokenizer(firsts, seconds, truncation=True, max_length=max_source_tokens)
    padded = tokenizer.pad(encoded, pad_to_multiple_of=MULTIPLE, return_tensors="pt").to(model.device)
    outputs = _compute(model, {name: value.view(len(parted), -1, value.shape[1]) for name, value in padded.items()})  # (B, C)
    return [_choose(options, row.tolist()) for (_, *options), row in zip(parted, outputs, strict=True)]


def _choose(options: Sequence[str], values: Sequence[float]) -> str:
    """The option of the highest value; empty ones only fill up."""
    return max(zip(options, values, strict=False), key=lambda found: (bool(found[0]), found[1]))[0]


def _compute(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    logits: torch.Tensor = model(**inputs).logits.float()
    if not bool(logits.isfinite().all()):
        raise ModelError(
            "the model computes NaN or infinity: its weights are damaged, or it was trained in a precision that is too small for "
            "it (train.precision: fp32)"
        )
    return logits
