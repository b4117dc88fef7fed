"""What is kept on disk, read back and written: a base, a pruned checkpoint, or a run with its base, plan and adapter."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.errors import AdapterError, ModelError, PlanError
from pareft.models import loading
from pareft.models.checkpoint import open_base
from pareft.models.classes import CHOOSER, CLASSIFIER, EXTRACTOR
from pareft.models.families import find_family
from pareft.models.identity import is_changed, read_fingerprint
from pareft.models.loading import Dtype
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.models.saving import save_checkpoint
from pareft.models.surgery import known_plan
from pareft.run_folder import ADAPTER, CHOICE, LIKELIHOOD, RECIPE, SPAN, WEIGHTS, is_run, read_labels, read_precision
from pareft.runtime import choose_device
from pareft.tuning.adapters import attach, can_merge, merge
from pareft.tuning.storage import CONFIG, save_adapter

HEADS = {CHOICE: CHOOSER, SPAN: EXTRACTOR}


def load(
    base_or_run: str | Path,
    plan: PruningPlan | str | Path | None = None,
    *,
    dtype: Dtype = "auto",
    device_map: Any = None,
    quantization_config: Any = None,
    head: Any = None,
    labels: int | Sequence[str] | None = None,
) -> PreTrainedModel | PeftModel:
    """A stock transformers model of what a plan keeps; of everything without one; of a run's folder, what the run has made.

    Only kept tensors are read, and of a narrowed one only the kept part. Nothing reaches the network under `HF_HUB_OFFLINE=1`.

    Args:
        base_or_run: `pareft-mini`, a folder, a name on the Hub, or a run folder: the base under the run's plan with its adapter
            attached, or the trained weights. A pruned checkpoint with a `plan.json` in it is built by that.
        plan: what is kept, as a plan or the file of one.
        dtype: `auto` is the config's, else the one the weights are stored in; of a run with an adapter, what it was trained in.
        device_map: where it goes, as in `from_pretrained`; the processor by default.
        quantization_config: transformers' own, such as `BitsAndBytesConfig(load_in_4bit=True)`.
        head: an Auto class or its name, such as `AutoModelForSequenceClassification`, for another head than the base was saved
            with; what the base lacks of it starts fresh, and is trained and stored with an adapter, but for single biases that
            start at zero.
        labels: how many labels a new head tells apart, or their names.

    Raises:
        ModelError: the base is not there, is of no known family, is damaged or lacks tensors; an adapter, or an unfinished run.
        PlanError: the plan is another base's, or was changed after it was written.
        AdapterError: the run's adapter is damaged or of another plan.
    """
    settings: dict[str, Any] = {
        "dtype": dtype,
        "device_map": device_map,
        "quantization_config": quantization_config,
        "head": head,
        "labels": labels,
    }
    chosen = PruningPlan.read(plan) if isinstance(plan, str | Path) else plan
    folder = Path(base_or_run)
    if not is_run(folder):
        check_base(folder)
        return loading.load(base_or_run, chosen, **settings)
    if chosen is not None:
        raise PlanError(f"{folder} is a run and has its own plan; load its base to use another")
    own = PruningPlan.read(folder / PLAN_FILE)
    if (folder / WEIGHTS).is_dir():
        _check_made_by(folder, own)
        return loading.load(folder / WEIGHTS, **settings)
    if head is None:
        settings |= find_head(folder)
    if dtype == "auto" and quantization_config is None and (precision := read_precision(folder)):
        settings["dtype"] = torch.bfloat16 if precision == "bf16" else torch.float32
    return attach(loading.load(own.base, own, **settings), folder / ADAPTER)


def find_head(folder: Path) -> dict[str, Any]:
    """With which head the base of a run is loaded, as arguments of `load`: that of its task."""
    return choose_head(read_labels(folder))


def choose_head(told: Sequence[str] | None) -> dict[str, Any]:
    """With which head a base is loaded for what a run tells apart, as its file of labels has it."""
    if isinstance(told, str):
        return {} if told == LIKELIHOOD else {"head": HEADS[told]}
    return {} if told is None else {"head": CLASSIFIER, "labels": list(told) or 1}


def _check_made_by(folder: Path, plan: PruningPlan) -> None:
    """Raise `ModelError` if a run's weights are of another plan than it has, or if there is an adapter, too."""
    if (folder / ADAPTER).is_dir():
        raise ModelError(f"{folder} holds both {ADAPTER}/ and {WEIGHTS}/, and a run makes one of them; remove the foreign one")
    config = open_base(str(folder / WEIGHTS)).config
    there, kept = find_family(config).depths(config), {stack: len(layers) for stack, layers in plan.layers.items()}
    if there != kept:
        raise ModelError(f"{folder / WEIGHTS} has layers {there}, the run's plan keeps {kept}: these are another run's weights")


