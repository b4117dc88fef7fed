"""Real data and weights, where they are there (`PAREFT_SHARED`)."""

from pathlib import Path

import pareft
from pareft.data.sources import read_splits
from pareft.recipe_file import read_recipe

RECIPES = Path(__file__).parents[1] / "recipes"


def test_mts_dialog_is_read_as_published(shared):
    recipe = read_recipe(RECIPES / "mts-dialog.yaml", {"data.path": str(shared / "data/mts-dialog")})
    splits = read_splits(recipe.data, seed=recipe.seed)
    assert {name: frame.height for name, frame in splits.items()} == {"train": 1201, "validation": 100, "test": 200}
    assert splits["train"]["source"][0].startswith("Doctor:")


def test_a_real_base_is_pruned_and_writes(shared):
    import torch
    from transformers import AutoTokenizer

    folder = shared / "models/mini-bart"
    model, tokenizer = pareft.load(folder, pareft.plan(folder), dtype=torch.float32), AutoTokenizer.from_pretrained(folder)
    assert len(model.model.encoder.layers) == len(model.model.decoder.layers) == 8
    ids = tokenizer("What is asthma?", return_tensors="pt")["input_ids"]
    assert model.generate(ids, num_beams=2, max_new_tokens=8).shape[0] == 1
