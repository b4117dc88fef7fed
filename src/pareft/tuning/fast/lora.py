"""LoRA in one pass: y = W x + b + (alpha / rank) B A dropout(x), with what the backward pass needs computed by hand.

peft casts x to the adapter's float32 and back, and adds two more tensors of the output's size. Here x is read in the dtype of the
products, and the update is added to the base's output in place.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from peft.tuners.lora import Linear
from torch import nn
from torch.nn import functional

from pareft.runtime import find_computing_dtype
from pareft.tuning.dropping import ExampleDropout
from pareft.tuning.fast.dropout import apply_mask, can_drop, draw_mask
from pareft.tuning.replacing import replace_forward


@contextmanager
def fuse(model: nn.Module, *, fast_dropout: bool) -> Iterator[None]:
    """Inside the `with`, every plain LoRA layer of a model computes in one pass; others, and calls that ask for more, as before."""
    layers = [module for module in model.modules() if type(module) is Linear]
    with ExitStack() as replaced:
        for layer in layers:
            replaced.enter_context(replace_forward(layer, _make_forward(layer, layer.forward, fast_dropout)))
        yield


def _make_forward(layer: Linear, stock: Callable[..., torch.Tensor], fast_dropout: bool) -> Callable[..., torch.Tensor]:
    def forward(value: torch.Tensor, *args: Any, **options: Any) -> torch.Tensor:
        name = _find_adapter(layer)
        if name is None or args or any(option is not None for option in options.values()):
            return stock(value, *args, **options)
        base, dropout = layer.get_base_layer(), layer.lora_dropout[name]
        probability = dropout.p if isinstance(dropout, nn.Dropout) and dropout.training else 0.0
        down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
        if isinstance(dropout, ExampleDropout):
            if value.ndim < 3:  # an example a row: the first matrix would be there once for each
                return stock(value)
            factors = dropout.draw(value)
            down = down if factors is None else down * factors[:, None]
        rows: torch.Tensor = _Lora.apply(  # type: ignore[no-untyped-call]
            value.reshape(-1, value.shape[-1]),
            base.weight,
            base.bias,
            down,
            up,
            layer.scaling[name],
            probability,
            fast_dropout,
            find_computing_dtype(value),
        )
        return rows.view(*value.shape[:-1], -1)

    return forward


def _find_adapter(layer: Linear) -> str | None:
    """The one adapter that a layer computes with, if it is a plain LoRA on a plain linear layer that is frozen."""
    active = [name for name in layer.active_adapters if name in layer.lora_A]
    if layer.disable_adapters or layer.merged or len(active) != 1 or layer.fan_in_fan_out:
        return None
    (name,) = active
    base, dropout = layer.get_base_layer(), layer.lora_dropout[name]
    known = type(dropout) in (nn.Dropout, nn.Identity, ExampleDropout)
    plain = type(base) is nn.Linear and known and not base.weight.requires_grad
    return name if plain and name not in layer.lora_variant and not layer.lora_bias[name] else None


class _Lora(torch.autograd.Function):
    """Rows (N, K), weight (M, K), bias (M), down (r, K), or where each of B examples has its own (B, r, K), up (M, r) → (N, M)."""

    @staticmethod
    def forward(
        ctx: Any,
        value: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        down: torch.Tensor,
        up: torch.Tensor,
        scale: float,
        probability: float,
        fast_dropout: bool,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        with torch.autocast(value.device.type, enabled=False):
            rows = value.to(dtype)
            weight, down, up = weight.to(dtype), down.to(dtype), up.to(dtype)
            result = functional.linear(rows, weight, None if bias is None else bias.to(dtype))
            kept, mask, rescale = _drop(rows, probability, fast_dropout)
            ctx.scale = scale * rescale
            inner = _part(kept, down) @ down.mT
            inner = inner.view(len(rows), -1)
            result.addmm_(inner, up.T, alpha=ctx.scale)
        ctx.dtype = value.dtype
        ctx.save_for_backward(weight, down, up, kept, inner, mask)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        weight, down, up, kept, inner, mask = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        gradient = gradients[0]
        of_value = of_bias = of_down = of_up = None
        with torch.autocast(gradient.device.type, enabled=False):
            scaled = (gradient @ up).mul_(ctx.scale)
            if wanted[3]:
                of_down = _part(scaled, down).mT @ _part(kept, down)
            if wanted[2] or wanted[4]:
                one = inner.new_ones(len(inner), 1) if wanted[2] else inner[:, :0]
                sums = torch.cat([inner, one], 1).T @ gradient  # gradients are read once for both
                of_up = sums[: inner.shape[1]].mul_(ctx.scale).T
                of_bias = sums[-1] if wanted[2] else None
            if wanted[0]:
                of_value = gradient @ weight
                if down.ndim == 3:
                    _part(of_value, down).baddbmm_(_part(scaled, down), down)
                elif mask is None:
                    of_value.addmm_(scaled, down)
                else:
                    of_value += _keep(scaled @ down, mask)
                of_value = of_value.to(ctx.dtype)
        return of_value, None, of_bias, of_down, of_up, None, None, None, None


def _part(rows: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
    """Rows (N, K) by the examples that have a matrix of their own: (B, N / B, K)."""
    return rows if down.ndim == 2 else rows.view(len(down), -1, rows.shape[-1])


def _drop(rows: torch.Tensor, probability: float, fast: bool) -> tuple[torch.Tensor, torch.Tensor | None, float]:
    """What dropout keeps, unscaled; the mask; and the scale."""
    if probability == 0.0:
        return rows, None, 1.0
    if fast and can_drop(rows):
        mask, scale = draw_mask(rows, probability)
        return apply_mask(rows, mask), mask, scale
    mask = torch.empty_like(rows, dtype=torch.bool).bernoulli_(1 - probability)
    return rows * mask, mask, 1 / (1 - probability)


def _keep(values: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    return values.mul_(mask) if mask.dtype == torch.bool else apply_mask(values, mask)
