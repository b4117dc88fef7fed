"""Laws 5 and 7 of adapters, for every family."""

import pytest
import torch
from peft import PeftModel

import pareft
from pareft.adapter_settings import LoraSettings
from pareft.errors import AdapterError
from pareft.models.families import find_family
from pareft.tuning.adapters import merge

SETTINGS = LoraSettings(rank=3, alpha=6, dropout=0.0)


@torch.no_grad()
def logits(model, batch):
    return model(**batch).logits


def train_a_little(model, batch):
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.5)
    for _ in range(3):
        model(**batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval()


@pytest.mark.parametrize("target", ["ffn", "qv", "attention", "all"])
def test_a_wrapped_model_starts_at_the_bases_function(base, batch, target):
    plan = pareft.plan(base)
    before = logits(pareft.load(base, plan), batch)
    wrapped = pareft.attach(pareft.load(base, plan), SETTINGS.model_copy(update={"target": target}))
    assert torch.equal(logits(wrapped.eval(), batch), before)


def test_only_lora_and_wrapped_biases_are_trained(bases):
    for family, base in bases.items():
        trained = [name for name, p in pareft.attach(pareft.load(base), SETTINGS).named_parameters() if p.requires_grad]
        biases = [name for name in trained if name.endswith("base_layer.bias")]
        assert len(biases) == (2 * (6 + 8) if family == "bart" else 0)  # T5 has none there and gets none
        assert all("lora_" in name for name in set(trained) - set(biases))
    plain = pareft.attach(pareft.load(bases["bart"]), SETTINGS.model_copy(update={"bias": "none"}))
    assert all("lora_" in name for name, p in plain.named_parameters() if p.requires_grad)


@pytest.mark.parametrize("target", ["ffn", "all"])
def test_merged_equals_adapter(base, batch, target):
    wrapped = pareft.attach(pareft.load(base, pareft.plan(base)), SETTINGS.model_copy(update={"target": target}))
    trained = logits(train_a_little(wrapped, batch), batch)
    untrained = logits(pareft.load(base, pareft.plan(base)), batch)
    assert (trained - untrained).abs().max() > 1e-2
    difference = (logits(merge(wrapped), batch) - trained).abs().max()
    assert difference < 1e-5 * trained.abs().max()


def test_a_saved_adapter_gives_the_trained_function_again(base, batch, tmp_path):
    plan = pareft.plan(base)
    wrapped = train_a_little(pareft.attach(pareft.load(base, plan), SETTINGS), batch)
    wrapped.save_pretrained(tmp_path)
    again = PeftModel.from_pretrained(pareft.load(base, plan), tmp_path).eval()
    assert torch.equal(logits(again, batch), logits(wrapped, batch))


def test_adapters_are_float32_on_a_bf16_base(base):
    wrapped = pareft.attach(pareft.load(base, dtype=torch.bfloat16), SETTINGS)
    assert {p.dtype for p in wrapped.parameters() if p.requires_grad} == {torch.float32}
    assert torch.bfloat16 in {p.dtype for p in wrapped.parameters() if not p.requires_grad}


def test_same_seed_same_adapter(base):
    first, second, other = (pareft.attach(pareft.load(base), SETTINGS, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_named_modules(bases):
    wrapped = pareft.attach(pareft.load(bases["bart"]), LoraSettings(target=["k_proj"], rank=2, bias="none"))
    assert {name.split(".lora_")[0].rsplit(".", 1)[-1] for name, p in wrapped.named_parameters() if p.requires_grad} == {"k_proj"}
    with pytest.raises(AdapterError, match="no linear layer 'qproj'; it has fc1, fc2, k_proj"):
        pareft.attach(pareft.load(bases["bart"]), LoraSettings(target=["qproj"]))


@pytest.mark.parametrize("layers", [{"decoder": "all"}, {"encoder": [4, 5], "decoder": [1]}, {"encoder": "upper"}])
def test_adapters_in_some_layers_alone_are_stock_and_in_no_others(base, batch, layers, tmp_path):
    plan = pareft.plan(base)
    settings = SETTINGS.model_copy(update={"target": "all", "layers": layers})
    wrapped = train_a_little(pareft.attach(pareft.load(base, plan), settings), batch)
    family = find_family(wrapped.config)
    trained = {(p.stack.name, p.layer) for n, q in wrapped.named_parameters() if q.requires_grad and (p := family.locate(n))}
    depths = family.depths(wrapped.config)
    named = {stack: {"all": range(depth), "upper": range(depth // 2, depth)} for stack, depth in depths.items()}
    assert trained == {
        (stack, n) for stack, some in layers.items() for n in (named[stack][some] if isinstance(some, str) else some)
    }
    pareft.save(wrapped, tmp_path)
    stock = PeftModel.from_pretrained(pareft.load(base, plan), tmp_path).eval()
    assert torch.equal(logits(stock, batch), logits(wrapped, batch))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"layers": {"decodr": "all"}}, "no stack 'decodr'; it has encoder and decoder"),
        ({"layers": {"decoder": [6]}}, r"no decoder layer 6; the model that is adapted has 6 there"),
        ({"layers": {}}, r"none of these layers has a module of adapt.target \(fc1, fc2\)"),
        ({"layers": {"encoder": "all"}, "target": ["encoder_attn.q_proj"]}, "none of these layers has a module"),
    ],
)
def test_layers_that_are_not_there_are_said(bases, change, said):
    with pytest.raises(AdapterError, match=said):
        pareft.attach(pareft.load(bases["bart"]), SETTINGS.model_copy(update=change))


def test_a_list_of_targets_holds_groups_and_modules(base):
    """The feed-forward layers, query and value: whatever a family calls them."""
    wanted = {name for group in ("ffn", "qv") for name in list_wrapped(base, group)}
    assert list_wrapped(base, ["ffn", "qv"]) == wanted
    names = sorted({name.rpartition(".")[2] for name in list_wrapped(base, "qv")})
    assert list_wrapped(base, ["ffn", *names]) == wanted


def list_wrapped(base, target):
    model = pareft.attach(pareft.load(base), LoraSettings(target=target, rank=2))
    return {name for name, module in model.named_modules() if hasattr(module, "lora_A")}
