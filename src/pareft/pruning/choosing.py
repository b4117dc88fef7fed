"""How many layers stay, which must, and which do by their scores."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pareft.errors import PlanError
from pareft.records import DroppedRecord

TOTAL = "total"  # of all stacks, where not each has a number of its own
Keep = int | float | Mapping[str, int | float]
Kept = dict[str, tuple[int, ...]]
Layer = tuple[str, int]  # of a stack
Weigh = Callable[[Sequence[Layer]], Mapping[Layer, float]]


@dataclass(frozen=True)
class Limits:
    """How many layers stay: of every stack in `counts`, or of all together in `total`, then at least `least` of each and, if
    `symmetric`, as many of one as of another; and in `protected` those that must, by stack. `encoder_leads`: the encoder keeps as
    many as the decoder at least.
    """

    depths: Mapping[str, int]
    counts: Mapping[str, int] | None
    total: int | None = None
    least: int = 1
    symmetric: bool = False
    protected: Mapping[str, frozenset[int]] = field(default_factory=dict)
    encoder_leads: bool = False

    def protects(self, stack: str, layer: int) -> bool:
        """Whether a layer must stay."""
        return layer in self.protected.get(stack, ())

    def floor(self, stack: str) -> int:
        """How many layers a stack keeps at least."""
        if self.counts:
            return self.counts[stack]
        stacks = list(self.depths) if self.encoder_leads and stack == "encoder" else [stack]
        return max(self.least, *(len(self.protected.get(other, ())) for other in stacks), 1)


def read_limits(
    depths: Mapping[str, int],
    keep: Keep,
    *,
    never_drop: Mapping[str, Sequence[int]] | None = None,
    least: int = 1,
    symmetric: bool = False,
    encoder_leads: bool = False,
) -> Limits:
    """Limits from what a user says.

    Args:
        depths: how many layers every stack has.
        keep: a number of layers, or up to 1.0 a part of them, rounded, of every stack; or by stack, those that are not named
            staying whole; or `{"total": n}` of all stacks together.
        never_drop: layers that stay, by stack; negative ones count from the end.
        least: with a total, how many of each stack stay at least.
        symmetric: with a total, as many of each stack.
        encoder_leads: transformers cannot generate with more decoder layers than encoder layers.

    Raises:
        PlanError: more layers than there are, or fewer than one, than `least` or than must stay; no such stack or layer; a decoder
            that could not generate.
    """
    protected = {stack: _find_layers(stack, numbers, depths) for stack, numbers in (never_drop or {}).items()}
    joint = isinstance(keep, Mapping) and TOTAL in keep
    if (symmetric or least != 1) and not joint:
        raise PlanError("least and symmetric share a total out among stacks, and each has its number here; keep={'total': n}")
    if not joint:
        asked = keep if isinstance(keep, Mapping) else dict.fromkeys(depths, keep)
        if unknown := [str(stack) for stack in asked if stack not in depths]:
            raise PlanError(f"keep: no stack {unknown[0]!r} of layers; there is {' and '.join(depths)}, or {TOTAL}")
        counts = {stack: _count(stack, asked.get(stack, depth), depth) for stack, depth in depths.items()}
        for stack, kept in protected.items():
            if len(kept) > counts[stack]:
                raise PlanError(f"never_drop names {len(kept)} {stack} layers, and {counts[stack]} are to stay")
        if encoder_leads and counts["decoder"] > counts["encoder"]:
            raise PlanError(
                f"keep: {counts['encoder']} encoder and {counts['decoder']} decoder layers of this family cannot generate: "
                "transformers sizes the decoder's cache by the encoder. Keep at least as many encoder layers as decoder layers"
            )
        return Limits(depths, counts, protected=protected, encoder_leads=encoder_leads)
    assert isinstance(keep, Mapping)
    if len(keep) > 1:
        raise PlanError(f"keep: {TOTAL} is of all stacks together; give it alone, or a number for each stack")
    total = _count(TOTAL, keep[TOTAL], sum(depths.values()))
    limits = Limits(depths, None, total, least, symmetric, protected, encoder_leads)
    _check_total(limits)
    return limits


def _check_total(limits: Limits) -> None:
    assert limits.total
    for stack, depth in limits.depths.items():
        if not 1 <= limits.least <= depth:
            raise PlanError(f"least {limits.least} is not possible of {depth} {stack} layers")
    lowest = sum(map(limits.floor, limits.depths))
    if limits.symmetric:
        each, over = divmod(limits.total, len(limits.depths))
        if over or not all(limits.floor(stack) <= each <= depth for stack, depth in limits.depths.items()):
            stacks = ", ".join(f"{limits.floor(stack)} to {depth} {stack}" for stack, depth in limits.depths.items())
            raise PlanError(f"a total of {limits.total} cannot be shared out evenly: there may be {stacks} layers")
    if lowest > limits.total:
        raise PlanError(f"a total of {limits.total} is fewer than the {lowest} layers that least and never_drop keep")


def _count(stack: str, asked: Any, depth: int) -> int:
    if isinstance(asked, bool) or not isinstance(asked, int | float) or not math.isfinite(asked):
        raise PlanError(f"keep: {asked!r} {stack} layers is no number; give a number of layers, or a part of them up to 1.0")
    if isinstance(asked, float) and 0 < asked <= 1:
        return max(1, round(asked * depth))
    if asked != int(asked) or not 1 <= asked <= depth:
        raise PlanError(
            f"keep: {asked} of {depth} {'' if stack == TOTAL else stack + ' '}layers; give 1 to {depth}, or a part of them as 0.5"
        )
    return int(asked)


def _find_layers(stack: str, numbers: Sequence[int], depths: Mapping[str, int]) -> frozenset[int]:
    if stack not in depths:
        raise PlanError(f"never_drop: no stack {stack!r} of layers; there is {' and '.join(depths)}")
    depth = depths[stack]
    if out := [number for number in numbers if type(number) is not int or not -depth <= number < depth]:
        raise PlanError(f"never_drop: no {stack} layer {out[0]!r}: it has {depth}, numbered 0 to {depth - 1}, or -1 the last")
    return frozenset(number % depth for number in numbers)


def choose(scores: Mapping[str, Sequence[float]], limits: Limits) -> dict[str, tuple[int, ...]]:
    """The layers that stay: the least needed goes first. Plans for fewer layers are thus parts of those for more.

    Scores are compared within a stack; with a total that is not symmetric, also between stacks.
    """
    return drop_in_turn(limits, lambda layers: {(stack, layer): scores[stack][layer] for stack, layer in layers})[0]


def drop_in_turn(limits: Limits, weigh: Weigh, on_drop: Callable[[Layer], None] | None = None) -> tuple[Kept, list[DroppedRecord]]:
    """What stays, and the path: of the layers that could go, the one that weighs least goes, of equals the later one, until as few
    are left as may be. `weigh` is asked before each goes; `on_drop` is told which.
    """
    kept = {stack: set(range(depth)) for stack, depth in limits.depths.items()}
    path = []
    while candidates := _list_candidates(kept, limits):
        weights = weigh(candidates)
        stack, layer = gone = min(candidates, key=lambda found: (weights[found], -found[1]))
        kept[stack].discard(layer)
        path.append(DroppedRecord(stack=stack, layer=layer, cost=weights[gone]))
        if on_drop:
            on_drop(gone)
    return {stack: tuple(sorted(layers)) for stack, layers in kept.items()}, path


def _list_candidates(kept: Mapping[str, set[int]], limits: Limits) -> list[Layer]:
    """The layers of which the next to go can be chosen; none once the limits are reached."""
    return [
        (stack, layer)
        for stack, layers in kept.items()
        if _can_shrink(stack, kept, limits)
        for layer in sorted(layers)
        if not limits.protects(stack, layer)
    ]


def _can_shrink(stack: str, kept: Mapping[str, set[int]], limits: Limits) -> bool:
    if limits.total is None:
        return len(kept[stack]) > limits.floor(stack)
    if limits.symmetric:
        return len(kept[stack]) > limits.total // len(kept)
    free = len(kept[stack]) > limits.floor(stack)
    if limits.encoder_leads and stack == "encoder":
        free = free and len(kept["encoder"]) > len(kept["decoder"])
    return free and sum(map(len, kept.values())) > limits.total
