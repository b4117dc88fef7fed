"""Stored adapters: whose they are, what is refused, many on one base, moved to another plan."""

import json
import re
import shutil

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from tiny import encoder_inputs, logits, make_inputs, make_model

import pareft
from pareft.adapter_settings import LoraSettings
from pareft.errors import AdapterError, PlanError
from pareft.models.families import find_family
from pareft.models.surgery import cut
from pareft.tuning.adapters import merge

LAYERS = {"encoder": [0, 2, 4], "decoder": [1, 3]}


@pytest.fixture(params=["bart", "t5", "llama"])
def folder(request, tmp_path):
    make_model(request.param).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


@pytest.fixture
def plan(folder):
    depths = pareft.plan(folder, by="everything").depths
    return pareft.plan(folder, layers={stack: LAYERS[stack] for stack in depths})


def train(folder, plan, out, *, seed, head=None, labels=None, **settings):
    """An adapter that does something, saved."""
    chosen = LoraSettings(**{"rank": 2, "alpha": 4, "dropout": 0.0} | settings)
    wrapped = pareft.attach(pareft.load(folder, plan, head=head, labels=labels), chosen)
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
    assert "with every layer's LoRA on another layer" in card
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


def change_in_place(model, _):
    with torch.no_grad():
        next(p for name, p in model.named_parameters() if "layers.1." in name or "block.1." in name).add_(0.5)
    return model


def train_outside(model, folder):
    """Somebody's own training loop: the config is saved along, fingerprint and all."""
    change_in_place(model, None).save_pretrained(folder)
    return type(model).from_pretrained(folder)


def merge_by_peft(model, _):
    wrapped = pareft.attach(model, LoraSettings(rank=2, dropout=0.0, bias="none"))
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.3)
    return wrapped.merge_and_unload()


def train_biases(model, _):
    wrapped = pareft.attach(model, LoraSettings(rank=2, dropout=0.0, bias="wrapped", target="all"), name="first")
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" not in name:
                parameter.add_(0.5 * parameter.requires_grad)
    return wrapped


@pytest.mark.parametrize("change", [change_in_place, train_outside, merge_by_peft, train_biases])
def test_weights_that_have_changed_take_no_adapter_of_the_plan(adapter, folder, plan, tmp_path, change):
    model = pareft.load(folder, plan)
    if change is train_biases and model.config.model_type != "bart":
        pytest.skip("it has no biases")
    model = change(model, tmp_path / "changed")
    with pytest.raises(AdapterError, match="the model's layers have changed since pareft built it"):
        pareft.attach(model, adapter)


def test_what_is_trained_on_changed_weights_is_not_said_to_fit_the_plan(folder, plan, tmp_path):
    wrapped = pareft.attach(change_in_place(pareft.load(folder, plan), None), LoraSettings(rank=2))
    with pytest.raises(AdapterError, match="carries no plan"):
        pareft.save(wrapped, tmp_path / "adapter")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_dtype_is_no_change(adapter, folder, plan, dtype):
    pareft.attach(pareft.load(folder, plan).to(dtype), adapter)
    pareft.attach(pareft.load(folder, plan, dtype=dtype), adapter)


def test_cut_refuses_other_weights(folder, plan):
    whole = pareft.load(folder)
    pareft.cut(whole, plan)
    with pytest.raises(PlanError, match="the plan was made for other weights"):
        pareft.cut(change_in_place(whole, None), plan)


HEADS = {
    "vit": "AutoModelForImageClassification",
    "bert": "AutoModelForSequenceClassification",
    "deberta-v2": "AutoModelForSequenceClassification",
    "electra": "AutoModelForMaskedLM",
    "roberta": "AutoModelForTokenClassification",
    "llama": "AutoModelForSequenceClassification",
    "bart": "AutoModelForSequenceClassification",
}


@pytest.mark.parametrize("name", HEADS)
def test_what_starts_fresh_is_trained_and_stored(name, tmp_path):
    body = make_model(name).base_model
    body.save_pretrained(tmp_path / "base")
    inputs = encoder_inputs(make_inputs(body))
    if name == "bart":
        inputs["input_ids"][:, -1] = 2  # it classifies by the end of the sequence
    plan = pareft.plan(tmp_path / "base")
    train(tmp_path / "base", plan, tmp_path / "adapter", seed=1, head=HEADS[name])
    outputs = []
    for seed in (1, 2):
        torch.manual_seed(seed)  # another fresh head
        model = pareft.load(tmp_path / "base", plan, head=HEADS[name])
        fresh = logits(model, inputs)
        outputs.append(logits(pareft.attach(model, tmp_path / "adapter"), inputs))
        assert not torch.allclose(outputs[-1], fresh, atol=1e-3)
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-5)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert len(config["modules_to_save"]) == len(set(config["modules_to_save"]))


