"""Cross entropy that never holds the logits of all targets.

A model computes logits and hands them to its own loss. In training the head gives back a promise of logits instead; a cross
entropy redeems it some rows at a time, and whoever asks for anything else of it gets the logits themselves. The gradient of a row
is computed with its loss, while its logits are there. (`torch.nn.functional.linear_cross_entropy` does this too, but its loss is in
bf16 then, and it is slow on a processor.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from pareft.runtime import find_computing_dtype
from pareft.token_ids import IGNORED
from pareft.tuning.replacing import replace_forward

AT_A_TIME = 2**23  # logits that are held together


class Also(Protocol):
    """What is asked of logits besides their cross entropy: `measure` by autograd, `grade` with its gradient at once."""

    def measure(self, logits: torch.Tensor, some: slice) -> torch.Tensor:
        """The sum of it over some rows. logits: (n, V) float32, of the targets' rows `some`"""

    def grade(self, logits: torch.Tensor, some: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """As `measure`, with the gradient for the logits, (n, V)."""


class Logits:
    """hidden weight^T + bias, of which nothing is computed yet."""

    def __init__(self, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        self.hidden, self.weight, self.bias = hidden, weight, bias

    @property
    def shape(self) -> torch.Size:
        """That of the logits."""
        return torch.Size((*self.hidden.shape[:-1], self.weight.shape[0]))

    @property
    def dtype(self) -> torch.dtype:
        """Losses are computed in float32."""
        return torch.float32

    @property
    def device(self) -> torch.device:
        """Where the logits would be."""
        return self.hidden.device

    def size(self, dimension: int | None = None) -> Any:
        """As a tensor's."""
        return self.shape if dimension is None else self.shape[dimension]

    def float(self) -> "Logits":
        """Itself: losses are computed in float32."""
        return self

    def view(self, *shape: int) -> Any:
        """Rows of logits, still a promise; in another shape, the logits."""
        if shape in ((-1, self.shape[-1]), (self.hidden.shape[:-1].numel(), self.shape[-1])):
            return Logits(self.hidden.reshape(-1, self.hidden.shape[-1]), self.weight, self.bias)
        return self.redeem().view(*shape)

    def __add__(self, other: Any) -> Any:
        bias = other if isinstance(other, torch.Tensor) and other.numel() == self.shape[-1] == other.shape[-1] else None
        if bias is None or self.bias is not None:
            return self.redeem() + other
        return Logits(self.hidden, self.weight, bias.flatten())

    def __truediv__(self, other: Any) -> Any:
        return self.redeem() / other

    def __mul__(self, other: Any) -> Any:
        return self.redeem() * other

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.redeem(), name)

    def __getitem__(self, place: Any) -> torch.Tensor:
        if isinstance(place, slice):  # of rows: no others are computed
            return functional.linear(self.hidden[place], self.weight, self.bias)
        return self.redeem()[place]

    def redeem(self) -> torch.Tensor:
        """The logits."""
        return functional.linear(self.hidden, self.weight, self.bias)

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = dict(kwargs or {})
        if function is functional.cross_entropy and (found := _find_loss(*args, **options)) is not None:
            return found
        return function(*_redeem(args), **{key: _redeem(option) for key, option in options.items()})


def _redeem(value: Any) -> Any:
    """A promise, or those in a sequence, as tensors."""
    if isinstance(value, Logits):
        return value.redeem()
    return type(value)(map(_redeem, value)) if isinstance(value, list | tuple) and not isinstance(value, torch.Size) else value


def _find_loss(
    logits: Any,
    labels: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> torch.Tensor | None:
    """The loss in chunks; `None` for what that cannot do."""
    asks_more = weight is not None or size_average is not None or reduce is not None or label_smoothing or reduction == "none"
    if asks_more or not isinstance(logits, Logits):
        return None
    hidden, head, bias = logits.hidden, logits.weight, logits.bias
    dtype = find_computing_dtype(hidden)
    if dtype == torch.float16:  # whose gradients must be scaled before they are computed
        return None
    total: torch.Tensor = _Loss.apply(hidden, head, bias, labels, ignore_index, dtype, 1.0, None)  # type: ignore[no-untyped-call]
    return total if reduction == "sum" else total / (labels != ignore_index).sum()


def mean_loss(logits: Any, labels: torch.Tensor, *, weight: float, also: Also | None) -> torch.Tensor:
    """`weight` times the cross entropy of the targets and what else is asked, as the mean over the targets' tokens.

    logits: (B, T, V), or their promise, of which then no more than some rows are held at a time; labels: (B, T)
    """
    there = labels != IGNORED
    targets = labels[there]
    if isinstance(logits, Logits) and (dtype := find_computing_dtype(logits.hidden)) != torch.float16:
        chosen = logits.hidden[there]
        total: torch.Tensor = _Loss.apply(  # type: ignore[no-untyped-call]
            chosen, logits.weight, logits.bias, targets, IGNORED, dtype, weight, also
        )
    else:
        rows = logits[there].float()
        total = weight * functional.cross_entropy(rows, targets, reduction="sum")
        if also is not None:
            total = total + also.measure(rows, slice(0, len(rows)))
    return total / len(targets)


class _Loss(torch.autograd.Function):
    """The sum of the rows' losses: cross entropy times `share`, and what else is asked."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        labels: torch.Tensor,
        ignored: int,
        dtype: torch.dtype,
        share: float,
        also: Also | None,
    ) -> torch.Tensor:
        total = hidden.new_zeros((), dtype=torch.float32)
        of_hidden, of_weight, of_bias = (
            torch.zeros_like(value, dtype=kind) if value is not None and needed else None
            for value, kind, needed in zip(
                (hidden, weight, bias), (dtype, torch.float32, torch.float32), ctx.needs_input_grad[:3], strict=True
            )
        )
        with torch.autocast(hidden.device.type, enabled=False):
            cast = weight.to(dtype)
            parts = -(-len(labels) // max(1, AT_A_TIME // weight.shape[0]))
            together = -(-len(labels) // max(1, parts))  # of parts of one size
            for first in range(0, len(labels), together):
                some = slice(first, first + together)
                rows, targets = hidden[some].to(dtype), labels[some]
                counted = (targets != ignored).unsqueeze(1)
                logits = functional.linear(rows, cast, None if bias is None else bias.to(dtype)).float()
                places = targets.where(targets != ignored, 0).unsqueeze(1)
                asked = also.grade(logits, slice(first, first + len(rows))) if also is not None else None
                chances = functional.log_softmax(logits, -1)
                total -= share * (chances.gather(1, places) * counted).sum()
                gradient = chances.exp_().scatter_add_(1, places, -torch.ones_like(places, dtype=chances.dtype))
                gradient.mul_(counted if share == 1 else share * counted)
                if asked is not None:
                    total += asked[0]
                    gradient += asked[1]
                if of_bias is not None:
                    of_bias += gradient.sum(0).view(of_bias.shape)
                narrow = gradient.to(dtype)
                if of_hidden is not None:
                    of_hidden[some] = narrow @ cast
                if of_weight is not None:
                    of_weight += narrow.T @ rows
        ctx.save_for_backward(of_hidden, of_weight, of_bias)
        ctx.dtypes = [None if value is None else value.dtype for value in (hidden, weight, bias)]
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        found = (
            None if value is None else (value * gradients[0]).to(dtype)
            for value, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return (*found, None, None, None, None, None)


@contextmanager
def defer_logits(model: PreTrainedModel) -> Iterator[None]:
    """Inside the `with`, the head of a model in training promises logits."""
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear:
        yield
        return
    stock = head.forward

    def forward(hidden: torch.Tensor) -> Any:
        return Logits(hidden, head.weight, head.bias) if head.training and torch.is_grad_enabled() else stock(hidden)

    with replace_forward(head, forward):
        yield
