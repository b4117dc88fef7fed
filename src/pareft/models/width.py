"""How wide the layers of a planned model are, and what of that a stock config can say."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from transformers import PreTrainedConfig

from pareft.models.families.schema import Attention, Family, Stack, Width
from pareft.models.plan import PruningPlan


@dataclass(frozen=True)
class Slice:
    """The units a tensor keeps: `size` consecutive entries along `dim` for each unit in `units`."""

    dim: int
    size: int
    units: tuple[int, ...]

    def indices(self) -> list[int]:
        """The kept entries along `dim`."""
        return [unit * self.size + offset for unit in self.units for offset in range(self.size)]


@dataclass(frozen=True)
class Piece:
    """A tensor of the base, and what of it is kept; all of it without a slice."""

    name: str
    slice: Slice | None = None

    def shape(self, tensor: torch.Tensor) -> tuple[int, ...]:
        """The shape of the kept part of the base's tensor."""
        shape = list(tensor.shape)
        if self.slice:
            shape[self.slice.dim] = len(self.slice.units) * self.slice.size
        return tuple(shape)

    def rows(self, tensor: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """Rows of the kept part; of the base's tensor, no other is touched."""
        if self.slice is None:
            return tensor[start:stop]
        kept = torch.tensor(self.slice.indices())
        return tensor[kept[start:stop]] if self.slice.dim == 0 else tensor[start:stop].index_select(1, kept)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """The kept part of the base's tensor, a copy."""
        if self.slice is None:
            return tensor.clone()
        return tensor.index_select(self.slice.dim, torch.tensor(self.slice.indices(), device=tensor.device))


def measure_widths(config: PreTrainedConfig, family: Family) -> dict[str, int]:
    """How many heads (key-value groups) each `stack.attention` of a base has, and how many neurons each stack."""
    widths = {}
    for stack, width in _with_width(family):
        part = stack.config_of(config)
        for attention in width.attentions:
            widths[f"{stack.name}.{attention.name}"] = getattr(part, width.groups_field or width.heads_field)
        widths[stack.name] = getattr(part, width.neurons_field)
    return widths


def slice_tensor(config: PreTrainedConfig, stack: Stack, plan: PruningPlan, layer: int, tail: str) -> Slice | None:
    """What a base layer's tensor keeps under a plan; `None` where it is kept whole. `tail` is its name below the layer."""
    if not plan.narrows or stack.width is None:
        return None
    module, _, kind = tail.rpartition(".")
    for attention in stack.width.attentions:
        key = f"{stack.name}.{attention.name}"
        heads, (size, group) = plan.kept_heads(key, layer), head_sizes(config, stack)
        sliced = {
            attention.query: Slice(0, size * group, heads),
            attention.key: Slice(0, size, heads),
            attention.value: Slice(0, size, heads),
            attention.output: Slice(1, size * group, heads),
            attention.per_head: Slice(1, 1, heads),
        }.get(module)
        if sliced:
            return _needed(sliced, kind, plan.widths[key])
    feed_forward = stack.width.feed_forward
    if module in (*feed_forward.inputs, feed_forward.output):
        sliced = Slice(int(module == feed_forward.output), 1, plan.kept_neurons(stack.name, layer))
        return _needed(sliced, kind, plan.widths[stack.name])
    return None


def _needed(sliced: Slice, kind: str, width: int) -> Slice | None:
    """No slice where every unit is kept, nor for the bias of a projection out, whose units are its columns."""
    return None if len(sliced.units) == width or (sliced.dim and kind == "bias") else sliced


def head_sizes(config: PreTrainedConfig, stack: Stack) -> tuple[int, int]:
    """The rows of a head, and how many heads share a key-value group."""
    width, part = stack.width, stack.config_of(config)
    assert width is not None
    heads = getattr(part, width.heads_field)
    said = getattr(part, width.head_dim_field, None) if width.head_dim_field else None
    return said or part.hidden_size // heads, heads // getattr(part, width.groups_field or width.heads_field)


def shares_heads(plan: PruningPlan, stack: Stack, attention: Attention) -> bool:
    """Whether all kept layers of a stack keep the same heads, so that they can share the first layer's table of positions."""
    key = f"{stack.name}.{attention.name}"
    return len({plan.kept_heads(key, layer) for layer in plan.layers[stack.name]}) == 1


def fits_stock(config: PreTrainedConfig, family: Family, plan: PruningPlan) -> bool:
    """Whether a stock config can say the planned widths: uniform over all layers that share a field, and sayable at all."""
    if not plan.narrows:
        return True
    heads, neurons, fields = {}, {}, nominal_fields(config, family, plan)
    for stack, width in _with_width(family):
        for layer in plan.layers[stack.name]:
            neurons[stack.name, layer] = (width.neurons_field, len(plan.kept_neurons(stack.name, layer)))
            for attention in width.attentions:
                key = f"{stack.name}.{attention.name}"
                heads[key, layer] = (width.groups_field or width.heads_field, len(plan.kept_heads(key, layer)))
        if any(attention.per_head and not shares_heads(plan, stack, attention) for attention in width.attentions):
            return False
    return all(fields[field] == count for field, count in (*heads.values(), *neurons.values()))


def nominal_fields(config: PreTrainedConfig, family: Family, plan: PruningPlan) -> dict[str, int]:
    """The width fields of the smallest stock config that has room for every kept layer."""
    fields: dict[str, int] = {}
    for stack, width in _with_width(family):
        layers = plan.layers[stack.name]
        neurons = max(len(plan.kept_neurons(stack.name, layer)) for layer in layers)
        fields[width.neurons_field] = max(neurons, fields.get(width.neurons_field, 0))
        counted = width.groups_field or width.heads_field
        size, group = head_sizes(config, stack)
        for attention in width.attentions:
            slots = len(head_slots(plan, stack, attention))
            fields[counted] = max(slots, fields.get(counted, 0)) if width.head_dim_field else plan.widths[f"{stack.name}.self"]
        fields[width.heads_field] = fields[counted] * group
        if width.head_dim_field:
            fields[width.head_dim_field] = size
    return fields


def head_slots(plan: PruningPlan, stack: Stack, attention: Attention) -> tuple[int, ...]:
    """The heads that have a place when all layers get the same number: those that any layer keeps where a table ties a place to a
    head, else as many as the widest layer keeps.
    """
    key = f"{stack.name}.{attention.name}"
    kept = [plan.kept_heads(key, layer) for layer in plan.layers[stack.name]]
    return tuple(sorted(set().union(*kept))) if attention.per_head else max(kept, key=len)


def _with_width(family: Family) -> Iterator[tuple[Stack, Width]]:
    for stack in family.stacks:
        if stack.width is not None:
            yield stack, stack.width