def test_a_head_of_another_task_is_refused(tmp_path):
    make_model("bert").base_model.save_pretrained(tmp_path / "base")
    plan = pareft.plan(tmp_path / "base")
    train(tmp_path / "base", plan, tmp_path / "adapter", seed=1, head="AutoModelForSequenceClassification")
    model = pareft.load(tmp_path / "base", plan, head="AutoModelForTokenClassification")
    with pytest.raises(AdapterError, match=r"holds a head for SEQ_CLS .* this model is a BertForTokenClassification"):
        pareft.attach(model, tmp_path / "adapter")


@pytest.mark.parametrize("name", ["qwen2", "whisper"])
def test_biases_of_layers_some_of_which_have_none_can_be_mixed_and_merged(name, tmp_path):
    make_model(name).save_pretrained(tmp_path / "base")
    plan = pareft.plan(tmp_path / "base")
    base = pareft.load(tmp_path / "base", plan)
    inputs, names = make_inputs(base), ["one", "two"]
    alone = {
        name: logits(train(tmp_path / "base", plan, tmp_path / name, seed=seed, target="attention"), inputs)
        for seed, name in enumerate(names)
    }
    assert any(key.endswith("base_layer.bias") for key in lora_of(tmp_path / "one"))
    model = base
    for name in names:
        model = pareft.attach(model, tmp_path / name, name=name)
    for name in names:
        model.set_adapter(name)
        torch.testing.assert_close(logits(model, inputs), alone[name], rtol=1e-5, atol=2e-5)
        pareft.save(model, tmp_path / "again" / name)
        again = pareft.attach(pareft.load(tmp_path / "base", plan), tmp_path / "again" / name)
        torch.testing.assert_close(logits(merge(again), inputs), alone[name], rtol=1e-5, atol=2e-5)
    with model.disable_adapter():
        torch.testing.assert_close(logits(model, inputs), logits(pareft.load(tmp_path / "base", plan), inputs), rtol=0, atol=1e-6)


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
    def test_something_else(self, folder):
        with pytest.raises(
            AdapterError,
            match="Ia3Settings, BottleneckSettings or the folder of a stored one, not dict",
        ):
            pareft.attach(pareft.load(folder), {"rank": 4})

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


def test_a_new_adapter_wraps_what_another_wraps_already(folder, plan, adapter):
    for target in ("ffn", "all"):
        alone = pareft.attach(pareft.load(folder, plan), LoraSettings(rank=2, target=target, bias="none"), name="new")
        wrapped = {name for name, _ in alone.named_parameters() if ".new." in name}
        both = pareft.attach(
            pareft.attach(pareft.load(folder, plan), adapter), LoraSettings(rank=2, target=target, bias="none"), name="new"
        )
        assert {name for name, _ in both.named_parameters() if ".new." in name} == wrapped


@pytest.mark.parametrize("name", ["v1.0", "keys", "bias", "base_layer"])
def test_names_that_torch_or_peft_uses_are_refused(folder, plan, name):
    with pytest.raises(AdapterError, match="uses that name; give another, without a dot"):
        pareft.attach(pareft.load(folder, plan), LoraSettings(), name=name)


def test_patterns_of_alpha_and_rank_move_with_the_layers(folder, plan, tmp_path):
    """Regular expressions of the whole base's layer numbers, from an adapter that was trained without pareft."""
    stock = type(pareft.load(folder)).from_pretrained(folder)
    family = find_family(stock.config)
    settings = LoraSettings(target="ffn", rank=2)
    from pareft.tuning.targets import find_targets

    pattern = r".*(layers|block)\.[13]\..*"
    config = LoraConfig(
        r=2, lora_alpha=4, target_modules=find_targets(stock, settings), alpha_pattern={pattern: 40}, rank_pattern={pattern: 3}
    )
    wrapped = get_peft_model(stock, config)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter) * parameter.requires_grad)
    wrapped.save_pretrained(tmp_path / "theirs")
    pareft.remap(tmp_path / "theirs", tmp_path / "moved", to=plan, base=folder)
    moved = pareft.attach(pareft.load(folder, plan), tmp_path / "moved")
    merged = wrapped.merge_and_unload()
    merged.config.pareft_layers = None
    expected = cut(merged, plan.model_copy(update={"weights_digest": None}))
    inputs = make_inputs(merged)
    torch.testing.assert_close(logits(moved, inputs), logits(expected.eval(), inputs), rtol=1e-4, atol=1e-4)
    assert family