def load_writer(
    place: str | Path, *, merged: bool = True, precision: Literal["bf16", "fp32"] | None = None
) -> PreTrainedModel | PeftModel:
    """A run, a base or a checkpoint, ready to write."""
    return make_writer(load(place), merged=merged, precision=precision)


def make_writer(
    model: PreTrainedModel | PeftModel, *, merged: bool = True, precision: Literal["bf16", "fp32"] | None = None
) -> PreTrainedModel | PeftModel:
    """A model on the device, its adapter added into the weights if there is one that can be and `merged`, in float32 then, and
    stored and computed in a precision if one is given. In place.
    """
    writer: Any = model
    if merged and isinstance(model, PeftModel):
        writer = merge(model) if can_merge(model) else model.float()
    if precision:
        writer = writer.to(torch.bfloat16 if precision == "bf16" else torch.float32)
    return writer.to(choose_device()).eval()


def check_base(folder: Path) -> None:
    """Raise `ModelError` if a folder without a model is something else that pareft writes."""
    if not folder.is_dir() or (folder / "config.json").is_file():
        return
    if (folder / CONFIG).is_file():
        raise ModelError(f"{folder} is an adapter: load its base through its plan, then pareft.attach(model, '{folder}')")
    if is_run(folder):
        raise ModelError(f"{folder} is a run, and no base; its own plan is {folder / PLAN_FILE}")
    if (folder / RECIPE).is_file():
        raise ModelError(f"{folder} is a run that is not finished; the command that started it goes on where it stopped")
    if runs := sorted(path.parent.name for path in folder.glob(f"*/{RECIPE}")):
        raise ModelError(f"{folder} holds runs and is none itself; load one of {', '.join(runs)}")


def save(
    model: PreTrainedModel | PeftModel,
    folder: str | Path,
    *,
    name: str | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> None:
    """Save what `load` and `attach` give back: of a model with adapters one of these with its plan, else the checkpoint.

    Args:
        model: with adapters or without.
        folder: where to write; an older artefact there is replaced, and nothing else.
        name: which adapter, by default the active one.
        tokenizer: is written beside a checkpoint.

    Raises:
        AdapterError: a model that pareft did not load, so that nothing says what its adapter fits; no adapter of this name.
    """
    if not isinstance(model, PeftModel):
        if name is not None:
            raise AdapterError(f"no adapter {name!r}: this model has none")
        save_checkpoint(model, Path(folder), tokenizer=tokenizer, trained=is_changed(model))
        return
    if name is not None and name not in model.peft_config:
        raise AdapterError(f"no adapter {name!r}: the model has {', '.join(model.peft_config)}")
    plan = known_plan(model.get_base_model())
    if plan is None or read_fingerprint(model.get_base_model()) != plan.fingerprint:
        raise AdapterError(
            "this model carries no plan, so nothing says what its adapter fits; load the base with pareft.load, through its plan "
            "or from where pareft.save has put it"
        )
    save_adapter(model, plan, Path(folder), name=name or model.active_adapter)


def save_artefact(model: PreTrainedModel | PeftModel, plan: PruningPlan, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """What a run has made: the adapter, or the weights with the tokenizer; whole, or not there."""
    if isinstance(model, PeftModel):
        extra = "How it was trained is in `recipe.yaml`, how well it does in `record.json`, both in the folder above.\n"
        save_adapter(model, plan, folder / ADAPTER, extra=extra)
    else:
        save_checkpoint(model, folder / WEIGHTS, tokenizer=tokenizer, trained=True)
