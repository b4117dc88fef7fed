"""Light-PEFT (arXiv 2406.03792) as a stage of a run: estimate, choose, and go on with a narrower plan and a smaller adapter.

What is estimated depends on no ratio, so that arms which differ in these share it; its folder holds the adapter as it was then, as
a standard one, and beside it the masks and what modules and ranks did.
"""

import hashlib
import json
import shutil
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import PreTrainedConfig

from pareft.adapter_settings import BottleneckSettings, LightSettings, LoraSettings
from pareft.data.prepared import digest_frames
from pareft.errors import PlanError, RecipeError
from pareft.files import write_atomic
from pareft.models.families import find_family
from pareft.models.plan import PruningPlan
from pareft.models.structure import build_on_meta, find_layers
from pareft.progress import SILENT, Progress
from pareft.pruning.keeping import choose_ranks, keep_units, narrow_plan
from pareft.pruning.masks import mask, measure_maskable, penalise
from pareft.readying import Prepared, encode_split, load_planned, recomputes
from pareft.records import LightRecord
from pareft.runtime import choose_device, find_processes, seed_everything
from pareft.tuning.adapters import adapt
from pareft.tuning.light.estimating import estimate
from pareft.tuning.light.importance import Importance
from pareft.tuning.light.trimming import trim
from pareft.tuning.storage import read_adapter, save_adapter
from pareft.tuning.training import make_arguments

SCORES, ESTIMATE = "importance.safetensors", "estimate.json"
RANDOM = "random"


@dataclass(frozen=True)
class Estimate:
    """Masks by `stack.attention` (layers, heads) and stack (layers, neurons), what the adapter did, its folder, seconds."""

    masks: dict[str, torch.Tensor]
    adapter: Importance
    folder: Path
    seconds: float


def check_light(prepared: Prepared) -> None:
    """Raise if a recipe's `light` cannot be.

    Raises:
        RecipeError: it goes with no such adapter, or not with distillation.
        PlanError: the base's heads and neurons cannot be pruned, or the plan has pruned them already.
    """
    recipe = prepared.recipe
    settings = recipe.adapt
    assert recipe.light
    plain = isinstance(settings, LoraSettings) and settings.method == "lora" and not settings.dora and settings.start == "zero"
    if not plain and not isinstance(settings, BottleneckSettings):
        raise RecipeError(
            "light prunes a LoRA that starts with zeros or bottleneck adapters, and the base: adapt.method lora, without dora, "
            "start zero; or adapt.method bottleneck"
        )
    if isinstance(settings, BottleneckSettings) and (recipe.light.heads or recipe.light.neurons):
        behind = ("outputs", *find_family(prepared.base.config).targets("outputs"))
        if not {*([settings.target] if isinstance(settings.target, str) else settings.target)} <= set(behind):
            raise RecipeError(
                f"adapt.target {settings.target}: bottleneck adapters elsewhere read heads and neurons that light cuts; let it be "
                "outputs, or light.heads and light.neurons 0"
            )
    if recipe.distill:
        raise RecipeError("light narrows the layers, and a teacher of whole ones would share none of them; let distill be null")
    if prepared.plan.narrows:
        raise PlanError("prune.plan says already which heads and neurons stay, and light is to choose them; let one of them be")
    measure_maskable(build_on_meta(prepared.base.config, prepared.plan))


def lighten(prepared: Prepared, place: Path | None, progress: Progress = SILENT) -> Prepared:
    """A run with what is left after early pruning: its plan, and its adapter; without `light`, as it is. An estimate in `place` is
    read, and a new one written there.

    Raises:
        RecipeError, PlanError: as `check_light`; an estimate that diverged.
    """
    light = prepared.recipe.light
    if light is None:
        return prepared
    check_light(prepared)
    with ExitStack() as stack:
        home = place or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pareft-light-")))
        folder = home / f"{key_of(prepared)}.light"
        if find_processes().share(not (folder / ESTIMATE).is_file()):
            _estimate(prepared, light, folder, progress)
        found = _read(folder)
        return _choose(prepared, light, _shuffle(found, prepared.recipe.seed) if light.by == RANDOM else found)


