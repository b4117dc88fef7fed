"""Dropout whose mask costs little on a processor.

`torch.nn.functional.dropout` draws a random number for every element, which takes a fifth of a bf16 training step there. Here an
element gets sixteen random bits (thirty-two if it is float32), of four (two) elements at once, and the mask is applied to the
bits of the numbers. The probability is thereby rounded to a multiple of 2**-16 (2**-32), and what is kept is scaled by the rounded
one, so that the mean stays exactly what it was.
"""

from typing import Any

import torch

_BITS = {2: torch.int16, 4: torch.int32}  # by the bytes of an element


def can_drop(value: torch.Tensor) -> bool:
    """Whether `drop` can stand in for `torch.nn.functional.dropout`: floating point of two or four bytes, on a processor."""
    return value.device.type == "cpu" and value.is_floating_point() and value.element_size() in _BITS


def drop(value: torch.Tensor, probability: float) -> torch.Tensor:
    """Zeros with a probability in [0, 1), the rest scaled to the same mean. Masks come from torch's own generator."""
    dropped: torch.Tensor = _Drop.apply(value, probability)  # type: ignore[no-untyped-call]
    return dropped


def draw_mask(value: torch.Tensor, probability: float) -> tuple[torch.Tensor, float]:
    """Which elements of a tensor are kept, -1 or else 0, in bytes; and by what these are to be scaled."""
    size = value.element_size()
    levels = 2 ** (8 * size)
    least = min(round(probability * levels), levels - 1)
    random = torch.empty(-(-value.numel() * size // 8), dtype=torch.int64).random_(-(2**63), None)
    bits = random.view(_BITS[size])[: value.numel()].view(value.shape)
    mask = torch.ge(bits, least - levels // 2, out=torch.empty(value.shape, dtype=torch.int8)).neg_()
    return mask, levels / (levels - least)


def apply_mask(value: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The elements that a mask keeps, and zeros."""
    kind = _BITS[value.element_size()]
    return mask.to(kind).bitwise_and_(value.contiguous().view(kind)).view(value.dtype)


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, probability: float) -> torch.Tensor:
        mask, ctx.scale = draw_mask(value, probability)
        ctx.save_for_backward(mask)
        return apply_mask(value, mask).mul_(ctx.scale)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (mask,) = ctx.saved_tensors
        return apply_mask(gradients[0], mask).mul_(ctx.scale), None
