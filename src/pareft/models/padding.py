"""Fill a narrowed model up with zeros to the nearest size a stock config can say: the same function, loadable without pareft."""

import copy

import torch
from transformers import PreTrainedModel

from pareft.models.families import find_family
from pareft.models.families.schema import Place
from pareft.models.identity import forget_fingerprint
from pareft.models.plan import PruningPlan
from pareft.models.width import Slice, head_sizes, head_slots, shares_heads


def pad(model: PreTrainedModel, plan: PruningPlan) -> PreTrainedModel:
    """A new stock model of the same function as one whose layers differ in width; the given model is not changed.

    An absent head has zeros in its query, key and value and in its columns of the output projection, an absent neuron in its rows
    and its column, so neither adds anything. Where a table ties places to heads (T5's position bias), every head has its own place.
    """
    family, config = find_family(model.config), copy.deepcopy(model.config)
    forget_fingerprint(config)
    with torch.device(model.device):
        padded = type(model)(config).to(model.dtype)
    narrow, state = model.state_dict(), padded.state_dict()
    filled = {}
    for name, target in state.items():
        source, place = narrow[name], family.locate(name)
        if source.shape == target.shape and not (place and _is_table(place)):
            filled[name] = source.clone()
            continue
        assert place is not None
        filled[name] = (
            _collect_table(narrow, place, plan, target) if _is_table(place) else _spread(source, place, model, plan, target)
        )
    padded.load_state_dict(filled, assign=True)
    padded.tie_weights()
    if model.can_generate():
        padded.generation_config = copy.deepcopy(model.generation_config)
    return padded.eval()


def _spread(source: torch.Tensor, place: Place, model: PreTrainedModel, plan: PruningPlan, target: torch.Tensor) -> torch.Tensor:
    slots = _find_slots(place, model, plan)
    zeros = torch.zeros(target.shape, dtype=source.dtype, device=source.device)
    return zeros.index_copy_(slots.dim, torch.tensor(slots.indices(), device=source.device), source)


def _find_slots(place: Place, model: PreTrainedModel, plan: PruningPlan) -> Slice:
    """Where a layer's units go among the nominal ones."""
    stack, module = place.stack, place.tail.rpartition(".")[0]
    assert stack.width is not None
    layer = plan.layers[stack.name][place.layer]
    for attention in stack.width.attentions:
        if module in (attention.query, attention.key, attention.value, attention.output):
            kept, slots = plan.kept_heads(f"{stack.name}.{attention.name}", layer), head_slots(plan, stack, attention)
            places = tuple(slots.index(head) for head in kept) if attention.per_head else tuple(range(len(kept)))
            size, group = head_sizes(model.config, stack)
            rows = size * group if module in (attention.query, attention.output) else size
            return Slice(int(module == attention.output), rows, places)
    count = len(plan.kept_neurons(stack.name, layer))
    return Slice(int(module == stack.width.feed_forward.output), 1, tuple(range(count)))


def _is_table(place: Place) -> bool:
    width = place.stack.width
    return width is not None and any(
        attention.per_head and place.tail == f"{attention.per_head}.weight" for attention in width.attentions
    )


def _collect_table(narrow: dict[str, torch.Tensor], place: Place, plan: PruningPlan, target: torch.Tensor) -> torch.Tensor:
    """The first layer's table of the padded model: every head's column from a layer that keeps it."""
    stack = place.stack
    assert stack.width is not None
    attention = next(a for a in stack.width.attentions if place.tail == f"{a.per_head}.weight")
    own = narrow[f"{place.prefix}0.{place.tail}"]
    table = torch.zeros(target.shape, dtype=own.dtype, device=own.device)
    slots, key = head_slots(plan, stack, attention), f"{stack.name}.{attention.name}"
    shared = shares_heads(plan, stack, attention)
    for number, layer in enumerate(plan.layers[stack.name][:1] if shared else plan.layers[stack.name]):
        columns = narrow[f"{place.prefix}{number}.{place.tail}"]
        for column, head in enumerate(plan.kept_heads(key, layer)):
            table[:, slots.index(head)] = columns[:, column]
    return table
