"""Layers chosen together and not each by itself: one after the other, or as a block."""

from collections.abc import Mapping, Sequence
from math import pi

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from pareft.errors import PlanError
from pareft.models.families import find_family
from pareft.pruning.choosing import Kept, Layer, Limits, drop_in_turn
from pareft.pruning.gates import gate
from pareft.pruning.scores import Batches, Cost, Scores, cost_without, find_mask, pick, watch
from pareft.records import DroppedRecord


def drop_greedily(model: PreTrainedModel, cost: Cost, limits: Limits) -> tuple[Kept, list[DroppedRecord]]:
    """Drop the layer without which the cost is least, and measure the rest again. `cost` is asked once for every layer that could
    go, in every step.
    """
    with gate(model) as gates:

        def close(gone: Layer) -> None:
            gates[gone[0]][gone[1]] = 0.0

        def weigh(layers: Sequence[Layer]) -> dict[Layer, float]:
            return {(stack, layer): cost_without(gates, stack, layer, cost) for stack, layer in layers}

        return drop_in_turn(limits, weigh, close)


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


def check_blocks(limits: Limits) -> None:
    """Raise `PlanError` if no block of every stack could go: with a total, which says nothing of blocks, or for what must stay."""
    if limits.counts is None:
        raise PlanError("angular drops a block of every stack: say how many layers of each are to stay, and not a total")
    for stack, count in _count_dropped(limits).items():
        if not _list_starts(stack, count, limits):
            raise PlanError(f"never_drop leaves no block of {count} {stack} layers that could go")


def has_blocks(limits: Limits) -> bool:
    """Whether a block of every stack could go, with numbers of layers."""
    return all(_list_starts(stack, count, limits) for stack, count in _count_dropped(limits).items())


def drop_blocks(model: PreTrainedModel, batches: Batches, limits: Limits) -> tuple[Kept, Scores]:
    """Of every stack the block of layers goes that moves states least, of equals the latest, and none that must stay.

    Raises:
        PlanError: as `check_blocks`.
    """
    check_blocks(limits)
    dropped, kept = _count_dropped(limits), {}
    distances = measure_blocks(model, batches, dropped)
    for stack, count in dropped.items():
        free = _list_starts(stack, count, limits)
        start = min(free, key=lambda first: (distances[stack][first], -first)) if count else 0
        kept[stack] = tuple(layer for layer in range(limits.depths[stack]) if not start <= layer < start + count)
    return kept, distances


def _count_dropped(limits: Limits) -> dict[str, int]:
    assert limits.counts
    return {stack: limits.depths[stack] - count for stack, count in limits.counts.items()}


def _list_starts(stack: str, count: int, limits: Limits) -> list[int]:
    """Where a block of so many layers can begin."""
    starts = range(limits.depths[stack] - count + 1)
    return [start for start in starts if not any(limits.protects(stack, layer) for layer in range(start, start + count))]
