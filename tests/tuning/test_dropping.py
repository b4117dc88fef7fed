"""Dropout by example: one mask for all positions, the same in the fast way, and wherever it is asked for."""

import pytest
import torch
from tiny import logits, make_inputs, make_model
from torch import nn

from pareft.adapter_settings import BottleneckSettings, LoraSettings
from pareft.lightening import lighten
from pareft.readying import build_trained, load_planned, prepare
from pareft.recipe import override, resolve
from pareft.settings import FastSettings
from pareft.tuning.adapters import attach
from pareft.tuning.dropping import ExampleDropout
from pareft.tuning.fast import quicken

PLAIN = FastSettings(**dict.fromkeys(("lora", "dropout", "loss", "attention", "memory", "batches"), False))
LORA = LoraSettings(target="all", rank=3, alpha=6, dropout=0.5, dropout_by="example")


def list_drops(model):
    return [module for module in model.modules() if isinstance(module, ExampleDropout)]


def test_an_example_drops_the_same_everywhere_and_each_its_own():
    torch.manual_seed(0)
    dropped = ExampleDropout(0.25)(torch.ones(500, 7, 40))
    assert torch.equal(dropped, dropped[:, :1].expand_as(dropped))
    assert len(dropped[:, 0].unique(dim=0)) == 500
    zeros, size = int((dropped[:, 0] == 0).sum()), 500 * 40
    assert abs(zeros - size / 4) < 5 * (size * 0.25 * 0.75) ** 0.5
    assert torch.allclose(dropped[dropped > 0], torch.tensor(1 / 0.75))


@pytest.mark.parametrize("shape", [(3, 8), (3, 5, 8), (3, 2, 5, 8)])
def test_features_come_last_and_examples_first(shape):
    torch.manual_seed(0)
    dropped = ExampleDropout(0.5)(torch.ones(shape, dtype=torch.bfloat16))
    assert dropped.shape == shape
    assert dropped.dtype == torch.bfloat16
    flat = dropped.reshape(3, -1, 8)
    assert torch.equal(flat, flat[:, :1].expand_as(flat))


def test_nothing_is_dropped_without_a_chance_or_without_training():
    value = torch.randn(2, 3, 4)
    assert ExampleDropout(0.5).eval()(value) is value
    assert ExampleDropout(0.0)(value) is value


@pytest.mark.parametrize(
    "settings",
    [
        LORA,
        LORA.model_copy(update={"dora": True}),
        LORA.model_copy(update={"method": "adalora"}),
        BottleneckSettings(method="bottleneck", rank=3, dropout=0.5, dropout_by="example", start="normal"),
    ],
    ids=["lora", "dora", "adalora", "bottleneck"],
)
def test_every_method_drops_as_it_is_asked_to(settings):
    model = attach(make_model("bart"), settings, steps=10)
    drops, inputs = list_drops(model), make_inputs(make_model("bart"))
    assert drops
    assert {drop.p for drop in drops} == {0.5}
    assert not [name for name, module in model.named_modules() if "_dropout." in name and isinstance(module, nn.Dropout)]
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.add_(0.1)
    assert not torch.allclose(logits(model.train(), inputs), logits(model, inputs))
    assert torch.equal(logits(model.eval(), inputs), logits(model, inputs))
    by_element = attach(make_model("bart"), settings.model_copy(update={"dropout_by": "element"}), steps=10)
    assert not list_drops(by_element)


@pytest.mark.parametrize("name", ["bart", "pegasus", "t5", "llama", "gpt2", "roberta"])
@pytest.mark.parametrize("precision", [None, torch.bfloat16], ids=["fp32", "bf16"])
def test_the_fast_way_drops_the_same_and_computes_the_same(name, precision):
    torch.manual_seed(3)
    model = make_model(name)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    model = attach(model, LORA)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.train()

    def learn(ways, seed):
        torch.manual_seed(seed)
        model.zero_grad()
        with quicken(model, ways):
            with torch.autocast("cpu", precision or torch.bfloat16, enabled=precision is not None):
                found = model(**make_inputs(model)).logits
            found.float().square().mean().backward()
        return torch.cat([one.grad.flatten().float() for one in model.parameters() if one.grad is not None])

    plain, quick = learn(PLAIN, 5), learn(FastSettings(), 5)
    tolerance = 1e-5 if precision is None else 0.05
    assert (quick - plain).norm() <= tolerance * plain.norm()
    assert (learn(FastSettings(), 6) - plain).norm() > 2 * tolerance * plain.norm()  # other features


def test_what_early_pruning_leaves_of_an_adapter_drops_so_too(values, tmp_path):
    light = {"steps": 4, "heads": 0.5, "neurons": 0.5, "modules": 0.5, "ranks": 0.5}
    changes = {"arms": {}, "light": light, "adapt.target": "all", "train.precision": "fp32"}
    changes |= {"adapt.dropout": 0.5, "adapt.dropout_by": "example"}
    prepared = lighten(prepare(resolve(override(values, changes | {"measure": None}))), tmp_path)
    assert len(list_drops(build_trained(prepared, load_planned(prepared)))) == prepared.light.modules_kept
