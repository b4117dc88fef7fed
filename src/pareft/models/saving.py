"""Models as files: a stock checkpoint, with the plan beside it where no stock config can say the shapes."""

from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.errors import ModelError
from pareft.files import fill_folder, write_atomic
from pareft.models.families import find_family
from pareft.models.identity import forget_fingerprint
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.models.surgery import known_plan
from pareft.models.width import fits_stock

REPLACED = ("model*.safetensors*", "pytorch_model*.bin*", "adapter_model.*", "adapter_config.json", PLAN_FILE)


def save_checkpoint(
    model: PreTrainedModel, folder: Path, *, tokenizer: PreTrainedTokenizerBase | None = None, trained: bool = False
) -> None:
    """Save a model, replacing an older one, or an adapter, which transformers would add to it: whole, or not at all. `load(folder)`
    reads it back.

    It is a stock checkpoint, which stock transformers loads, unless layers differ in width in a way the config cannot say; then
    pareft alone loads it, by the `plan.json` beside the weights. A `trained` model no longer is its base under its plan, and does
    not say so any more.

    Raises:
        ModelError: a 4-bit model that has computed on a processor.
    """
    if any(getattr(getattr(weight, "quant_state", None), "packing_format_for_cpu", False) for weight in model.parameters()):
        raise ModelError(
            "this 4-bit model has computed on a processor, for which bitsandbytes has packed its weights so that it cannot save "
            "them; load it anew and save it before it computes"
        )
    plan = known_plan(model)
    if trained:
        forget_fingerprint(model.config)
    with fill_folder(folder, replacing=REPLACED) as temporary:
        model.save_pretrained(temporary)
        if tokenizer:
            tokenizer.save_pretrained(temporary)
        if plan and (not trained or not is_stock(model, plan)):
            write_atomic(temporary / PLAN_FILE, plan.to_json())


def is_stock(model: PreTrainedModel, plan: PruningPlan) -> bool:
    """Whether a model's own config says its shapes."""
    return fits_stock(model.config, find_family(model.config), plan)
