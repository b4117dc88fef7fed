"""What makes a base itself: digests of its architecture and of its weights, and the plan that keeps all of it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from pareft.errors import PlanError
from pareft.models.checkpoint import Base
from pareft.models.families import find_family
from pareft.models.plan import PruningPlan
from pareft.models.weights import open_tensors
from pareft.models.width import measure_widths

PLAN_KEY = "pareft_plan"  # in a model's config: the fingerprint of its plan
SAMPLED = 64  # values from the start and from the middle of every tensor
_NOT_ARCHITECTURE = {
    "transformers_version",
    "_name_or_path",
    "dtype",
    "torch_dtype",
    "architectures",
    "use_cache",
    "task_specific_params",
    PLAN_KEY,
}


def identify(base: Base, tensors: Mapping[str, Path]) -> PruningPlan:
    """The plan that keeps all of a base; without tensors (a config alone) it does not know the weights.

    Raises:
        ModelError: no known family, or damaged weights.
    """
    family = find_family(base.config)
    depths = family.depths(base.config)
    return PruningPlan(
        base=base.name,
        revision=base.revision,
        family=family.model_type,
        base_digest=digest_config(base.config),
        weights_digest=digest_weights(base, tensors) if tensors else None,
        depths=depths,
        layers={stack: tuple(range(depth)) for stack, depth in depths.items()},
        widths=measure_widths(base.config, family),
        by="everything",
    )


def read_fingerprint(model: PreTrainedModel) -> str | None:
    """The fingerprint of the plan a model was built by; `None` for one that pareft did not build, or whose weights were trained."""
    return getattr(model.config, PLAN_KEY, None)


def forget_fingerprint(config: PreTrainedConfig) -> None:
    """The model's weights are not its base's any more, so no adapter of its plan fits it. In place."""
    if hasattr(config, PLAN_KEY):
        delattr(config, PLAN_KEY)


def check_weights(base: Base, tensors: Mapping[str, Path], plan: PruningPlan) -> None:
    """Raise `PlanError` if the plan was made for other weights of this architecture."""
    if plan.weights_digest is None:
        return
    found = digest_weights(base, tensors)
    if found != plan.weights_digest:
        raise PlanError(
            f"the plan was made for other weights: it says {plan.base} has digest {plan.weights_digest}, {base.name} has {found}. "
            "Load the base it was made for, or make a plan for this one."
        )


def digest_config(config: PreTrainedConfig) -> str:
    """Identify an architecture: equal for the same shapes and functions, whatever path, dtype or version they were saved with."""
    content = _leave_out(config.to_dict())
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _leave_out(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is no architecture, in the configs of parts, too."""
    kept = {key: value for key, value in values.items() if key not in _NOT_ARCHITECTURE}
    return {key: _leave_out(value) if isinstance(value, dict) else value for key, value in kept.items()}


def digest_weights(base: Base, tensors: Mapping[str, Path]) -> str:
    """Identify a base's weights by a sample of every tensor, in well under a second for gigabytes.

    The samples are compared in bf16, and outside of the layers without their names: the digest is equal for the same weights in one
    file or in shards, as safetensors or not, in float32 or bf16, with or without a head's prefix and tied copies.
    """
    family, samples = find_family(base.config), set()
    by_file: dict[Path, list[str]] = {}
    for name, path in tensors.items():
        by_file.setdefault(path, []).append(name)
    for path, names in by_file.items():
        with open_tensors(path) as file:
            for name in names:
                place = family.locate(name)
                where = f"{place.stack.name}.{place.layer}.{place.tail}" if place else ""
                samples.add(f"{where} {_sample(file.view(name))}")
    return hashlib.sha256("\n".join(sorted(samples)).encode()).hexdigest()[:16]


def _sample(tensor: torch.Tensor) -> str:
    flat, middle = tensor.reshape(-1), tensor.numel() // 2
    values = torch.cat([flat[:SAMPLED], flat[middle : middle + SAMPLED]])
    if values.is_floating_point():
        values = values.to(torch.bfloat16).view(torch.int16)
    return f"{tuple(tensor.shape)} {values.tolist()}"
