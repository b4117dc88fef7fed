"""The memory of writing, on tensors without content: the model, what it keeps of every token, and the scores of the next one."""

from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from pareft.evaluation.beams import ROOM
from pareft.forecast.tracing import Watch, fake
from pareft.runtime import choose_device
from pareft.settings import EvaluateSettings

SCORES = 3  # copies of every token's chance, in float32, of each beam: as they are, as logarithms, and added to the beams'


@dataclass(frozen=True)
class Writing:
    """Bytes while a batch is written at full length: of the weights, of keys and values, and at the peak."""

    weight_bytes: int
    cache_bytes: int
    peak_bytes: int


def trace_writing(model: Any, settings: EvaluateSettings, *, source_tokens: int, dtype: torch.dtype) -> Writing:
    """Trace the first token of a batch of a model on `meta`, which must not be used afterwards; from what that leaves in the cache
    follows what all tokens do. Where beams share their source (`evaluate.fast.beams`), it is counted once.
    """
    device, beams = choose_device().type, settings.num_beams
    rows = count_rows(settings, source_tokens)
    two_stacks = model.config.is_encoder_decoder
    with torch.no_grad(), FakeTensorMode(), Watch() as watch:
        fake(model.eval(), dtype, device, trained=dtype)
        for parameter in model.parameters():
            watch.hold(parameter)
        weights = watch.held
        source = torch.ones(rows, source_tokens, dtype=torch.long, device=device)
        asked = {"input_ids": source, "attention_mask": torch.ones_like(source), "use_cache": True}
        watch.begin()
        result = model(**asked, decoder_input_ids=source[:, :1]) if two_stacks else model(**asked, logits_to_keep=1)
        states = result.encoder_last_hidden_state.untyped_storage().nbytes() if two_stacks else 0
        first, cache = watch.peak, result.past_key_values
        written = _count(cache.self_attention_cache) if two_stacks else _count(cache) // source_tokens  # of a token of all rows
        read = _count(cache.cross_attention_cache) if two_stacks else written * source_tokens
        vocabulary = result.logits.shape[-1]
    shares = two_stacks and beams > 1 and settings.fast.beams
    kept = written * beams * (_make_room(settings.max_new_tokens) if shares else settings.max_new_tokens)
    kept += read * (1 if shares else beams)
    scores = SCORES * 4 * rows * beams * vocabulary
    states *= 1 + beams if beams > 1 else 1  # `generate` keeps the encoder's, and gives every beam a copy
    return Writing(weights, kept, max(first, weights + states + kept + scores))


def count_rows(settings: EvaluateSettings, source_tokens: int) -> int:
    """How many sources of this length are written for at once."""
    return max(1, min(settings.batch_size, settings.batch_tokens // source_tokens))


def _count(cache: Any) -> int:
    """Bytes of a cache's keys and values."""
    return sum(part.untyped_storage().nbytes() for layer in cache.layers for part in (layer.keys, layer.values))


def _make_room(tokens: int) -> int:
    """For how many tokens a store has room in the end that is given twice what it must hold whenever it is full."""
    room = ROOM
    while room < tokens:
        room = 2 * (room + 1)
    return room
