"""Whether a base, a plan and a model belong together: the plan that keeps all of a base, what a model's config says of its own."""

from collections.abc import Mapping
from pathlib import Path

from transformers import PreTrainedConfig, PreTrainedModel

from pareft.errors import PlanError
from pareft.models.checkpoint import Base
from pareft.models.digests import HALF, LAYERS_KEY, PLAN_KEY, digest_config, digest_files, digest_layers, digest_weights
from pareft.models.families import find_family
from pareft.models.plan import PruningPlan
from pareft.models.width import measure_widths


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
        weights_digest=digest_files(base.config, tensors) if tensors else None,
        depths=depths,
        layers={stack: tuple(range(depth)) for stack, depth in depths.items()},
        widths=measure_widths(base.config, family),
        by="everything",
    )


def read_fingerprint(model: PreTrainedModel) -> str | None:
    """The fingerprint of the plan a model was built by; `None` for one that pareft did not build, or whose weights were trained."""
    return getattr(model.config, PLAN_KEY, None)


def sign(model: PreTrainedModel) -> None:
    """Write into a model's config what its layers are, unless that was written before. In place."""
    if not hasattr(model.config, LAYERS_KEY) and (digest := digest_layers(model, find_family(model.config))):
        setattr(model.config, LAYERS_KEY, digest)


def is_changed(model: PreTrainedModel) -> bool:
    """Whether the layers are not those that pareft built. Quantised ones, and fp16 with others, cannot be compared and count as
    unchanged.
    """
    written = getattr(model.config, LAYERS_KEY, None)
    found = digest_layers(model, find_family(model.config)) if written else None
    if not written or not found or found.startswith(HALF) != written.startswith(HALF):
        return False
    return bool(found != written)


def forget_fingerprint(config: PreTrainedConfig) -> None:
    """The model's weights are not its base's any more, so no adapter of its plan fits it. In place."""
    for key in (PLAN_KEY, LAYERS_KEY):
        if hasattr(config, key):
            delattr(config, key)


def check_weights(base: Base, tensors: Mapping[str, Path], plan: PruningPlan) -> None:
    """Raise `PlanError` if the plan was made for other weights of this architecture."""
    if plan.weights_digest is not None:
        _compare(plan, base.name, digest_files(base.config, tensors))


def check_weights_of(model: PreTrainedModel, plan: PruningPlan) -> None:
    """As `check_weights`, for a whole base in memory; a quantised or fp16 one cannot be compared."""
    if plan.weights_digest is not None and (found := digest_weights(model)):
        _compare(plan, "this model", found)


def _compare(plan: PruningPlan, name: str, found: str) -> None:
    if found != plan.weights_digest:
        raise PlanError(
            f"the plan was made for other weights: it says {plan.base} has digest {plan.weights_digest}, {name} has {found}. "
            "Load the base it was made for, or make a plan for this one."
        )
