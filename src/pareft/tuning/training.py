"""Training by `Seq2SeqTrainer`: its arguments and callbacks, and no loop of our own."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import (
    DataCollatorForSeq2Seq,
    EarlyStoppingCallback,
    PrinterCallback,
    Seq2SeqTrainer,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from pareft.recipe import TrainSettings
from pareft.runtime import Precision, autocast

Evaluate = Callable[[Any], dict[str, float]]
OnProgress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Task:
    """What is learnt: encoded examples, and how the model stands on the validation examples.

    `evaluate` gets the model as it is, writes for the validation examples and returns their scores, among them the one by which the
    best checkpoint is chosen; the larger, the better.
    """

    examples: Dataset
    tokenizer: PreTrainedTokenizerBase
    evaluate: Evaluate


@dataclass(frozen=True)
class TrainingResult:
    """What training did: steps taken, the best checkpoint's step, wall time with evaluations, that of the evaluations alone, how
    many were left out for their cost, and everything that was logged.
    """

    steps: int
    best_step: int | None
    seconds: float
    evaluation_seconds: float
    evaluations_left_out: int
    history: list[dict[str, float]]


class _Report(TrainerCallback):
    """Pass step, total steps and what is logged on to the caller; have the last step evaluated, wherever it falls, and others left
    out while evaluations have taken more than their share of the time.
    """

    def __init__(self, on_progress: OnProgress, share: float | None) -> None:
        self.on_progress, self.share = on_progress, share
        self.started, self.evaluating, self.left_out = time.perf_counter(), 0.0, 0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.on_progress(state.global_step, state.max_steps, {})
        if state.global_step >= state.max_steps:
            control.should_evaluate = True
        elif control.should_evaluate and self.share and self.evaluating > self.share * (time.perf_counter() - self.started):
            control.should_evaluate = False
            self.left_out += 1

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        self.on_progress(state.global_step, state.max_steps, logs or {})


class _Trainer(Seq2SeqTrainer):
    """Evaluates by the task's own function, in the precision it trains in: the trainer's loop takes examples as they come, whatever
    their lengths, and its autocast covers `forward` and not `generate`.
    """

    control: TrainerControl

    def __init__(self, *, evaluate: Evaluate, report: _Report, **settings: Any) -> None:
        super().__init__(callbacks=[EarlyStoppingCallback(settings.pop("patience")), report], **settings)
        self._evaluate_task, self._report = evaluate, report

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """The scores of the validation examples, logged."""
        started = time.perf_counter()
        precision: Precision = "bf16" if self.args.bf16 else "fp16" if self.args.fp16 else "fp32"
        with autocast(precision):
            scores = self._evaluate_task(self.model)
        seconds = time.perf_counter() - started
        self._report.evaluating += seconds
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in scores.items()} | {
            f"{metric_key_prefix}_seconds": seconds
        }
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def train(
    model: PreTrainedModel,
    task: Task,
    arguments: Seq2SeqTrainingArguments,
    *,
    patience: int,
    share: float | None = None,
    on_progress: OnProgress,
) -> TrainingResult:
    """Train in place, from the last checkpoint in the output folder if there is one; the model ends with the best one's weights.

    `arguments` are those of `make_arguments`; training ends early after `patience` evaluations without a better score. While they
    have taken more than `share` of the time, evaluations are left out, but for the last.
    """
    started, report = time.perf_counter(), _Report(on_progress, share)
    with _lent(model):
        trainer = _Trainer(
            evaluate=task.evaluate,
            report=report,
            patience=patience,
            model=model,
            args=arguments,
            train_dataset=task.examples,
            eval_dataset=task.examples,  # it wants one; `evaluate` has its own
            processing_class=task.tokenizer,
            data_collator=DataCollatorForSeq2Seq(task.tokenizer, model, pad_to_multiple_of=8),
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=find_checkpoint(Path(arguments.output_dir)))
    best = trainer.state.best_model_checkpoint
    history = [{key: round(float(value), 6) for key, value in entry.items()} for entry in trainer.state.log_history]
    return TrainingResult(
        steps=trainer.state.global_step,
        best_step=int(best.rsplit("-", 1)[1]) if best else None,
        seconds=round(time.perf_counter() - started, 2),
        evaluation_seconds=round(sum(entry.get("eval_seconds", 0.0) for entry in history), 2),
        evaluations_left_out=report.left_out,
        history=history,
    )


def make_arguments(
    settings: TrainSettings,
    *,
    examples: int,
    precision: Precision,
    seed: int,
    folder: Path,
) -> Seq2SeqTrainingArguments:
    """The trainer's arguments for a recipe's settings. Evaluations and checkpoints come every `evaluate_every` epochs."""
    steps_per_epoch = math.ceil(examples / (settings.batch_size * settings.accumulation))
    total = settings.max_steps or math.ceil(steps_per_epoch * settings.epochs)
    every = min(total, max(1, round(settings.evaluate_every * steps_per_epoch)))
    return Seq2SeqTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=1.0,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        seed=seed,
        eval_strategy="steps",
        eval_steps=every,
        save_strategy="steps",
        save_steps=every,
        save_total_limit=1,
        logging_steps=max(1, min(every, 50)),
        load_best_model_at_end=True,
        restore_callback_states_from_checkpoint=True,
        metric_for_best_model=settings.best_metric,
        greater_is_better=True,
        disable_tqdm=True,
        report_to="none",
    )


def find_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint; one that a kill cut short lacks the state that is written last."""
    complete = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(complete, key=lambda path: int(path.name.split("-")[1]))) if complete else None


@contextmanager
def _lent(model: PreTrainedModel) -> Iterator[None]:
    """Lend the model to the trainer; afterwards it has its own settings again.

    The trainer sets special tokens in the generation settings and switches `config.use_cache` off, and leaves both so; a checkpoint
    saved like that would generate without a cache.
    """
    held = [model, model.get_base_model()] if isinstance(model, PeftModel) else [model]
    own, use_cache = copy.deepcopy(model.generation_config), model.config.use_cache
    try:
        yield
    finally:
        for holder in held:
            holder.generation_config = own
        model.config.use_cache = use_cache
