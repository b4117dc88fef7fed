"""How a model that was trained writes: as pareft does, and as a user of transformers and peft does. Both write a fixed number of
tokens, so that what random weights would write does not matter.
"""

from collections.abc import Callable
from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerBase

from pareft.evaluation.generation import Batch, write_batch
from pareft.settings import EvaluateSettings
from pareft.tuning.adapters import merge

Write = Callable[[list[list[int]], int], object]  # sources as token ids, and beams


def make_writer(model: Any, tokenizer: PreTrainedTokenizerBase, new_tokens: int) -> Write:
    """As `pareft evaluate` writes: the adapter merged, in float32."""
    merged = (merge(model) if isinstance(model, PeftModel) else model).eval()
    merged.generation_config.min_new_tokens = new_tokens

    def write(sources: list[list[int]], beams: int) -> list[str]:
        numbers = tuple(range(len(sources)))
        settings = EvaluateSettings(num_beams=beams, max_new_tokens=new_tokens)
        return write_batch(merged, tokenizer, Batch(numbers, numbers, tuple(sources)), settings)

    return write


def make_stock_writer(model: Any, tokenizer: PreTrainedTokenizerBase, new_tokens: int) -> Write:
    """As one writes with what was trained: `generate` of the model as it is, float32, the adapter beside the weights; no tokens
    twice in threes, as pareft has it by default.
    """
    model.eval()
    limit = EvaluateSettings().no_repeat_ngram_size

    @torch.inference_mode()
    def write(sources: list[list[int]], beams: int) -> list[str]:
        batch = tokenizer.pad({"input_ids": sources}, return_tensors="pt").to(model.device)
        written = model.generate(
            **batch,
            num_beams=beams,
            max_new_tokens=new_tokens,
            min_new_tokens=new_tokens,
            no_repeat_ngram_size=limit,
            do_sample=False,
        )
        return tokenizer.batch_decode(written, skip_special_tokens=True)

    return write
