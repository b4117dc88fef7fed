"""Every fast way equals the plain one, and leaves nothing behind."""

import platform
import subprocess
import sys

import pytest
import torch
from tiny import VOCABULARY, make_inputs, make_model
from torch import nn
from torch.nn import functional

from pareft.adapter_settings import LoraSettings
from pareft.settings import FastSettings
from pareft.tuning.adapters import attach
from pareft.tuning.fast import quicken
from pareft.tuning.fast.attention import attend
from pareft.tuning.fast.loss import Logits

WAYS = ("lora", "dropout", "loss", "attention", "memory")
PLAIN = FastSettings(**dict.fromkeys((*WAYS, "batches"), False))
WRITERS = ("bart", "mbart", "pegasus", "marian", "led", "t5", "t5-gated", "longt5-global", "whisper", "llama", "gpt2")
LORA = LoraSettings(target="all", rank=3, alpha=6, dropout=0.0)


def only(*ways):
    return FastSettings(**dict.fromkeys(WAYS, False) | dict.fromkeys(ways, True))


def make(name, adapter=LORA):
    """A tiny model in training, its LoRA away from zero."""
    torch.manual_seed(3)
    model = make_model(name)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0  # GPT-2's own
    if adapter:
        model = attach(model, adapter)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.1 * torch.randn_like(parameter))
    return model.train()


def make_batch(model):
    inputs = make_inputs(model)
    targets = inputs.pop("decoder_input_ids", inputs.get("input_ids"))
    labels = targets.clone()
    labels[1, -2:] = -100
    if "attention_mask" in inputs and model.config.is_encoder_decoder:
        inputs["attention_mask"][1, -3:] = 0
    return inputs | {"labels": labels}


def learn(model, batch, settings, precision=None):
    """Loss and gradient."""
    model.zero_grad()
    with quicken(model, settings):
        with torch.autocast("cpu", precision or torch.bfloat16, enabled=precision is not None):
            loss = model(**batch).loss
        loss.backward()
    gradient = torch.cat([parameter.grad.flatten().float() for parameter in model.parameters() if parameter.grad is not None])
    return loss.detach().float(), gradient


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("adapter", [LORA, None], ids=["lora", "full"])
def test_fast_equals_plain(name, adapter):
    model = make(name, adapter)
    batch = make_batch(model)
    loss, gradient = learn(model, batch, PLAIN)
    for settings in (FastSettings(), *map(only, WAYS)):
        quick, of_quick = learn(model, batch, settings)
        assert torch.allclose(quick, loss, rtol=1e-5)
        assert (of_quick - gradient).norm() <= 1e-5 * gradient.norm()


@pytest.mark.parametrize("name", ["bart", "t5", "llama"])
@pytest.mark.parametrize("adapter", [LORA, None], ids=["lora", "full"])
def test_in_bf16_fast_is_as_near_to_float32_as_plain(name, adapter):
    model = make(name, adapter)
    batch = make_batch(model)
    (exact, of_exact), (plain, of_plain), (quick, of_quick) = (
        learn(model, batch, settings, precision)
        for settings, precision in ((PLAIN, None), (PLAIN, torch.bfloat16), (FastSettings(), torch.bfloat16))
    )
    assert (of_quick - of_exact).norm() <= 2 * (of_plain - of_exact).norm()
    assert abs(quick - exact) <= max(2 * abs(plain - exact), 2**-8 * exact)


@pytest.mark.parametrize("way", WAYS)
def test_every_switch_is_honoured(way, monkeypatch):
    places = {
        "lora": "pareft.tuning.fast.lora._Lora.forward",
        "dropout": "pareft.tuning.fast.drop",
        "loss": "pareft.tuning.fast.loss._Loss.forward",
        "attention": "pareft.tuning.fast.attend",
        "memory": "pareft.tuning.fast.memory._find_library",
    }

    class Taken(Exception):
        pass

    def refuse(*_):
        raise Taken

    monkeypatch.setattr(places[way], refuse)
    model = make("bart", LORA.model_copy(update={"dropout": 0.5}))
    model.get_base_model().model.encoder.dropout = 0.5
    batch = make_batch(model)
    with pytest.raises(Taken):
        learn(model, batch, only(way), torch.bfloat16)
    learn(model, batch, only(*(other for other in WAYS if other != way)), torch.bfloat16)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's own allocator")
