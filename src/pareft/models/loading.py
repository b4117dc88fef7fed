"""Load a base through a plan. Only the kept tensors are read, so the peak memory is the pruned model's."""

from pathlib import Path
from typing import Literal

import torch
from transformers import AutoModelForSeq2SeqLM, PreTrainedModel

from pareft.errors import ModelError
from pareft.models.checkpoint import Base, list_tensors, load_generation_config, open_base, read_tensors
from pareft.models.families import find_family
from pareft.models.plan import PruningPlan
from pareft.models.surgery import prune_config, rename_tensors

Dtype = torch.dtype | Literal["auto"]


def load(base: str | Path | Base, plan: PruningPlan | None = None, *, dtype: Dtype = "auto") -> PreTrainedModel:
    """A stock transformers model of what the plan keeps; of everything without a plan. In eval mode, on the processor.

    The kept tensors go to `from_pretrained` as a state dict under their new names: its `key_mapping` would load wrong layers.

    Raises:
        ModelError: the base is not there, is no encoder-decoder, or lacks tensors.
        PlanError: the plan is another base's.
    """
    source = base if isinstance(base, Base) else open_base(str(base), revision=plan.revision if plan else None)
    family = find_family(source.config)
    tensors = list_tensors(source)
    config = prune_config(source.config, plan) if plan else source.config
    renamed = rename_tensors(tensors, family, plan) if plan else {name: name for name in tensors}
    state = {renamed[name]: tensor for name, tensor in read_tensors(tensors, renamed)}
    model_class = AutoModelForSeq2SeqLM._model_mapping[type(config)]
    model, report = model_class.from_pretrained(None, config=config, state_dict=state, dtype=dtype, output_loading_info=True)
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{source.name} lacks {len(missing)} tensors of a {config.model_type} model, {missing[0]} first")
    model.generation_config = load_generation_config(source)
    model.name_or_path = source.place  # where peft looks for the base's config; without it, on the Hub
    return model.eval()
