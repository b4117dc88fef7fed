"""The one place where shapes change: the pruned config, and every kept tensor under its new name.

A pruned model is what stock transformers builds from the pruned config, so layer indices, caches and reloading are right by
construction. Nothing is deleted from a model: `cut` builds the smaller one and fills it.
"""

import copy
import hashlib
import json
import re
from collections.abc import Iterable

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from pareft.errors import PlanError
from pareft.models.families import Family, check_depths, check_family, find_family
from pareft.models.plan import PruningPlan

_NOT_ARCHITECTURE = {
    "transformers_version",
    "_name_or_path",
    "dtype",
    "torch_dtype",
    "architectures",
    "use_cache",
    "task_specific_params",
}


def digest_config(config: PreTrainedConfig) -> str:
    """Identify an architecture: equal for the same shapes and functions, whatever path, dtype or version they were saved with."""
    content = {key: value for key, value in config.to_dict().items() if key not in _NOT_ARCHITECTURE}
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def check_plan(config: PreTrainedConfig, plan: PruningPlan) -> Family:
    """The family of a base that this plan was made for.

    Raises:
        PlanError: the plan is another base's, or what it keeps could not generate.
    """
    family = find_family(config)
    check_family(family, plan.family)
    if family.depths(config) != plan.depths or digest_config(config) != plan.base_digest:
        raise PlanError(
            f"the plan was made for {plan.base} with layers {plan.depths}; this base has layers {family.depths(config)} "
            f"(digest {digest_config(config)}, not {plan.base_digest}). Make a plan for this base."
        )
    check_depths(family, {stack: len(kept) for stack, kept in plan.layers.items()})
    return family


def prune_config(config: PreTrainedConfig, plan: PruningPlan) -> PreTrainedConfig:
    """A copy of the config that counts only the kept layers."""
    family = check_plan(config, plan)
    pruned = copy.deepcopy(config)
    for stack in family.stacks:
        setattr(pruned, stack.depth_field, len(plan.layers[stack.name]))
    return pruned


def rename_tensors(names: Iterable[str], family: Family, plan: PruningPlan) -> dict[str, str]:
    """Map every tensor name of the base that is kept to its name in the pruned model."""
    renamed = {}
    for name in names:
        new = _rename(name, family, plan)
        if new is not None:
            renamed[name] = new
    return renamed


def _rename(name: str, family: Family, plan: PruningPlan) -> str | None:
    for stack in family.stacks:
        match = re.match(rf"((?:.*\.)?{re.escape(stack.path)}\.)(\d+)\.(.+)$", name)
        if not match:
            continue
        prefix, index, tail = match[1], int(match[2]), match[3]
        if tail in stack.carried:
            return f"{prefix}0.{tail}"
        kept = plan.layers[stack.name]
        return f"{prefix}{kept.index(index)}.{tail}" if index in kept else None
    return name


def cut(model: PreTrainedModel, plan: PruningPlan) -> PreTrainedModel:
    """A new, smaller model from one in memory; the given model is not changed. `load` does the same without ever reading what is
    dropped.

    Raises:
        PlanError: the plan is another base's.
    """
    config = prune_config(model.config, plan)
    family = find_family(config)
    state = model.state_dict()
    kept = {new: state[old] for old, new in rename_tensors(state, family, plan).items()}
    with torch.device(model.device):
        smaller = type(model)(config).to(model.dtype)
    smaller.load_state_dict(kept)
    smaller.generation_config = copy.deepcopy(model.generation_config)
    return smaller.train(model.training)
