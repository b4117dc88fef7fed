"""Loading: what is read, what survives, what is refused. The laws of every family are in test_families.py."""

import json
import shutil

import pytest
import torch
from transformers import AutoModelForSeq2SeqLM, BartConfig, BartModel

import pareft
from pareft.errors import ModelError, PlanError
from pareft.models import loading
from pareft.models.families import find_family
from pareft.models.surgery import cut
from pareft.models.weights import TensorFile

KEPT = {"encoder": [0, 2, 5, 6, 7], "decoder": [0, 1, 3, 5]}


@torch.no_grad()
def logits(model, batch):
    return model(**batch).logits


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


def test_only_kept_tensors_are_read(base, monkeypatch):
    read = set()
    original = TensorFile.view

    def spy(file, name):
        read.add(name)
        return original(file, name)

    plan = pareft.plan(base, layers=KEPT)
    monkeypatch.setattr(loading, "check_weights", lambda *_: None)  # it samples every tensor
    monkeypatch.setattr(TensorFile, "view", spy)
    model = pareft.load(base, plan)
    family = find_family(model.config)
    layers = {(place.stack.name, place.layer) for place in map(family.locate, read) if place}
    carried = {(stack.name, 0) for stack in family.stacks if stack.carried}
    assert layers - carried == {(stack, layer) for stack, kept in KEPT.items() for layer in kept} - carried


def test_a_base_without_a_generation_config_generates_as_in_stock(bases, tmp_path):
    shutil.copytree(bases["bart"], tmp_path / "old")
    (tmp_path / "old" / "generation_config.json").unlink()
    config = json.loads((tmp_path / "old" / "config.json").read_text())
    (tmp_path / "old" / "config.json").write_text(json.dumps(config | {"num_beams": 4, "no_repeat_ngram_size": 3, "max_length": 9}))
    stock = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "old").generation_config
    assert stock.num_beams == 4
    assert pareft.load(tmp_path / "old").generation_config.to_dict() == stock.to_dict()


@pytest.mark.parametrize(
    "named", [["BartTokenizer"], ["GPT2LMHeadModel"], ["pipeline"], ["AutoModelForSeq2SeqLM"], [3], ["Nobody"], None]
)
def test_a_config_that_names_no_model_of_its_family_gets_the_usual_one(bases, tmp_path, named):
    shutil.copytree(bases["bart"], tmp_path / "copy")
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config | {"architectures": named}))
    assert type(pareft.load(tmp_path / "copy")).__name__ == "BartForConditionalGeneration"


@pytest.mark.parametrize(
    "changed", [{"encoder_layers": "5"}, {"dropout": "x"}, {"vocab_size": 7}, {"d_model": 32}, {"activation_function": "none"}]
)
def test_a_config_that_does_not_fit_is_one_line(bases, tmp_path, changed):
    shutil.copytree(bases["bart"], tmp_path / "copy")
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config | changed))
    with pytest.raises(ModelError) as raised:
        pareft.load(tmp_path / "copy")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["null", "3", "[]", "{"])
def test_a_config_that_is_none_is_one_line(bases, tmp_path, text):
    shutil.copytree(bases["bart"], tmp_path / "copy")
    (tmp_path / "copy" / "config.json").write_text(text)
    with pytest.raises(ModelError):
        pareft.load(tmp_path / "copy")


def test_a_dtype_that_is_none_is_one_line(bases):
    with pytest.raises(ModelError, match="no dtype 'bf16'"):
        pareft.load(bases["bart"], dtype="bf16")


def test_a_rule_that_is_none_is_refused(bases):
    with pytest.raises(
        PlanError, match=r"no rule or criterion 'alternate'\. Did you mean alternating\? There is alternating, everything"
    ):
        pareft.plan(bases["bart"], by="alternate")