def test_freed_memory_stays_inside_and_goes_back_afterwards():
    """In a process of its own: what others allocated before would blur it."""
    script = """
import torch
from pareft.runtime import resident_bytes
from pareft.tuning.fast.memory import keep_freed
before = resident_bytes()
with keep_freed():
    torch.ones(30_000_000)
    inside = resident_bytes()
print(inside - before, resident_bytes() - before)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    inside, after = map(int, done.stdout.split())
    assert inside > 100_000_000 > 20_000_000 > after


def test_nothing_is_left_on_the_model():
    model = make("bart")
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    with quicken(model, FastSettings()):
        assert {name: dict(vars(module)) for name, module in model.named_modules()} != before
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == before
    stock = functional.dropout, functional.scaled_dot_product_attention
    with quicken(model, FastSettings()):
        assert functional.dropout is not stock[0]
    with pytest.raises(ZeroDivisionError), quicken(model, FastSettings()):
        raise ZeroDivisionError
    assert (functional.dropout, functional.scaled_dot_product_attention) == stock
    assert {name: dict(vars(module)) for name, module in model.named_modules()} == before


def test_a_model_that_is_asked_for_logits_in_training_gives_them():
    model = make("bart")
    batch = make_batch(model)
    expected = model(**batch).logits
    with quicken(model, FastSettings()):
        promised = model(**batch).logits
        assert isinstance(promised, Logits)
        assert promised.shape == expected.shape
        assert torch.allclose(promised.softmax(-1), expected.softmax(-1), atol=1e-6)
        assert torch.allclose(promised[0] * 1, expected[0], atol=1e-5)
        assert torch.allclose(torch.stack([expected, promised])[1], expected, atol=1e-5)
        with torch.no_grad():
            assert isinstance(model(**batch).logits, torch.Tensor)
        weights = torch.rand(VOCABULARY)
        rows, labels = promised.view(-1, VOCABULARY), batch["labels"].view(-1)
        found = functional.cross_entropy(rows, labels, weight=weights, label_smoothing=0.1)
        wanted = functional.cross_entropy(expected.view(-1, VOCABULARY), labels, weight=weights, label_smoothing=0.1)
        assert torch.allclose(found, wanted)


@pytest.mark.parametrize("name", WRITERS)
def test_a_loss_needs_no_logits(name, monkeypatch):
    def redeem(self):
        raise AssertionError("all logits are computed")

    model = make(name)
    batch = make_batch(model)
    monkeypatch.setattr(Logits, "redeem", redeem)
    learn(model, batch, FastSettings())


def test_a_loss_of_many_parts(monkeypatch):
    monkeypatch.setattr("pareft.tuning.fast.loss.AT_A_TIME", 3 * VOCABULARY)
    model = make("bart", None)
    batch = make_batch(model)
    (loss, gradient), (quick, of_quick) = (learn(model, batch, settings) for settings in (PLAIN, only("loss")))
    assert torch.allclose(quick, loss)
    assert (of_quick - gradient).norm() <= 1e-5 * gradient.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize(("targets", "sources"), [(3, 7), (20, 24)], ids=["weights kept", "weights computed again"])
def test_attention_some_heads_at_a_time(targets, sources, dtype, monkeypatch):
    monkeypatch.setattr("pareft.tuning.fast.attention.AT_A_TIME", 2 * targets * sources + 8)
    query, key, value = (torch.randn(2, 5, length, 4, dtype=dtype, requires_grad=True) for length in (targets, sources, sources))
    mask = torch.rand(2, 1, targets, sources) > 0.3
    mask[..., 0] = True
    added = torch.randn(1, 5, targets, sources, dtype=dtype)
    for options in ({}, {"mask": mask}, {"mask": added}, {"causal": True}, {"scale": 1.0}):
        theirs = {{"mask": "attn_mask", "causal": "is_causal"}.get(name, name): value for name, value in options.items()}
        given = torch.randn(2, 5, targets, 4, dtype=dtype)
        expected = functional.scaled_dot_product_attention(query, key, value, **theirs)
        found = attend(query, key, value, **options)
        tolerance = 0.05 if dtype == torch.bfloat16 else 1e-5
        assert torch.allclose(found, expected, atol=tolerance)
        for ours, other in zip(
            torch.autograd.grad(found, (query, key, value), given),
            torch.autograd.grad(expected, (query, key, value), given),
            strict=True,
        ):
            assert torch.allclose(ours, other, atol=tolerance)


@pytest.mark.parametrize("name", ["bart", "t5"])
def test_checkpointing_changes_neither_loss_nor_gradient(name):
    model = make(name, LORA.model_copy(update={"dropout": 0.3}))
    batch = make_batch(model)
    found = []
    for recomputing in (False, True):
        if recomputing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        torch.manual_seed(7)
        found.append(learn(model, batch, FastSettings()))
    (loss, gradient), (again, of_again) = found
    assert torch.allclose(again, loss, rtol=1e-5)
    assert (of_again - gradient).norm() <= 1e-5 * gradient.norm()


def test_what_sees_nothing_is_no_nan():
    query, key, value = (torch.randn(1, 2, 3, 4, requires_grad=True) for _ in range(3))
    found = attend(query, key, value, mask=torch.tensor([[False] * 3, [True] * 3, [True, False, True]]))
    found.sum().backward()
    assert all(tensor.isfinite().all() for tensor in (found, query.grad, key.grad, value.grad))
