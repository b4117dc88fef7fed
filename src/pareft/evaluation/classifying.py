"""A label or a number for every source, as text, so that what is stored and scored is as for texts that are written."""

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.errors import ModelError
from pareft.evaluation.generation import MULTIPLE, Batch


@torch.inference_mode()
def classify_batch(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch: Batch) -> list[str]:
    """The likeliest label of every source, by the config's names, or of a model with one output the number.

    Raises:
        ModelError: the model computes NaN.
    """
    inputs = {"input_ids": list(batch.tokens)} | ({"token_type_ids": list(batch.types)} if batch.types else {})
    padded = tokenizer.pad(inputs, pad_to_multiple_of=MULTIPLE, return_tensors="pt").to(model.device)
    outputs = model(**padded).logits.float()  # (B, labels)
    if not bool(outputs.isfinite().all()):
        raise ModelError(
            "the model computes NaN or infinity: its weights are damaged, or it was trained in a precision that is too small for "
            "it (train.precision: fp32)"
        )
    if outputs.shape[1] == 1:
        return [repr(round(float(value), 6)) for value in outputs[:, 0]]
    return [model.config.id2label[int(number)] for number in outputs.argmax(1)]