def test_an_adapter_attaches_after_the_vocabulary_has_grown(adapter, folder, plan, tmp_path):
    grown = pareft.load(folder, plan)
    grown.resize_token_embeddings(80)
    pareft.attach(grown, adapter)


def test_modules_to_save_that_are_no_head_attach_again(folder, plan, tmp_path):
    norm = "final_layer_norm" if "encoder" in plan.depths else "norm"
    model = pareft.load(folder, plan)
    name = next(module for module, _ in model.named_modules() if module.endswith("norm"))
    wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=find_ffn(model), modules_to_save=[name]))
    pareft.save(wrapped, tmp_path / "a")
    pareft.attach(pareft.load(folder, plan), tmp_path / "a")
    assert norm


def find_ffn(model):
    from pareft.tuning.targets import find_targets

    return find_targets(model, LoraSettings(target="ffn"))


def test_a_base_that_stock_saved_takes_and_saves_adapters_of_its_plan(adapter, folder, plan, tmp_path):
    pareft.load(folder, plan).save_pretrained(tmp_path / "stock")
    wrapped = pareft.attach(pareft.load(tmp_path / "stock"), adapter)
    pareft.save(wrapped, tmp_path / "again")
    assert pareft.PruningPlan.read(tmp_path / "again" / "plan.json") == plan
    fresh = pareft.attach(pareft.load(tmp_path / "stock"), LoraSettings(rank=2))
    with pytest.raises(AdapterError, match=r"or from where pareft\.save has put it"):
        pareft.save(fresh, tmp_path / "unknown")


def test_a_merged_half_precision_model_does_not_become_its_base_again(adapter, folder, plan, tmp_path):
    merged = pareft.attach(pareft.load(folder, plan, dtype=torch.float16), adapter).merge_and_unload()
    with pytest.raises(AdapterError):
        pareft.attach(merged, adapter)
    pareft.save(merged, tmp_path / "merged")
    with pytest.raises(AdapterError):
        pareft.attach(pareft.load(tmp_path / "merged", dtype=torch.float32), adapter)


def test_a_head_of_its_own_labels_is_no_other_base(tmp_path):
    make_model("bert").save_pretrained(tmp_path / "base")
    plan = pareft.plan(tmp_path / "base")
    train(tmp_path / "base", plan, tmp_path / "three", seed=1, head="AutoModelForSequenceClassification", labels=3)
    model = pareft.load(tmp_path / "base", plan, head="AutoModelForSequenceClassification", labels=3)
    model(**make_inputs(model), labels=torch.tensor([0, 2]))  # transformers notes the kind of problem in the config
    pareft.attach(model, tmp_path / "three")
    two = pareft.load(tmp_path / "base", plan, head="AutoModelForSequenceClassification", labels=2)
    with pytest.raises(AdapterError, match=r"classifier.* in the file and .* in this model"):
        pareft.attach(two, tmp_path / "three")


def test_other_kinds_of_adapters_are_refused_in_plain_words(folder, plan, tmp_path):
    from peft import LoHaConfig

    model = pareft.load(folder, plan)
    targets = find_ffn(model)
    loha = get_peft_model(model, LoHaConfig(target_modules=targets))
    with pytest.raises(AdapterError, match="is a LOHA adapter; pareft stores and attaches LoRA, IA3 and bottleneck adapters"):
        pareft.save(loha, tmp_path / "loha")
    loha.save_pretrained(tmp_path / "loha")
    with pytest.raises(AdapterError, match="pareft stores and attaches LoRA, IA3 and bottleneck adapters"):
        pareft.attach(pareft.load(folder, plan), tmp_path / "loha")
    every = get_peft_model(pareft.load(folder, plan), LoraConfig(target_modules=targets, bias="all"))
    with pytest.raises(AdapterError, match="pareft stores those of wrapped layers"):
        pareft.save(every, tmp_path / "all")
    with pytest.raises(AdapterError, match="goes onto a transformers model, not onto a Linear"):
        pareft.attach(torch.nn.Linear(2, 2), LoraSettings())


