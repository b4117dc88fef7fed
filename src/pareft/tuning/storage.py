"""Adapters as files: a standard peft folder with the plan it was trained on beside the weights."""

import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import AdaLoraConfig, IA3Config, LoraConfig, PeftConfig, PeftModel
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from pareft.errors import AdapterError
from pareft.files import fill_folder, write_atomic
from pareft.models.classes import CHOOSER, CLASSIFIER, EXTRACTOR
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.tuning.bottleneck import BottleneckConfig, know_bottleneck
from pareft.tuning.plain import is_plain, make_plain

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
PREFIX, _BIAS = "base_model.model.", ".base_layer.bias"  # as peft names tensors


@dataclass(frozen=True)
class StoredAdapter:
    """An adapter read from its folder; `plan` is what it was trained on, `None` where nothing says so."""

    folder: Path
    config: Any
    tensors: Mapping[str, torch.Tensor]
    plan: PruningPlan | None


def read_adapter(folder: Path) -> StoredAdapter:
    """Read an adapter.

    Raises:
        AdapterError: no adapter there, one of a kind that is not stored, or damaged or pickled weights.
        PlanError: its plan.json was changed after it was written.
    """
    if not (folder / CONFIG).is_file():
        raise AdapterError(f"no adapter in {folder}: it has no {CONFIG}")
    if not (folder / WEIGHTS).is_file():
        pickled = " It has adapter_model.bin, a pickle, which is not opened." if (folder / "adapter_model.bin").is_file() else ""
        raise AdapterError(f"{folder} has no {WEIGHTS}.{pickled} Save it again with peft's save_pretrained.")
    know_bottleneck()
    try:
        config, tensors = PeftConfig.from_pretrained(folder), load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise AdapterError(f"{folder / WEIGHTS} is no safetensors file, or a damaged or truncated one ({error})") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise AdapterError(f"cannot read {folder / CONFIG}: {str(error).splitlines()[0]}") from error
    check_kind(config, str(folder))
    plan = PruningPlan.read(folder / PLAN_FILE) if (folder / PLAN_FILE).is_file() else None
    return StoredAdapter(folder, config, tensors, plan)


def check_kind(config: Any, where: str) -> None:
    """Raise `AdapterError` unless pareft can store and attach this kind of adapter."""
    if not isinstance(config, LoraConfig | IA3Config | BottleneckConfig) or isinstance(config, AdaLoraConfig):
        kind = getattr(config.peft_type, "value", config.peft_type)
        raise AdapterError(f"{where} is a {kind} adapter; pareft stores and attaches LoRA, IA3 and bottleneck adapters")
    if getattr(config, "bias", "none") == "all":
        raise AdapterError(f"{where} trains all biases of the model; pareft stores those of wrapped layers: bias='lora_only'")


def write_adapter(stored: StoredAdapter, card: str) -> None:
    """Write an adapter to its folder: whole, or not at all."""
    with _fill(stored.folder) as temporary:
        save_file(dict(stored.tensors), temporary / WEIGHTS, metadata={"format": "pt"})
        stored.config.save_pretrained(temporary)
        _describe(temporary, stored.plan, card)


def save_adapter(model: PeftModel, plan: PruningPlan, folder: Path, *, name: str = "default", extra: str = "") -> None:
    """Save one adapter of a model with its plan, replacing an older one: whole, or not at all. Of one whose form or start was
    another's, what it comes to as a plain LoRA. `extra` ends its card.
    """
    config = model.peft_config[name]
    config.base_model_name_or_path, config.revision = plan.base, plan.revision
    if not is_plain(config):
        plain, tensors = make_plain(model, name, list_parameters(model))
        card = describe_adapter(plan, plain, head=name_head(model.get_base_model()), extra=extra)
        write_adapter(StoredAdapter(folder, plain, tensors, plan), card)
        return
    check_kind(config, f"adapter {name!r}")
    if getattr(config, "init_lora_weights", None) == "eva":
        config.init_lora_weights, config.eva_config = True, None  # what it began with is past
    with _fill(folder) as temporary:
        model.save_pretrained(temporary, selected_adapters=[name], save_embedding_layers=False, state_dict=list_parameters(model))
        if (temporary / name).is_dir():  # peft puts any but the default adapter into a folder of its name
            for path in (temporary / name).iterdir():
                path.rename(temporary / path.name)
            (temporary / name).rmdir()
        _describe(temporary, plan, describe_adapter(plan, config, head=name_head(model.get_base_model()), extra=extra))


def list_parameters(model: PeftModel) -> dict[str, torch.Tensor]:
    """What `state_dict()` holds of a model and its adapters, without calling it: bitsandbytes (0.50) unpacks 4-bit weights there
    that it has packed for a processor, and loses their scales on the way.
    """
    return dict(model.named_parameters(remove_duplicate=False)) | dict(model.named_buffers(remove_duplicate=False))


def _fill(folder: Path) -> AbstractContextManager[Path]:
    if (folder / "config.json").is_file():
        raise AdapterError(f"{folder} holds a model, which is loaded as one with every adapter beside it; give another folder")
    return fill_folder(folder, replacing=("adapter_model.*", CONFIG, PLAN_FILE))


def _describe(temporary: Path, plan: PruningPlan | None, card: str) -> None:
    if plan:
        write_atomic(temporary / PLAN_FILE, plan.to_json())
    write_atomic(temporary / "README.md", card)  # peft's own is an empty form


