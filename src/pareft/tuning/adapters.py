"""Adapters through peft: a stock `PeftModel` on a pruned model, new or stored; several on one base."""

import warnings
from pathlib import Path
from typing import Any

import torch
from peft import IA3Config, PeftConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from peft.utils import ModulesToSaveWrapper, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import PreTrainedModel

from pareft.adapter_settings import AdapterSettings, LoraSettings
from pareft.errors import AdapterError
from pareft.models.families import find_family
from pareft.models.identity import forget_fingerprint, is_changed, read_fingerprint
from pareft.models.surgery import known_plan
from pareft.tuning.bottleneck import BottleneckConfig
from pareft.tuning.configs import find_task, make_config
from pareft.tuning.dropping import drop_as_asked
from pareft.tuning.plain import MOVING, moves_base, remember_start
from pareft.tuning.storage import StoredAdapter, list_parameters, make_mixable, read_adapter


def attach(
    model: PreTrainedModel | PeftModel,
    adapter: AdapterSettings | str | Path,
    *,
    name: str = "default",
    seed: int = 0,
    steps: int | None = None,
) -> PeftModel:
    """Put an adapter on a model, in place: a new one by its settings, to be trained, or a stored one by its folder, to be used.

    A new one freezes the model and wraps its target modules: y = Wx + b + (alpha / rank) B A dropout(x), B zero, so that the
    wrapped model computes the model's own function until it is trained. Adapters are float32 whatever the base is. With `bias:
    wrapped` the existing biases of wrapped layers are trained too and saved with the adapter; T5 has none there and gets none.

    AdaLoRA must know the `steps` of its training. With the start `pissa` or `olora` the base is changed and the two together
    compute its function; what is saved is a plain LoRA, of twice the rank, for the base as it was. The start `eva` is zero until
    `begin` (`pareft.tuning.starting`) is shown data.

    A base in bf16 is trained under `torch.autocast`, as trainers do with `bf16=True`.

    Modules that started fresh (`load(..., head=)`) are trained and saved with a new adapter.

    A stored one fits the base and plan it was trained on and no other. Call it again with another `name` for several tasks on one
    base; `set_adapter(name)` switches, `adapter_names=[...]` of a call gives every row of a batch its own.

    Raises:
        AdapterError: no module is called what `target` says; a stored adapter of another plan, base or head, or for weights that
            were changed since; a name that is taken.
    """
    if not isinstance(_unwrap(model), PreTrainedModel):
        raise AdapterError(f"an adapter goes onto a transformers model, not onto a {type(model).__name__}")
    check_name(name)
    if isinstance(model, PeftModel) and name in model.peft_config:
        raise AdapterError(f"the model has an adapter {name!r} already; give another name")
    if isinstance(adapter, AdapterSettings):
        if not isinstance(model, PeftModel) and is_changed(model):
            forget_fingerprint(model.config)  # what is trained now fits these weights and not the plan's
        _check_beside(model, adapter)
        return _attach_new(model, adapter, name, seed, steps)
    if not isinstance(adapter, str | Path):
        raise AdapterError(
            "an adapter is LoraSettings, Ia3Settings, BottleneckSettings or the folder of a stored one, not "
            f"{type(adapter).__name__}"
        )
    stored = read_adapter(Path(adapter))
    check_fit(model, stored)
    return _attach_stored(model, stored, name)


def _check_beside(model: PreTrainedModel | PeftModel, adapter: AdapterSettings) -> None:
    """Raise `AdapterError` if one of several adapters would change the base of the others."""
    if not isinstance(model, PeftModel):
        return
    moving = isinstance(adapter, LoraSettings) and adapter.start in MOVING
    if moving or any(map(moves_base, model.peft_config.values())):
        raise AdapterError("an adapter that starts with pissa or olora changes the base, and shares it with no other")


def adapt(
    model: PreTrainedModel, settings: AdapterSettings | None, *, seed: int = 0, steps: int | None = None
) -> PreTrainedModel | PeftModel:
    """A model as a recipe adapts it: with a new adapter, or as it is. In place; it may be on `meta`."""
    return attach(model, settings, seed=seed, steps=steps) if settings else model


def check_name(name: str) -> None:
    """Raise `AdapterError` if peft could not keep an adapter of this name apart from its own tensors and modules."""
    if name in "lora_":
        raise AdapterError(
            f"an adapter cannot be called {name!r}, which is part of the names of LoRA's own tensors; give another name"
        )
    if "." in name or hasattr(torch.nn.ModuleDict, name) or name in ("bias", "weight", "base_layer"):
        raise AdapterError(f"an adapter cannot be called {name!r}, as torch or peft uses that name; give another, without a dot")


def _attach_new(
    model: PreTrainedModel | PeftModel, settings: AdapterSettings, name: str, seed: int, steps: int | None
) -> PeftModel:
    wrapped = attach_config(model, make_config(_unwrap(model), settings, steps=steps), name=name, seed=seed)
    return drop_as_asked(wrapped, settings, name)