def key_of(prepared: Prepared) -> str:
    """Equal where an estimate would find the same."""
    recipe, light = prepared.recipe, prepared.recipe.light
    assert light
    train = recipe.train
    content: list[Any] = [
        prepared.plan.fingerprint,
        digest_frames({"train": prepared.splits["train"]}),
        [recipe.data.prefix, recipe.data.max_source_tokens, recipe.data.max_target_tokens],
        recipe.adapt.model_dump(mode="json") if recipe.adapt else None,
        [light.steps, light.learning_rate or train.learning_rate, light.sparsity],
        [train.batch_size, train.accumulation, train.lora_plus, prepared.precision, recipe.seed],
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _estimate(prepared: Prepared, light: LightSettings, folder: Path, progress: Progress) -> None:
    """Train adapters and masks on the base for some steps, and write what that says."""
    recipe, processes = prepared.recipe, find_processes()
    started = time.perf_counter()
    seed_everything(recipe.seed)
    examples = encode_split(prepared, "train")
    adapted: Any = adapt(load_planned(prepared), recipe.adapt, seed=recipe.seed).to(choose_device())
    settings = {
        "max_steps": light.steps,
        "learning_rate": light.learning_rate or recipe.train.learning_rate,
        "warmup_steps": 0,
        "weight_decay": 0.0,
    }
    progress.start("estimate", light.steps)
    with tempfile.TemporaryDirectory(prefix="pareft-light-") as scratch, mask(adapted.get_base_model()) as masks:
        for values in masks.values():
            values.requires_grad_()
        found = estimate(
            adapted,
            examples,
            prepared.tokenizer,
            make_arguments(
                recipe.train.model_copy(update=settings),
                examples=len(examples),
                precision=prepared.precision,
                seed=recipe.seed,
                folder=Path(scratch),
                processes=processes.count,
                checkpointing=recomputes(prepared),
                distilling=True,
                scoring=False,
            ),
            penalise=lambda: light.sparsity * penalise(masks),
            fast=recipe.train.fast,
            lora_plus=recipe.train.lora_plus if isinstance(recipe.adapt, LoraSettings) else None,
            on_progress=progress.advance,
        )
        learnt = {key: values.detach().cpu() for key, values in masks.items()}
    if processes.first:
        _write(adapted, prepared.plan, learnt, found, folder, time.perf_counter() - started)
    processes.wait()


def _write(
    model: PeftModel, plan: PruningPlan, masks: dict[str, torch.Tensor], found: Importance, folder: Path, seconds: float
) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # a kill may have left a part
    save_adapter(model, plan, folder, extra="As it was when early pruning had estimated what to keep.\n")
    tensors = {f"mask.{key}": values for key, values in masks.items()} | {f"ranks.{key}": v for key, v in found.ranks.items()}
    save_file(tensors, folder / SCORES)
    write_atomic(folder / ESTIMATE, json.dumps({"modules": found.modules, "seconds": round(seconds, 2)}, indent=2) + "\n")


def _read(folder: Path) -> Estimate:
    tensors = load_file(folder / SCORES)
    masks = {key.removeprefix("mask."): values for key, values in tensors.items() if key.startswith("mask.")}
    said = json.loads((folder / ESTIMATE).read_text(encoding="utf-8"))
    ranks = {name: tensors[f"ranks.{name}"] for name in said["modules"]}
    return Estimate(masks, Importance(said["modules"], ranks), folder, said["seconds"])


def _shuffle(found: Estimate, seed: int) -> Estimate:
    """The control: other scores, at random, for everything."""
    generator = torch.Generator().manual_seed(seed)
    masks = {key: torch.rand(values.shape, generator=generator) for key, values in found.masks.items()}
    modules = {name: float(torch.rand(1, generator=generator)) for name in found.adapter.modules}
    ranks = {name: torch.rand(values.shape, generator=generator) for name, values in found.adapter.ranks.items()}
    return replace(found, masks=masks, adapter=Importance(modules, ranks))


def _choose(prepared: Prepared, light: LightSettings, found: Estimate) -> Prepared:
    kept = {}
    for key, scores in found.masks.items():
        of_heads = "." in key
        ratio, scope = (light.heads, light.heads_scope) if of_heads else (light.neurons, light.neurons_scope)
        kept[key] = keep_units(scores, ratio, scope=scope, rules=light.rules)
    ranks = choose_ranks(
        found.adapter.modules,
        found.adapter.ranks,
        drop_modules=light.modules,
        drop_ranks=light.ranks,
        scope=light.ranks_scope,
        rules=light.rules,
    )
    by = RANDOM if light.by == RANDOM else "early-masks"
    whole = prepared.plan
    decided = narrow_plan(whole, kept, by=by if whole.keeps_everything else f"{whole.by}, then {by}")
    trimmed = trim(read_adapter(found.folder), ranks, decided, prepared.base.config, carry=light.carry)
    record = LightRecord(
        by=by,
        steps=light.steps,
        seconds=found.seconds,
        heads={key: [len(units) for units in by_layer] for key, by_layer in kept.items() if "." in key},
        neurons={key: [len(units) for units in by_layer] for key, by_layer in kept.items() if "." not in key},
        modules=len(found.adapter.modules),
        modules_kept=len(ranks),
        ranks=sum(map(len, found.adapter.ranks.values())),
        ranks_kept=sum(map(len, ranks.values())),
        removed_ratio=1 - _count_linear(prepared.base.config, decided) / _count_linear(prepared.base.config, whole),
        importance=found.adapter.modules,
    )
    return replace(prepared, plan=decided, trimmed=trimmed, light=record)


def _count_linear(config: PreTrainedConfig, plan: PruningPlan) -> int:
    """Parameters of the layers' linear parts: attention and feed-forward."""
    model = build_on_meta(config, plan)
    modules = [module for stack in find_family(config).stacks for module in find_layers(model, stack).modules()]
    return sum(weight.numel() for module in modules if isinstance(module, nn.Linear) for weight in module.parameters())
