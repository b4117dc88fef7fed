"""Layers left out of a stack, and states put in their place, for the time of a `with`. No module is changed but for that time."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn

from pareft.tuning.prefix.ending import Entry
from pareft.tuning.replacing import replace_forward


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """No dropout and no gradients inside."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part in training:
            part.training = True


@contextmanager
def enter(entry: Entry, states: torch.Tensor) -> Iterator[None]:
    """Inside, the stack leaves out its frozen layers: the first one to compute gets `states`. states: (B, T, D)"""

    def give(*_: Any, **__: Any) -> Any:
        return (states, _make_bias(entry, states), None) if entry.passed else states

    with ExitStack() as replaced:
        for layer in entry.layers[: entry.first]:
            replaced.enter_context(replace_forward(layer, _pass_on(entry)))
        replaced.enter_context(replace_forward(entry.layers[0], give))
        yield


@contextmanager
def reach(entry: Entry) -> Iterator[list[torch.Tensor]]:
    """Inside, the stack computes its frozen layers alone; the list gets what the first one after them is given: (B, T, D)"""
    reached: list[torch.Tensor] = []
    pass_on = _pass_on(entry)

    def take(states: torch.Tensor, *more: Any, **named: Any) -> Any:
        reached.append(states)
        return pass_on(states, *more, **named)

    with ExitStack() as replaced:
        for layer in entry.layers[entry.first :]:
            replaced.enter_context(replace_forward(layer, pass_on))
        if not entry.whole:
            replaced.enter_context(replace_forward(entry.layers[entry.first], take))
        yield reached


def _pass_on(entry: Entry) -> Callable[..., Any]:
    """A layer that does nothing: it returns what it is given, as a layer of this stack returns it."""
    return _pass_states_and_biases if entry.passed else _pass_states


def _pass_states(states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    return states


def _pass_states_and_biases(
    states: torch.Tensor,
    attention_mask: Any = None,
    position_bias: Any = None,
    encoder_hidden_states: Any = None,
    encoder_attention_mask: Any = None,
    encoder_decoder_position_bias: Any = None,
    **_: Any,
) -> tuple[torch.Tensor, Any, Any]:
    """As a block of T5: with the bias of the attention to itself, and of that to the encoder."""
    return states, position_bias, encoder_decoder_position_bias


def _make_bias(entry: Entry, states: torch.Tensor) -> torch.Tensor:
    """The position bias that T5's first block makes for all that follow. Returns (1, H, T, T)."""
    first: Any = entry.layers[0]
    tokens = states.shape[1]
    return first.layer[0].SelfAttention.compute_bias(tokens, tokens, device=states.device)
