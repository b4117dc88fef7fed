"""Laws 1, 2 and 3 of depth pruning, for every family."""

import json

import pytest
import torch
from conftest import save_base
from transformers import AutoModelForSeq2SeqLM, BartConfig, BartModel

import pareft
from pareft.errors import ModelError, PlanError
from pareft.models import loading
from pareft.models.families import find_family
from pareft.models.surgery import cut

KEPT = {"encoder": [0, 2, 5, 6, 7], "decoder": [0, 1, 3, 5]}


def get_layers(model, stack):
    family = find_family(model.config)
    path = next(s.path for s in family.stacks if s.name == stack)
    root = model if hasattr(model, path.split(".")[0]) else model.base_model
    return root.get_submodule(path)


@torch.no_grad()
def logits(model, batch):
    return model(**batch).logits


def test_keep_everything_is_the_identity(base, batch):
    plan = pareft.plan(base, by="everything")
    assert plan.keeps_everything
    stock = AutoModelForSeq2SeqLM.from_pretrained(base).eval()
    assert torch.equal(logits(pareft.load(base, plan), batch), logits(stock, batch))
    assert torch.equal(logits(cut(stock, plan), batch), logits(stock, batch))


def test_pruned_model_is_a_stock_checkpoint(base, batch, tmp_path):
    model = pareft.load(base, pareft.plan(base, layers=KEPT))
    model.save_pretrained(tmp_path)
    stock, report = AutoModelForSeq2SeqLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    stock.eval()
    assert torch.equal(logits(stock, batch), logits(model, batch))
    settings = {"max_new_tokens": 6, "num_beams": 3, "do_sample": False}
    cached = stock.generate(batch["input_ids"], use_cache=True, **settings)
    assert torch.equal(cached, stock.generate(batch["input_ids"], use_cache=False, **settings))
    assert torch.equal(cached, model.generate(batch["input_ids"], use_cache=True, **settings))


def test_load_equals_cut_bit_for_bit(base, batch):
    plan = pareft.plan(base, layers=KEPT)
    loaded, pruned = pareft.load(base, plan), cut(pareft.load(base), plan)
    there, here = loaded.state_dict(), pruned.state_dict()
    assert there.keys() == here.keys()
    assert all(torch.equal(there[name], here[name]) for name in there)
    assert torch.equal(logits(loaded, batch), logits(pruned, batch))


def test_every_layer_is_the_one_the_plan_names(base):
    """The trap of `from_pretrained(key_mapping=…)`: dropped layers landing in new ones."""
    whole, pruned = pareft.load(base), pareft.load(base, pareft.plan(base, layers=KEPT))
    for stack, kept in KEPT.items():
        assert len(get_layers(pruned, stack)) == len(kept)
        for new, old in enumerate(kept):
            there, here = get_layers(whole, stack)[old].state_dict(), get_layers(pruned, stack)[new].state_dict()
            for name in there.keys() & here.keys():
                assert torch.equal(there[name], here[name]), (stack, new, old, name)
            assert {name for name in there.keys() ^ here.keys() if "relative_attention_bias" not in name} == set()


def test_only_kept_tensors_are_read(base, monkeypatch):
    read = []
    original = loading.read_tensors

    def spy(tensors, names):
        for name, tensor in original(tensors, names):
            read.append(name)
            yield name, tensor

    monkeypatch.setattr(loading, "read_tensors", spy)
    plan = pareft.plan(base, layers=KEPT)
    pareft.load(base, plan)
    stacks = {stack.name: stack for stack in find_family(pareft.load(base, plan).config).stacks}
    for name in set(read):
        for stack in stacks.values():
            if f"{stack.path}." in name and not name.endswith(tuple(stack.carried) or "\0"):
                index = int(name.split(f"{stack.path}.")[1].split(".")[0])
                assert index in KEPT[stack.name], name


def test_a_bart_decoder_may_be_deeper_than_its_encoder(tmp_path, batch):
    model = pareft.load(save_base("bart", tmp_path, encoder=6, decoder=8), pareft.plan(tmp_path, layers={"encoder": [0, 3]}))
    settings = {"max_new_tokens": 6, "num_beams": 3}
    cached = model.generate(batch["input_ids"], use_cache=True, **settings)
    assert torch.equal(cached, model.generate(batch["input_ids"], use_cache=False, **settings))


