"""The unpruned base beside a model of what a plan keeps of it, which shares its frozen weights in memory."""

from typing import Any

import torch
from peft import PeftModel
from transformers import PreTrainedModel

from pareft.models.checkpoint import Base
from pareft.models.digests import list_own
from pareft.models.loading import load_beside
from pareft.models.plan import PruningPlan
from pareft.tuning.plain import moves_base


def open_whole(
    model: PreTrainedModel | PeftModel, base: Base, plan: PruningPlan, *, dtype: torch.dtype = torch.float32
) -> PreTrainedModel:
    """The whole base, frozen, in eval mode and the dtype of the model's frozen weights, or in `dtype` if it has none. What both
    have and nothing trains is one tensor, so that the base adds the dropped layers' memory, and that of what is trained: biases,
    norms, all of it without an adapter.
    """
    inner: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    moved = isinstance(model, PeftModel) and any(map(moves_base, model.peft_config.values()))
    frozen = {} if moved else {name: own.data for name, own in list_own(inner) if not own.requires_grad}
    return load_beside(inner, base, plan, frozen, dtype=_find_dtype(inner) or dtype)


def _find_dtype(inner: PreTrainedModel) -> torch.dtype | None:
    """That of most of the frozen weights; `None` where all are trained."""
    sizes: dict[torch.dtype, int] = {}
    for parameter in inner.parameters():
        if not parameter.requires_grad:
            sizes[parameter.dtype] = sizes.get(parameter.dtype, 0) + parameter.numel()
    return max(sizes, key=lambda dtype: sizes[dtype], default=None)
