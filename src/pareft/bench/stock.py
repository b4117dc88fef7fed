"""What one would write without pareft, on the same pruned checkpoint: transformers, peft, autocast."""

from pathlib import Path

import torch
from peft import get_peft_model
from transformers import AutoModelForSeq2SeqLM, PreTrainedTokenizerBase

from pareft.recipe import Recipe
from pareft.runtime import Precision, choose_device
from pareft.stepping import Stepper
from pareft.tuning.configs import make_config


def open_stock_stepper(checkpoint: Path, recipe: Recipe, tokenizer: PreTrainedTokenizerBase, precision: Precision) -> Stepper:
    """The stock recipe: `from_pretrained` in float32, peft's LoRA, AdamW, batches padded to the longest text."""
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, dtype=torch.float32)
    if recipe.adapt:
        model = get_peft_model(model, make_config(model, recipe.adapt))
    return Stepper(model.to(choose_device()), tokenizer, recipe.train, precision, multiple=None)
