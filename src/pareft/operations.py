"""What steps amount to: a model's operations, counted, and how fast this machine multiplies matrices."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from pareft.forecast.rates import measure_rate
from pareft.models.checkpoint import open_base
from pareft.models.structure import build_on_meta
from pareft.readying import decide
from pareft.recipe import Recipe
from pareft.runtime import Precision, choose_device
from pareft.tuning.adapters import adapt

SAMPLES = ((8, 8), (24, 8), (40, 8), (8, 24), (8, 40), (24, 24))  # lengths from which those of all others follow
FEW = 2  # so many different lengths are traced as they are
SIDES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}


def build_counted(recipe: Recipe) -> Any:
    """A recipe's model on `meta`, as far as its plan is known by its numbers alone."""
    base = open_base(recipe.base, revision=recipe.revision)
    return adapt(build_on_meta(base.config, decide(base, recipe.prune, weights=False)), recipe.adapt)


def count_operations(model: Any, batches: Sequence[Sequence[tuple[int, int]]], *, backward: bool = True) -> list[float]:
    """Forward and, if asked, backward of every batch by a model on `meta`, of the texts' own tokens (source, target): neither
    padding counts nor the products for gradients of frozen weights. Attention is counted whole, as if nothing in it were masked.
    """
    model.config._attn_implementation = "eager"  # the counter does not know every kernel
    lengths = sorted({pair for batch in batches for pair in batch})
    few = len(lengths) <= FEW
    counts = {pair: _trace(model, pair, backward) for pair in lengths} if few else _extrapolate(model, lengths, backward)
    return [sum(counts[pair] for pair in batch) for batch in batches]


def _trace(model: Any, lengths: tuple[int, int], backward: bool) -> float:
    source, target = (torch.ones(1, tokens, dtype=torch.long, device="meta") for tokens in lengths)
    with FlopCounterMode(display=False) as counter:
        loss = model(input_ids=source, labels=target).loss
        if backward:
            loss.backward()
    return float(counter.get_total_flops())


def _extrapolate(model: Any, lengths: Iterable[tuple[int, int]], backward: bool) -> dict[tuple[int, int], float]:
    """Operations are 1, s, t, s², s·t and t² times something, in the tokens s of a source and t of a target."""
    known = np.array([_trace(model, sample, backward) for sample in SAMPLES])
    factors = np.linalg.solve(np.array([_terms(*sample) for sample in SAMPLES]), known)
    return {pair: float(np.array(_terms(*pair)) @ factors) for pair in lengths}


def _terms(source: int, target: int) -> list[float]:
    return [1, source, target, source**2, source * target, target**2]


def measure_ceiling(precision: Precision) -> float:
    """Operations a second of products of square matrices: the best of several sizes, of each the median."""
    return max(measure_rate(precision, side) for side in SIDES[choose_device().type])
