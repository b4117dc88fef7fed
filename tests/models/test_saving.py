"""Saved models: stock where the config can say the shapes, with a plan where it cannot, zeros for stock readers."""

import copy
import random

import pytest
import torch
from conftest import save_base
from test_width import choose_units, even, uneven
from tiny import WIDE, drop_first, encoder_inputs, logits, make_inputs, make_model

import pareft
from pareft.adapter_settings import LoraSettings
from pareft.errors import AdapterError
from pareft.models.padding import pad
from pareft.models.surgery import cut


@pytest.fixture(params=WIDE)
def name(request):
    return request.param


@pytest.fixture
def folder(name, tmp_path):
    make_model(name).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def narrow(name, folder):
    whole = make_model(name)
    return pareft.load(folder, pareft.plan(folder, **choose_units(whole, drop_first(whole), uneven(4))))


def assert_same_function(one, other):
    one, other = copy.deepcopy(one).double(), copy.deepcopy(other).double()
    inputs = make_inputs(one)
    torch.testing.assert_close(logits(one, inputs), logits(other, inputs), rtol=0, atol=1e-5)
    if one.can_generate():
        settings = {"max_new_tokens": 5, "num_beams": 4, "do_sample": False}
        written = one.generate(**encoder_inputs(inputs), use_cache=True, **settings)
        assert torch.equal(written, other.generate(**encoder_inputs(inputs), use_cache=True, **settings))


def test_what_no_config_can_say_is_saved_with_its_plan(narrow, tmp_path):
    pareft.save(narrow, tmp_path / "saved")
    assert pareft.PruningPlan.read(tmp_path / "saved" / "plan.json") == narrow.pareft_plan
    again = pareft.load(tmp_path / "saved")
    there, here = narrow.state_dict(), again.state_dict()
    assert there.keys() == here.keys()
    assert all(torch.equal(there[key], here[key]) for key in there)
    assert type(again) is type(narrow)
    assert_same_function(again, narrow)
    pareft.save(again, tmp_path / "twice")
    assert_same_function(pareft.load(tmp_path / "twice"), narrow)


def test_what_a_config_can_say_needs_no_plan(name, folder, tmp_path):
    whole = make_model(name)
    chosen = choose_units(whole, drop_first(whole), even)
    plan = pareft.plan(folder, layers=chosen["layers"], neurons=chosen["neurons"])
    pareft.save(pareft.load(folder, plan), tmp_path / "saved")
    assert_same_function(type(whole).from_pretrained(tmp_path / "saved").eval(), cut(whole, plan))


def test_a_model_takes_the_place_of_an_adapter_and_no_adapter_lies_beside_a_model(tmp_path):
    """transformers adds an adapter that lies beside a model to it, and says nothing."""
    base = save_base("bart", tmp_path / "base")
    model = pareft.attach(pareft.load(base, pareft.plan(base, layers={"encoder": [0, 1]})), LoraSettings(rank=2, dropout=0.0))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.1)
    pareft.save(model, tmp_path / "out")
    merged = model.merge_and_unload()
    pareft.save(merged, tmp_path / "out")
    stock = type(merged).from_pretrained(tmp_path / "out").eval()
    inputs = make_inputs(merged)
    torch.testing.assert_close(logits(stock, inputs), logits(merged.eval(), inputs))
    other = pareft.attach(pareft.load(base), LoraSettings(rank=2))
    with pytest.raises(AdapterError, match=r"holds a model, .*; give another folder"):
        pareft.save(other, tmp_path / "out")


@pytest.mark.parametrize("seed", [4, 5, 6])
def test_padded_equals_narrow_and_is_stock(name, folder, tmp_path, seed):
    whole = make_model(name)
    narrow = pareft.load(folder, pareft.plan(folder, **choose_units(whole, drop_first(whole), uneven(seed))))
    before = {key: value.clone() for key, value in narrow.state_dict().items()}
    padded = pad(narrow, narrow.pareft_plan)
    assert_same_function(padded, narrow)
    padded.save_pretrained(tmp_path / "padded")
    stock, report = type(whole).from_pretrained(tmp_path / "padded", output_loading_info=True)
    assert not any(report.values())
    assert_same_function(stock.eval(), narrow)
    assert not hasattr(padded.config, "pareft_plan")
    assert all(torch.equal(before[key], value) for key, value in narrow.state_dict().items())
    size = sum(p.numel() for p in padded.parameters())
    assert sum(p.numel() for p in narrow.parameters()) < size < sum(p.numel() for p in whole.parameters())


@pytest.mark.parametrize("name", ["t5", "t5-gated"], indirect=True)
def test_heads_that_share_a_table_keep_their_places(name, folder):
    """Law 4 for the padded form: a head's position bias stays its own when other layers keep other heads."""
    heads = {"encoder.self": {0: [0, 2], 1: [2], 3: [0]}, "decoder.self": {0: [1], 2: [1, 3]}, "decoder.cross": {1: [0]}}
    layers = {"encoder": [0, 1, 3], "decoder": [0, 1, 2]}
    plan = pareft.plan(folder, layers=layers, heads=heads)
    narrow = pareft.load(folder, plan)
    assert_same_function(pad(narrow, plan), narrow)
    assert narrow.encoder.block[1].layer[0].SelfAttention.relative_attention_bias.weight.shape == (32, 1)


@pytest.mark.parametrize("name", ["bart", "t5", "llama"], indirect=True)
def test_a_narrow_model_can_be_trained_and_adapted(narrow, folder, tmp_path):
    inputs = make_inputs(narrow)
    wrapped = pareft.attach(narrow, pareft.LoraSettings(rank=2, alpha=4, dropout=0.0, target="all"))
    labels = torch.full_like(inputs.get("decoder_input_ids", inputs["input_ids"]), random.Random(0).randint(4, 20))
    optimizer = torch.optim.SGD([p for p in wrapped.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        loss = wrapped(input_ids=inputs["input_ids"], labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    pareft.save(wrapped.eval(), tmp_path / "adapter")
    again = pareft.attach(pareft.load(folder, narrow.pareft_plan), tmp_path / "adapter")
    torch.testing.assert_close(logits(again, inputs), logits(wrapped, inputs), rtol=1e-5, atol=1e-5)
