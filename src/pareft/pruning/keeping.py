"""Which heads and neurons stay, by what they score: functions of numbers."""

from collections.abc import Mapping
from fractions import Fraction
from math import floor

import numpy as np
import torch

from pareft.adapter_settings import Rules, Scope
from pareft.errors import PlanError
from pareft.models.plan import PruningPlan, Units


def keep_units(scores: torch.Tensor, ratio: float, *, scope: Scope = "layer", rules: Rules = "count") -> list[tuple[int, ...]]:
    """The units that stay in every layer, of `scores` (layers, units), higher = keep.

    `ratio` of them goes, in every layer or in all layers together (`global`); at least one stays in each. `count`: n - ⌊ratio · n⌋
    stay, of equals the first. `release`: what is above the quantile of `ratio`, as the release of arXiv 2406.03792 has it, which
    loses equals at the threshold.

    Raises:
        PlanError: a ratio that is not in [0, 1), or scores that are no numbers.
    """
    check_ratio(ratio)
    scores = scores.detach().to("cpu", torch.float64)
    if not bool(scores.isfinite().all()):
        raise PlanError("some scores are no finite numbers, so that nothing can be said of what to keep: did the training diverge?")
    choose = _keep_above if rules == "release" else _keep_highest
    kept = choose(scores, ratio) if scope == "global" else torch.cat([choose(row[None], ratio) for row in scores])
    return [tuple(row.nonzero().flatten().tolist()) for row in kept]


def choose_ranks(
    modules: Mapping[str, float],
    ranks: Mapping[str, torch.Tensor],
    *,
    drop_modules: float,
    drop_ranks: float,
    scope: Scope = "global",
    rules: Rules = "count",
) -> dict[str, tuple[int, ...]]:
    """An adapter's modules that stay, a ratio of all of them going, and of each the ranks that do, of all of them or of each
    module's going. `modules` and `ranks`, (r,) each, are scores by name, higher = keep. A module without ranks goes.

    Raises:
        PlanError: as `keep_units`.
    """
    names = list(modules)
    [stay] = keep_units(torch.tensor([[modules[name] for name in names]]), drop_modules, rules=rules)
    left = [names[number] for number in stay]
    if scope == "layer":
        return {name: keep_units(ranks[name][None], drop_ranks, rules=rules)[0] for name in left}
    [stay] = keep_units(torch.cat([ranks[name] for name in left])[None], drop_ranks, rules=rules)
    places = [(name, rank) for name in left for rank in range(len(ranks[name]))]
    kept: dict[str, list[int]] = {name: [] for name in left}
    for number in stay:
        name, rank = places[number]
        kept[name].append(rank)
    return {name: tuple(found) for name, found in kept.items() if found}


def check_ratio(ratio: float) -> None:
    """Raise `PlanError` unless a part below all of something goes."""
    if not 0 <= ratio < 1:
        raise PlanError(f"a ratio of {ratio} cannot go: give 0 to below 1")


def count_kept(size: int, ratio: float) -> int:
    """N - ⌊ratio · n⌋, the ratio as it is written: 0.29 of 100 is 29."""
    return size - floor(Fraction(str(ratio)) * size)


def _keep_highest(scores: torch.Tensor, ratio: float) -> torch.Tensor:
    count = count_kept(scores.numel(), ratio)
    kept = _best_of_each(scores)
    order = scores.flatten().argsort(descending=True, stable=True)
    more = order[~kept.flatten()[order]][: max(0, count - len(scores))]
    kept.view(-1)[more] = True
    return kept


def _keep_above(scores: torch.Tensor, ratio: float) -> torch.Tensor:
    return (scores > float(np.quantile(scores.numpy(), ratio))) | _best_of_each(scores)


def _best_of_each(scores: torch.Tensor) -> torch.Tensor:
    best = torch.zeros_like(scores, dtype=torch.bool)
    best[torch.arange(len(scores)), scores.argmax(dim=1)] = True
    return best


def narrow_plan(plan: PruningPlan, kept: Mapping[str, list[tuple[int, ...]]], *, by: str) -> PruningPlan:
    """A plan's layers with the heads and neurons that stay in them: `kept` by `stack.attention` and by stack, for every kept layer
    in turn.

    Raises:
        PlanError: the plan prunes heads or neurons itself.
    """
    if plan.narrows:
        raise PlanError("the plan says already which heads and neurons stay; give one that chooses layers alone")
    units: dict[str, dict[str, Units]] = {"heads": {}, "neurons": {}}
    for key, by_layer in kept.items():
        layers = plan.layers[key.partition(".")[0]]
        units["heads" if "." in key else "neurons"][key] = dict(zip(layers, by_layer, strict=True))
    return PruningPlan.model_validate({**plan.model_dump(), **units, "by": by})
