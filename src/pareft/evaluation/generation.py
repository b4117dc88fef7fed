"""Write a target for every source: batches of similar length, longest first."""

from collections.abc import Iterator, Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.recipe import EvaluateSettings


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sources: Sequence[str],
    settings: EvaluateSettings,
    *,
    max_source_tokens: int,
) -> Iterator[tuple[int, str]]:
    """Yield (index of the source, text) by beam search, batch by batch, so that whatever is done can be stored.

    The longest sources come first: if memory does not suffice, it shows at once.
    """
    model.eval()
    encoded = tokenizer(list(sources), truncation=True, max_length=max_source_tokens)["input_ids"]
    order = sorted(range(len(sources)), key=lambda index: -len(encoded[index]))
    for start in range(0, len(order), settings.batch_size):
        chosen = order[start : start + settings.batch_size]
        batch = tokenizer.pad({"input_ids": [encoded[index] for index in chosen]}, return_tensors="pt").to(model.device)
        written = model.generate(
            **batch,
            num_beams=settings.num_beams,
            max_new_tokens=settings.max_new_tokens,
            max_length=None,
            min_length=0,
            no_repeat_ngram_size=settings.no_repeat_ngram_size,
            do_sample=False,
        )
        for index, text in zip(chosen, tokenizer.batch_decode(written, skip_special_tokens=True), strict=True):
            yield index, text.strip()
