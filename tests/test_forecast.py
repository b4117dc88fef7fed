"""Laws of the forecast: it is what a real step saves, and it grows with what grows."""

import pytest
import torch
from conftest import make_config
from transformers import AutoModelForSeq2SeqLM

from pareft.adapter_settings import LoraSettings
from pareft.forecast.fitting import MARGIN, PROCESS_BYTES, _estimate, fits_plainly
from pareft.forecast.rates import measure_rate
from pareft.forecast.tracing import PLAIN, trace_step
from pareft.models.structure import build_on_meta
from pareft.recipe import resolve
from pareft.settings import FastSettings
from pareft.tuning.adapters import attach
from pareft.tuning.fast import quicken


def make_recipe(**lines):
    train = {"batch_size": 3} | lines.pop("train", {})
    return resolve({"base": "x", "data": {"path": "x", "max_source_tokens": 12, "max_target_tokens": 7}, "train": train} | lines)


def count_saved(model, fast):
    """The bytes that a real forward pass saves for the backward pass, weights not counted."""
    saved = {}

    def keep(tensor):
        saved[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    source, target = torch.ones(3, 12, dtype=torch.long), torch.ones(3, 7, dtype=torch.long)
    mask = source.clone()
    mask[:, -1] = 0  # of nothing but ones, transformers would leave it out
    with quicken(model, fast), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = model(input_ids=source, attention_mask=mask, labels=target).loss
    assert loss.requires_grad
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    return sum(tensor.untyped_storage().nbytes() for place, tensor in saved.items() if place not in weights)


@pytest.mark.parametrize("family", ["bart", "t5", "t5-gated"])
@pytest.mark.parametrize("adapt", [None, {"rank": 2}])
@pytest.mark.parametrize("fast", [PLAIN, FastSettings()], ids=["plain", "fast"])
def test_what_is_saved_is_what_a_real_step_saves(family, adapt, fast):
    recipe = make_recipe(adapt=adapt)
    real, traced = AutoModelForSeq2SeqLM.from_config(make_config(family)), build_on_meta(make_config(family))
    if adapt:
        real, traced = (attach(model, LoraSettings(rank=2)) for model in (real, traced))
    assert trace_step(traced, recipe, "fp32", fast=fast).activation_bytes == pytest.approx(
        count_saved(real.train(), fast), rel=0.02
    )


def trace(family="t5", precision="fp32", **lines):
    recipe = make_recipe(**lines)
    model = build_on_meta(make_config(family))
    return trace_step(attach(model, recipe.adapt) if recipe.adapt else model, recipe, precision)


def test_operations_grow_with_the_batch_and_with_accumulation():
    once = trace()
    assert trace(train={"batch_size": 6}).operations == 2 * once.operations
    assert trace(train={"accumulation": 2}).operations == 2 * once.operations
    assert trace(train={"accumulation": 2}).peak_bytes == once.peak_bytes + once.gradient_bytes  # the others' lie beside it


def test_adapters_need_less_memory_and_fewer_operations():
    full, lora = trace(), trace(adapt={"rank": 2})
    assert lora.peak_bytes < full.peak_bytes
    assert lora.operations < full.operations


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_a_frozen_base_is_in_bf16_where_that_is_computed_with(family):
    full, half = (trace(family, precision, adapt={"rank": 2}) for precision in ("fp32", "bf16"))
    assert half.peak_bytes < full.peak_bytes
    assert half.operations == full.operations


def test_the_rate_is_one_of_this_machine():
    assert measure_rate("fp32") > 1e8


@pytest.mark.parametrize("settings", [None, LoraSettings(rank=2)])
def test_a_step_that_is_said_to_fit_does(settings):
    recipe = make_recipe(adapt=settings.model_dump() if settings else None)

    def build():
        model = build_on_meta(make_config("bart"))
        return attach(model, settings) if settings else model

    needed = trace_step(build(), recipe, "fp32", fast=recipe.train.fast).peak_bytes
    assert fits_plainly(build(), recipe, "fp32", room=2 * needed + PROCESS_BYTES)
    assert not fits_plainly(build(), recipe, "fp32", room=needed + PROCESS_BYTES)


@pytest.mark.parametrize("family", ["bart", "t5", "t5-gated"])
@pytest.mark.parametrize("settings", [None, LoraSettings(rank=2)])
@pytest.mark.parametrize("source", [pytest.param(12, marks=pytest.mark.slow), 60])
def test_the_estimate_is_more_than_what_is_saved(family, settings, source):
    recipe = make_recipe(
        data={"path": "x", "max_source_tokens": source, "max_target_tokens": 7}, adapt=settings.model_dump() if settings else None
    )

    def build():
        model = build_on_meta(make_config(family))
        return attach(model, settings) if settings else model

    for fast in (PLAIN, recipe.train.fast):
        for precision in ("fp32", "bf16"):
            needed = trace_step(build(), recipe, precision, fast=fast).peak_bytes
            assert _estimate(list(build().parameters()), recipe, fast) > MARGIN * needed


def test_a_batch_in_parts_needs_the_memory_of_a_part_and_gradients_of_others():
    def trace_batch(size, fast):
        recipe = make_recipe(train={"batch_size": size, "fast": fast.model_dump()})
        return trace_step(build_on_meta(make_config("bart")), recipe, "fp32", fast=fast)

    whole, parts = trace_batch(3, FastSettings()), trace_batch(12, FastSettings(part_tokens=3 * 19))
    assert parts.peak_bytes == whole.peak_bytes + whole.gradient_bytes
    assert parts.operations == 4 * whole.operations


def test_what_surely_fits_is_not_traced(monkeypatch):
    monkeypatch.setattr("pareft.forecast.fitting.trace_step", None)
    assert fits_plainly(build_on_meta(make_config("bart")), make_recipe(), "fp32", room=10**9)
