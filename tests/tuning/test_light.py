"""Early pruning of adapters: what is noted is what the equations say; what is left is the whole with the rest at zero."""

import pytest
import torch
from peft import PeftModel
from tiny import logits, make_inputs, make_model

import pareft
from pareft.adapter_settings import BottleneckSettings, LoraSettings
from pareft.pruning.keeping import choose_ranks, keep_units, narrow_plan
from pareft.pruning.masks import mask
from pareft.tuning.light.importance import MATRICES, find_matrices, rate_module, rate_ranks, watch
from pareft.tuning.light.trimming import attach_trimmed, trim
from pareft.tuning.storage import read_adapter, save_adapter

LORA = LoraSettings(target="all", rank=4, alpha=8, dropout=0.0)
BOTTLENECK = BottleneckSettings(method="bottleneck", rank=4, dropout=0.0, activation="gelu")


@pytest.fixture(params=["bart", "t5", "t5-gated", "llama", "opt", "bert"])
def family(request):
    return request.param


@pytest.fixture
def base(family, tmp_path):
    make_model(family).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def adapt(base, settings=LORA):
    """The base with an adapter that has learnt something."""
    plan = pareft.plan(base, by="everything")
    model = pareft.attach(pareft.load(base, plan), settings)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval(), plan


def list_adapted(model):
    return {name: layer for name, layer in model.get_base_model().named_modules() if isinstance(layer, tuple(MATRICES))}


def close_ranks(model, kept):
    """Set all ranks to zero but those that are kept, and of modules that go also what their biases have learnt."""
    for name, layer in list_adapted(model).items():
        gone = [rank for rank in range(4) if rank not in kept.get(name, ())]
        find_matrices(layer)[1].weight.data[:, gone] = 0


def test_importance_is_what_the_equations_say():
    down, up = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, -1.0]]), torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    down_gradient, up_gradient = torch.full((2, 3), 2.0), torch.tensor([[1.0, 0.5], [-1.0, 0.5]])
    # |mean(2, 4, 6)| + |mean(1, -3)|, |mean(0, 2, -2)| + |mean(1, -2)|
    torch.testing.assert_close(rate_ranks(down, down_gradient, up, up_gradient), torch.tensor([4.0 + 1.0, 0.0 + 0.5]))
    added, frozen = torch.tensor([[3.0, 4.0], [0.0, 0.0]]), torch.tensor([[0.0, 10.0], [1.0, 0.0]])
    torch.testing.assert_close(rate_module(added, frozen), torch.tensor([0.5, 0.0]))


@pytest.mark.parametrize("settings", [LORA, BOTTLENECK], ids=["lora", "bottleneck"])
def test_what_is_noted_is_of_tokens_alone_and_leaves_no_trace(family, base, settings):
    model, _ = adapt(base, settings)
    inputs = make_inputs(model)
    if family == "bert":
        pytest.skip("without a head there is no loss")
    labels = inputs.get("labels", inputs["input_ids"]).clone()
    given = {"input_ids": inputs["input_ids"], "attention_mask": torch.ones_like(inputs["input_ids"]), "labels": labels}
    longer = {
        "input_ids": torch.nn.functional.pad(given["input_ids"], (0, 3), value=3),
        "attention_mask": torch.nn.functional.pad(given["attention_mask"], (0, 3)),
        "labels": torch.nn.functional.pad(labels, (0, 3), value=-100),
    }
    before = logits(model.get_base_model(), inputs)
    found = []
    for batch in (given, longer):
        with watch(model, first=1) as watched:
            for step in range(3):
                watched.enter(step)
                model.train()(**batch, use_cache=False).loss.backward()
                watched.note_gradients()
                model.zero_grad()
        found.append(watched.find())
        assert watched.steps == 2
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    torch.testing.assert_close(logits(model.eval().get_base_model(), inputs), before)
    assert list(found[0].modules) == list(list_adapted(model))
    assert found[0].modules == pytest.approx(found[1].modules, rel=1e-4)
    assert all(value > 0 for value in found[0].modules.values())
    assert all(len(ranks) == 4 and (ranks > 0).any() for ranks in found[0].ranks.values())


