"""What steps amount to: a model's operations, counted, and how fast this machine multiplies matrices."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch.utils.flop_counter import FlopCounterMode

from pareft.forecast.rates import measure_rate
from pareft.models.checkpoint import open_base
from pareft.models.families import find_family
from pareft.models.structure import build_on_meta
from pareft.readying import decide
from pareft.recipe import Recipe
from pareft.runtime import Precision, choose_device
from pareft.tuning.adapters import adapt

SAMPLES = ((8, 8), (24, 8), (40, 8), (8, 24), (8, 40), (24, 24))  # lengths from which those of all others follow
OF_ONE = (8, 24, 40)  # the same of models of one stack, which have no other text
FEW = 2  # so many different lengths are traced as they are
SIDES = {"cpu": (512, 1024, 2048), "cuda": (2048, 4096, 8192)}


def build_counted(recipe: Recipe) -> Any:
    """A recipe's model on `meta`, as far as its plan is known by its numbers alone."""
    base = open_base(recipe.base, revision=recipe.revision)
    return adapt(build_on_meta(base.config, decide(base, recipe.prune, weights=False)), recipe.adapt)


def count_operations(model: Any, batches: Sequence[Sequence[tuple[int, int]]], *, backward: bool = True) -> list[float]:
    """Forward and, if asked, backward of every batch by a model on `meta`, of the texts' own tokens (source, target): neither
    padding counts nor the products for gradients of frozen weights. Attention is counted whole, as if nothing in it were masked. Of
    a model of one stack, a text has the source's tokens, and an encoder counts without its head.
    """
    model.config._attn_implementation = "eager"  # the counter does not know every kernel
    alone = not model.config.is_encoder_decoder
    lengths = sorted({(source, 0 if alone else target) for batch in batches for source, target in batch})
    few = len(lengths) <= FEW
    counts = {pair: _trace(model, pair, backward) for pair in lengths} if few else _extrapolate(model, lengths, backward)
    return [sum(counts[source, 0 if alone else target] for source, target in batch) for batch in batches]


def _trace(model: Any, lengths: tuple[int, int], backward: bool) -> float:
    source, target = (torch.ones(1, tokens, dtype=torch.long, device="meta") for tokens in lengths)
    if find_family(model.config).kind == "encoder":
        model = (model.get_base_model() if isinstance(model, PeftModel) else model).base_model
    with FlopCounterMode(display=False) as counter:
        told = model(input_ids=source, labels=target).loss if model.config.is_encoder_decoder else model(input_ids=source)[0]
        loss = told.sum()
        if backward:
            loss.backward()
    return float(counter.get_total_flops())


def _extrapolate(model: Any, lengths: Iterable[tuple[int, int]], backward: bool) -> dict[tuple[int, int], float]:
    """Operations are 1, s, t, s², s·t and t² times something, in the tokens s of a source and t of a target; of one stack, 1, s and
    s².
    """
    alone = not model.config.is_encoder_decoder
    samples = [(tokens, 0) for tokens in OF_ONE] if alone else list(SAMPLES)
    known = np.array([_trace(model, sample, backward) for sample in samples])
    factors = np.linalg.solve(np.array([_terms(*sample, alone=alone) for sample in samples]), known)
    return {pair: float(np.array(_terms(*pair, alone=alone)) @ factors) for pair in lengths}


def _terms(source: int, target: int, *, alone: bool) -> list[float]:
    of_source: list[float] = [1, source, source**2]
    return of_source if alone else [*of_source, target, source * target, target**2]


def measure_ceiling(precision: Precision) -> float:
    """Operations a second of products of square matrices: the best of several sizes, of each the median."""
    return max(measure_rate(precision, side) for side in SIDES[choose_device().type])
