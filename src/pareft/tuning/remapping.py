"""Move an adapter from the plan it was trained on to another plan of the same base, or to the whole base."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from peft import LoraConfig
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from pareft.errors import AdapterError
from pareft.models.checkpoint import open_base
from pareft.models.families import Family, find_family
from pareft.models.identity import identify
from pareft.models.plan import PruningPlan
from pareft.models.structure import build_on_meta
from pareft.models.weights import find_tensors
from pareft.tuning.storage import PREFIX, StoredAdapter, describe_adapter, find_alpha, read_adapter, write_adapter


@dataclass(frozen=True)
class Remapped:
    """What a move did, by stack and in the base's layer numbers: layers that took their LoRA along, layers of the adapter that the
    new plan does not keep, and layers of the new plan that have no LoRA now; `note` says what a user should know.
    """

    plan: PruningPlan
    moved: dict[str, list[int]]
    left_out: dict[str, list[int]]
    without: dict[str, list[int]]
    note: str = ""

    def describe(self) -> str:
        """One line for each kind."""
        lines = [f"moved: {_list_layers(self.moved)}", f"left out: {_list_layers(self.left_out)}"]
        return "\n".join([*lines, f"without LoRA now: {_list_layers(self.without)}", *filter(None, [self.note])])


def remap(
    adapter: str | Path, out: str | Path, *, to: PruningPlan | str | Path = "full", base: str | Path | None = None
) -> Remapped:
    """Write an adapter for another plan of its base: every kept layer's LoRA at that layer's new number.

    Target modules are named in full afterwards, so that peft wraps only layers that have weights in the file. The two plans may
    differ in layers, not in how wide a layer is.

    Args:
        adapter: its folder.
        out: where to write; it must not be there yet.
        to: a plan, the file of one, or `full` for the whole base.
        base: the base it was trained on, for an adapter that was trained without pareft and has no plan.

    Raises:
        AdapterError: a plan of another base, layers of other widths, nothing shared, an adapter that does not fit the base it is
            said to be of, or a folder that is there already.
    """
    stored, target = _read(Path(adapter), base), Path(out)
    plan = stored.plan
    assert plan is not None
    if target.exists():
        raise AdapterError(f"{target} is there already; give another folder")
    chosen = to if isinstance(to, PruningPlan) else plan.whole() if str(to) == "full" else PruningPlan.read(to)
    check_same_base(plan, chosen)
    check_same_widths(plan, chosen)
    config = open_base(plan.base, revision=plan.revision).config
    family = find_family(config)
    check_names(stored, family, plan)
    check_shapes(stored, family, build_on_meta(config, plan))
    _write(stored, family, chosen, target)
    adapted = _adapted_layers(stored.tensors, family, plan)
    said = str(stored.config.base_model_name_or_path or "")
    doubt = base and said and Path(said).name != Path(plan.base).name
    return Remapped(
        plan=chosen,
        moved={stack: [layer for layer in adapted[stack] if layer in kept] for stack, kept in chosen.layers.items()},
        left_out={stack: [layer for layer in adapted[stack] if layer not in kept] for stack, kept in chosen.layers.items()},
        without={stack: [layer for layer in kept if layer not in adapted[stack]] for stack, kept in chosen.layers.items()},
        note=f"the adapter says that it was trained on {said}; taken at your word that this is {plan.base}" if doubt else "",
    )


def _read(adapter: Path, base: str | Path | None) -> StoredAdapter:
    """An adapter with its plan; with all of its base, for one that has none."""
    stored = read_adapter(adapter)
    if not isinstance(stored.config, LoraConfig):
        raise AdapterError(f"{adapter} is no LoRA; pareft moves LoRA between plans")
    if stored.plan is None:
        if base is None:
            raise AdapterError(f"{adapter} has no plan.json; if it was trained on a whole base, name that with --base")
        source = open_base(str(base))
        return replace(stored, plan=identify(source, find_tensors(source)))
    if base is not None:
        raise AdapterError(f"{adapter} has a plan.json, which says its base; leave --base out")
    return stored


def _write(stored: StoredAdapter, family: Family, to: PruningPlan, out: Path) -> None:
    plan = stored.plan
    assert plan is not None
    renamed = {name: _renumber(name, family, plan, to) for name in stored.tensors}
    tensors = {new: stored.tensors[name] for name, new in renamed.items() if new}
    ranks, alphas = {}, {}
    for name, new in renamed.items():
        module, matrix = _split(name)
        if new and matrix.startswith(("A", "embedding_A")):
            target, _ = _split(new)
            ranks[target] = stored.tensors[name].shape[0]
            alphas[target] = find_alpha(stored.config, module)
    if not ranks:
        raise AdapterError(f"nothing to move: the new plan shares no layer with {stored.folder}")
    config = replace(
        stored.config,
        target_modules=sorted(ranks),
        exclude_modules=None,
        layers_to_transform=None,
        layers_pattern=None,
        rank_pattern={target: rank for target, rank in ranks.items() if rank != stored.config.r},
        alpha_pattern={target: alpha for target, alpha in alphas.items() if alpha != stored.config.lora_alpha},
        modules_to_save=_renumber_modules(stored.config.modules_to_save or [], family, plan, to) or None,
    )
    write_adapter(
        StoredAdapter(out, config, tensors, to),
        describe_adapter(to, config, extra=f"Moved from plan `{plan.fingerprint}` ({plan.describe()}).\n"),
    )


def check_names(stored: StoredAdapter, family: Family, plan: PruningPlan) -> None:
    """Raise `AdapterError` unless the adapter's layers are ones that its plan keeps."""
    places = [place for name in stored.tensors if (place := family.locate(name.removeprefix(PREFIX)))]
    if not places:
        raise AdapterError(f"{stored.folder} has no LoRA in the layers of a {family.model_type}; it was trained on something else")
    for place in places:
        if place.layer >= len(plan.layers[place.stack.name]):
            depth = len(plan.layers[place.stack.name])
            raise AdapterError(
                f"{stored.folder} has LoRA on {place.stack.name} layer {place.layer}; {plan.base} under plan {plan.fingerprint} "
                f"has {depth}: it was trained on something else"
            )