def test_an_adapter_of_the_embeddings_moves_too(tmp_path):
    make_model("llama").save_pretrained(tmp_path / "base")
    plan = pareft.plan(tmp_path / "base", layers={"decoder": [1, 3]})
    model = pareft.load(tmp_path / "base", plan)
    wrapped = get_peft_model(model, LoraConfig(r=2, target_modules=["down_proj", "embed_tokens"]))
    with torch.no_grad():
        for parameter in wrapped.parameters():
            parameter.add_(0.2 * parameter.requires_grad)
    pareft.save(wrapped.eval(), tmp_path / "adapter")
    pareft.remap(tmp_path / "adapter", tmp_path / "there")
    pareft.remap(tmp_path / "there", tmp_path / "back", to=plan)
    inputs = make_inputs(model)
    again = pareft.attach(pareft.load(tmp_path / "base", plan), tmp_path / "back")
    torch.testing.assert_close(logits(again, inputs), logits(wrapped, inputs), rtol=0, atol=1e-5)


def test_two_doras_with_trained_biases_are_refused_in_plain_words(tmp_path):
    make_model("bart").save_pretrained(tmp_path / "base")
    plan = pareft.plan(tmp_path / "base")
    for seed in (1, 2):
        train(tmp_path / "base", plan, tmp_path / f"dora-{seed}", seed=seed, dora=True)
    model = pareft.attach(pareft.load(tmp_path / "base", plan), tmp_path / "dora-1")
    with pytest.raises(AdapterError, match="layers have changed since pareft built it"):
        pareft.attach(model, tmp_path / "dora-2", name="second")


def test_heads_with_a_pooler_can_be_mixed_in_a_batch(tmp_path):
    make_model("bert").base_model.save_pretrained(tmp_path / "base")
    plan, head = pareft.plan(tmp_path / "base"), "AutoModelForSequenceClassification"
    model = pareft.load(tmp_path / "base", plan, head=head)
    inputs = make_inputs(model)
    alone = {}
    for seed, name in enumerate(("one", "two")):
        alone[name] = logits(train(tmp_path / "base", plan, tmp_path / name, seed=seed, head=head, target="attention"), inputs)
        model = pareft.attach(model, tmp_path / name, name=name)
    with torch.no_grad():
        mixed = model(**inputs, adapter_names=["one", "two"]).logits
    for row, name in enumerate(alone):
        torch.testing.assert_close(mixed[row], alone[name][row], rtol=1e-5, atol=2e-5)


def test_an_adapter_on_another_class_of_its_base_is_one_line(tmp_path):
    make_model("bart").save_pretrained(tmp_path / "base")
    plan = pareft.plan(tmp_path / "base")
    train(tmp_path / "base", plan, tmp_path / "a", seed=1)
    with pytest.raises(AdapterError, match="does not fit this BartModel"):
        pareft.attach(pareft.load(tmp_path / "base", plan, head="AutoModel"), tmp_path / "a")


def test_an_untied_head_can_be_wrapped(tmp_path):
    model = make_model("llama")
    assert model.lm_head.weight is not model.get_input_embeddings().weight
    pareft.attach(model, LoraSettings(target=["q_proj", "lm_head"], rank=2))
    with pytest.raises(AdapterError, match="shares its weight with the embeddings"):
        pareft.attach(make_model("bart"), LoraSettings(target=["q_proj", "lm_head"], rank=2))


def test_an_adapter_moves_onto_the_whole_base(adapter, folder, plan, tmp_path):
    report = pareft.remap(adapter, tmp_path / "moved", to=plan.whole())
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
    pareft.remap(adapter, tmp_path / "there", to=plan.whole())
    pareft.remap(tmp_path / "there", tmp_path / "back", to=plan)
    first, second = lora_of(adapter), lora_of(tmp_path / "back")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    inputs = make_inputs(pareft.load(folder))
    one, other = (logits(pareft.attach(pareft.load(folder, plan), tmp_path / name), inputs) for name in ("adapter", "back"))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def test_a_plan_that_shares_layers_takes_what_it_keeps(adapter, folder, plan, tmp_path):
    layers = {"encoder": [0, 3, 4], "decoder": [3]}
    other = pareft.plan(folder, layers={stack: layers[stack] for stack in plan.depths})
    report = pareft.remap(adapter, tmp_path / "moved", to=other)
    assert report.moved["decoder"] == [3]
    assert report.left_out["decoder"] == [1]
    if "encoder" in report.moved:
        assert (report.moved["encoder"], report.left_out["encoder"], report.without["encoder"]) == ([0, 4], [2], [3])
    assert "left out: " in report.describe()
    pareft.attach(pareft.load(folder, other), tmp_path / "moved")


