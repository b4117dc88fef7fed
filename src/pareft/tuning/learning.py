"""Forward and backward as training has them: by `Seq2SeqTrainer`, in parts of similar length, every token counting alike."""

from collections.abc import Callable
from typing import Any

import torch
from peft.optimizers import create_loraplus_optimizer
from transformers import (
    BatchEncoding,
    DataCollatorForMultipleChoice,
    DataCollatorForSeq2Seq,
    DataCollatorWithPadding,
    Seq2SeqTrainer,
)
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from pareft.models.structure import chooses, classifies
from pareft.runtime import Precision, autocast
from pareft.settings import FastSettings
from pareft.tuning.fast.batches import MULTIPLE, count_targets, divide

Collate = Callable[[list[dict[str, Any]]], Any]  # of encoded rows: a padded batch
Objective = Callable[[Any, dict[str, Any]], tuple[torch.Tensor, Any]]  # of a model and a batch: the loss and the outputs


def make_collator(model: Any, tokenizer: PreTrainedTokenizerBase, *, multiple: int | None = MULTIPLE) -> Collate:
    """How a model's batches are made: sources, and targets that are texts, padded to the longest, or to a multiple of something."""
    if chooses(model):
        collate = DataCollatorForMultipleChoice(tokenizer, pad_to_multiple_of=multiple)
        return lambda rows: BatchEncoding(collate(rows))  # which goes to a device, as the others' batches do
    if classifies(model):
        return DataCollatorWithPadding(tokenizer, pad_to_multiple_of=multiple)
    return DataCollatorForSeq2Seq(tokenizer, model, pad_to_multiple_of=multiple)


class Learner(Seq2SeqTrainer):
    """Learns an objective, the model's own loss where none is given, by AdamW; with LoRA+ in groups of its two learning rates."""

    optimizer: torch.optim.Optimizer | None

    def __init__(self, *, fast: FastSettings, lora_plus: float | None, objective: Objective | None, **settings: Any) -> None:
        super().__init__(**settings)
        self._fast, self._lora_plus, self._objective = fast, lora_plus, objective
        self.model_accepts_loss_kwargs = True  # has the trainer count the tokens of a whole batch

    @property
    def _precision(self) -> Precision:
        return "bf16" if self.args.bf16 else "fp16" if self.args.fp16 else "fp32"

    def create_optimizer(self, *args: Any, **options: Any) -> Any:
        """AdamW; with LoRA+ in groups of its two learning rates."""
        if self._lora_plus is None or self.optimizer is not None:
            return super().create_optimizer(*args, **options)
        kind, settings = self.get_optimizer_cls_and_kwargs(self.args, self.model)
        decay = {"weight_decay": self.args.weight_decay, "loraplus_weight_decay": self.args.weight_decay}
        self.optimizer = create_loraplus_optimizer(self.model, kind, loraplus_lr_ratio=self._lora_plus, **settings | decay)
        return self.optimizer

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Forward and backward of a batch, in parts of similar length where that is less work; the parts' losses sum to its own.

        Several processes would wait for each other in every part, and have different numbers of them.
        """
        divisible = self.accelerator.num_processes == 1 and num_items_in_batch is not None
        parts = divide(inputs, model, self._fast) if divisible else [inputs]
        return torch.stack([super(Learner, self).training_step(model, part, num_items_in_batch) for part in parts]).sum()

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        """The objective, a mean over the targets' tokens it was given, as their part in the mean over the whole batch, whatever
        steps and processes share that. (BART takes the number of tokens, and ignores it.)
        """
        if self._objective:
            with autocast(self._precision):  # accelerate's is around the model alone
                loss, outputs = self._objective(model, inputs)
        else:
            loss, outputs = super().compute_loss(model, inputs, return_outputs=True)
        if num_items_in_batch is not None:
            loss = loss * count_targets(inputs) / num_items_in_batch * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss
