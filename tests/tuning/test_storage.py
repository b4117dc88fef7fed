"""Stored adapters: whose they are, what is refused, many on one base, moved to another plan."""

import json
import shutil

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from tiny import encoder_inputs, logits, make_inputs, make_model

import pareft
from pareft.errors import AdapterError, PlanError
from pareft.models.families import find_family
from pareft.recipe import LoraSettings
from pareft.tuning.adapters import merge
from pareft.tuning.remapping import remap
from pareft.tuning.storage import read_adapter

LAYERS = {"encoder": [0, 2, 4], "decoder": [1, 3]}


@pytest.fixture(params=["bart", "t5", "llama"])
def folder(request, tmp_path):
    make_model(request.param).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def plan(folder):
    depths = pareft.plan(folder, by="everything").depths
    return pareft.plan(folder, layers={stack: LAYERS[stack] for stack in depths})


def train(folder, plan, out, *, seed, **settings):
    """An adapter that does something, saved."""
    chosen = LoraSettings(**{"rank": 2, "alpha": 4, "dropout": 0.0} | settings)
    wrapped = pareft.attach(pareft.load(folder, plan), chosen)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    pareft.save(wrapped.eval(), out)
    return wrapped


@pytest.fixture
def adapter(folder, plan, tmp_path):
    train(folder, plan, tmp_path / "adapter", seed=1)
    return tmp_path / "adapter"


def test_an_adapter_carries_its_plan_and_says_so_to_peft_users(adapter, plan):
    assert pareft.PruningPlan.read(adapter / "plan.json") == plan
    card = (adapter / "README.md").read_text()
    assert plan.fingerprint in card
    assert "without a message and with every layer's LoRA on another layer" in card
    assert sorted(path.name for path in adapter.iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "plan.json",
    ]


def test_another_base_another_plan_and_the_whole_base_are_refused_with_both_digests(adapter, folder, plan, tmp_path):
    other = make_model("bart")
    with torch.no_grad():
        next(other.parameters()).add_(1)
    other.save_pretrained(tmp_path / "other")
    strangers = {
        "whole": pareft.load(folder),
        "plan": pareft.load(folder, pareft.plan(folder)),
        "base": pareft.load(tmp_path / "other", pareft.plan(tmp_path / "other", layers=LAYERS)),
    }
    for stranger in strangers.values():
        with pytest.raises(AdapterError) as raised:
            pareft.attach(stranger, adapter)
        assert plan.fingerprint in str(raised.value)
        assert stranger.config.pareft_plan in str(raised.value)
        assert "pareft adapter remap" in str(raised.value)


def test_a_model_of_another_origin_is_refused(adapter, folder):
    stock = type(pareft.load(folder)).from_pretrained(folder)
    with pytest.raises(AdapterError, match="carries no plan"):
        pareft.attach(stock, adapter)


def test_a_stock_checkpoint_of_the_plan_takes_the_adapter(adapter, folder, plan, tmp_path):
    pareft.save(pareft.load(folder, plan), tmp_path / "pruned")
    inputs = make_inputs(pareft.load(folder))
    stock = type(pareft.load(folder)).from_pretrained(tmp_path / "pruned")
    expected = logits(pareft.attach(pareft.load(folder, plan), adapter), inputs)
    torch.testing.assert_close(logits(pareft.attach(stock, adapter), inputs), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        logits(pareft.attach(pareft.load(tmp_path / "pruned"), adapter), inputs), expected, rtol=0, atol=1e-6
    )


def test_weights_that_were_trained_are_no_base_any_more(adapter, folder, plan, tmp_path):
    from pareft.models.saving import save_checkpoint

    model = pareft.load(folder, plan)
    save_checkpoint(model, tmp_path / "trained", trained=True)
    with pytest.raises(AdapterError):
        pareft.attach(pareft.load(tmp_path / "trained"), adapter)


def test_a_merged_model_takes_no_adapter_of_its_plan(adapter, folder, plan, tmp_path):
    merged = merge(pareft.attach(pareft.load(folder, plan), adapter))
    pareft.save(merged, tmp_path / "merged")
    for model in (merged, pareft.load(tmp_path / "merged")):
        with pytest.raises(AdapterError, match=f"trained on plan {plan.fingerprint}"):
            pareft.attach(model, adapter)


@pytest.mark.parametrize("bias", ["none", "wrapped"])
def test_many_tasks_on_one_base(folder, plan, tmp_path, bias):
    """Each alone, switched, and mixed in one batch: the same outputs."""
    inputs = make_inputs(pareft.load(folder))
    names = ["t1", "t2", "t3", "t4"]
    alone = {
        name: logits(
            train(folder, plan, tmp_path / name, seed=seed, bias=bias, rank=1 + seed, target=["ffn", "qv"][seed % 2]), inputs
        )
        for seed, name in enumerate(names)
    }
    assert not torch.allclose(alone["t1"], alone["t2"], atol=1e-3)
    model = pareft.load(folder, plan)
    for name in names:
        model = pareft.attach(model, tmp_path / name, name=name)
    for name in [*names, *reversed(names)]:
        model.set_adapter(name)
        torch.testing.assert_close(logits(model, inputs), alone[name], rtol=1e-5, atol=2e-5)
    with model.disable_adapter():
        torch.testing.assert_close(logits(model, inputs), logits(pareft.load(folder, plan), inputs), rtol=0, atol=1e-6)
    four = {key: torch.cat([value[:1]] * 5) for key, value in inputs.items()}
    with torch.no_grad():
        mixed = model(**four, adapter_names=[*names, "__base__"]).logits
    for row, name in enumerate(names):
        torch.testing.assert_close(mixed[row], alone[name][0], rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(mixed[4], logits(pareft.load(folder, plan), inputs)[0], rtol=1e-5, atol=2e-5)
    settings = {"max_new_tokens": 4, "num_beams": 1, "do_sample": False, "min_new_tokens": 4}
    written = model.generate(**encoder_inputs(four), adapter_names=[*names, "__base__"], **settings)
    for row, name in enumerate(names):
        model.set_adapter(name)
        single = model.generate(**{key: value[:1] for key, value in encoder_inputs(four).items()}, **settings)
        assert torch.equal(written[row], single[0])


def test_a_name_that_is_taken_is_refused(adapter, folder, plan):
    model = pareft.attach(pareft.load(folder, plan), adapter)
    with pytest.raises(AdapterError, match="has an adapter 'default' already"):
        pareft.attach(model, adapter)
    for name in ("a", "lora", ""):
        with pytest.raises(AdapterError, match="part of the names of LoRA's own tensors"):
            pareft.attach(model, adapter, name=name)


def test_a_mixed_form_gives_the_trained_function_on_a_bf16_base(folder, plan, tmp_path):
    train(folder, plan, tmp_path / "a", seed=1, bias="wrapped")
    base = pareft.load(folder, plan, dtype=torch.bfloat16).float()  # its biases lost digits that the adapter has
    inputs = make_inputs(base)
    peft = PeftModel.from_pretrained(pareft.load(folder, plan, dtype=torch.bfloat16).float(), tmp_path / "a").eval()
    torch.testing.assert_close(logits(pareft.attach(base, tmp_path / "a"), inputs), logits(peft, inputs), rtol=1e-5, atol=2e-5)


class TestRefused:
    def test_no_adapter(self, folder, tmp_path):
        with pytest.raises(AdapterError, match=r"it has no adapter_config.json"):
            pareft.attach(pareft.load(folder), tmp_path)

    def test_a_pickle(self, adapter, folder, plan):
        torch.save(load_file(adapter / "adapter_model.safetensors"), adapter / "adapter_model.bin")
        (adapter / "adapter_model.safetensors").unlink()
        with pytest.raises(AdapterError, match="a pickle, which is not opened"):
            pareft.attach(pareft.load(folder, plan), adapter)

    def test_truncated(self, adapter, folder, plan):
        path = adapter / "adapter_model.safetensors"
        path.write_bytes(path.read_bytes()[:-20])
        with pytest.raises(AdapterError, match="damaged or truncated"):
            pareft.attach(pareft.load(folder, plan), adapter)

    def test_an_edited_plan(self, adapter, folder, plan):
        values = json.loads((adapter / "plan.json").read_text())
        values["layers"]["decoder"] = [0, 1]
        (adapter / "plan.json").write_text(json.dumps(values))
        with pytest.raises(PlanError, match="changed after it was written"):
            pareft.attach(pareft.load(folder, plan), adapter)

    @pytest.mark.parametrize("lost", ["layers.0.", "lora_A", "lora_B", ""])
    def test_incomplete(self, adapter, folder, plan, lost):
        tensors = load_file(adapter / "adapter_model.safetensors")
        kept = {
            name: tensor for name, tensor in tensors.items() if lost.replace("layers", "block") not in name and lost not in name
        }
        save_file(kept, adapter / "adapter_model.safetensors", {"format": "pt"})
        model = pareft.load(folder, plan)
        inputs = make_inputs(model)
        before = logits(model, inputs)
        with pytest.raises(AdapterError, match="is missing in the file"):
            pareft.attach(model, adapter)
        assert torch.equal(logits(model, inputs), before)

    def test_of_another_rank(self, adapter, folder, plan):
        config = json.loads((adapter / "adapter_config.json").read_text())
        (adapter / "adapter_config.json").write_text(json.dumps(config | {"r": 7}))
        with pytest.raises(AdapterError, match=r"is \(.*\) in the file and \(.*\) in this model"):
            pareft.attach(pareft.load(folder, plan), adapter)

    def test_without_a_plan(self, adapter, folder, plan):
        (adapter / "plan.json").unlink()
        with pytest.raises(AdapterError, match=r"has no plan.json, so nothing says which layers"):
            pareft.attach(pareft.load(folder, plan), adapter)


def lora_of(folder):
    return load_file(folder / "adapter_model.safetensors")


def test_an_adapter_moves_onto_the_whole_base(adapter, folder, plan, tmp_path):
    report = remap(read_adapter(adapter), find_family(pareft.load(folder).config), plan.whole(), tmp_path / "moved")
    assert report.moved == {stack: list(kept) for stack, kept in plan.layers.items()}
    assert not any(report.left_out.values())
    assert report.without == {s: [i for i in range(plan.depths[s]) if i not in kept] for s, kept in plan.layers.items()}
    there, here, family = lora_of(adapter), lora_of(tmp_path / "moved"), find_family(pareft.load(folder).config)
    assert len(there) == len(here)
    for name, tensor in there.items():
        place = family.locate(name.removeprefix("base_model.model."))
        original = plan.layers[place.stack.name][place.layer]
        assert torch.equal(here[f"base_model.model.{place.prefix}{original}.{place.tail}"], tensor)
    model, inputs = pareft.attach(pareft.load(folder), tmp_path / "moved"), make_inputs(pareft.load(folder))
    adapted = {family.locate(n.removeprefix("base_model.model.")).layer for n, _ in model.named_parameters() if "lora_A" in n}
    assert adapted == {layer for kept in plan.layers.values() for layer in kept}
    stock = PeftModel.from_pretrained(type(pareft.load(folder)).from_pretrained(folder), tmp_path / "moved").eval()
    torch.testing.assert_close(logits(stock, inputs), logits(model, inputs), rtol=1e-5, atol=2e-5)


def test_there_and_back_is_the_same(adapter, folder, plan, tmp_path):
    family = find_family(pareft.load(folder).config)
    remap(read_adapter(adapter), family, plan.whole(), tmp_path / "there")
    remap(read_adapter(tmp_path / "there"), family, plan, tmp_path / "back")
    first, second = lora_of(adapter), lora_of(tmp_path / "back")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    inputs = make_inputs(pareft.load(folder))
    one, other = (logits(pareft.attach(pareft.load(folder, plan), tmp_path / name), inputs) for name in ("adapter", "back"))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_a_plan_that_shares_layers_takes_what_it_keeps(adapter, folder, plan, tmp_path):
    layers = {"encoder": [0, 3, 4], "decoder": [3]}
    other = pareft.plan(folder, layers={stack: layers[stack] for stack in plan.depths})
    report = remap(read_adapter(adapter), find_family(pareft.load(folder).config), other, tmp_path / "moved")
    assert report.moved["decoder"] == [3]
    assert report.left_out["decoder"] == [1]
    if "encoder" in report.moved:
        assert (report.moved["encoder"], report.left_out["encoder"], report.without["encoder"]) == ([0, 4], [2], [3])
    assert "left out: " in report.describe()
    pareft.attach(pareft.load(folder, other), tmp_path / "moved")


def test_what_cannot_be_moved_says_why(adapter, folder, plan, tmp_path):
    family, stored = find_family(pareft.load(folder).config), read_adapter(adapter)
    with pytest.raises(AdapterError, match="is there already"):
        remap(stored, family, plan.whole(), adapter)
    narrow = pareft.plan(folder, layers=dict(plan.layers), neurons={"decoder": {1: [0, 1, 2]}})
    with pytest.raises(AdapterError, match="decoder of layer 1 keeps other units in the two plans"):
        remap(stored, family, narrow, tmp_path / "moved")
    apart = pareft.plan(folder, layers={stack: [0 if stack == "decoder" else 1] for stack in plan.depths})
    with pytest.raises(AdapterError, match="nothing to move"):
        remap(stored, family, apart, tmp_path / "moved")
    with pytest.raises(AdapterError, match="an adapter stays with its base"):
        remap(stored, family, plan.model_copy(update={"weights_digest": "0" * 16}), tmp_path / "moved")
    assert not (tmp_path / "moved").exists()


def test_a_saved_adapter_replaces_an_older_one_and_nothing_else(adapter, folder, plan, tmp_path):
    (adapter / "notes.txt").write_text("mine")
    (adapter / "adapter_model.bin").write_text("an older one's")
    (tmp_path / ".adapter").mkdir()
    (tmp_path / ".adapter" / "mine.txt").write_text("mine")
    train(folder, plan, adapter, seed=2)
    assert (adapter / "notes.txt").read_text() == "mine"
    assert (tmp_path / ".adapter" / "mine.txt").read_text() == "mine"
    assert not (adapter / "adapter_model.bin").exists()
    assert not list(tmp_path.glob(".pareft-*"))


def test_a_saved_checkpoint_replaces_an_older_one_and_nothing_else(folder, plan, tmp_path):
    whole = pareft.load(folder)
    whole.save_pretrained(tmp_path / "out", max_shard_size="10KB")
    (tmp_path / "out" / "tokenizer.json").write_text("mine")
    pareft.save(pareft.load(folder, plan), tmp_path / "out")
    assert (tmp_path / "out" / "tokenizer.json").read_text() == "mine"
    assert len(list((tmp_path / "out").glob("*.safetensors*"))) == 1
    assert pareft.load(tmp_path / "out").config.pareft_plan == plan.fingerprint


def test_run_folders_of_before_can_be_read(plan):
    """A plan without weights and widths keeps the fingerprint it was written with."""
    old = json.loads(plan.to_json())
    for key in ("weights_digest", "widths", "heads", "neurons", "fingerprint"):
        del old[key]
    read = pareft.PruningPlan.from_json(json.dumps(old))
    assert read.fingerprint != plan.fingerprint
    assert read.weights_digest is None


def test_a_base_is_known_by_its_weights_and_not_by_its_path(folder, plan, adapter, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    pareft.attach(pareft.load(tmp_path / "copy", plan), adapter)
