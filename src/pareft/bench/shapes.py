"""Bases of known shapes with random weights, written from their configs: the same arithmetic, and no download."""

from importlib.resources import files
from pathlib import Path

import torch
from transformers import AutoModelForSeq2SeqLM, PreTrainedConfig

from pareft.errors import RunError, suggest
from pareft.models.checkpoint import EMBEDDED, Base, load_tokenizer, open_base
from pareft.models.loading import load
from pareft.models.saving import save_checkpoint
from pareft.models.structure import part_head
from pareft.pruning import plan
from pareft.readying import check_writes

SHAPES = {
    EMBEDDED: EMBEDDED,
    "flan-t5-base": "shapes/flan-t5-base",
    "bart-large": "paper/bart-large",
    "t5-large": "paper/t5-large",
}


def open_config(shape: str) -> PreTrainedConfig:
    """The config of a shape, or the one in a folder.

    Raises:
        RunError: no such shape and no such folder.
        ModelError: what the folder describes does not write.
    """
    if shape in SHAPES:
        return open_base(str(files("pareft") / "assets" / SHAPES[shape])).config
    if not Path(shape).is_dir():
        hint = suggest(shape, SHAPES)
        raise RunError(f"--shape: no {shape!r}.{hint} There is {', '.join(SHAPES)}, all, and any folder with a config.json")
    base = open_base(shape)
    check_writes(base, "a bench trains")
    return base.config


def write_base(folder: Path, shape: str, *, seed: int) -> Base:
    """Random weights in float32, and pareft-mini's tokenizer with the padding of this shape: nothing here is text."""
    config, tokenizer = open_config(shape), load_tokenizer(open_base(EMBEDDED))
    config.dtype = torch.float32
    torch.manual_seed(seed)
    model = AutoModelForSeq2SeqLM.from_config(config, dtype=torch.float32)
    part_head(model)
    model.save_pretrained(folder)
    if own := tokenizer.convert_ids_to_tokens(config.pad_token_id):  # else pareft-mini's: what pads is masked, whatever it is
        tokenizer.pad_token = own
    tokenizer.save_pretrained(folder)
    return open_base(str(folder))


def write_pruned(base: Base, folder: Path) -> None:
    """The stock checkpoint of what the paper's rule keeps, for the stock ways."""
    save_checkpoint(load(base, plan(base), dtype=torch.float32), folder)
