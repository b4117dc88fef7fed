"""Load a base through a plan. Only the kept tensors are read, so the peak memory is the pruned model's."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from pareft.errors import ModelError, PlanError
from pareft.models.checkpoint import Base, find_file, load_generation_config, open_base
from pareft.models.classes import find_class, with_labels
from pareft.models.digests import PLAN_KEY, make_namer
from pareft.models.families import Family, find_family
from pareft.models.identity import check_weights, identify, sign
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.models.surgery import check_cuttable, know_plan, map_tensors, model_class, prune_config, prune_generation_config
from pareft.models.weights import list_tensors, read_pieces
from pareft.models.width import Piece, fits_stock

Dtype = torch.dtype | Literal["auto"]


def load(
    base: str | Path | Base,
    plan: PruningPlan | None = None,
    *,
    dtype: Dtype = "auto",
    device_map: Any = None,
    quantization_config: Any = None,
    head: Any = None,
    labels: int | Sequence[str] | None = None,
) -> PreTrainedModel:
    """A stock transformers model of what the plan keeps, in eval mode; of everything without a plan. It knows its plan.

    Args:
        base: `pareft-mini`, a folder, or a name on the Hub. A pruned checkpoint with a `plan.json` in it is built by that.
        plan: what is kept; nothing else is read.
        dtype: `auto` is the config's, else the one the weights are stored in.
        device_map: where it goes, as in `from_pretrained`; the processor by default.
        quantization_config: transformers' own, such as `BitsAndBytesConfig(load_in_4bit=True)`.
        head: an Auto class or its name, such as `AutoModelForSequenceClassification`, for another head than the base was saved
            with; what the base lacks of it starts fresh, and is trained and stored with an adapter, but for single biases that
            start at zero.
        labels: how many labels a new head tells apart, or their names.

    The kept tensors go to `from_pretrained` as a state dict under their new names: its `key_mapping` would load wrong layers.

    Raises:
        ModelError: the base is not there, is of no known family, is damaged or lacks tensors.
        PlanError: the plan is another base's.
    """
    if not isinstance(plan, PruningPlan | None):
        raise PlanError(f"a plan is a PruningPlan or the file of one, not {type(plan).__name__}")
    source = (
        base if isinstance(base, Base) else open_base(str(base), revision=plan.revision if plan and plan.base == base else None)
    )
    if labels is not None:
        source = replace(source, config=with_labels(source.config, labels))
    tensors, build, config = list_tensors(source), find_class(source.config, head), source.config
    pieces, stored = {name: Piece(name) for name in tensors}, None
    if plan is not None:
        check_cuttable(source.config, read_own_plan(source), plan)
        config, pieces = prune_config(config, plan), map_tensors(tensors, config, plan)
        check_weights(source, tensors, plan)
        build = model_class(build, source.config, plan)
    elif stored := read_own_plan(source):
        build = model_class(build, config, stored)
    elif not getattr(config, PLAN_KEY, None):
        plan = identify(source, tensors)
        config = prune_config(config, plan)
    wanted = _choose_dtype(dtype, config)
    try:
        model, report = build.from_pretrained(
            None,
            config=config,
            state_dict=dict(read_pieces(tensors, pieces, _make_choice(build, source.config, wanted))),
            dtype=wanted,
            device_map=device_map,
            quantization_config=quantization_config,
            output_loading_info=True,
        )
    except (RuntimeError, ValueError, IndexError, KeyError, TypeError, AttributeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:300]
        asked = device_map is not None or quantization_config is not None
        what = (
            "cannot be loaded with this device_map or quantization_config"
            if asked
            else "its weights and its config do not fit together"
        )
        raise ModelError(f"{source.name}: {what} ({reason})") from error
    except ImportError as error:
        raise ModelError(f"{str(error).splitlines()[0]} (pip install 'pareft[quant]')") from error
    family = find_family(config)
    fresh = _list_absent(family, report["missing_keys"])
    of_body = [name for name in fresh if family.locate(name) or make_namer(config)(name)]
    if missing := fresh if head is None else of_body:
        advice = "" if of_body else "; with head= they start fresh"
        raise ModelError(f"{source.name} lacks {len(missing)} tensors of a {build.__name__}, {missing[0]} first{advice}")
    model.pareft_fresh = tuple(fresh)
    if model.can_generate():
        settings = load_generation_config(source)
        model.generation_config = prune_generation_config(settings, plan) if plan else settings
    model.name_or_path = source.place  # where peft looks for the base's config; without it, on the Hub
    known = plan or stored
    model = know_plan(model, known) if known else model
    if plan:
        sign(model)
    return model.eval()


def load_beside(
    model: PreTrainedModel, base: Base, plan: PruningPlan, frozen: Mapping[str, torch.Tensor], *, dtype: torch.dtype
) -> PreTrainedModel:
    """The whole base, in eval mode and frozen, with the plan that keeps all of it, beside a model of what a plan keeps of it: kept
    weights are that model's own tensors and must not be written, so that the memory it adds is that of the dropped layers.

    Args:
        model: it goes to its device.
        base: of which the plan is.
        plan: what the model keeps.
        frozen: the model's tensors that are still the base's, by their names in a checkpoint of it; others are read.
        dtype: what is read is stored so.

    Raises:
        ModelError: the base is damaged or lacks tensors.
    """
    tensors = list_tensors(base)
    pieces = map_tensors(tensors, base.config, plan)
    shared = {piece.name: frozen[new] for new, piece in pieces.items() if new in frozen and piece.slice is None}
    read = {name: Piece(name) for name in tensors if name not in shared}
    build = find_class(base.config, None)
    found = dict(read_pieces(tensors, read, _make_choice(build, base.config, dtype)))
    config = prune_config(base.config, plan.whole())
    device = {"": model.device} if model.device.type != "cpu" else None  # without it, everything would be moved to the processor
    whole, report = build.from_pretrained(
        None, config=config, state_dict=found | shared, dtype=dtype, device_map=device, output_loading_info=True
    )
    if lacking := _list_absent(find_family(config), report["missing_keys"]):
        raise ModelError(f"{base.name} lacks {len(lacking)} tensors of a {build.__name__}, {lacking[0]} first")
    whole.name_or_path = base.place
    sign(know_plan(whole, plan.whole()))
    frozen_whole: PreTrainedModel = whole.eval().requires_grad_(False)
    return frozen_whole


def _list_absent(family: Family, missing: Iterable[str]) -> list[str]:
    """What a base lacks of what transformers misses: a formula's tensors are in no file."""
    return sorted(name for name in missing if not name.endswith(family.computed or ("\0",)))


