"""A smaller adapter: the modules and ranks that stay, as a standard LoRA or bottleneck adapters for the narrowed base. r: rank."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from peft import PeftConfig, PeftModel
from peft.utils import set_peft_model_state_dict
from transformers import PreTrainedConfig, PreTrainedModel

from pareft.models.families import find_family
from pareft.models.plan import PruningPlan
from pareft.models.width import Piece, slice_tensor
from pareft.tuning.adapters import attach_config
from pareft.tuning.bottleneck import BottleneckConfig
from pareft.tuning.light.importance import MATRICES
from pareft.tuning.plain import say_ranks
from pareft.tuning.storage import PREFIX, StoredAdapter, find_alpha

DOWN, UP = zip(*MATRICES.values(), strict=True)  # by kind
BIAS = "base_layer"
_SIDES = {"lora_A": 1, "lora_B": 0}  # of a weight, along which a matrix lies; a bottleneck's are behind outputs that stay whole
Kept = Mapping[str, tuple[int, ...]]  # the ranks that stay of every module that does, by its full name


@dataclass(frozen=True)
class Trimmed:
    """An adapter with what is left of it: its settings, and its tensors by peft's names, if it does not start anew."""

    config: PeftConfig
    tensors: Mapping[str, torch.Tensor] | None = None


def trim(adapter: StoredAdapter, kept: Kept, plan: PruningPlan, config: PreTrainedConfig, *, carry: bool) -> Trimmed:
    """What is left of an adapter: of the modules in `kept` these ranks, and of these what the heads and neurons of `plan` have
    a part in. LoRA's scale stays alpha / r. The adapter was trained on the layers of the plan, whole; `config` is the base's.
    Without `carry`, what is left starts anew.
    """
    there, stored = adapter.config, adapter.tensors
    ranks = {module: len(units) for module, units in kept.items()}
    if isinstance(there, BottleneckConfig):
        said: dict[str, Any] = {"rank_pattern": {module: rank for module, rank in ranks.items() if rank != there.r}}
    else:
        said = say_ranks(ranks, {module: _keep_scale(there, module, rank, stored) for module, rank in ranks.items()})
    settings = replace(there, target_modules=sorted(kept), **said)
    if not carry:
        return Trimmed(settings)
    tensors = {}
    for key, tensor in stored.items():
        module, part = _split(key, kept)
        if module:
            tensors[key] = _cut(tensor.detach().cpu(), part, module, kept.get(module), plan, config).contiguous()
    return Trimmed(settings, tensors)


def _keep_scale(config: Any, module: str, kept: int, stored: Mapping[str, torch.Tensor]) -> float:
    """The alpha with which fewer ranks have the scale of all."""
    rank = stored[f"{PREFIX}{module}.lora_A.weight"].shape[0]
    share = kept / rank
    return float(find_alpha(config, module) * (share**0.5 if config.use_rslora else share))


def _split(key: str, kept: Kept) -> tuple[str, str]:
    """A tensor's module and its name there; no module where it goes."""
    name = key.removeprefix(PREFIX)
    for mark in (*DOWN, *UP, BIAS):
        module, found, rest = name.partition(f".{mark}.")
        if found:
            return (module, f"{mark}.{rest}") if module in kept else ("", "")
    return name.rpartition(".")[0], "whole"


def _cut(
    tensor: torch.Tensor, part: str, module: str, ranks: tuple[int, ...] | None, plan: PruningPlan, config: PreTrainedConfig
) -> torch.Tensor:
    """A tensor's part: of A [r, in] rows by ranks and columns by what comes in, of B [out, r] rows by what goes out and columns by
    ranks, of a bias (out) what goes out. A bottleneck's matrices, [r, out] and [out, r], by ranks alone.
    """
    if ranks is None:
        return tensor.clone()
    place = find_family(config).locate(module)
    assert place is not None
    layer = plan.layers[place.stack.name][place.layer]
    matrix = part.partition(".")[0]
    if matrix == BIAS:
        return Piece(module, slice_tensor(config, place.stack, plan, layer, f"{place.tail}.bias")).of(tensor)
    sliced, index = slice_tensor(config, place.stack, plan, layer, f"{place.tail}.weight"), torch.tensor(ranks)
    tensor = tensor[index] if matrix in DOWN else tensor[:, index]
    return Piece(module, sliced).of(tensor) if sliced and sliced.dim == _SIDES.get(matrix) else tensor


def attach_trimmed(model: PreTrainedModel, trimmed: Trimmed, *, seed: int = 0) -> PeftModel:
    """Put what is left of an adapter on the narrowed model, in place, to be trained on, or on one on `meta`."""
    config = replace(trimmed.config, inference_mode=False, target_modules=sorted(trimmed.config.target_modules))
    wrapped = attach_config(model, config, seed=seed)
    if trimmed.tensors is not None and model.device.type != "meta":
        set_peft_model_state_dict(wrapped, dict(trimmed.tensors))
    return wrapped
