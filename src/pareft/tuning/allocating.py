"""AdaLoRA in a trainer: after every step its ranks are shared out anew, until the budget is reached."""

from typing import Any

import torch
from peft import AdaLoraConfig, PeftModel
from peft.tuners.adalora import SVDLinear
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class AllocateRanks(TrainerCallback):
    """peft's own sharing out, after the optimizer's step and before gradients are dropped.

    peft notes the ranks that are left in the adapter's settings, and then takes checkpoints to hold these alone; one from before,
    the best, say, could not be read back. Here they are noted apart, and a checkpoint holds every rank, those left out as zeros.
    After an interruption importances are estimated anew.
    """

    def __init__(self, model: PeftModel) -> None:
        self.model: Any = model
        self.left: dict[str, list[bool]] | None = None

    @property
    def _config(self) -> AdaLoraConfig:
        config = self.model.peft_config[self.model.active_adapter]
        assert isinstance(config, AdaLoraConfig)
        return config

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        """After an interruption: the ranks that were left."""
        total = self._config.total_step
        assert total is not None
        if state.global_step >= total - self._config.tfinal:
            name = self.model.active_adapter
            self.left = {
                f"{key.removeprefix('base_model.model.')}.lora_E.{name}": (module.lora_E[name][:, 0] != 0).tolist()
                for key, module in self.model.named_modules()
                if isinstance(module, SVDLinear)
            }

    def on_optimizer_step(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **more: object) -> None:
        """Share ranks out; the trainer counts a step only after this. A step that fp16 skipped has no gradients to go by."""
        total, step, tuner = self._config.total_step, state.global_step + 1, self.model.base_model
        assert total is not None
        last = step == total - self._config.tfinal
        if getattr(more.get("optimizer"), "step_was_skipped", False) and not last:
            return
        self._config.rank_pattern = self.left
        with torch.no_grad():
            if last and not tuner.rankallocator.exp_avg_ipt:  # just taken up, or the first step of all
                tuner.rankallocator.update_ipt(tuner.model)
            tuner.update_and_allocate(step)
        self.left, self._config.rank_pattern = self._config.rank_pattern, None


def needs_allocating(model: Any) -> bool:
    """Whether a model's adapter is AdaLoRA."""
    return isinstance(model, PeftModel) and isinstance(model.peft_config[model.active_adapter], AdaLoraConfig)