def attach_config(model: PreTrainedModel | PeftModel, config: Any, *, name: str = "default", seed: int = 0) -> PeftModel:
    """Put a new adapter of peft's own settings on a model, in place. What is trained is float32."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wrapped = _wrap(model, config, name)
    if config.modules_to_save:  # peft adds its own names of heads
        config.modules_to_save = list(dict.fromkeys(config.modules_to_save))
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # a bias trained in bf16 would lose its small steps
    remember_start(wrapped, name)
    return wrapped


def _attach_stored(model: PreTrainedModel | PeftModel, stored: StoredAdapter, name: str) -> PeftModel:
    try:
        stored = make_mixable(stored, _unwrap(model))
        stored.config.inference_mode = True
        stored.config.base_model_name_or_path = _unwrap(model).name_or_path  # the plan has said that it is the same base
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*lora_bias.*")  # about layers without a bias, see below
            wrapped = _wrap(model, stored.config, name)
    except (ValueError, TypeError, RuntimeError, AttributeError, KeyError) as error:
        raise AdapterError(
            f"{stored.folder} does not fit this {type(_unwrap(model)).__name__}: {' '.join(str(error).split())[:300]}"
        ) from error
    own = get_peft_model_state_dict(wrapped, list_parameters(wrapped), adapter_name=name, save_embedding_layers=False)
    expected = {key: value.shape for key, value in own.items()}
    found = {key: value.shape for key, value in stored.tensors.items()}
    if wrong := sorted(key for key in {*expected, *found} if expected.get(key) != found.get(key)):
        if len(wrapped.peft_config) > 1:
            wrapped.delete_adapter(name)
        else:
            wrapped.unload()
        there, here = (_name_shape(shapes.get(wrong[0])) for shapes in (found, expected))
        raise AdapterError(
            f"{stored.folder}: {wrong[0]} is {there} in the file and {here} in this model; {len(wrong)} tensors differ in all"
        )
    set_peft_model_state_dict(wrapped, dict(stored.tensors), adapter_name=name)
    if known_plan(_unwrap(wrapped)) is None and stored.plan:
        _unwrap(wrapped).pareft_plan = stored.plan  # it has been found to be this one
    if getattr(stored.config, "lora_bias", False):
        _drop_needless_biases(wrapped, name)
    return wrapped.eval()


def _drop_needless_biases(model: PeftModel, name: str) -> None:
    """Where the base has no bias, LoRA's second matrix needs none: it is zero, and peft would refuse to merge it. In place."""
    for module in model.modules():
        if isinstance(module, LoraLayer) and name in module.lora_B and module.get_base_layer().bias is None:
            module.lora_B[name].bias = None
            module.lora_bias[name] = False


def _name_shape(shape: torch.Size | None) -> str:
    return "missing" if shape is None else str(tuple(shape))


def _wrap(model: PreTrainedModel | PeftModel, config: PeftConfig, name: str) -> PeftModel:
    if not isinstance(model, PeftModel):
        return get_peft_model(model, config, adapter_name=name)
    try:
        model.add_adapter(name, config)
    except ValueError as error:  # two adapters that train biases
        raise AdapterError(f"{name!r} cannot share the base with {', '.join(model.peft_config)}: {error}") from error
    return model


def check_fit(model: PreTrainedModel | PeftModel, stored: StoredAdapter) -> None:
    """Raise `AdapterError` unless the adapter was trained on what this model is."""
    there, here = stored.plan, read_fingerprint(_unwrap(model))
    if there is None:
        raise AdapterError(
            f"{stored.folder} has no plan.json, so nothing says which layers it was trained on. If that was the whole base, "
            "`pareft adapter remap` moves it onto a plan; else attach it with peft."
        )
    if here == there.fingerprint:
        if is_changed(_unwrap(model)):
            raise AdapterError(
                f"{stored.folder} is of this model's plan {here}, but the model's layers have changed since pareft built it: "
                f"trained, merged with an adapter, or edited. Load it anew: pareft.load({there.base!r}, plan)."
            )
        _check_head(model, stored)
        return
    found = f"is of plan {here}" if here else "carries no plan: it was not loaded by pareft, or its weights were trained"
    raise AdapterError(
        f"{stored.folder} was trained on plan {there.fingerprint} ({there.base}: {there.describe()}); this model {found}. "
        f"Load its own: pareft.load({there.base!r}, PruningPlan.read('{stored.folder}/plan.json')); or move the adapter with "
        "`pareft adapter remap`."
    )


def _check_head(model: PreTrainedModel | PeftModel, stored: StoredAdapter) -> None:
    """Raise `AdapterError` if the adapter brings a head of another task."""
    model = _unwrap(model)
    there, here, family = stored.config.task_type, find_task(model), find_family(model.config)
    heads = [name for name in stored.config.modules_to_save or [] if not family.locate(name)]
    if heads and there and here and there != here:
        raise AdapterError(
            f"{stored.folder} holds a head for {there} ({', '.join(heads)}); this model is a "
            f"{type(model).__name__}. Load the base with the head it was trained with: pareft.load(..., head=...)."
        )


def can_merge(model: PeftModel) -> bool:
    """Whether a model's adapter can be added into its weights."""
    return not isinstance(model.peft_config[model.active_adapter], BottleneckConfig)


def _unwrap(model: PreTrainedModel | PeftModel) -> Any:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def merge(model: PeftModel) -> PreTrainedModel:
    """The model with its adapter added into the weights, in float32; it no longer is its base under its plan. In place.

    Raises:
        AdapterError: a bottleneck adapter, which is no sum of weights.
    """
    if not can_merge(model):
        raise AdapterError(
            "a bottleneck adapter has an activation inside and cannot be added into the weights; keep it beside them (pareft "
            "evaluate and generate do), or export it with --adapter, and its pruned base with --base"
        )
    if isinstance(model.peft_config[model.active_adapter], IA3Config):
        base = model.get_base_model()
        for name, module in [(name, module) for name, module in base.named_modules() if isinstance(module, ModulesToSaveWrapper)]:
            base.set_submodule(name, module.modules_to_save[model.active_adapter])  # peft (0.21) fails here, beside IA3, with heads
    merged = model.float().merge_and_unload()
    forget_fingerprint(merged.config)
    return merged
