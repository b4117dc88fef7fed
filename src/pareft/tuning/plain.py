"""What is stored of an adapter whose training changed the base or its own form: a plain LoRA for the base as it was.

AdaLoRA's middle factors go into the first matrix, and ranks where they are zero are left out. PiSSA and OLoRA take s B0 A0 out of
the weights at the start, so that what they learn, beside the base as it was, is s (B A - B0 A0): a LoRA of twice the rank.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from peft import AdaLoraConfig, LoraConfig, PeftConfig, PeftModel
from peft.tuners.lora import LoraLayer
from peft.utils import get_peft_model_state_dict

from pareft.errors import AdapterError

MOVING = ("pissa", "olora")  # starts that change the base
START = "pareft_start"  # where a model remembers them

Tensors = dict[str, torch.Tensor]


def moves_base(config: PeftConfig) -> bool:
    """Whether an adapter's start has changed the base's weights."""
    return isinstance(config, LoraConfig) and str(config.init_lora_weights).startswith(MOVING)


def is_plain(config: PeftConfig) -> bool:
    """Whether an adapter is stored as it was trained."""
    return not moves_base(config) and not isinstance(config, AdaLoraConfig)


def comes_back_otherwise(config: PeftConfig) -> bool:
    """Whether an adapter that is read back is not what was trained: another form, or float32 parts in the base's dtype."""
    return not is_plain(config) or bool(config.modules_to_save) or getattr(config, "use_dora", False)


def remember_start(model: PeftModel, name: str) -> None:
    """Keep the matrices that an adapter begins with, if they were taken out of the base. In place."""
    if moves_base(model.peft_config[name]) and model.device.type != "meta":
        started = getattr(model, START, {})
        setattr(model, START, started | {name: {key: _copy(layer, name) for key, layer in _list_layers(model, name)}})


def make_plain(model: PeftModel, name: str, parameters: Tensors) -> tuple[LoraConfig, Tensors]:
    """The settings and tensors of a plain LoRA that computes, on the base as it was, what this adapter does here.

    Raises:
        AdapterError: nothing says what the adapter began with.
    """
    config = model.peft_config[name]
    stored = get_peft_model_state_dict(model, parameters, adapter_name=name, save_embedding_layers=False)
    others = {key: value for key, value in stored.items() if ".lora_" not in key}
    found = _settle_ranks(model, name) if isinstance(config, AdaLoraConfig) else _settle_start(model, name)
    tensors, ranks, alphas = others, {}, {}
    for module, (down, up, scale) in found.items():
        inner = module.removeprefix("base_model.model.")
        ranks[inner], alphas[inner] = down.shape[0], scale * down.shape[0]
        tensors |= {f"{module}.lora_A.weight": down.contiguous(), f"{module}.lora_B.weight": up.contiguous()}
    plain = LoraConfig(
        task_type=config.task_type,
        inference_mode=config.inference_mode,
        base_model_name_or_path=config.base_model_name_or_path,
        revision=config.revision,
        lora_dropout=config.lora_dropout,
        bias=config.bias,
        fan_in_fan_out=config.fan_in_fan_out,
        target_modules=copy.copy(config.target_modules),
        modules_to_save=config.modules_to_save,
        **say_ranks(ranks, alphas),
    )
    return plain, tensors


def say_ranks(ranks: Mapping[str, int], alphas: Mapping[str, float]) -> dict[str, Any]:
    """Ranks and alphas by module as a `LoraConfig` says them: the commonest of each, and what differs from it."""
    rank = max(ranks.values(), key=list(ranks.values()).count)
    alpha = max(alphas.values(), key=list(alphas.values()).count)
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {module: found for module, found in ranks.items() if found != rank},
        "alpha_pattern": {module: found for module, found in alphas.items() if found != alpha},
    }


def _list_layers(model: PeftModel, name: str) -> list[tuple[str, Any]]:
    return [(key, module) for key, module in model.named_modules() if isinstance(module, LoraLayer) and name in module.lora_A]


def _copy(layer: Any, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """A layer's two matrices as they are, in float32 and off the accelerator."""
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    return down.detach().float().cpu().clone(), up.detach().float().cpu().clone()


def _settle_start(model: PeftModel, name: str) -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
    """By module: the two matrices of what was learnt, and their scale."""
    started = getattr(model, START, {}).get(name)
    if started is None:
        raise AdapterError(
            f"adapter {name!r} has changed the base ({model.peft_config[name].init_lora_weights}), and nothing says by what: it "
            "was not attached by pareft.attach"
        )
    found = {}
    for key, layer in _list_layers(model, name):
        (first_down, first_up), (down, up) = started[key], _copy(layer, name)
        found[key] = torch.cat([down, first_down]), torch.cat([up, -first_up], 1), float(layer.scaling[name])
    return found


def _settle_ranks(model: PeftModel, name: str) -> dict[str, tuple[torch.Tensor, torch.Tensor, float]]:
    """As above. A module that no rank was left keeps one, of zeros, as its bias may have been trained."""
    found = {}
    for key, layer in _list_layers(model, name):
        down, middle, up = (matrix[name].detach().float().cpu() for matrix in (layer.lora_A, layer.lora_E, layer.lora_B))
        used = middle[:, 0] != 0
        if not used.any():
            used[0] = True
        scale = float(layer.scaling[name] / (layer.ranknum[name].item() + 1e-5))  # as peft's forward pass has it
        found[key] = (down * middle)[used], up[:, used], scale
    return found