@pytest.mark.parametrize("family", ["t5", "t5-gated"])
def test_a_t5_decoder_deeper_than_its_encoder_is_refused(bases, family):
    """Stock transformers raises an IndexError in generate for such a model: its cache has the encoder's depth."""
    with pytest.raises(PlanError, match="Keep at least as many encoder layers"):
        pareft.plan(bases[family], layers={"encoder": [0, 1]})


@pytest.mark.parametrize("family", ["t5", "t5-gated"])
def test_position_bias_moves_to_the_new_first_block(bases, batch, family):
    base = bases[family]
    plan = pareft.plan(base, layers={"encoder": [2, 4], "decoder": [1, 5]})
    whole, pruned = pareft.load(base), pareft.load(base, plan)
    for stack in ("encoder", "decoder"):
        name = "layer.0.SelfAttention.relative_attention_bias.weight"
        assert torch.equal(get_layers(pruned, stack)[0].get_parameter(name), get_layers(whole, stack)[0].get_parameter(name))
    assert torch.equal(logits(pruned, batch), logits(cut(whole, plan), batch))


def test_cut_leaves_the_model_it_was_given(base, batch):
    model = pareft.load(base)
    before = logits(model, batch)
    cut(model, pareft.plan(base))
    assert torch.equal(logits(model, batch), before)


def test_dtype_and_generation_settings_survive(base):
    model = pareft.load(base, pareft.plan(base), dtype=torch.bfloat16)
    assert model.dtype == torch.bfloat16
    stock = AutoModelForSeq2SeqLM.from_pretrained(base)
    assert model.generation_config.to_dict() == stock.generation_config.to_dict()
    assert model.config.decoder_start_token_id == stock.config.decoder_start_token_id
    assert pareft.load(base).dtype == torch.float32


def test_sharded_checkpoints_are_read(base, batch, tmp_path):
    AutoModelForSeq2SeqLM.from_pretrained(base).save_pretrained(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    plan = pareft.plan(base, layers=KEPT)
    assert torch.equal(logits(pareft.load(tmp_path, plan), batch), logits(pareft.load(base, plan), batch))


def test_weights_saved_without_the_head_prefix_load(tmp_path, batch):
    config = BartConfig(
        d_model=16, encoder_layers=6, decoder_layers=6, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=24,
        decoder_ffn_dim=24, vocab_size=300, max_position_embeddings=64,
    )  # fmt: skip
    BartModel(config).save_pretrained(tmp_path)
    plan = pareft.plan(tmp_path)
    stock = cut(AutoModelForSeq2SeqLM.from_pretrained(tmp_path).eval(), plan)
    assert torch.equal(logits(pareft.load(tmp_path, plan), batch), logits(stock, batch))


def test_a_missing_tensor_is_an_error(base, tmp_path):
    from safetensors.torch import load_file, save_file

    state = load_file(base / "model.safetensors")
    lost = next(name for name in state if "encoder" in name and ".2." in name)
    save_file({name: tensor for name, tensor in state.items() if name != lost}, tmp_path / "model.safetensors", {"format": "pt"})
    (tmp_path / "config.json").write_text((base / "config.json").read_text())
    with pytest.raises(ModelError, match="lacks 1 tensor"):
        pareft.load(tmp_path)


def test_another_base_refuses_the_plan(bases):
    with pytest.raises(PlanError, match="family"):
        pareft.load(bases["t5"], pareft.plan(bases["bart"]))
    with pytest.raises(PlanError, match="made for"):
        pareft.load(bases["t5"], pareft.plan(bases["t5-gated"]))


def test_no_encoder_decoder_and_no_safetensors_are_errors(bases, tmp_path):
    config = json.loads((bases["bart"] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config))
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="safetensors only"):
        pareft.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "n_layer": 2}))
    with pytest.raises(ModelError, match="no encoder-decoder"):
        pareft.plan(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "led"}))
    with pytest.raises(ModelError, match=r"families\.py"):
        pareft.plan(tmp_path)
