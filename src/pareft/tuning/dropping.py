"""Dropout of an adapter's inputs by example: what is dropped is the same at all of its positions (arXiv 1512.05287).

Factors of an example's features are small beside what the adapter reads, where a mask of every element is as large as that: every
adapter draws its own, and on a processor drawing and applying them is a part of a step that can be seen (docs/performance.md).
"""

from typing import Any

import torch
from peft import PeftModel
from torch import nn

from pareft.adapter_settings import AdapterSettings

_STORES = ("lora_dropout", "bottleneck_dropout")  # where peft's layers, and ours, keep theirs by the name of the adapter


class ExampleDropout(nn.Module):
    """In training, zeros with probability `p` for the same features at all positions of an example, the rest scaled to the same
    mean. (B, ..., D) → (B, ..., D).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        """Where B is not of examples but of their positions, as some models hand them over, each drops its own."""
        factors = self.draw(value)
        return value if factors is None else value * factors.to(value.dtype).view(len(factors), *[1] * (value.ndim - 2), -1)

    def draw(self, value: torch.Tensor) -> torch.Tensor | None:
        """The factors of every example's features, (B, D), in float32; none, where nothing is dropped. By torch's own generator."""
        if not (self.training and self.p):
            return None
        factors = torch.empty(value.shape[0], value.shape[-1], device=value.device)
        return factors.bernoulli_(1 - self.p).div_(1 - self.p)

    def extra_repr(self) -> str:
        """As torch's own has it."""
        return f"p={self.p}"


def drop_as_asked(model: PeftModel, settings: AdapterSettings | None, name: str = "default") -> PeftModel:
    """Give a new adapter the dropout that its settings ask for, where that is not peft's own. In place."""
    if getattr(settings, "dropout_by", "element") == "example":
        stores: list[Any] = [getattr(module, store, {}) for module in model.modules() for store in _STORES]
        for store in stores:
            if name in store and isinstance(store[name], nn.Dropout):
                store[name] = ExampleDropout(store[name].p)
    return model