def test_a_plan_beside_the_base_it_was_made_of_is_not_the_bases(bases, tmp_path):
    shutil.copytree(bases["bart"], tmp_path / "copy")
    (tmp_path / "copy" / "plan.json").write_text(pareft.plan(bases["bart"]).to_json())
    model = pareft.load(tmp_path / "copy")
    assert len(model.model.encoder.layers) == 8
    assert model.pareft_plan.keeps_everything


def test_a_pruned_checkpoint_knows_its_plan(bases, tmp_path):
    plan = pareft.plan(bases["bart"])
    pareft.save(pareft.load(bases["bart"], plan), tmp_path / "pruned")
    model = pareft.load(tmp_path / "pruned")
    assert model.pareft_plan == plan
    pareft.save(pareft.attach(model, pareft.LoraSettings(rank=2)), tmp_path / "adapter")
    pareft.attach(pareft.load(bases["bart"], plan), tmp_path / "adapter")


@pytest.mark.parametrize("head", [BartModel, "BartModel", "Nothing", 3])
def test_a_head_that_is_no_auto_class_says_so(bases, head):
    with pytest.raises(ModelError, match="is no Auto class of transformers; give one"):
        pareft.load(bases["bart"], head=head)


def test_a_head_by_its_name(bases):
    model = pareft.load(bases["bart"], head="AutoModelForSequenceClassification")
    assert type(model).__name__ == "BartForSequenceClassification"


@pytest.mark.parametrize("layers", [{"encoder": 3}, {"encoder": "0,1"}, {"encoder": None}, 3, "0", {"encoder": [True]}])
def test_layers_of_another_kind_are_refused(bases, layers):
    with pytest.raises(PlanError):
        pareft.plan(bases["bart"], layers=layers)


def test_a_folder_in_place_of_the_weights_is_one_line(bases, tmp_path):
    shutil.copytree(bases["bart"], tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").unlink()
    (tmp_path / "copy" / "model.safetensors").mkdir()
    with pytest.raises(ModelError):
        pareft.load(tmp_path / "copy")


def test_the_plans_revision_is_its_bases_and_no_other(bases):
    plan = pareft.plan(bases["bart"]).model_copy(update={"base": "someone/something", "revision": "0" * 40})
    assert pareft.load(bases["bart"], plan).pareft_plan == plan


def test_a_head_under_which_the_body_would_start_fresh_is_refused(bases):
    """A decoder alone has the embeddings under another name; they are not random because of that."""
    with pytest.raises(ModelError, match=r"lacks \d tensors of a BartForCausalLM, \S+ first"):
        pareft.load(bases["bart"], head="AutoModelForCausalLM")


@pytest.mark.parametrize("labels", [3, ["no", "maybe", "yes"]])
def test_a_new_head_has_as_many_labels_as_are_asked(bases, labels):
    plan = pareft.plan(bases["bart"])
    model = pareft.load(bases["bart"], plan, head="AutoModelForSequenceClassification", labels=labels)
    assert model.config.num_labels == 3
    assert model.classification_head.out_proj.out_features == 3
    if isinstance(labels, list):
        assert model.config.id2label[1] == "maybe"


def test_a_pooler_that_is_not_there_starts_fresh_where_a_head_is_named(tmp_path):
    from tiny import make_model

    make_model("bert").base_model.save_pretrained(tmp_path)  # of a masked language model, which has none
    with pytest.raises(ModelError, match=r"lacks 2 tensors of a BertModel, pooler.dense.bias first; with head= they start fresh"):
        pareft.load(tmp_path)
    pareft.load(tmp_path, head="AutoModelForSequenceClassification")


@pytest.mark.parametrize(
    "settings", [{"device_map": "nonsense"}, {"device_map": "cuda"}, {"quantization_config": "4bit"}, {"dtype": "int8"}]
)
def test_what_cannot_be_loaded_as_asked_is_one_line(bases, settings):
    if settings.get("device_map") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is one")
    with pytest.raises(ModelError) as raised:
        pareft.load(bases["bart"], **settings)
    assert "do not fit together" not in str(raised.value)
