"""A gate on every layer, for the time of a `with`: a layer f hands on x + g (f(x) - x). At 1, where gates start, the model computes
what it did; at 0 the layer is as good as dropped: masked is cut.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

from pareft.models.families import find_family
from pareft.models.structure import find_layers, find_states

Gates = dict[str, torch.Tensor]  # by stack, (layers,)


@contextmanager
def gate(model: PreTrainedModel) -> Iterator[Gates]:
    """Inside the `with`, a model's layers are gated by what is yielded: a float32 tensor of ones for every stack, (layers,), on the
    model's device, to be written or trained. Afterwards the model is as it was.
    """
    with ExitStack() as hooks:
        gates = {}
        for stack in find_family(model.config).stacks:
            layers = find_layers(model, stack)
            gates[stack.name] = torch.ones(len(layers), device=model.device)
            for number, layer in enumerate(layers):
                hook = layer.register_forward_hook(_make_hook(gates, stack.name, number), with_kwargs=True)
                hooks.callback(hook.remove)
        yield gates


def _make_hook(gates: Gates, stack: str, number: int) -> Callable[..., Any]:
    def mix(_: Any, given: tuple[Any, ...], options: dict[str, Any], output: Any) -> Any:
        before, after = find_input(given, options), find_states(output)
        mixed = torch.lerp(before, after, gates[stack][number].to(after.dtype))
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

    return mix


def find_input(given: tuple[Any, ...], options: dict[str, Any]) -> torch.Tensor:
    """The states among what a layer is called with."""
    states: torch.Tensor = given[0] if given else options["hidden_states"]
    return states
