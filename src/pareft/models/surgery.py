"""The one place where shapes change: the pruned config, and every kept tensor under its new name and in its new shape.

A pruned model is what stock transformers builds from the pruned config, so layer indices, caches and reloading are right by
construction. Nothing is deleted from a model: `cut` builds the smaller one and fills it.
"""

import copy
from collections.abc import Iterable

import torch
from transformers import GenerationConfig, PreTrainedConfig, PreTrainedModel

from pareft.errors import PlanError
from pareft.models.digests import LAYERS_KEY, PLAN_KEY, digest_config
from pareft.models.families import Family, check_kept, find_family
from pareft.models.families.schema import Place
from pareft.models.identity import check_weights_of, sign
from pareft.models.narrowing import narrowed_class, stock_class
from pareft.models.plan import PruningPlan
from pareft.models.width import Piece, fits_stock, measure_widths, nominal_fields, shares_heads, slice_tensor


def check_plan(config: PreTrainedConfig, plan: PruningPlan) -> Family:
    """The family of a base that this plan was made for.

    Raises:
        PlanError: the plan is another base's, or what it keeps could not be built or could not generate.
    """
    family = find_family(config)
    if family.model_type != plan.family:
        raise PlanError(f"the plan is of family {plan.family!r}, the base of family {family.model_type!r}")
    if family.depths(config) != plan.depths or digest_config(config) != plan.base_digest:
        raise PlanError(
            f"the plan was made for {plan.base} with layers {plan.depths}; this base has layers {family.depths(config)} "
            f"(digest {digest_config(config)}, not {plan.base_digest}). Make a plan for this base."
        )
    if plan.narrows and measure_widths(config, family) != plan.widths:
        raise PlanError(f"the plan says widths {plan.widths}; this base has {measure_widths(config, family)}")
    check_kept(family, plan.layers)
    return family


def prune_config(config: PreTrainedConfig, plan: PruningPlan) -> PreTrainedConfig:
    """A copy of the config that counts only what is kept; where layers differ in width, one that has room for the widest.

    It carries the plan's fingerprint, so that a model knows its plan wherever it is saved and loaded.
    """
    family = check_plan(config, plan)
    pruned = copy.deepcopy(config)
    for stack in family.stacks:
        part, kept = stack.config_of(pruned), plan.layers[stack.name]
        for field in stack.lists:
            entries = getattr(part, field, None)
            if isinstance(entries, list | tuple):
                setattr(part, field, [entries[layer] for layer in kept])
        setattr(part, stack.depth_field, len(kept))
    if plan.narrows:
        for field, value in nominal_fields(config, family, plan).items():
            setattr(pruned, field, value)
    setattr(pruned, PLAN_KEY, plan.fingerprint)
    if hasattr(pruned, LAYERS_KEY):  # the base's own
        delattr(pruned, LAYERS_KEY)
    return pruned


def prune_generation_config(settings: GenerationConfig, plan: PruningPlan) -> GenerationConfig:
    """A copy whose `alignment_heads` (Whisper's [decoder layer, head] pairs) are the kept ones, renumbered."""
    pruned = copy.deepcopy(settings)
    pairs = getattr(pruned, "alignment_heads", None)
    if pairs:
        layers = plan.layers["decoder"]
        heads = {layer: plan.kept_heads("decoder.cross", layer) if plan.narrows else None for layer in layers}
        pruned.alignment_heads = [
            [layers.index(layer), heads[layer].index(head) if heads[layer] else head]  # type: ignore[union-attr]
            for layer, head in pairs
            if layer in layers and (heads[layer] is None or head in heads[layer])  # type: ignore[operator]
        ]
    return pruned


def model_class(base_class: type[PreTrainedModel], config: PreTrainedConfig, plan: PruningPlan) -> type[PreTrainedModel]:
    """The class that builds a planned model, from the base's config or its own: the stock one where that can say its widths."""
    family = find_family(config)
    return base_class if fits_stock(config, family, plan) else narrowed_class(base_class, family, plan)


def map_tensors(names: Iterable[str], config: PreTrainedConfig, plan: PruningPlan) -> dict[str, Piece]:
    """Every tensor of the pruned model, by its name there, as a piece of the base's tensors."""
    family, pieces = find_family(config), {}
    for name in names:
        place = family.locate(name)
        if place is None:
            pieces[name] = Piece(name)
            continue
        kept = plan.layers[place.stack.name]
        for layer in _layers_with(place, config, plan):
            new = f"{place.prefix}{kept.index(layer)}.{place.tail}"
            pieces[new] = Piece(name, slice_tensor(config, place.stack, plan, layer, place.tail))
    return pieces


def _layers_with(place: Place, config: PreTrainedConfig, plan: PruningPlan) -> tuple[int, ...]:
    """The base layers whose pruned selves get this tensor: its own, if that is kept; a carried one goes to the first kept layer, or
    to each where they keep different heads of it.
    """
    kept = plan.layers[place.stack.name]
    if place.tail not in place.stack.carried:
        return (place.layer,) if place.layer in kept else ()
    width = place.stack.width
    if plan.narrows and width:
        for attention in width.attentions:
            if place.tail == f"{attention.per_head}.weight" and not shares_heads(plan, place.stack, attention):
                return kept
    return kept[:1]


def cut(model: PreTrainedModel, plan: PruningPlan) -> PreTrainedModel:
    """A new, smaller model from one in memory; the given model is not changed. `load` does the same without ever reading what is
    dropped.

    Raises:
        PlanError: the plan is another base's; the model is quantised, or narrowed already.
    """
    if getattr(model.config, "quantization_config", None):
        raise PlanError("a quantised model cannot be cut in memory; load it through the plan: pareft.load(base, plan)")
    check_cuttable(model.config, known_plan(model), plan)
    config, state = prune_config(model.config, plan), model.state_dict()
    check_weights_of(model, plan)
    kept = {new: piece.of(state[piece.name]) for new, piece in map_tensors(state, model.config, plan).items()}
    with torch.device(model.device):
        smaller = model_class(type(model), model.config, plan)(config)
    smaller.load_state_dict(kept, assign=True)
    smaller.tie_weights()
    if model.can_generate():
        smaller.generation_config = prune_generation_config(model.generation_config, plan)
    sign(know_plan(smaller, plan))
    return smaller.train(model.training)


def check_cuttable(config: PreTrainedConfig, own: PruningPlan | None, plan: PruningPlan) -> None:
    """Raise `PlanError` if a base cannot be cut: `own` is the plan that it was itself cut by, `None` where it was not."""
    if own and not fits_stock(config, find_family(config), own):
        raise PlanError(
            f"this base is itself pruned to layers of different widths ({own.describe()}), which no stock config can say; plan "
            f"what is to stay of {own.base} in one plan"
        )
    if plan.narrows and getattr(config, "quantization_config", None):
        raise PlanError(
            "the base is stored quantised: its heads and neurons cannot be taken apart. Plan layers alone, or prune the base's "
            "unquantised weights and quantise what is loaded: pareft.load(..., quantization_config=...)"
        )


def known_plan(model: PreTrainedModel) -> PruningPlan | None:
    """The plan a model was built by, where pareft built it in this process."""
    return getattr(model, "pareft_plan", None)


def know_plan(model: PreTrainedModel, plan: PruningPlan) -> PreTrainedModel:
    """Hand a model its plan, as `model.pareft_plan`. In place; a class made to build it is laid down again."""
    model.__class__ = stock_class(type(model))
    model.pareft_plan = plan
    return model
