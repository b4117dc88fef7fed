"""A factor on every head's context and on every feed-forward neuron's activation, for the time of a `with` (arXiv 2406.03792: its
early masks). At 1, where they start, the model computes what it did; at 0 a head or neuron is as good as removed: masked is cut.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

from pareft.errors import PlanError
from pareft.models.families import find_family
from pareft.models.structure import find_layers
from pareft.models.width import measure_widths

Masks = dict[str, nn.Parameter]  # by `stack.attention` (layers, heads), under GQA (layers, groups); by stack (layers, neurons)
REGISTERED = "pareft_masks"


@contextmanager
def mask(model: PreTrainedModel) -> Iterator[Masks]:
    """Inside the `with`, a model's heads and neurons are masked by what is yielded: float32 parameters of ones, frozen, on the
    model's device, to be written or trained; they are the model's own, so that whatever trains it finds them. Attentions are
    masked apart: self and cross. Adapters may be on it. Afterwards it is as it was.

    Raises:
        PlanError: the family has no table of widths, or the model is one whose layers differ in width.
    """
    widths = measure_maskable(model)
    with ExitStack() as hooks:
        masks: Masks = {}
        for stack in find_family(model.config).stacks:
            assert stack.width is not None
            outputs = {f"{stack.name}.{attention.name}": attention.output for attention in stack.width.attentions}
            outputs[stack.name] = stack.width.feed_forward.output
            layers = find_layers(model, stack)
            for key, output in outputs.items():
                masks[key] = nn.Parameter(torch.ones(len(layers), widths[key], device=model.device), requires_grad=False)
                for number, layer in enumerate(layers):
                    projection: Any = layer.get_submodule(output)
                    if projection.in_features % widths[key] or (key == stack.name and projection.in_features != widths[key]):
                        raise PlanError(
                            f"{key} layer {number} is narrower than the config says: this model's heads or neurons were pruned "
                            "already; mask its base"
                        )
                    hooks.callback(projection.register_forward_pre_hook(_make_hook(masks[key], number)).remove)
        model.register_module(REGISTERED, nn.ParameterList(masks.values()))
        hooks.callback(delattr, model, REGISTERED)
        yield masks


def measure_maskable(model: PreTrainedModel) -> dict[str, int]:
    """How many heads (groups) each attention has, and how many neurons each stack.

    Raises:
        PlanError: the family has no table of widths.
    """
    family = find_family(model.config)
    if without := [stack.name for stack in family.stacks if stack.width is None]:
        raise PlanError(
            f"the heads and neurons of a {family.model_type} cannot be pruned: its row has no width for the {without[0]} "
            "(docs/families.md says how to add one); its layers can"
        )
    return measure_widths(model.config, family)


def _make_hook(masks: nn.Parameter, number: int) -> Callable[..., Any]:
    def scale(_: Any, given: tuple[torch.Tensor, ...]) -> Any:
        states = given[0]
        factors = masks[number].repeat_interleave(states.shape[-1] // masks.shape[1])
        return (states * factors).to(states.dtype), *given[1:]

    return scale


def penalise(masks: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Σ |mask| over all heads and neurons."""
    return torch.stack([values.abs().sum() for values in masks.values()]).sum()
