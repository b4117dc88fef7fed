"""Layers chosen together and not each by itself: one after the other, or as a block."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from pareft.errors import PlanError
from pareft.models.families import find_family
from pareft.pruning.choosing import Limits, list_candidates
from pareft.pruning.gates import gate
from pareft.pruning.scores import Batches, Cost, Scores, find_mask, pick, watch


@dataclass(frozen=True)
class Dropped:
    """A step of a search: the layer that went, and the cost of what was left."""

    stack: str
    layer: int
    cost: float


def drop_greedily(model: PreTrainedModel, cost: Cost, limits: Limits) -> tuple[dict[str, tuple[int, ...]], list[Dropped]]:
    """Drop the layer without which the cost is least, of equals the latest, and measure the rest again, until as few are left as
    may be. `cost` is asked once for every layer that could go, in every step.
    """
    kept = {stack: set(range(depth)) for stack, depth in limits.depths.items()}
    path = []
    with gate(model) as gates:
        while candidates := list_candidates(kept, limits):
            costs = {}
            for stack, layer in candidates:
                gates[stack][layer] = 0.0
                costs[stack, layer] = cost()
                gates[stack][layer] = 1.0
            stack, layer = min(candidates, key=lambda found: (costs[found], -found[1]))
            gates[stack][layer] = 0.0
            kept[stack].discard(layer)
            path.append(Dropped(stack, layer, costs[stack, layer]))
    return {stack: tuple(sorted(layers)) for stack, layers in kept.items()}, path


def measure_blocks(model: PreTrainedModel, batches: Batches, dropped: Mapping[str, int]) -> Scores:
    """By stack, how far every block of so many layers moves a token's state: the mean of arccos(cosine of before and behind) / π,
    for the block that begins at layer 0, at 1, and so on (the angular distance of Gromov et al. 2024, arXiv 2403.17887, which takes
    the last token of a causal model; here all count, as an encoder has no last one).
    """
    sums = {stack: torch.zeros(0, dtype=torch.float64) for stack in dropped}
    tokens = dict.fromkeys(dropped, 0)
    with watch(model) as seen, torch.no_grad():
        for batch in batches:
            model(**batch, use_cache=False)
            for stack in find_family(model.config).stacks:
                states, count = seen.pop(stack.name), dropped.get(stack.name, 0)
                if not count:
                    continue
                mask = find_mask(model, stack, batch)
                pairs = zip(states, states[count - 1 :], strict=False)
                angles = [_measure_angle(pick(before, mask), pick(after, mask)) for (before, _), (_, after) in pairs]
                found = torch.tensor(angles, dtype=torch.float64)
                sums[stack.name] = found if not len(sums[stack.name]) else sums[stack.name] + found
                tokens[stack.name] += int(mask.sum())
    return {stack: tuple((total / tokens[stack]).tolist()) if dropped[stack] else () for stack, total in sums.items()}


def _measure_angle(before: torch.Tensor, after: torch.Tensor) -> float:
    """The sum over tokens of the angle between states, (tokens, width) each, in parts of π."""
    cosines = functional.cosine_similarity(before, after, dim=-1)
    return float(cosines.clamp(-1, 1).arccos().sum()) / pi


def drop_blocks(model: PreTrainedModel, batches: Batches, limits: Limits) -> tuple[dict[str, tuple[int, ...]], Scores]:
    """Of every stack the block of layers goes that moves states least, of equals the latest, and none that must stay.

    Raises:
        PlanError: no block of this size is free of layers that must stay; a total, which says nothing of blocks.
    """
    if limits.counts is None:
        raise PlanError("angular drops a block of every stack: say how many layers of each are to stay, and not a total")
    dropped = {stack: limits.depths[stack] - count for stack, count in limits.counts.items()}
    free = {stack: _list_starts(stack, count, limits) for stack, count in dropped.items()}
    distances = measure_blocks(model, batches, dropped)
    kept = {}
    for stack, count in dropped.items():
        start = min(free[stack], key=lambda first: (distances[stack][first], -first)) if count else 0
        kept[stack] = tuple(layer for layer in range(limits.depths[stack]) if not start <= layer < start + count)
    return kept, distances


def _list_starts(stack: str, count: int, limits: Limits) -> list[int]:
    """Where a block of so many layers can begin."""
    starts = range(limits.depths[stack] - count + 1)
    free = [start for start in starts if not any(limits.protects(stack, layer) for layer in range(start, start + count))]
    if not free:
        raise PlanError(f"never_drop leaves no block of {count} {stack} layers that could go")
    return free
