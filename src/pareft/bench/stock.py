"""What one would write without pareft, on the same pruned checkpoint: transformers, peft, autocast."""

from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForSeq2SeqLM, PreTrainedTokenizerBase

from pareft.recipe import LoraSettings, Recipe
from pareft.runtime import Precision, choose_device
from pareft.stepping import Stepper
from pareft.tuning.targets import find_targets


def open_stock_stepper(checkpoint: Path, recipe: Recipe, tokenizer: PreTrainedTokenizerBase, precision: Precision) -> Stepper:
    """The stock recipe: `from_pretrained` in float32, peft's LoRA, AdamW, batches padded to the longest text."""
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, dtype=torch.float32)
    if recipe.adapt:
        model = get_peft_model(model, make_config(model, recipe.adapt))
    return Stepper(model.to(choose_device()), tokenizer, recipe.train, precision, multiple=None)


def make_config(model: Any, settings: LoraSettings) -> LoraConfig:
    """Peft's own settings for the same adapter."""
    return LoraConfig(
        task_type="SEQ_2_SEQ_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        bias="lora_only" if settings.bias == "wrapped" else "none",
        target_modules=find_targets(model, settings),
    )