def test_what_cannot_be_moved_says_why(adapter, folder, plan, tmp_path):
    with pytest.raises(AdapterError, match="is there already"):
        pareft.remap(adapter, adapter, to=plan.whole())
    narrow = pareft.plan(folder, layers=dict(plan.layers), neurons={"decoder": {1: [0, 1, 2]}})
    with pytest.raises(AdapterError, match="decoder of layer 1 keeps other units in the two plans"):
        pareft.remap(adapter, tmp_path / "moved", to=narrow)
    apart = pareft.plan(folder, layers={stack: [0 if stack == "decoder" else 1] for stack in plan.depths})
    with pytest.raises(AdapterError, match="nothing to move"):
        pareft.remap(adapter, tmp_path / "moved", to=apart)
    with pytest.raises(AdapterError, match="an adapter stays with its base"):
        pareft.remap(adapter, tmp_path / "moved", to=plan.model_copy(update={"weights_digest": "0" * 16}))
    assert not (tmp_path / "moved").exists()


def test_an_adapter_that_does_not_fit_the_base_it_is_said_to_be_of(adapter, folder, plan, tmp_path):
    """Trained without pareft, on something else: names and sizes of its matrices say so."""
    pareft.remap(adapter, tmp_path / "whole")
    (tmp_path / "whole" / "plan.json").unlink()
    report = pareft.remap(tmp_path / "whole", tmp_path / "back", to=plan, base=folder)
    assert report.note == ""
    tensors = lora_of(tmp_path / "whole")
    name = next(name for name in tensors if "lora_A" in name)
    for changed, message in (
        ({name: torch.ones(2, 5)}, r"has LoRA for inputs of size 5; the base's are of size \d+: it was trained on something else"),
        ({name.replace("lora_A", "lora_B"): torch.ones(5, 2)}, "has LoRA for outputs of size 5"),
        ({re.sub(r"\w+\.lora_A", "w9.lora_A", name): tensors[name].clone()}, "has no such module"),
    ):
        save_file(tensors | changed, tmp_path / "whole" / "adapter_model.safetensors", {"format": "pt"})
        with pytest.raises(AdapterError, match=message):
            pareft.remap(tmp_path / "whole", tmp_path / "wrong", to=plan, base=folder)
    assert not (tmp_path / "wrong").exists()
    save_file(tensors, tmp_path / "whole" / "adapter_model.safetensors", {"format": "pt"})
    config = json.loads((tmp_path / "whole" / "adapter_config.json").read_text())
    (tmp_path / "whole" / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "someone/other"}))
    report = pareft.remap(tmp_path / "whole", tmp_path / "doubtful", to=plan, base=folder)
    assert "the adapter says that it was trained on someone/other" in report.describe()


def test_whole_modules_in_layers_move_with_them(tmp_path):
    """`modules_to_save` may name a module of a layer; its number changes with the plan."""
    make_model("bart").save_pretrained(tmp_path / "base")
    plan = pareft.plan(tmp_path / "base", layers={"decoder": [1, 3]})
    model = pareft.load(tmp_path / "base", plan)
    config = LoraConfig(target_modules=["q_proj"], r=2, modules_to_save=["model.decoder.layers.1.fc1"])
    wrapped = get_peft_model(model, config)
    with torch.no_grad():
        for parameter in wrapped.parameters():
            parameter.add_(0.2 * parameter.requires_grad)
    pareft.save(wrapped.eval(), tmp_path / "adapter")
    pareft.remap(tmp_path / "adapter", tmp_path / "moved")
    assert json.loads((tmp_path / "moved" / "adapter_config.json").read_text())["modules_to_save"] == ["model.decoder.layers.3.fc1"]
    moved = pareft.attach(pareft.load(tmp_path / "base"), tmp_path / "moved").get_base_model()
    trained = wrapped.get_base_model().model.decoder.layers[1].fc1.modules_to_save["default"].weight
    assert torch.equal(moved.model.decoder.layers[3].fc1.modules_to_save["default"].weight, trained)
    assert pareft.remap(tmp_path / "moved", tmp_path / "back", to=plan).moved["decoder"] == [1, 3]
    settings = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(settings | {"modules_to_save": ["1.fc1"]}))
    with pytest.raises(AdapterError, match=r"cannot tell which layer '1\.fc1' of the adapter means"):
        pareft.remap(tmp_path / "adapter", tmp_path / "unclear")


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