def read_own_plan(source: Base) -> PruningPlan | None:
    """The plan of a pruned checkpoint, beside its weights; one that lies beside a base it was made of is not its own."""
    path = find_file(source, PLAN_FILE)
    plan = PruningPlan.read(path) if path else None
    if plan is None or find_family(source.config).depths(source.config) != {s: len(kept) for s, kept in plan.layers.items()}:
        return None
    fingerprint = getattr(source.config, PLAN_KEY, None)
    if fingerprint == plan.fingerprint:
        return plan
    narrow = plan.narrows and not fits_stock(source.config, find_family(source.config), plan)
    return plan if narrow and fingerprint is None else None  # its weights were trained


def _choose_dtype(dtype: Dtype, config: PreTrainedConfig) -> Dtype:
    said = config.dtype if dtype == "auto" else dtype
    if said is None or said == "auto":
        return "auto"
    found = getattr(torch, said, None) if isinstance(said, str) else said
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ModelError(f"no dtype {said!r}; give one of torch's, such as torch.bfloat16, or auto")
    return found


def _make_choice(build: type[PreTrainedModel], config: PreTrainedConfig, dtype: Dtype) -> Callable[[str, torch.dtype], torch.dtype]:
    """As what a tensor is read; what transformers keeps in float32 (T5's `wo` in fp16) stays as it is stored, and so does all of a
    base that is stored quantised: its scales are read as float32 by their bytes.
    """
    quantised = getattr(config, "quantization_config", None) is not None
    kept = [*(build._keep_in_fp32_modules_strict or ()), *((build._keep_in_fp32_modules or ()) if dtype == torch.float16 else ())]
    half = dtype in (torch.float16, torch.bfloat16)

    def choose(name: str, stored: torch.dtype) -> torch.dtype:
        if quantised or dtype == "auto" or not stored.is_floating_point or (half and any(part in name.split(".") for part in kept)):
            return stored
        return dtype

    return choose
