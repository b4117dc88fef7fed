"""Whether a training step fits into memory."""

import math
from collections.abc import Sequence

from torch import nn

from pareft.forecast.tracing import GRADIENT, MOMENTS, count_rows, trace_step
from pareft.recipe import Recipe
from pareft.runtime import Precision
from pareft.settings import FastSettings

MARGIN, PROCESS_BYTES = 1.2, 150_000_000  # what allocators and libraries need on top of all tensors
BYTES_OF_STATE, BYTES_OF_LOGIT = 8, 16  # at most, that are saved of a token: by its places in what matrices read and write
SHORT = 1024  # tokens up to which attention weights are no more than that


def fits_plainly(model: nn.Module, recipe: Recipe, precision: Precision, *, room: int) -> bool:
    """Whether a step of a model on `meta`, which must not be used afterwards, fits into `room` bytes with all that its forward pass
    saves. It is traced only where a generous estimate does not settle it.
    """
    fast, room = recipe.train.fast, room - PROCESS_BYTES
    generous = _estimate(list(model.parameters()), recipe, fast)
    return generous <= room or MARGIN * trace_step(model, recipe, precision, fast=fast).peak_bytes <= room


def _estimate(parameters: Sequence[nn.Parameter], recipe: Recipe, fast: FastSettings) -> float:
    """More bytes than a step takes."""
    source, target = recipe.data.max_source_tokens, recipe.data.max_target_tokens
    weights = sum((4 + (GRADIENT + MOMENTS) * parameter.requires_grad) * parameter.numel() for parameter in parameters)
    vocabulary = max(map(len, parameters))
    places = sum(sum(parameter.shape) for parameter in parameters if parameter.dim() == 2 and len(parameter) != vocabulary)
    of_token = places * BYTES_OF_STATE * math.ceil(max(source, target) / SHORT) + vocabulary * BYTES_OF_LOGIT
    return weights + count_rows(recipe, fast) * (source + target) * of_token