def check_shapes(stored: StoredAdapter, family: Family, model: PreTrainedModel) -> None:
    """Raise `AdapterError` unless LoRA's matrices fit the layers of this model, which may be on `meta`."""
    for name, tensor in stored.tensors.items():
        module, matrix = _split(name)
        place = family.locate(module)
        if place is None or matrix not in ("A.weight", "B.weight"):
            continue
        root = getattr(model, place.stack.part).base_model if place.stack.part else model.base_model
        try:
            linear: Any = root.get_submodule(f"{place.stack.path}.{place.layer}.{place.tail}")
        except AttributeError as error:
            raise AdapterError(f"{stored.folder} has LoRA on {module}; a {family.model_type} has no such module") from error
        rows, columns = reversed(linear.weight.shape) if isinstance(linear, Conv1D) else linear.weight.shape
        there, here = (tensor.shape[1], columns) if matrix == "A.weight" else (tensor.shape[0], rows)
        if there != here:
            raise AdapterError(
                f"{stored.folder}: {module} has LoRA for {'inputs' if matrix[0] == 'A' else 'outputs'} of size {there}; the base's "
                f"are of size {here}: it was trained on something else"
            )


def check_same_base(plan: PruningPlan, to: PruningPlan) -> None:
    """Raise `AdapterError` unless two plans are of one base."""
    if (plan.base_digest, plan.weights_digest) != (to.base_digest, to.weights_digest):
        raise AdapterError(
            f"the adapter was trained on {plan.base} (architecture {plan.base_digest}, weights {plan.weights_digest}), the plan is "
            f"of {to.base} (architecture {to.base_digest}, weights {to.weights_digest}); an adapter stays with its base"
        )


def check_same_widths(plan: PruningPlan, to: PruningPlan) -> None:
    """Raise `AdapterError` unless the layers that two plans share keep the same heads and neurons."""
    for stack, layers in plan.layers.items():
        for layer in sorted(set(layers) & set(to.layers[stack])):
            for key in plan.widths:
                if key.partition(".")[0] != stack:
                    continue
                kept = [p.kept_heads(key, layer) if "." in key else p.kept_neurons(key, layer) for p in (plan, to)]
                if kept[0] != kept[1]:
                    raise AdapterError(
                        f"{key} of layer {layer} keeps other units in the two plans ({len(kept[0])} and {len(kept[1])}); LoRA "
                        "moves between plans that differ in layers alone"
                    )


def _renumber(name: str, family: Family, plan: PruningPlan, to: PruningPlan) -> str | None:
    """A tensor's or module's name under another plan; `None` if its layer is not kept there. What is in no layer keeps its name."""
    prefix = PREFIX if name.startswith(PREFIX) else ""
    place = family.locate(name.removeprefix(prefix))
    if place is None:
        return name
    layer, kept = plan.layers[place.stack.name][place.layer], to.layers[place.stack.name]
    return f"{prefix}{place.prefix}{kept.index(layer)}.{place.tail}" if layer in kept else None


def _renumber_modules(modules: Sequence[str], family: Family, plan: PruningPlan, to: PruningPlan) -> list[str]:
    if loose := [name for name in modules if not family.locate(name) and re.search(r"(^|\.)\d+\.", name)]:
        raise AdapterError(f"cannot tell which layer {loose[0]!r} of the adapter means; name modules in full")
    return [new for name in modules if (new := _renumber(name, family, plan, to))]


def _split(name: str) -> tuple[str, str]:
    """A tensor's module, and which of LoRA's matrices it is: `A.weight`, `B.bias`, `embedding_A`, or nothing of LoRA's."""
    module, _, matrix = name.removeprefix(PREFIX).partition(".lora_")
    return module, matrix


def _adapted_layers(tensors: Mapping[str, Any], family: Family, plan: PruningPlan) -> dict[str, list[int]]:
    adapted: dict[str, set[int]] = {stack: set() for stack in plan.layers}
    for name in tensors:
        place = family.locate(name.removeprefix(PREFIX))
        if place:
            adapted[place.stack.name].add(plan.layers[place.stack.name][place.layer])
    return {stack: sorted(layers) for stack, layers in adapted.items()}


def _list_layers(layers: Mapping[str, list[int]]) -> str:
    return "; ".join(f"{stack} {', '.join(map(str, found))}" for stack, found in layers.items() if found) or "nothing"
