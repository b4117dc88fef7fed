"""Bottleneck adapters compute what their equation says, beside each other on one base, and nothing else reads their files."""

import json
import subprocess
import sys

import pytest
import torch
from tiny import logits, make_inputs, make_model

import pareft
from pareft.adapter_settings import BottleneckSettings
from pareft.models.families import FAMILIES
from pareft.models.families.schema import Family
from pareft.tuning.bottleneck import BottleneckLayer

SETTINGS = BottleneckSettings(method="bottleneck", rank=3, dropout=0.0)


@pytest.fixture
def base(tmp_path):
    make_model("bart").save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def disturb(model):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize(("activation", "function"), [("relu", torch.relu), ("tanh", torch.tanh)])
def test_it_computes_what_the_equation_says(activation, function):
    settings = SETTINGS.model_copy(update={"activation": activation, "scale": 0.5})
    model = disturb(pareft.attach(make_model("bart"), settings))
    layer = model.get_base_model().model.decoder.layers[1].fc2
    assert isinstance(layer, BottleneckLayer)
    value = torch.randn(2, 5, layer.base_layer.in_features)
    given = layer.base_layer(value)
    down, up = layer.bottleneck_down["default"].weight, layer.bottleneck_up["default"].weight
    assert down.shape == (3, 16)
    torch.testing.assert_close(layer(value), given + 0.5 * function(given @ down.T) @ up.T)
    assert layer.base_layer.bias.requires_grad is False


def test_one_sits_behind_every_attention_and_feed_forward_part():
    model = pareft.attach(make_model("bart"), SETTINGS)
    wrapped = [name for name, module in model.get_base_model().named_modules() if isinstance(module, BottleneckLayer)]
    assert len(wrapped) == 5 * 2 + 4 * 3
    assert all(name.endswith((".out_proj", ".fc2")) for name in wrapped)
    trained = [name for name, parameter in model.named_parameters() if parameter.requires_grad]
    assert len(trained) == 2 * len(wrapped)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_outputs_are_those_of_the_table_of_widths(family: Family):
    for stack in family.stacks:
        if stack.width:
            ends = [attention.output for attention in stack.width.attentions] + [stack.width.feed_forward.output]
            for end in ends:
                assert any(end == target or end.endswith(f".{target}") for target in family.targets("outputs"))


def test_dropout_is_of_what_comes_in_and_in_training_alone():
    model = disturb(pareft.attach(make_model("bart"), SETTINGS.model_copy(update={"dropout": 0.5})))
    inputs = make_inputs(model)
    still = logits(model, inputs)
    assert torch.equal(logits(model, inputs), still)
    assert not torch.equal(logits(model.train(), inputs), still)


def test_a_random_start_is_the_releases_and_not_the_base():
    model = make_model("bart")
    inputs = make_inputs(model)
    plain = logits(model, inputs)
    adapted = pareft.attach(model, SETTINGS.model_copy(update={"start": "normal", "rank": 16})).eval()
    assert not torch.equal(logits(adapted, inputs), plain)
    spread = torch.cat([p.flatten() for n, p in adapted.named_parameters() if "bottleneck_" in n]).std()
    assert 0.019 < spread < 0.021


def test_several_share_a_base_and_are_switched(base, tmp_path):
    outputs = {}
    for number, name in enumerate(("one", "two")):
        torch.manual_seed(number)
        model = pareft.attach(pareft.load(base), SETTINGS.model_copy(update={"rank": 2 + number}))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.normal_()
        outputs[name] = logits(model.eval(), make_inputs(model))
        pareft.save(model, tmp_path / name)
    shared = pareft.attach(pareft.attach(pareft.load(base), tmp_path / "one", name="one"), tmp_path / "two", name="two")
    inputs = make_inputs(shared)
    for name in ("one", "two", "one"):
        shared.set_adapter(name)
        torch.testing.assert_close(logits(shared, inputs), outputs[name])
    with shared.disable_adapter():
        torch.testing.assert_close(logits(shared, inputs), logits(pareft.load(base), inputs))


def test_what_is_stored_fits_its_plan_and_peft_alone_refuses_it(base, tmp_path):
    plan = pareft.plan(base, layers={"encoder": [0, 2], "decoder": [1, 3]})
    pareft.save(disturb(pareft.attach(pareft.load(base, plan), SETTINGS)), tmp_path / "adapter")
    with pytest.raises(pareft.PareftError, match="was trained on plan"):
        pareft.attach(pareft.load(base), tmp_path / "adapter")
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["peft_type"] == "BOTTLENECK"
    assert "peft refuses it" in (tmp_path / "adapter" / "README.md").read_text()
    alone = "import sys; from peft import PeftConfig; PeftConfig.from_pretrained(sys.argv[1])"
    done = subprocess.run([sys.executable, "-c", alone, str(tmp_path / "adapter")], capture_output=True, text=True, check=False)
    assert done.returncode
    assert "BOTTLENECK" in done.stderr
