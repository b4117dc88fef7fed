"""A computation of a traced step as a value that can be counted, and done again to see how long it takes here."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

from pareft.runtime import wait_for_device

FREE = ("aten::detach", "aten::_unsafe_view", "aten::empty", "aten::new_empty", "aten::empty_like", "prim::device")
AT_LEAST, AT_MOST = 3, 20  # times that a call is timed
ENOUGH_SECONDS = 0.02  # of timing, after which no more than the fewest are taken


@dataclass(frozen=True)
class Shape:
    """A tensor without its content."""

    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: torch.dtype

    def make(self, device: torch.device) -> torch.Tensor:
        """A tensor of this shape: random numbers, or zeros where they are places in something."""
        count = (
            1 + sum((size - 1) * stride for size, stride in zip(self.sizes, self.strides, strict=True)) if all(self.sizes) else 0
        )
        floating = self.dtype.is_floating_point
        content = (torch.rand if floating else torch.zeros)(count, device=device).to(self.dtype)
        return torch.as_strided(content, self.sizes, self.strides)


@dataclass(frozen=True)
class Call:
    """An operation and what it is given: shapes in the place of tensors."""

    function: Any
    args: tuple[Any, ...]
    options: tuple[tuple[str, Any], ...]


def describe_call(function: Any, args: Iterable[Any], options: Mapping[str, Any]) -> Call | None:
    """The call of an operation on tensors; `None` for one that computes nothing."""
    if function.is_view or function.name().partition(".")[0] in FREE:
        return None
    return Call(function, _freeze(tuple(args)), tuple((name, _freeze(value)) for name, value in sorted(options.items())))


def _freeze(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return Shape(tuple(value.shape), tuple(value.stride()), value.dtype)
    return tuple(map(_freeze, value)) if isinstance(value, list | tuple) else value


@torch.no_grad()
def time_call(call: Call, device: torch.device) -> float:
    """Seconds of a call on this machine: the median of some, after one that does not count."""
    args, options = tree_map_only(Shape, lambda shape: shape.make(device), (list(call.args), dict(call.options)))
    call.function(*args, **options)
    seconds: list[float] = []
    while len(seconds) < AT_LEAST or (len(seconds) < AT_MOST and sum(seconds) < ENOUGH_SECONDS):
        wait_for_device()
        started = time.perf_counter()
        call.function(*args, **options)
        wait_for_device()
        seconds.append(time.perf_counter() - started)
    return median(seconds)
