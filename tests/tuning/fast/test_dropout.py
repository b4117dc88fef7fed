"""Dropout by random bits: its distribution, its gradient, and the same mask wherever it is part of something."""

import pytest
import torch
from tiny import make_inputs, make_model
from torch import nn

from pareft.adapter_settings import LoraSettings
from pareft.settings import FastSettings
from pareft.tuning.adapters import attach
from pareft.tuning.fast import quicken
from pareft.tuning.fast.attention import attend
from pareft.tuning.fast.dropout import draw_mask, drop

DTYPES = (torch.bfloat16, torch.float16, torch.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.003])
def test_as_many_are_zero_as_the_probability_says(dtype, probability):
    torch.manual_seed(0)
    size = 400_000
    dropped = drop(torch.ones(size, dtype=dtype), probability).float()
    zeros = int((dropped == 0).sum())
    assert abs(zeros - probability * size) < 5 * (size * probability * (1 - probability)) ** 0.5
    assert torch.allclose(dropped[dropped > 0], torch.tensor(1 / (1 - probability)), rtol=2**-7)
    neighbours = ((dropped[:-1] == 0) & (dropped[1:] == 0)).sum()
    assert abs(int(neighbours) - probability**2 * size) < 5 * (size * probability**2) ** 0.5  # of independent draws


def test_what_is_kept_is_scaled_so_that_the_mean_stays():
    value = torch.ones(3, dtype=torch.bfloat16)
    for probability in (0.1, 1 / 3, 0.999999):
        _, scale = draw_mask(value, probability)
        share = 1 / scale  # of the levels that are kept
        assert share * 2**16 == pytest.approx(round(share * 2**16), abs=1e-6)
        assert abs(share - (1 - probability)) <= 2**-16


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gradient_passes_where_the_value_does(dtype):
    value = torch.rand(33, 7, dtype=dtype).add(1).T.requires_grad_()
    dropped = drop(value, 0.4)
    dropped.sum().backward()
    assert torch.equal(value.grad != 0, dropped != 0)
    assert torch.allclose(dropped, value * value.grad, rtol=2**-6)


def test_masks_come_from_torchs_generator():
    value = torch.ones(1000, dtype=torch.bfloat16)
    torch.manual_seed(5)
    first, second = drop(value, 0.5), drop(value, 0.5)
    torch.manual_seed(5)
    assert torch.equal(drop(value, 0.5), first)
    assert not torch.equal(first, second)


def test_no_infinity_becomes_nan():
    assert not drop(torch.full((100,), torch.inf), 0.5).isnan().any()


@pytest.mark.parametrize(("targets", "sources"), [(3, 7), (20, 24)], ids=["weights kept", "weights computed again"])
def test_dropout_in_attention_is_that_of_its_weights(targets, sources, monkeypatch):
    drawn = []
    monkeypatch.setattr("pareft.tuning.fast.attention.AT_A_TIME", 2 * targets * sources + 8)
    monkeypatch.setattr(
        "pareft.tuning.fast.attention.draw_mask",
        lambda value, probability: drawn.append(draw_mask(value, probability)) or drawn[-1],
    )
    query, key, value = (torch.randn(2, 5, length, 4, requires_grad=True) for length in (targets, sources, sources))
    found = attend(query, key, value, dropout=0.3)
    mask = torch.cat([kept for kept, _ in drawn]).view(2, 5, targets, sources)
    weights = (query @ key.transpose(2, 3) / 2).softmax(-1)
    expected = (weights * (mask != 0) * drawn[0][1]) @ value
    assert torch.allclose(found, expected, atol=1e-6)
    given = torch.randn_like(found)
    for ours, other in zip(*(torch.autograd.grad(out, (query, key, value), given) for out in (found, expected)), strict=True):
        assert torch.allclose(ours, other, atol=1e-5)


@pytest.mark.parametrize("fast", [True, False])
def test_dropout_in_lora_is_that_of_what_it_reads(fast, monkeypatch):
    drawn = []

    def record(rows, probability, quick):
        kept, mask, scale = stock(rows, probability, quick)
        drawn.append((mask != 0, scale))
        return kept, mask, scale

    stock = __import__("pareft.tuning.fast.lora", fromlist=["_drop"])._drop
    monkeypatch.setattr("pareft.tuning.fast.lora._drop", record)
    model = attach(make_model("bart"), LoraSettings(target="ffn", rank=3, alpha=6, dropout=0.4)).train()
    layer = next(module for module in model.modules() if hasattr(module, "lora_A"))
    nn.init.normal_(layer.lora_B["default"].weight)
    value = torch.randn(2, 5, layer.in_features, requires_grad=True)
    with quicken(model, FastSettings(dropout=fast)):
        found = layer(value)
    mask, scale = drawn[0]
    inner = value * mask.view(value.shape) * scale
    expected = layer.base_layer(value) + 2 * layer.lora_B["default"](layer.lora_A["default"](inner))
    assert torch.allclose(found, expected, atol=1e-5)
    trained = (value, layer.lora_A["default"].weight, layer.lora_B["default"].weight, layer.base_layer.bias)
    given = torch.randn_like(found)
    for ours, other in zip(*(torch.autograd.grad(out, trained, given) for out in (found, expected)), strict=True):
        assert torch.allclose(ours, other, atol=1e-5)


def test_a_model_drops_in_training_alone():
    model = make_model("bart")
    for module in model.modules():
        if hasattr(module, "dropout"):
            module.dropout = 0.5
    inputs = make_inputs(model)
    with quicken(model, FastSettings()), torch.no_grad():
        assert torch.equal(model(**inputs).logits, model(**inputs).logits)
        model.train()
        assert not torch.equal(model(**inputs).logits, model(**inputs).logits)
