"""What is kept on disk, read back and written: a base, a pruned checkpoint, or a run with its base, plan and adapter."""

from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel

from pareft.errors import AdapterError, PlanError
from pareft.models import loading
from pareft.models.identity import read_fingerprint
from pareft.models.loading import Dtype
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.models.saving import known_plan, save_checkpoint
from pareft.run_folder import ADAPTER, WEIGHTS, is_run
from pareft.tuning.adapters import attach
from pareft.tuning.storage import save_adapter


def load(
    base_or_run: str | Path,
    plan: PruningPlan | str | Path | None = None,
    *,
    dtype: Dtype = "auto",
    device_map: Any = None,
    quantization_config: Any = None,
    head: Any = None,
) -> PreTrainedModel | PeftModel:
    """A stock transformers model of what a plan keeps; of everything without one; of a run's folder, what the run has made.

    Only kept tensors are read, and of a narrowed one only the kept part. Nothing reaches the network under `HF_HUB_OFFLINE=1`.

    Args:
        base_or_run: `pareft-mini`, a folder, a name on the Hub, or a run folder: the base under the run's plan with its adapter
            attached, or the trained weights. A pruned checkpoint with a `plan.json` in it is built by that.
        plan: what is kept, as a plan or the file of one.
        dtype: `auto` is the config's, else the one the weights are stored in.
        device_map: where it goes, as in `from_pretrained`; the processor by default.
        quantization_config: transformers' own, such as `BitsAndBytesConfig(load_in_4bit=True)`.
        head: an Auto class, such as `AutoModelForSequenceClassification`, for another head than the base was saved with; what the
            base lacks of it starts fresh.

    Raises:
        ModelError: the base is not there, is of no known family, is damaged or lacks tensors.
        PlanError: the plan is another base's, or was changed after it was written.
        AdapterError: the run's adapter is damaged or of another plan.
    """
    settings: dict[str, Any] = {
        "dtype": dtype,
        "device_map": device_map,
        "quantization_config": quantization_config,
        "head": head,
    }
    chosen = plan if isinstance(plan, PruningPlan | None) else PruningPlan.read(plan)
    folder = Path(base_or_run)
    if not is_run(folder):
        return loading.load(base_or_run, chosen, **settings)
    if chosen is not None:
        raise PlanError(f"{folder} is a run and has its own plan; load its base to use another")
    if (folder / WEIGHTS).is_dir():
        return loading.load(folder / WEIGHTS, **settings)
    own = PruningPlan.read(folder / PLAN_FILE)
    return attach(loading.load(own.base, own, **settings), folder / ADAPTER)


def save(model: PreTrainedModel | PeftModel, folder: str | Path) -> None:
    """Save what `load` and `attach` give back: of a model with an adapter the active adapter with its plan, else the checkpoint.

    Raises:
        AdapterError: a model that pareft did not load, so that nothing says what its adapter fits.
    """
    if not isinstance(model, PeftModel):
        save_checkpoint(model, Path(folder))
        return
    plan = known_plan(model.get_base_model())
    if plan is None or read_fingerprint(model.get_base_model()) != plan.fingerprint:
        raise AdapterError("this model carries no plan, so nothing says what its adapter fits; load the base with pareft.load")
    save_adapter(model, plan, Path(folder), name=model.active_adapter)
