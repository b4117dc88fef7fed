"""LoRA through peft: a stock `PeftModel` on a pruned model."""

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

from pareft.errors import AdapterError
from pareft.models.families import find_family
from pareft.recipe import LoraSettings


def attach(model: PreTrainedModel, settings: LoraSettings, *, seed: int = 0) -> PeftModel:
    """Freeze the model and wrap its target modules with LoRA, in place: y = Wx + b + (alpha / rank) B A dropout(x), B zero.

    The wrapped model computes the model's own function until it is trained. Adapters are float32 whatever the base is. With `bias:
    wrapped` the existing biases of wrapped layers are trained too and saved with the adapter; T5 has none there and gets none.

    Raises:
        AdapterError: no module is called what `target` says.
    """
    targets = find_targets(model, settings)
    config = LoraConfig(
        task_type="SEQ_2_SEQ_LM",
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        bias="lora_only" if settings.bias == "wrapped" else "none",
        target_modules=targets,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wrapped = get_peft_model(model, config)
    for parameter in wrapped.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()  # a bias trained in bf16 would lose its small steps
    return wrapped


def find_targets(model: PreTrainedModel, settings: LoraSettings) -> list[str]:
    """The names of the linear layers that `target` stands for in this model, which may be on `meta`.

    Raises:
        AdapterError: no module is called what `target` says.
    """
    linear = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    if isinstance(settings.target, str):
        return sorted(linear.intersection(find_family(model.config).targets(settings.target)))
    head = next((name for name, module in model.named_modules() if module is model.get_output_embeddings()), "")
    if head in settings.target:
        raise AdapterError(f"adapt.target: {head} shares its weight with the embeddings and cannot be merged; leave it out")
    names = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    for target in settings.target:
        if not any(name == target or name.endswith(f".{target}") for name in names):
            raise AdapterError(f"adapt.target: the base has no linear layer {target!r}; it has {', '.join(sorted(linear))}")
    return settings.target


def merge(model: PeftModel) -> PreTrainedModel:
    """The model with its adapter added into the weights, in float32. In place."""
    return model.float().merge_and_unload()