def test_a_step_of_no_numbers_counts_nothing():
    model = pareft.attach(make_model("bart"), LORA)
    inputs = make_inputs(model)
    batch = {"input_ids": inputs["input_ids"], "labels": inputs["input_ids"]}
    found = []
    for broken in (False, True):
        with watch(model, first=0) as watched:
            for step in range(2):
                watched.enter(step)
                model.train()(**batch).loss.backward()
                if broken and step == 1:
                    model.get_base_model().model.encoder.layers[0].fc1.lora_A["default"].weight.grad[1, 0] = torch.nan
                watched.note_gradients()
                model.zero_grad()
        found.append(watched.find().ranks["model.encoder.layers.0.fc1"])
    torch.testing.assert_close(found[1], found[0] * torch.tensor([1, 0.5, 1, 1]))


def test_parts_of_a_batch_are_noted_as_the_whole():
    model = pareft.attach(make_model("bart"), LORA)
    inputs = make_inputs(model)
    rows = inputs["input_ids"].shape[0]
    batch = {"input_ids": inputs["input_ids"], "labels": inputs["labels"] if "labels" in inputs else inputs["input_ids"]}
    batch["attention_mask"] = torch.ones_like(batch["input_ids"])
    found = []
    for size in (rows, 1):
        with watch(model, first=0) as watched:
            for start in range(0, rows, size):
                watched.enter(0)
                part = {key: value[start : start + size] for key, value in batch.items()}
                (model.train()(**part).loss * size / rows).backward()
                watched.note_gradients()
            model.zero_grad()
        found.append(watched.find())
    assert found[0].modules == pytest.approx(found[1].modules, rel=1e-4)
    for name, ranks in found[0].ranks.items():
        torch.testing.assert_close(ranks, found[1].ranks[name], rtol=1e-3, atol=1e-7)


def choose(model, plan, *, seed=0, modules=0.5, ranks=0.5, units=0.5):
    """Some heads, neurons, modules and ranks, at random, as a plan and by module."""
    generator = torch.Generator().manual_seed(seed)
    names = list_adapted(model)
    scores = {name: float(torch.rand(1, generator=generator)) for name in names}
    ranked = {name: torch.rand(4, generator=generator) for name in names}
    with mask(model.get_base_model()) as masks:
        kept = {key: keep_units(torch.rand(values.shape, generator=generator), units) for key, values in masks.items()}
    return narrow_plan(plan, kept, by="chance"), choose_ranks(scores, ranked, drop_modules=modules, drop_ranks=ranks)


PLAIN = LORA.model_copy(update={"bias": "none"})
KINDS = {"lora": PLAIN, "rslora": PLAIN.model_copy(update={"rslora": True}), "bottleneck": BOTTLENECK}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_is_the_whole_with_the_rest_at_zero(base, tmp_path, kind):
    model, plan = adapt(base, KINDS[kind])
    inputs = make_inputs(model)
    narrow, kept = choose(model, plan)
    save_adapter(model, plan, tmp_path / "early")
    trimmed = trim(read_adapter(tmp_path / "early"), kept, narrow, model.config, carry=True)
    smaller = attach_trimmed(pareft.load(base, narrow), trimmed).eval()
    close_ranks(model, kept)
    with mask(model.get_base_model()) as masks, torch.no_grad():
        for key, values in masks.items():
            for layer in range(len(values)):
                stays = narrow.kept_heads(key, layer) if "." in key else narrow.kept_neurons(key, layer)
                values[layer] = 0
                values[layer, list(stays)] = 1
        expected = logits(model.get_base_model(), inputs)
    torch.testing.assert_close(logits(smaller.get_base_model(), inputs), expected, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in smaller.parameters()) < sum(p.numel() for p in model.parameters())
    assert set(list_adapted(smaller)) == set(kept)
    assert {find_matrices(layer)[0].weight.shape[0] for layer in list_adapted(smaller).values()} == set(map(len, kept.values()))
    save_adapter(smaller, narrow, tmp_path / "late")
    stock = PeftModel.from_pretrained(pareft.load(base, narrow), tmp_path / "late").eval()
    assert torch.equal(logits(stock.get_base_model(), inputs), logits(smaller.get_base_model(), inputs))