def make_mixable(stored: StoredAdapter, model: Any) -> StoredAdapter:
    """The same function without trained base biases, of which a model can hold but one set: their difference to the base's becomes
    the bias of LoRA's second matrix. A layer without a bias of its own gets zeros there. DoRA has no such bias, and stays as it is.
    """
    if not isinstance(stored.config, LoraConfig) or stored.config.use_dora:
        return stored
    biases = {name: tensor for name, tensor in stored.tensors.items() if name.endswith(_BIAS)}
    tensors = {name: tensor for name, tensor in stored.tensors.items() if name not in biases}
    for name, trained in biases.items():
        module = name.removesuffix(_BIAS)
        if f"{module}.lora_A.weight" not in tensors:
            raise AdapterError(f"{stored.folder}: {module}.lora_A.weight is missing in the file")
        base = model.get_submodule(module.removeprefix(PREFIX))
        original = getattr(base, "base_layer", base).bias
        if original is None or original.shape != trained.shape:
            raise AdapterError(f"{stored.folder}: {name} is {tuple(trained.shape)} in the file; this model has no such bias")
        rank = tensors[f"{module}.lora_A.weight"].shape[0]
        change = trained.float() - original.detach().float().cpu()
        tensors[f"{module}.lora_B.bias"] = change / _scale(stored.config, module.removeprefix(PREFIX), rank)
    shifted = any(name.endswith(".lora_B.bias") for name in tensors)
    if shifted:
        for name in [name for name in tensors if name.endswith(".lora_B.weight")]:
            tensors.setdefault(f"{name.removesuffix('weight')}bias", torch.zeros(tensors[name].shape[0]))
    return replace(stored, config=replace(stored.config, bias="none", lora_bias=shifted), tensors=tensors)


def find_alpha(config: Any, module: str) -> float:
    """The alpha of one module, by the patterns of the config, which may be regular expressions."""
    return config.alpha_pattern.get(get_pattern_key(config.alpha_pattern, module), config.lora_alpha)


def _scale(config: Any, module: str, rank: int) -> float:
    """Alpha over rank, or over its square root (rsLoRA)."""
    return float(find_alpha(config, module) / (math.sqrt(rank) if config.use_rslora else rank))


def name_head(model: Any) -> dict[str, Any]:
    """With which head a model was loaded, as arguments of `pareft.load`; none, where it has its own."""
    names = [kind.__name__ for kind in type(model).__mro__]
    heads = (CLASSIFIER, CHOOSER, EXTRACTOR)
    head = next((head for head in heads if any(name.endswith(head.removeprefix("AutoModel")) for name in names)), None)
    if head is None:
        return {}
    labels = list(model.config.id2label.values())
    named = any(label != f"LABEL_{number}" for number, label in enumerate(labels))
    return {"head": head} | ({"labels": labels if named else len(labels)} if head == CLASSIFIER else {})


def describe_adapter(plan: PruningPlan, config: Any, *, head: Mapping[str, Any] | None = None, extra: str = "") -> str:
    """The adapter's model card: what it fits, how to load it, and what happens otherwise. `head`: what `load` is told of it."""
    targets = sorted(config.target_modules)
    named = ", ".join(targets[:12]) + (f" and {len(targets) - 12} more" if len(targets) > 12 else "")
    pruned, kind = not plan.keeps_everything, name_kind(config)
    warning = f"On the unpruned {plan.base}, or on another plan" if pruned else f"On a pruned {plan.base}"
    foreign = (
        "Without pareft, peft refuses it, as it has no such adapters; with it, pareft refuses any other model."
        if isinstance(config, BottleneckConfig)
        else f"{warning}, peft refuses it, as its tensors have other sizes."
        if plan.narrows
        else f"{warning}, peft loads it **with every layer's {kind} on another layer**, and says at most that keys are missing;\n"
        "pareft refuses to."
    )
    more = "".join(f", {name}={value!r}" for name, value in (head or {}).items())
    return f"""---
base_model: {plan.base}
library_name: peft
tags: [{kind.lower()}, pareft]
---

# {kind} adapter for {plan.base}{", pruned" if pruned else ""}

**It fits one model only**: {plan.base} with {plan.describe()}; plan `{plan.fingerprint}` in `plan.json`.
{foreign}

```python
import pareft

model = pareft.load("{plan.base}", pareft.PruningPlan.read("plan.json"){more})
model = pareft.attach(model, ".")  # the folder of this card
```

To move it onto {"the whole model, or onto " if pruned else ""}another plan that shares layers: `pareft adapter remap`.

{_describe_size(config)}On {named}.
{extra}"""


def name_kind(config: Any) -> str:
    """What an adapter is called."""
    return "LoRA" if isinstance(config, LoraConfig) else "bottleneck" if isinstance(config, BottleneckConfig) else "IA3"


def _describe_size(config: Any) -> str:
    if isinstance(config, BottleneckConfig):
        more = "; other widths in some modules" if config.rank_pattern else ""
        return f"Width {config.r}, {config.activation}, scale {config.scale:g}{more}. "
    if not isinstance(config, LoraConfig):
        return ""
    more = "; other ranks in some modules" if config.rank_pattern else ""
    form = ", magnitudes apart (DoRA)" if config.use_dora else ""
    return f"Rank {config.r}, alpha {config.lora_alpha:g}{form}, bias {config.bias}{more}. "
