"""Dropout whose mask costs little on a processor.

`torch.nn.functional.dropout` draws a random number for every element, which takes a fifth of a bf16 training step there. Here an
element gets sixteen random bits (thirty-two if it is float32), of four (two) elements at once, and the mask is applied to the
bits of the numbers. The probability is thereby rounded to a multiple of 2**-16 (2**-32), and what is kept is scaled by the rounded
one, so that the mean stays exactly what it was. Bits come from streams of numpy's, which are faster than torch's and draw at the
same time; each is seeded by torch's own generator, and the same seed gives the same mask, however many threads there are.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensor

STREAM = 2**20  # bytes that are drawn from a seed

_BITS = {2: torch.int16, 4: torch.int32}  # by the bytes of an element
_SIGNED = {2: np.int16, 4: np.int32}


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
    mask = torch.empty(value.shape, dtype=torch.int8)
    if not isinstance(value, FakeTensor):  # which has no content
        flat, together = mask.view(-1).numpy(), STREAM // size
        parts = [flat[start : start + together] for start in range(0, len(flat), together)]
        seeds = torch.empty(len(parts), dtype=torch.int64).random_().tolist()
        draw = partial(_draw, kind=_SIGNED[size], least=least - levels // 2)
        list((_open_threads(os.getpid()).map if len(parts) > 1 else map)(draw, parts, seeds))
    return mask, levels / (levels - least)


def _draw(mask: np.ndarray[Any, Any], seed: int, kind: Any, least: int) -> None:
    """Fill a mask: -1 where a random number is not less than `least`."""
    words = np.random.SFC64(seed).random_raw(-(-mask.size * np.dtype(kind).itemsize // 8))
    np.greater_equal(words.view(kind)[: mask.size], kind(least), out=mask.view(np.bool_))
    np.negative(mask, out=mask)


@cache
def _open_threads(process: int) -> ThreadPoolExecutor:
    """As many threads as torch computes with; a forked process has none of its parent's."""
    return ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix=f"masks-{process}")


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