def test_what_loses_nothing_is_what_it_was(base, tmp_path):
    model, plan = adapt(base)
    inputs = make_inputs(model)
    narrow, kept = choose(model, plan, modules=0, ranks=0, units=0)
    assert narrow.keeps_everything
    save_adapter(model, plan, tmp_path / "early")
    trimmed = trim(read_adapter(tmp_path / "early"), kept, narrow, model.config, carry=True)
    same = attach_trimmed(pareft.load(base, narrow), trimmed).eval()
    assert torch.equal(logits(same.get_base_model(), inputs), logits(model.get_base_model(), inputs))


@pytest.mark.parametrize("settings", [LORA, BOTTLENECK], ids=["lora", "bottleneck"])
def test_one_that_starts_anew_computes_what_the_base_does(base, tmp_path, settings):
    model, plan = adapt(base, settings)
    narrow, kept = choose(model, plan)
    save_adapter(model, plan, tmp_path / "early")
    trimmed = trim(read_adapter(tmp_path / "early"), kept, narrow, model.config, carry=False)
    inputs = make_inputs(model)
    plain = pareft.load(base, narrow)
    expected = logits(plain, inputs)
    assert torch.equal(logits(attach_trimmed(plain, trimmed).eval().get_base_model(), inputs), expected)


def test_ranks_go_from_where_they_do_least_and_a_module_without_any_goes():
    modules = {"a": 3.0, "b": 2.0, "c": 1.0, "d": 0.0}
    ranks = {
        name: torch.tensor(values) for name, values in zip("abcd", ([4.0, 3.0], [0.0, 0.1], [2.0, 5.0], [9.0, 9.0]), strict=True)
    }
    assert choose_ranks(modules, ranks, drop_modules=0.25, drop_ranks=0.5) == {"a": (0, 1), "c": (1,)}
    assert choose_ranks(modules, ranks, drop_modules=0.25, drop_ranks=0.5, scope="layer") == {"a": (0,), "b": (1,), "c": (1,)}
    assert choose_ranks(modules, ranks, drop_modules=0, drop_ranks=0).keys() == modules.keys()


def test_a_bottleneck_does_as_much_as_it_adds_to_what_it_is_given():
    model = pareft.attach(make_model("bart"), BOTTLENECK.model_copy(update={"scale": 3.0}))
    with torch.no_grad():
        for layer in list_adapted(model).values():
            find_matrices(layer)[1].weight.normal_()
    inputs = make_inputs(model)
    batch = {"input_ids": inputs["input_ids"], "labels": inputs["input_ids"]}
    name = "model.encoder.layers.1.fc2"
    layer = model.get_base_model().get_submodule(name)
    seen = []
    removed = layer.register_forward_hook(lambda _, __, output: seen.append(output.detach()))
    given = layer.get_base_layer().register_forward_hook(lambda _, __, output: seen.append(output.detach()))
    with watch(model, first=0) as watched:
        watched.enter(0)
        model.train()(**batch).loss.backward()
        watched.note_gradients()
    removed.remove()
    given.remove()
    frozen, together = seen
    expected = ((together - frozen).norm(dim=-1) / frozen.norm(dim=-1)).mean()
    assert watched.find().modules[name] == pytest.approx(float(expected), rel=1e-4)
