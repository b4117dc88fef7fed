"""Laws 5, 6 and 7 for every family: an adapter starts at zero, merges exactly, and fits its own plan alone."""

import pytest
import torch
from peft import PeftModel
from tiny import MAKERS, drop_first, encoder_inputs, logits, make_inputs, make_model

import pareft
from pareft.adapter_settings import LoraSettings
from pareft.errors import AdapterError
from pareft.models.surgery import cut
from pareft.tuning.adapters import merge
from pareft.tuning.targets import find_targets

SETTINGS = LoraSettings(rank=2, alpha=4, dropout=0.0)
NO_QV = ("modernbert", "gpt2", "gpt_neox", "phi3")


@pytest.fixture(params=MAKERS)
def name(request):
    return request.param


@pytest.fixture
def folder(name, tmp_path):
    make_model(name).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def stir(wrapped):
    """What training would leave: matrices and biases that are not what they started as."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return wrapped.eval()


def test_law_7_then_5_then_6(name, folder, tmp_path):
    whole = make_model(name)
    plan = pareft.plan(folder, layers=drop_first(whole))
    inputs = make_inputs(whole)
    for target in ("ffn", "attention"):
        model = pareft.load(folder, plan)
        before = logits(model, inputs)
        wrapped = pareft.attach(model, SETTINGS.model_copy(update={"target": target}))
        torch.testing.assert_close(logits(wrapped.eval(), inputs), before, rtol=0, atol=1e-6)
        trained = logits(stir(wrapped), inputs)
        assert not torch.allclose(trained, before, atol=1e-3)
        pareft.save(wrapped, tmp_path / target)
        again = pareft.attach(pareft.load(folder, plan), tmp_path / target)
        torch.testing.assert_close(logits(again, inputs), trained, rtol=1e-5, atol=1e-5)
        stock = PeftModel.from_pretrained(cut(whole, plan), tmp_path / target)
        torch.testing.assert_close(logits(stock.eval(), inputs), trained, rtol=1e-5, atol=1e-5)
        if whole.can_generate():
            settings = {"max_new_tokens": 4, "num_beams": 4, "do_sample": False}
            written = again.generate(**encoder_inputs(inputs), **settings)
            assert torch.equal(written, wrapped.generate(**encoder_inputs(inputs), **settings))
        torch.testing.assert_close(logits(merge(wrapped), inputs), trained, rtol=1e-4, atol=1e-5)
    for other in (
        pareft.load(folder),
        pareft.load(folder, pareft.plan(folder, layers={s: k[:-1] for s, k in plan.layers.items()})),
    ):
        with pytest.raises(
            AdapterError, match=f"trained on plan {plan.fingerprint}.*this model is of plan {other.config.pareft_plan}"
        ):
            pareft.attach(other, tmp_path / "ffn")


def test_roles_name_the_modules_they_mean(name, folder):
    model = pareft.load(folder)
    linear = {module for module, found in model.named_modules() if type(found).__name__ in ("Linear", "Conv1D")}

    def select(role):
        targets = find_targets(model, SETTINGS.model_copy(update={"target": role}))
        return {module for module in linear if any(module == t or module.endswith(f".{t}") for t in targets)}

    feed_forward, attention, everything = select("ffn"), select("attention"), select("all")
    assert feed_forward
    assert attention
    assert not feed_forward & attention
    assert everything == feed_forward | attention
    attention_words = ("attn", "attention", "Attention")
    assert all(any(word in module for word in attention_words) for module in attention)
    assert not any(any(word in module for word in attention_words) for module in feed_forward)
    if name in NO_QV:
        with pytest.raises(AdapterError, match="one projection; use attention"):
            select("qv")
    else:
        assert select("qv") < attention
