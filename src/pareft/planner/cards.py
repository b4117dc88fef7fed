"""Training on several accelerators that share its states (FSDP, fully sharded): what each holds, on paper."""

import torch

from pareft.forecast.tracing import GRADIENT, Step
from pareft.models.families import find_family
from pareft.models.structure import find_layers
from pareft.planner.arms import Arm

GATHERED = 2  # layers whose weights are whole at a time: the one that computes, and the next


def count_card(arm: Arm, step: Step, cards: int) -> int:
    """Bytes of a step on each of so many cards, a batch on each: its part of weights, gradients and moments; all that its own batch
    saves; whole, what is of no layer, and two layers' weights and gradients.
    """
    model = arm.build()
    layers = [
        layer
        for stack in find_family(arm.base.config).stacks
        for layer in find_layers(model.get_base_model() if arm.recipe.adapt else model, stack)
    ]
    of_layers = [_count(layer, arm) for layer in layers]
    whole, rest = max(of_layers), _count(model, arm) - sum(of_layers)
    states = step.weight_bytes + step.gradient_bytes + step.moment_bytes
    own = max(step.activation_bytes, step.peak_bytes - states)
    return -(-states // cards) + own + GATHERED * whole + rest


def _count(module: torch.nn.Module, arm: Arm) -> int:
    """Bytes of weights, and of gradients of what is trained."""
    frozen = 2 if arm.recipe.adapt and arm.precision == "bf16" else 4
    sizes = ((parameter.numel(), parameter.requires_grad) for parameter in module.parameters())
    return sum(count * ((4 + GRADIENT) if trained else frozen) for count, trained in sizes)
