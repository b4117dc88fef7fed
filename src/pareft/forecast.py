"""What a training step will take, before there are weights: its memory, from the tensors it saves, and its operations.

The step is traced on tensors that have shapes and no content, with the library's own modelling code; nothing is guessed of an
architecture.
"""

import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from pareft.recipe import Recipe
from pareft.runtime import Precision, choose_device

GRADIENT_AND_ADAM = 4 + 8  # bytes of a trained parameter besides its own: a gradient and AdamW's two moments in float32
SIDE = 2048  # of the matrices whose product tells how fast the machine is
ROUNDS = 5
PASSING = 1.2  # what a step needs for a moment on top of what is forecast
BYTES_OF_PARAMETER, BYTES_OF_STATE, BYTES_OF_LOGIT = 16, 128, 16  # at most: with gradient and moments; saved around a norm or bias
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


@dataclass(frozen=True)
class Step:
    """One optimizer step with every text as long as the recipe allows: the bytes held when its backward pass begins, with the room
    for gradients and moments, and its operations. What the backward pass needs for a moment comes on top.
    """

    memory_bytes: int
    operations: int


def trace_step(model: nn.Module, recipe: Recipe, precision: Precision, *, frozen: torch.dtype | None = None) -> Step:
    """Trace forward and backward of one batch of a model on `meta`, which must not be used afterwards.

    Memory: weights (a frozen base is in `frozen`, by default in bf16 where that is computed with, as in a run), gradients and
    AdamW's moments of what is trained, and all that the forward pass saves for the backward pass.
    """
    frozen = frozen or (torch.bfloat16 if recipe.adapt and precision == "bf16" else torch.float32)
    size, data = recipe.train.batch_size, recipe.data
    saved: dict[int, torch.Tensor] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with FakeTensorMode(), FlopCounterMode(display=False) as counter:
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
    operations = counter.get_total_flops() * recipe.train.accumulation
    return Step(weights + GRADIENT_AND_ADAM * trained + activations, operations)


def fits_plainly(model: nn.Module, recipe: Recipe, precision: Precision, *, width: int, room: int) -> bool:
    """Whether a step of a model on `meta`, which must not be used afterwards, fits into `room` bytes with all that its forward pass
    saves. `width` is that of a token's states; it is traced only where a generous estimate does not settle it.
    """
    parameters, data = list(model.parameters()), recipe.data
    tokens = recipe.train.batch_size * (data.max_source_tokens + data.max_target_tokens)
    deep = sum(parameter.dim() == 1 and parameter.numel() == width for parameter in parameters)  # norms and biases of a layer
    size = sum(parameter.numel() for parameter in parameters)
    generous = BYTES_OF_PARAMETER * size + tokens * (deep * width * BYTES_OF_STATE + max(map(len, parameters)) * BYTES_OF_LOGIT)
    return generous <= room or PASSING * trace_step(model, recipe, precision).memory_bytes <= room


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
