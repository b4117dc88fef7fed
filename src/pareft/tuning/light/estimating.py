"""The first steps of training, in which masks and adapters are watched (arXiv 2406.03792): loss + λ · Σ |mask|."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PrinterCallback, Seq2SeqTrainingArguments, TrainerCallback
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from pareft.settings import FastSettings
from pareft.tuning.fast import quicken
from pareft.tuning.learning import Learner, make_collator
from pareft.tuning.light.importance import Importance, Watch, watch
from pareft.tuning.training import OnProgress, lend


class _Estimator(Learner):
    """Has every step watched."""

    def __init__(self, *, watched: Watch, **settings: Any) -> None:
        super().__init__(**settings)
        self._watched = watched

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """As any; before it is told which step it is of, and afterwards that there are gradients."""
        self._watched.enter(self.state.global_step)
        loss = super().training_step(model, inputs, num_items_in_batch)
        scaler = self.accelerator.scaler
        self._watched.note_gradients(scale=scaler.get_scale() if scaler else 1.0)
        return loss


class _Tell(TrainerCallback):
    def __init__(self, on_progress: OnProgress) -> None:
        self.on_progress = on_progress

    def on_step_end(self, args: Any, state: Any, control: Any, **_: object) -> None:
        self.on_progress(state.global_step, state.max_steps, {})


def estimate(
    model: PeftModel,
    examples: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    arguments: Seq2SeqTrainingArguments,
    *,
    penalise: Callable[[], torch.Tensor],
    fast: FastSettings,
    lora_plus: float | None,
    on_progress: OnProgress,
) -> Importance:
    """Train what a model asks for, with a penalty on the loss, in place, and return how much its LoRA did in the second half of the
    steps. `arguments` are those of `make_arguments`, with a number of steps and without scoring.
    """

    def compute(learnt: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, Any]:
        output = learnt(**batch)
        return output.loss + penalise(), output

    plain = fast.model_copy(update={"lora": False})  # LoRA's own way has no places to watch
    with ExitStack() as stack:
        stack.enter_context(lend(model))
        stack.enter_context(quicken(model, plain))
        watched = stack.enter_context(watch(model, first=arguments.max_steps // 2))
        trainer = _Estimator(
            watched=watched,
            fast=plain,
            lora_plus=lora_plus,
            objective=compute,
            model=model,
            args=arguments,
            train_dataset=examples,
            processing_class=tokenizer,
            data_collator=make_collator(model, tokenizer),
            callbacks=[_Tell(on_progress)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
        return watched.find()
