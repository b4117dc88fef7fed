"""Which modules of a model an adapter wraps, and which it trains as a whole because they started fresh."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from pareft.adapter_settings import TARGETS, AdapterSettings, LoraSettings
from pareft.errors import AdapterError
from pareft.models.families import find_family
from pareft.tuning.bottleneck import MARK

PEFTS_HEADS = ("classifier", "score")  # what peft trains as a whole by itself


def find_fresh(model: PreTrainedModel) -> list[str]:
    """The modules that started fresh when the model was loaded with another head, the outermost ones that are fresh as a whole.

    Raises:
        AdapterError: a fresh parameter whose module is not: peft could neither train nor store it.
    """
    fresh = set(getattr(model, "pareft_fresh", ()))
    whole = [
        name
        for name, module in model.named_modules()
        if name and (own := {f"{name}.{key}" for key, _ in module.named_parameters()}) and own <= fresh
    ]
    outermost = [name for name in whole if name.rpartition(".")[0] not in whole]
    chosen = [name for top in outermost for name in _split(top, whole, model)]
    for name in sorted(fresh):
        loose = not any(name.startswith(f"{module}.") for module in outermost)
        if loose and torch.count_nonzero(model.get_parameter(name)):
            raise AdapterError(f"{name} starts fresh and its module does not, so it can be neither trained nor stored beside LoRA")
    return chosen


def _split(top: str, whole: Sequence[str], model: PreTrainedModel) -> list[str]:
    """The modules inside a fresh one that own its parameters, which peft can mix in a batch; heads it knows are taken whole."""
    if top.rpartition(".")[2] in PEFTS_HEADS:
        return [top]
    inside = [name for name in whole if name == top or name.startswith(f"{top}.")]
    return [name for name in inside if any(True for _ in model.get_submodule(name).parameters(recurse=False))]


def find_targets(model: PreTrainedModel, settings: AdapterSettings) -> list[str]:
    """The names of the linear layers that `target` stands for in this model, which may be on `meta`: last names where these select
    just them, else full names; those of `layers` alone, and where stacks have targets of their own, always in full.

    Raises:
        AdapterError: no module is called what `target` says, or none of these is in `layers`; a stack that is not there.
    """
    linear = _find_linear(model)
    stacks = {"encoder": settings.encoder, "decoder": settings.decoder} if isinstance(settings, LoraSettings) else {}
    depths = find_family(model.config).depths(model.config)
    if absent := [name for name, own in stacks.items() if own and name not in depths]:
        raise AdapterError(f"adapt.{absent[0]}: the base has no stack {absent[0]!r}; it has {' and '.join(depths)}")
    layers = _number_layers(model, settings.layers)
    own_targets = {name: own.target for name, own in stacks.items() if own and own.target}
    if not own_targets:
        targets = _find_everywhere(model, linear, settings.target)
        return targets if layers is None else _select_layers(model, linear, targets, layers)
    found: set[str] = set()
    for stack in depths:
        targets = _find_everywhere(model, linear, own_targets.get(stack, settings.target))
        chosen = range(depths[stack]) if layers is None else layers.get(stack, [])
        if chosen:
            found.update(_select_layers(model, linear, targets, {stack: chosen}))
    if not found:
        raise AdapterError("adapt.layers: no layer of any stack is in it")
    return sorted(found)


def name_fully(model: PreTrainedModel, targets: Sequence[str]) -> list[str]:
    """The full names of the linear layers that targets select."""
    return sorted(name for name in _find_linear(model) if any(_is_called(name, target) for target in targets))


def find_feed_forward(model: PreTrainedModel, names: Sequence[str]) -> list[str]:
    """Those of some modules, by full names, that are in a feed-forward part."""
    family = find_family(model.config)
    places = {name: family.locate(name) for name in names}
    roles = family.targets("ffn")
    return [name for name, place in places.items() if place and any(_means(role, place.tail) for role in roles)]


def find_norms(model: PreTrainedModel, layers: Mapping[str, Any] | None) -> list[str]:
    """The full names of the normalisations: all, or those of some layers of some stacks."""
    family, names, numbers = find_family(model.config), [], _number_layers(model, layers)
    for name, module in model.named_modules():
        own = name.removesuffix(".original_module")  # as peft calls it where an adapter trains another
        if not type(module).__name__.endswith("Norm") or ".modules_to_save." in name or not list(module.parameters(recurse=False)):
            continue
        place = family.locate(own)
        if numbers is None or (place and place.layer in numbers.get(place.stack.name, [])):
            names.append(own)
    return names


def _find_everywhere(model: PreTrainedModel, linear: set[str], target: str | list[str]) -> list[str]:
    short = sorted({name.rpartition(".")[2] for name in linear})
    if isinstance(target, str):
        return _find_by_role(model, linear, target)
    output = model.get_output_embeddings()
    tied = output is not None and output.weight is model.get_input_embeddings().weight
    head = next((name for name, module in model.named_modules() if tied and module is output), None)
    if head in target:
        raise AdapterError(f"adapt.target: {head} shares its weight with the embeddings and cannot be merged; leave it out")
    found: list[str] = []
    for single in target:
        if single in TARGETS:
            found += _find_by_role(model, linear, single)
        elif any(_is_called(name, single) for name in linear):
            found.append(single)
        else:
            groups = ", ".join(TARGETS)
            raise AdapterError(
                f"adapt.target: the base has no linear layer {single!r}; it has {', '.join(short)}, or by group {groups}"
            )
    return list(dict.fromkeys(found))


def _is_called(name: str, target: str) -> bool:
    """Whether peft takes a module for a target: by its whole name or the end of it."""
    return name == target or name.endswith(f".{target}")


def _select_layers(
    model: PreTrainedModel, linear: set[str], targets: Sequence[str], layers: Mapping[str, Sequence[int]]
) -> list[str]:
    """The full names of the targets that are in some layers of some stacks."""
    family, found = find_family(model.config), []
    for name in sorted(linear):
        place = family.locate(name)
        if place and place.layer in layers.get(place.stack.name, []) and any(_is_called(name, target) for target in targets):
            found.append(name)
    if not found:
        raise AdapterError(f"adapt.layers: none of these layers has a module of adapt.target ({', '.join(targets)})")
    return found


def _number_layers(model: PreTrainedModel, layers: Mapping[str, Any] | None) -> dict[str, Sequence[int]] | None:
    """The layers of every stack that is named by their numbers, be they `all`, the `upper` half, or numbers; `None` of `None`.

    Raises:
        AdapterError: a stack or a layer that is not there.
    """
    if layers is None:
        return None
    depths, found = find_family(model.config).depths(model.config), dict[str, Sequence[int]]()
    for stack, chosen in layers.items():
        if stack not in depths:
            raise AdapterError(f"adapt.layers: the base has no stack {stack!r}; it has {' and '.join(depths)}")
        depth = depths[stack]
        named = {"all": range(depth), "upper": range(depth // 2, depth)}
        found[stack] = named[chosen] if isinstance(chosen, str) else chosen
        if beyond := [layer for layer in found[stack] if layer >= depth]:
            raise AdapterError(f"adapt.layers: no {stack} layer {beyond[0]}; the model that is adapted has {depth} there, 0-based")
    return found


def _find_linear(model: PreTrainedModel) -> set[str]:
    """The names of a model's linear layers, whether adapters wrap them already or not."""
    names = set()
    for name, module in model.named_modules():
        inside = any(part.startswith(("lora_", MARK)) or part == "modules_to_save" for part in name.split("."))
        if isinstance(module, torch.nn.Linear | Conv1D) and not inside:
            names.add(name.removesuffix(".base_layer").removesuffix(".original_module"))
    return names


def _find_by_role(model: PreTrainedModel, linear: set[str], role: str) -> list[str]:
    family = find_family(model.config)
    wanted = family.targets(role)
    if not wanted:
        raise AdapterError(
            f"adapt.target: {role} cannot be told apart in a {family.model_type}, whose query, key and value are one projection; "
            "use attention"
        )
    found = set()
    for name in linear:
        place = family.locate(name)
        if place and any(_means(target, place.tail) for target in wanted):
            found.add(name)
    last = {name.rpartition(".")[2] for name in found}
    return sorted(last if found == {name for name in linear if name.rpartition(".")[2] in last} else found)


def _means(target: str, tail: str) -> bool:
    """Whether a family's target is this path below the layer: the whole of it, or, without a dot, its last name."""
    return target == tail or ("." not in target and tail.endswith(f".{target}"))
