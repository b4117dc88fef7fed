"""Ways to the same numbers in less time and memory. Each has a switch in `train.fast` and equals what it stands in for."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

import torch
from peft import PeftModel
from torch.nn import functional
from transformers import PreTrainedModel

from pareft.settings import FastSettings
from pareft.tuning.fast.attention import attend, can_attend
from pareft.tuning.fast.dropout import can_drop, drop
from pareft.tuning.fast.lora import fuse
from pareft.tuning.fast.loss import defer_logits
from pareft.tuning.fast.memory import keep_freed


@contextmanager
def quicken(model: PreTrainedModel | PeftModel, settings: FastSettings) -> Iterator[None]:
    """Inside the `with`, the model computes in the ways that are switched on; afterwards it is as it was."""
    with ExitStack() as stack:
        if settings.lora and isinstance(model, PeftModel):
            stack.enter_context(fuse(model, fast_dropout=settings.dropout))
        if settings.loss:
            stack.enter_context(defer_logits(model.get_base_model() if isinstance(model, PeftModel) else model))
        if settings.dropout:
            stack.enter_context(_replace("dropout", _drop))
        if settings.attention:
            stack.enter_context(_replace("scaled_dot_product_attention", _attend))
        if settings.memory and next(model.parameters()).device.type == "cpu":
            stack.enter_context(keep_freed())
        yield


@contextmanager
def _replace(name: str, attempt: Callable[..., torch.Tensor | None]) -> Iterator[None]:
    """Inside the `with`, a function of `torch.nn.functional` is what `attempt` returns, wherever models look it up, in the backward
    pass too, where layers are computed again; where that is `None`, it is what it was.
    """
    stock = getattr(functional, name)

    @wraps(stock)
    def replaced(*args: Any, **options: Any) -> torch.Tensor:
        found = attempt(*args, **options)
        result: torch.Tensor = stock(*args, **options) if found is None else found
        return result

    setattr(functional, name, replaced)
    try:
        yield
    finally:
        setattr(functional, name, stock)


def _drop(value: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor | None:
    """Dropout in the quick way; `None` where that does not apply."""
    if not training or p == 0.0:
        return value
    return drop(value, p) if p < 1.0 and not inplace and can_drop(value) else None


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> torch.Tensor | None:
    """Attention in the quick way, in training; `None` where that does not apply."""
    if not torch.is_grad_enabled() or not can_attend(query, key, attn_mask, dropout_p):
        return None
    return attend(query, key, value, attn_mask, dropout_p, is_causal, scale)
