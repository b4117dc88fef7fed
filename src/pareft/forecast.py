"""What a training step will take, before there are weights: its memory, from the tensors it saves, and its operations.

The step is traced on tensors that have shapes and no content, with the library's own modelling code; nothing is guessed of an
architecture.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from pareft.recipe import Recipe
from pareft.runtime import Precision, choose_device
from pareft.settings import FastSettings
from pareft.tuning.fast import quicken
from pareft.tuning.fast.batches import find_part_tokens

GRADIENT_AND_ADAM = 4 + 8  # bytes of a trained parameter besides its own: a gradient and AdamW's two moments in float32
SIDE = 2048  # of the matrices whose product tells how fast the machine is
ROUNDS = 5
PASSING = 1.2  # what a step needs for a moment on top of what is forecast
BYTES_OF_STATE, BYTES_OF_LOGIT = 8, 16  # at most, that are saved of a token: by its places in what matrices read and write
SHORT = 1024  # tokens up to which attention weights are no more than that
PLAIN = FastSettings(lora=False, dropout=False, loss=False, attention=False, memory=False, batches=False)
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Step:
    """One optimizer step with every text as long as the recipe allows: the bytes held when its backward pass begins, with the room
    for gradients and moments, and its operations. What the backward pass needs for a moment comes on top.
    """

    memory_bytes: int
    operations: int


def trace_step(
    model: Any, recipe: Recipe, precision: Precision, *, frozen: torch.dtype | None = None, fast: FastSettings = PLAIN
) -> Step:
    """Trace forward and backward of one batch of a model on `meta`, which must not be used afterwards.

    Memory: weights (a frozen base is in `frozen`, by default in bf16 where that is computed with, as in a run), gradients and
    AdamW's moments of what is trained, and all that the forward pass saves for the backward pass: of one part of the batch, where
    the fast ways cut it.
    """
    frozen = frozen or (torch.bfloat16 if recipe.adapt and precision == "bf16" else torch.float32)
    size, data = _find_rows(recipe, fast), recipe.data
    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor
        return tensor

    ways = fast if choose_device().type == "cpu" else fast.model_copy(update={"dropout": False, "attention": False})
    with quicken(model, ways), FakeTensorMode(), FlopCounterMode(display=False) as counter:
        _fake(model.train(), frozen)
        source, target = (torch.ones(size, tokens, dtype=torch.long) for tokens in (data.max_source_tokens, data.max_target_tokens))
        dtype = torch.float16 if precision == "fp16" else torch.bfloat16
        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
        with hooks, torch.autocast("cpu", dtype, enabled=precision != "fp32"):
            loss = model(input_ids=source, labels=target).loss
        own = {parameter.untyped_storage()._cdata: parameter for parameter in model.parameters()}
        activations = sum(tensor.untyped_storage().nbytes() for key, tensor in saved.items() if key not in own)
        loss.backward()
    weights = sum(parameter.untyped_storage().nbytes() for parameter in own.values())
    trained = sum(parameter.numel() for parameter in own.values() if parameter.requires_grad)
    operations = round(counter.get_total_flops() * recipe.train.batch_size / size) * recipe.train.accumulation
    return Step(weights + GRADIENT_AND_ADAM * trained + activations, operations)


def _find_rows(recipe: Recipe, fast: FastSettings) -> int:
    """How many of a batch's examples are computed at a time, if all are as long as they may be."""
    size, data = recipe.train.batch_size, recipe.data
    tokens = find_part_tokens(fast, choose_device().type) if fast.batches else None
    return min(size, max(1, tokens // (data.max_source_tokens + data.max_target_tokens))) if tokens else size


def fits_plainly(model: nn.Module, recipe: Recipe, precision: Precision, *, room: int) -> bool:
    """Whether a step of a model on `meta`, which must not be used afterwards, fits into `room` bytes with all that its forward pass
    saves. It is traced only where a generous estimate does not settle it.
    """
    fast = recipe.train.fast
    generous = _estimate(list(model.parameters()), recipe, fast)
    return generous <= room or PASSING * trace_step(model, recipe, precision, fast=fast).memory_bytes <= room


def _estimate(parameters: Sequence[nn.Parameter], recipe: Recipe, fast: FastSettings) -> float:
    """More bytes than a step takes."""
    source, target = recipe.data.max_source_tokens, recipe.data.max_target_tokens
    weights = sum((4 + GRADIENT_AND_ADAM * parameter.requires_grad) * parameter.numel() for parameter in parameters)
    vocabulary = max(map(len, parameters))
    places = sum(sum(parameter.shape) for parameter in parameters if parameter.dim() == 2 and len(parameter) != vocabulary)
    of_token = places * BYTES_OF_STATE * math.ceil(max(source, target) / SHORT) + vocabulary * BYTES_OF_LOGIT
    return weights + _find_rows(recipe, fast) * (source + target) * of_token


def _fake(model: nn.Module, frozen: torch.dtype) -> None:
    """Put tensors without content in the place of those on `meta`; a shared one stays shared."""
    made: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in made:
                dtype = torch.float32 if parameter.requires_grad else frozen
                made[id(parameter)] = nn.Parameter(torch.empty(parameter.shape, dtype=dtype), parameter.requires_grad)
            module._parameters[name] = None if parameter is None else made[id(parameter)]
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else torch.empty(buffer.shape, dtype=buffer.dtype)


def measure_rate(precision: Precision, side: int = SIDE) -> float:
    """Floating-point operations a second of this machine's products of square matrices: the median, after one uncounted."""
    device, dtype = choose_device(), DTYPES[precision]
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        float((one @ other)[0, 0])  # waits for it
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / median(seconds[1:])
