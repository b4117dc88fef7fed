"""Decide what to keep. Every strategy returns a `PruningPlan`; none changes a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pareft.errors import PlanError
from pareft.models.checkpoint import Base, open_base
from pareft.models.identity import identify
from pareft.models.plan import PruningPlan
from pareft.models.surgery import check_plan
from pareft.models.weights import find_tensors
from pareft.pruning.depth import alternating

Layers = Mapping[str, Sequence[int]] | Sequence[int]
Units = Mapping[str, Mapping[int, Sequence[int]]]


def plan(
    base: str | Path | Base,
    *,
    by: Literal["alternating", "everything"] = "alternating",
    layers: Layers | None = None,
    heads: Units | None = None,
    neurons: Units | None = None,
    revision: str | None = None,
) -> PruningPlan:
    """Plan what of a base stays; all numbers are 0-based and the base's own.

    Args:
        base: `pareft-mini`, a folder, or a name on the Hub.
        by: a rule for the layers, `alternating` being the paper's. Where `layers`, `heads` or `neurons` are given no rule is asked,
            and what is not named is kept whole.
        layers: the kept layers of each stack; for a model with one stack, a list does.
        heads: the kept heads (key-value groups under GQA) by `stack.attention` and layer: `{"decoder.cross": {3: [0, 2]}}`.
        neurons: the kept feed-forward neurons by stack and layer: `{"encoder": {0: range(1024)}}`.
        revision: the Hub's.

    Raises:
        PlanError: a layer, head or neuron out of range, nothing left of a stack, no such stack, layers that could not run.
        ModelError: the base is not there, is damaged, or of no family that can be pruned.
    """
    source = base if isinstance(base, Base) else open_base(str(base), revision=revision)
    whole = identify(source, find_tensors(source))
    values: dict[str, Any] = whole.model_dump()
    if layers is None and heads is None and neurons is None:
        kept = {stack: alternating(depth) for stack, depth in whole.depths.items()} if by == "alternating" else whole.layers
        values |= {"by": by, "layers": kept}
    else:
        values |= {
            "by": "explicit",
            "layers": whole.layers | _by_stack(layers, whole),
            "heads": _listed(heads),
            "neurons": _listed(neurons),
        }
    decided = PruningPlan.model_validate(values)
    check_plan(source.config, decided)
    return decided


def _by_stack(layers: Layers | None, whole: PruningPlan) -> dict[str, list[int]]:
    if layers is None:
        return {}
    if isinstance(layers, Mapping):
        return {stack: list(indices) for stack, indices in layers.items()}
    if len(whole.layers) > 1:
        raise PlanError(f"layers is a list and this base has {' and '.join(whole.layers)}: give {{stack: [...]}}")
    return {stack: list(layers) for stack in whole.layers}


def _listed(units: Units | None) -> dict[str, dict[int, list[int]]]:
    return {key: {layer: list(kept) for layer, kept in by_layer.items()} for key, by_layer in (units or {}).items()}
