"""Digests, by which bases and pruned models are told apart: of an architecture, and of a sample of every tensor."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from pareft.models.classes import build_body, find_body
from pareft.models.families import find_family
from pareft.models.families.schema import Family
from pareft.models.weights import view_tensors

PLAN_KEY = "pareft_plan"  # in a model's config: the fingerprint of its plan
LAYERS_KEY = "pareft_layers"  # and the digest of the layers it was built with
ADDED = ("lora_", "ia3_", "bottleneck_")  # what the names of adapters' parts begin with
HALF = "fp16-"  # what the digest of layers in fp16 begins with
PLACES, RUN = 8, 64  # a sample: values from so many places of a tensor, so many at each
_NOT_ARCHITECTURE = {
    "transformers_version",
    "_name_or_path",
    "dtype",
    "torch_dtype",
    "architectures",
    "use_cache",
    "task_specific_params",
    *("problem_type", "finetuning_task", "num_labels", "id2label", "label2id"),  # a head's
    *("output_hidden_states", "output_attentions", "return_dict"),
    PLAN_KEY,
    LAYERS_KEY,
}
_NAMED: dict[str, dict[str, str]] = {}  # bodies' tensors, by what builds a body, which a run asks for many times
_LEGACY = {"gamma": "weight", "beta": "bias"}  # what a norm's tensors are called in checkpoints of the first years


def digest_config(config: PreTrainedConfig) -> str:
    """Identify an architecture: equal for the same shapes and functions, whatever path, dtype or version they were saved with."""
    return _shorten(json.dumps(_leave_out(config.to_dict()), sort_keys=True, default=str))


def _leave_out(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is no architecture, in the configs of parts, too."""
    kept = {key: value for key, value in values.items() if key not in _NOT_ARCHITECTURE}
    return {key: _leave_out(value) if isinstance(value, dict) else value for key, value in kept.items()}


def digest_files(config: PreTrainedConfig, tensors: Mapping[str, Path]) -> str:
    """Identify a base's weights by a sample of every tensor of its body, in well under a second for gigabytes.

    Samples are compared in bf16, under the names the body has without a head: the digest is equal for the same weights in one file
    or in shards, as safetensors or not, in float32 or bf16, with a head, another or none, with tied copies, buffers of older
    versions and their names, or without.
    """
    return _digest_body(config, view_tensors(tensors))


def digest_weights(model: PreTrainedModel) -> str | None:
    """As `digest_files`, of a model in memory; `None` for one whose values are not its files' (quantised, fp16)."""
    state = {name: tensor.detach() for name, tensor in model.named_parameters(remove_duplicate=False)}
    return _digest_body(model.config, state.items()) if _has_own_values(state) else None


def list_own(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    """A model's parameters without those of adapters, by the names they have without any."""
    for name, parameter in model.named_parameters():
        if not any(part.startswith(ADDED) or part in ("ranknum", "modules_to_save") for part in name.split(".")):
            yield name.replace(".base_layer.", ".").replace(".original_module.", "."), parameter


def digest_layers(model: nn.Module, family: Family) -> str | None:
    """Identify the layers of a model in memory, whatever head or adapter it has; `None` for quantised ones."""
    state = {}
    for name, tensor in list_own(model):
        if place := family.locate(name):
            state[f"{place.stack.name}.{place.layer}.{place.tail}"] = tensor.detach()
    if any(tensor.dtype == torch.float16 for tensor in state.values()):
        return f"{HALF}{_digest(state.items())}"  # rounded, so to be compared with its like alone
    return _digest(state.items()) if _has_own_values(state) else None


def digest_tensors(tensors: Mapping[str, Path]) -> str:
    """Identify weights by a sample of every tensor of the files that hold them, of whatever architecture."""
    return _digest(view_tensors(tensors))


def digest_state(model: nn.Module) -> str:
    """Identify all that a model computes with, adapters and buffers included, in whatever dtype it is: by samples, and by the sum
    of the bits of every tensor, which tells that one value has changed.
    """
    state = ((name, tensor.detach()) for name, tensor in (*model.named_parameters(), *model.named_buffers()))
    return _shorten("\n".join(f"{name} {tensor.dtype} {_sample(tensor)} {_sum_bits(tensor)}" for name, tensor in state))


def name_body(config: PreTrainedConfig) -> dict[str, str]:
    """The tensors of the body by every name they may have, with one name for each; a formula's are left out."""
    key = f"{type(config).__name__} {config.architectures} {digest_config(config)}"
    if key not in _NAMED:
        _NAMED[key] = _name_body(config)
    return _NAMED[key]


def _name_body(config: PreTrainedConfig) -> dict[str, str]:
    family, body = find_family(config), build_body(config)
    first: dict[int, str] = {}
    names = {}
    for name, parameter in body.named_parameters(remove_duplicate=False):
        key = _name(name, family)
        if "pooler" not in key.split(".") and not key.endswith(family.computed or ("\0",)):
            names[key] = first.setdefault(id(parameter), key)
    return names


def make_namer(config: PreTrainedConfig) -> Callable[[str], str | None]:
    """What a tensor of any copy of a base, whatever its head, is called in the body; `None` for one that is not of the body."""
    family, names, prefix = find_family(config), name_body(config), f"{find_body(config).base_model_prefix}."
    return lambda name: names.get(_name(name.removeprefix(prefix), family))


def _digest_body(config: PreTrainedConfig, tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    find_name = make_namer(config)
    return _digest((found, tensor) for name, tensor in tensors if (found := find_name(name)))


def _name(name: str, family: Family) -> str:
    place = family.locate(name)
    path, _, last = (place.tail if place else name).rpartition(".")
    if place:
        path = f"{place.stack.name}.{place.layer}.{place.stack.renamed.get(path, path)}"
    return f"{path}.{_LEGACY.get(last, last)}"


def _has_own_values(state: Mapping[str, torch.Tensor]) -> bool:
    allowed = (torch.float32, torch.bfloat16, torch.float64)
    return all(tensor.dtype in allowed and tensor.device.type != "meta" for tensor in state.values())


def _digest(tensors: Iterable[tuple[str, torch.Tensor]]) -> str:
    return _shorten("\n".join(sorted({f"{name} {_sample(tensor)}" for name, tensor in tensors})))


def _sample(tensor: torch.Tensor) -> str:
    flat, last = tensor.reshape(-1), max(tensor.numel() - RUN, 0)
    starts = sorted({last * place // (PLACES - 1) for place in range(PLACES)})
    values = torch.cat([flat[start : start + RUN] for start in starts]).cpu()
    if values.is_floating_point():
        values = values.to(torch.bfloat16).view(torch.int16)
    return f"{tuple(tensor.shape)} {values.tolist()}"


def _sum_bits(tensor: torch.Tensor) -> int:
    size = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()]
    return int(tensor.contiguous().view(size).sum(dtype=torch.int64)) if tensor.numel() else 0


def _shorten(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:16]
