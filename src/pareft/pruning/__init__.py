"""Decide what to keep. Every strategy returns a `PruningPlan`; none changes a model."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from pareft.errors import PlanError
from pareft.models.checkpoint import Base, open_base
from pareft.models.identity import identify
from pareft.models.loading import read_own_plan
from pareft.models.plan import PruningPlan
from pareft.models.surgery import check_cuttable, check_plan
from pareft.models.weights import find_tensors
from pareft.pruning.choosing import Keep, read_limits
from pareft.pruning.depth import RULES, alternating
from pareft.settings import RuleName

Layers = Mapping[str, Sequence[int]] | Sequence[int]
Rule = Literal["alternating", "everything", RuleName]
Units = Mapping[str, Mapping[int, Sequence[int]]]


def plan(
    base: str | Path | Base,
    *,
    by: Rule = "alternating",
    keep: Keep | None = None,
    layers: Layers | None = None,
    heads: Units | None = None,
    neurons: Units | None = None,
    revision: str | None = None,
    weights: bool = True,
) -> PruningPlan:
    """Plan what of a base stays; all numbers are 0-based and the base's own.

    Args:
        base: `pareft-mini`, a folder, or a name on the Hub.
        by: a rule for the layers, `alternating` being the paper's. Where `layers`, `heads` or `neurons` are given no rule is asked,
            and what is not named is kept whole.
        keep: how many layers of every stack stay, for all rules but `alternating` and `everything`, which say so themselves: a
            number, a part below 1, or one of these for each stack, others staying whole.
        layers: the kept layers of each stack; for a model with one stack, a list does.
        heads: the kept heads (key-value groups under GQA) by `stack.attention` and layer: `{"decoder.cross": {3: [0, 2]}}`.
        neurons: the kept feed-forward neurons by stack and layer: `{"encoder": {0: range(1024)}}`.
        revision: the Hub's.
        weights: whether the plan is to know the base's weights, and fit no others; without, only its config is read.

    Raises:
        PlanError: a layer, head or neuron out of range, nothing left of a stack, no such stack, layers that could not run.
        ModelError: the base is not there, is damaged, or of no family that can be pruned.
    """
    if by not in get_args(Rule):
        raise PlanError(f"no rule {by!r}; there is {', '.join(get_args(Rule))}")
    source = base if isinstance(base, Base) else open_base(str(base), revision=revision)
    whole = identify(source, find_tensors(source) if weights else {})
    values: dict[str, Any] = whole.model_dump()
    if layers is None and heads is None and neurons is None:
        values |= {"by": by, "layers": _choose(whole, by, keep)}
    elif keep is not None:
        raise PlanError("keep is for a rule, and layers, heads or neurons say themselves what stays; give one of both")
    else:
        values |= {
            "by": "explicit",
            "layers": whole.layers | {stack: _as_list(kept) for stack, kept in _by_stack(layers, whole).items()},
            "heads": _listed(heads),
            "neurons": _listed(neurons),
        }
    decided = PruningPlan.model_validate(values)
    check_cuttable(source.config, read_own_plan(source), decided)
    check_plan(source.config, decided)
    return decided


def _choose(whole: PruningPlan, by: Rule, keep: Keep | None) -> dict[str, tuple[int, ...]]:
    """The layers that a rule keeps."""
    if by in RULES:
        if keep is None:
            raise PlanError(f"{by} keeps as many layers as it is told to: keep=8, or keep={{'encoder': 10, 'decoder': 6}}")
        limits = read_limits(whole.depths, keep)
        if limits.counts is None:
            raise PlanError(f"{by} looks at each stack alone: say how many layers of each are to stay, and not a total")
        return {stack: RULES[by](whole.depths[stack], count) for stack, count in limits.counts.items()}
    if keep is not None:
        raise PlanError(f"{by} says itself how many layers stay; with keep, give one of {', '.join(RULES)}, or a criterion")
    return {stack: alternating(depth) for stack, depth in whole.depths.items()} if by == "alternating" else whole.layers


def _by_stack(layers: Layers | None, whole: PruningPlan) -> dict[str, Any]:
    if layers is None:
        return {}
    if isinstance(layers, Mapping):
        if unknown := [str(stack) for stack in layers if stack not in whole.layers]:
            raise PlanError(f"this base has no stack {unknown[0]!r} of layers; it has {' and '.join(whole.layers)}")
        return dict(layers)
    if len(whole.layers) > 1:
        raise PlanError(f"layers is a list and this base has {' and '.join(whole.layers)}: give {{stack: [...]}}")
    return dict.fromkeys(whole.layers, layers)


def _listed(units: Units | None) -> Any:
    """As lists, ranges included; what is malformed is left for the plan to refuse."""
    if not isinstance(units or {}, Mapping) or not all(isinstance(by_layer, Mapping) for by_layer in (units or {}).values()):
        return units
    return {key: {layer: _as_list(kept) for layer, kept in by_layer.items()} for key, by_layer in (units or {}).items()}


def _as_list(kept: Any) -> Any:
    return list(kept) if isinstance(kept, Sequence) and not isinstance(kept, str) else kept
