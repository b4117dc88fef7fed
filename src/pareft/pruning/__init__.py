"""Decide what to keep. Every strategy returns a `PruningPlan`; none changes a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pareft.models.checkpoint import Base, open_base
from pareft.models.families import find_family
from pareft.models.plan import PruningPlan, check_layers
from pareft.models.surgery import check_plan, digest_config
from pareft.pruning.depth import alternating

Layers = Mapping[str, Sequence[int]]


def plan(
    base: str | Path | Base,
    *,
    by: Literal["alternating", "everything"] = "alternating",
    layers: Layers | None = None,
    revision: str | None = None,
) -> PruningPlan:
    """Plan which layers of a base stay: `by` a rule, `alternating` being the paper's, or the kept `layers` of each stack, 0-based.

    Where `layers` are given no rule is asked, and a stack that is not named is kept whole. `revision` is the Hub's.

    Raises:
        PlanError: a layer out of range, a stack left empty, a stack the base does not have, a T5 decoder deeper than its encoder.
        ModelError: the base is not there or of no known encoder-decoder family.
    """
    source = base if isinstance(base, Base) else open_base(str(base), revision=revision)
    family = find_family(source.config)
    depths = family.depths(source.config)
    whole = {stack: tuple(range(depth)) for stack, depth in depths.items()}
    if layers is not None:
        given = whole | {stack: list(indices) for stack, indices in layers.items()}
        check_layers(given, depths)
        kept = {stack: tuple(indices) for stack, indices in given.items()}
    else:
        kept = {stack: alternating(depth) for stack, depth in depths.items()} if by == "alternating" else whole
    decided = PruningPlan(
        base=source.name,
        revision=source.revision,
        family=family.model_type,
        base_digest=digest_config(source.config),
        depths=depths,
        layers=kept,
        by=by if layers is None else "explicit",
    )
    check_plan(source.config, decided)
    return decided
