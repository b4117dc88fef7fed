"""Real data and weights, where they are there (`PAREFT_SHARED`)."""

from pathlib import Path

import pytest
import torch

import pareft
from pareft.data.sources import read_splits
from pareft.errors import AdapterError, PlanError
from pareft.models.padding import pad
from pareft.recipe_file import read_recipe

RECIPES = Path(__file__).parents[1] / "recipes"


def test_mts_dialog_is_read_as_published(shared):
    recipe = read_recipe(RECIPES / "mts-dialog.yaml", {"data.path": str(shared / "data/mts-dialog")})
    splits = read_splits(recipe.data, seed=recipe.seed)
    assert {name: frame.height for name, frame in splits.items()} == {"train": 1201, "validation": 100, "test": 200}
    assert splits["train"]["source"][0].startswith("Doctor:")


def test_a_real_base_is_pruned_and_writes(shared):
    from transformers import AutoTokenizer

    folder = shared / "models/mini-bart"
    model, tokenizer = pareft.load(folder, pareft.plan(folder), dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
    assert len(model.model.encoder.layers) == len(model.model.decoder.layers) == 8
    ids = tokenizer("What is asthma?", return_tensors="pt")["input_ids"]
    assert model.generate(ids, num_beams=2, max_new_tokens=8).shape[0] == 1


def spell(config, word):
    """A word as the pronouncer's token ids: 1 word 2."""
    return torch.tensor([[1, *(config.grapheme_chars.index(letter) for letter in word), 2]])


def pronounce(model, word):
    ids = model.generate(spell(model.config, word), num_beams=1, do_sample=False, max_new_tokens=30)[0]
    return "".join(model.config.phoneme_chars[i] for i in ids if i > 3)


WORDS = ("hello", "pruning", "doctor", "adapter", "medicine", "transformer")


def test_a_stack_of_one_layer_cannot_lose_it(shared):
    with pytest.raises(PlanError, match="encoder would keep 0 of 1 layers; keep at least one"):
        pareft.plan(shared / "models/bart-g2p-us", layers={"encoder": []})


def test_a_pronouncer_loses_neurons_and_still_pronounces(shared, tmp_path):
    """The tenth of the neurons that write least goes; what is left is a stock checkpoint of the masked model's function."""
    folder = shared / "models/bart-g2p-us"
    whole = pareft.load(folder, dtype=torch.float32)
    expected = [pronounce(type(whole).from_pretrained(folder, dtype=torch.float32).eval(), word) for word in WORDS]
    assert [pronounce(whole, word) for word in WORDS] == expected
    neurons = {}
    for stack in ("encoder", "decoder"):
        layer = whole.get_submodule(f"model.{stack}.layers.0")
        written = layer.fc2.weight.norm(dim=0) * layer.fc1.weight.norm(dim=1)
        neurons[stack] = {0: sorted(written.topk(922).indices.tolist())}
    plan = pareft.plan(folder, neurons=neurons)
    pareft.save(pareft.load(folder, plan, dtype=torch.float32), tmp_path / "pruned")
    stock = type(whole).from_pretrained(tmp_path / "pruned").eval()
    assert (stock.config.encoder_ffn_dim, stock.config.decoder_ffn_dim) == (922, 922)
    for stack in ("encoder", "decoder"):
        fc2 = whole.get_submodule(f"model.{stack}.layers.0.fc2")
        kept = torch.zeros(1024)
        kept[neurons[stack][0]] = 1
        fc2.register_forward_pre_hook(lambda _, args, kept=kept: (args[0] * kept,))
    pronounced = [pronounce(stock, word) for word in WORDS]
    assert pronounced == [pronounce(whole, word) for word in WORDS]
    assert sum(one == other for one, other in zip(pronounced, expected, strict=True)) >= 4


def test_a_storyteller_loses_key_value_groups_and_a_layer(shared, tmp_path):
    """A real Llama with GQA: 8 heads in 4 groups, 5 layers. Every form of the narrowed model tells the same story."""
    folder = shared / "models/stories260K/hf"
    plan = pareft.plan(
        folder,
        layers=[0, 1, 2, 4],
        heads={"decoder.self": {1: [0, 2, 3], 2: [1, 3]}},
        neurons={"decoder": {4: [*range(0, 172, 2)]}},
    )
    narrow = pareft.load(folder, plan, dtype=torch.float32)
    assert narrow.model.layers[1].self_attn.k_proj.out_features == 24
    assert narrow.model.layers[2].self_attn.q_proj.out_features == 32
    start = torch.tensor([[1, 403, 407]])  # "Once upon", or near it
    settings = {"max_new_tokens": 40, "num_beams": 1, "do_sample": False}
    story = narrow.generate(start, **settings)
    cutted = pareft.cut(pareft.load(folder, dtype=torch.float32), plan)
    assert torch.equal(cutted.generate(start, **settings), story)
    assert torch.equal(pad(narrow, plan).generate(start, **settings), story)
    pareft.save(narrow, tmp_path / "narrow")
    assert torch.equal(pareft.load(tmp_path / "narrow").generate(start, **settings), story)
    assert narrow.num_parameters() < cutted.num_parameters() + 1 < pareft.load(folder).num_parameters()
    with pytest.raises(PlanError, match="has no head 4: it has 4"):
        pareft.plan(folder, heads={"decoder.self": {0: [4]}})


def test_the_embedded_base_loses_heads_and_takes_an_adapter(tmp_path):
    plan = pareft.plan("pareft-mini", layers={"encoder": [0, 5, 11], "decoder": [0, 11]}, heads={"encoder.self": {5: [0, 3]}})
    wrapped = pareft.attach(pareft.load("pareft-mini", plan), pareft.LoraSettings(rank=4, alpha=8))
    pareft.save(wrapped, tmp_path / "adapter")
    pareft.attach(pareft.load("pareft-mini", plan), tmp_path / "adapter")
    with pytest.raises(AdapterError, match=plan.fingerprint):
        pareft.attach(pareft.load("pareft-mini"), tmp_path / "adapter")
