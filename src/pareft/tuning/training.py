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
    EarlyStoppingCallback,
    PrinterCallback,
    Seq2SeqTrainingArguments,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from pareft.errors import RecipeError
from pareft.records import TrainingRecord
from pareft.runtime import Precision, autocast, find_processes
from pareft.settings import FastSettings, TrainSettings
from pareft.tuning.allocating import AllocateRanks, needs_allocating
from pareft.tuning.distilling import Distiller
from pareft.tuning.fast import quicken
from pareft.tuning.learning import Learner, make_collator

FORWARD = ("forward", "_original_forward")  # of a model, what accelerate puts before its class's
LENT = ("use_cache", "bos_token_id", "eos_token_id", "pad_token_id")  # what the trainer changes in a config
Evaluate = Callable[[Any, int], dict[str, float]]
OnProgress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Task:
    """What is learnt: encoded examples, and how the model stands on the validation examples.

    `evaluate` gets the model as it is and the step, writes for the validation examples and returns their scores, among them the one
    by which the best checkpoint is chosen; the larger, the better.
    """

    examples: Dataset
    tokenizer: PreTrainedTokenizerBase
    evaluate: Evaluate


class _Report(TrainerCallback):
    """Pass step, total steps and what is logged on to the caller; have the last step evaluated, wherever it falls, and others left
    out that would take evaluations beyond their share of the time, as far as the one before tells.
    """

    def __init__(self, on_progress: OnProgress, share: float | None) -> None:
        self.on_progress, self.share = on_progress, share
        self.started, self.earlier, self.evaluating, self.latest = time.perf_counter(), 0.0, 0.0, 0.0

    @property
    def elapsed(self) -> float:
        """Seconds of training, with those before an interruption."""
        return self.earlier + time.perf_counter() - self.started

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.earlier = max((entry["elapsed"] for entry in state.log_history if "elapsed" in entry), default=0.0)
        costs = [entry["eval_seconds"] for entry in state.log_history if "eval_seconds" in entry]
        self.evaluating, self.latest = sum(costs), costs[-1] if costs else 0.0

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.on_progress(state.global_step, state.max_steps, {})
        if state.global_step >= state.max_steps:
            control.should_evaluate = True
        elif control.should_evaluate and self.share:
            fits = self.evaluating + self.latest <= self.share * (self.elapsed + self.latest)
            control.should_evaluate = find_processes().share(fits)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        self.on_progress(state.global_step, state.max_steps, logs or {})


class _Trainer(Learner):
    """Evaluates by the task's own function, in the precision it trains in: the trainer's loop takes examples as they come, whatever
    their lengths, and its autocast covers `forward` and not `generate`.
    """

    control: TrainerControl

    def __init__(self, *, evaluate: Evaluate, report: _Report, patience: int, **settings: Any) -> None:
        super().__init__(callbacks=[EarlyStoppingCallback(patience), report], **settings)
        self._evaluate_task, self._report = evaluate, report

    def evaluate(self, *_: Any, metric_key_prefix: str = "eval", **__: Any) -> dict[str, float]:
        """The scores of the validation examples, logged."""
        started = time.perf_counter()
        with autocast(self._precision):
            scores = self._evaluate_task(self.model, self.state.global_step)
        seconds = time.perf_counter() - started
        self._report.evaluating += seconds
        self._report.latest = seconds
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in scores.items()} | {
            f"{metric_key_prefix}_seconds": seconds
        }
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Every entry says how long training has taken."""
        super().log(logs | {"elapsed": self._report.elapsed}, start_time)


def train(
    model: PreTrainedModel,
    task: Task,
    arguments: Seq2SeqTrainingArguments,
    *,
    patience: int,
    share: float | None = None,
    fast: FastSettings | None = None,
    lora_plus: float | None = None,
    distiller: Distiller | None = None,
    on_progress: OnProgress,
) -> TrainingRecord:
    """Train in place, from the last checkpoint in the output folder if there is one; the model ends with the best one's weights.

    `arguments` are those of `make_arguments`; training ends early after `patience` evaluations without a better score. Evaluations
    that would take more than `share` of the time are left out, but for the first and the last. `fast`: the ways that are taken, all
    by default. `lora_plus`: LoRA's second matrices learn so many times as fast. `distiller`: whose loss is learnt.
    """
    report, fast = _Report(on_progress, share), fast or FastSettings()
    with lend(model), quicken(model, fast):
        trainer = _Trainer(
            evaluate=task.evaluate,
            report=report,
            fast=fast,
            lora_plus=lora_plus,
            objective=distiller.compute if distiller else None,
            patience=patience,
            model=model,
            args=arguments,
            train_dataset=task.examples,
            eval_dataset=task.examples,  # it wants one; `evaluate` has its own
            processing_class=task.tokenizer,
            data_collator=make_collator(model, task.tokenizer),
        )
        trainer.remove_callback(PrinterCallback)
        if needs_allocating(model):
            trainer.add_callback(AllocateRanks(model))
        trainer.add_callback(_EndAtTheEnd())
        try:
            trainer.train(resume_from_checkpoint=find_checkpoint(Path(arguments.output_dir)))
        except _AtTheEnd:
            if trainer.state.best_model_checkpoint:
                trainer._load_best_model()
    best, steps = trainer.state.best_model_checkpoint, trainer.state.global_step
    history = [{key: round(float(value), 6) for key, value in entry.items()} for entry in trainer.state.log_history]
    costs = [entry["eval_seconds"] for entry in history if "eval_seconds" in entry]
    return TrainingRecord(
        steps=steps,
        best_step=int(best.rsplit("-", 1)[1]) if best else None,
        seconds=round(report.elapsed, 2),
        evaluation_seconds=round(sum(costs), 2),
        evaluations_left_out=math.ceil(steps / arguments.eval_steps) - len(costs),
        history=history,
    )


class _AtTheEnd(Exception):
    """A training that goes on has no step left."""


class _EndAtTheEnd(TrainerCallback):
    """The trainer looks after a step whether it was the last, or patience is at an end, and would take one more."""

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        kept: Any = state.stateful_callbacks.get("TrainerControl", {})
        stopped = state.global_step and kept.get("args", {}).get("should_training_stop")
        if state.global_step >= state.max_steps or stopped:
            raise _AtTheEnd


def make_arguments(
    settings: TrainSettings,
    *,
    examples: int,
    precision: Precision,
    seed: int,
    folder: Path,
    processes: int = 1,
    checkpointing: bool = False,
    distilling: bool = False,
    scoring: bool = True,
) -> Seq2SeqTrainingArguments:
    """The trainer's arguments for a recipe's settings. Evaluations and checkpoints come every `evaluate_every` epochs; a batch is
    shared by all processes; `checkpointing`: layers are computed again in the backward pass; `distilling`: the loss is a
    distiller's, so that the model's output does not show what it depends on. (Where the last batch of an epoch is
    not full, accelerate fills the processes' parts with examples from the start, so that a step in an epoch differs from one
    process's.)

    Raises:
        RecipeError: the batch size is no multiple of the processes.
    """
    check_shares(settings, processes)
    steps_per_epoch, total = plan_steps(settings, examples)
    every = min(total, max(1, round(settings.evaluate_every * steps_per_epoch)))
    arguments = Seq2SeqTrainingArguments(
        output_dir=str(folder),
        num_train_epochs=settings.epochs,
        max_steps=settings.max_steps or -1,
        per_device_train_batch_size=settings.batch_size // processes,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=settings.warmup_steps,
        weight_decay=settings.weight_decay,
        max_grad_norm=1.0,
        gradient_checkpointing=checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not torch.cuda.is_available(),
        ddp_find_unused_parameters=False if distilling else None,
        dataloader_pin_memory=torch.cuda.is_available(),
        seed=seed,
        eval_strategy="steps" if scoring else "no",
        eval_steps=every,
        save_strategy="steps" if scoring else "no",
        save_steps=every,
        save_total_limit=1,
        logging_steps=max(1, min(every, 50)),
        load_best_model_at_end=scoring,
        restore_callback_states_from_checkpoint=scoring,
        metric_for_best_model=settings.best_metric,
        greater_is_better=True,
        disable_tqdm=True,
        report_to="none",
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # of several cards, one process has one: torchrun starts a process for each
    arguments.report_to = []  # and not where the environment speaks of Kubeflow either: `trackers` says who gets what
    return arguments


def check_shares(settings: TrainSettings, processes: int) -> None:
    """Raise `RecipeError` unless every process has as many examples of a batch."""
    if settings.batch_size % processes:
        raise RecipeError(f"train.batch_size {settings.batch_size} cannot be shared by {processes} processes; give a multiple")


def plan_steps(settings: TrainSettings, examples: int) -> tuple[int, int]:
    """Optimizer steps of an epoch, and of a training that is not stopped early."""
    steps_per_epoch = math.ceil(examples / (settings.batch_size * settings.accumulation))
    return steps_per_epoch, settings.max_steps or math.ceil(steps_per_epoch * settings.epochs)


def find_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint; one that a kill cut short lacks the state that is written last."""
    complete = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(complete, key=lambda path: int(path.name.split("-")[1]))) if complete else None


def count_steps(folder: Path) -> int:
    """How many steps the newest complete checkpoint has behind it; 0 without one."""
    checkpoint = find_checkpoint(folder)
    return int(checkpoint.rsplit("-", 1)[1]) if checkpoint else 0


@contextmanager
def lend(model: PreTrainedModel) -> Iterator[None]:
    """Lend the model to the trainer; afterwards it has its own settings and its own forward pass again.

    The trainer sets special tokens in the config and the generation settings and switches `config.use_cache` off, and leaves all
    so; a checkpoint saved like that would generate without a cache. accelerate has the model compute in the training's precision
    from then on; it would write in that, too, and not as `evaluate.precision` says.
    """
    passes = {name: value for name, value in vars(model).items() if name in FORWARD}
    held = [model, model.get_base_model()] if isinstance(model, PeftModel) else [model]
    own, config = copy.deepcopy(getattr(model, "generation_config", None)), vars(model.config)
    kept = {key: config[key] for key in LENT if key in config}
    try:
        yield
    finally:
        for holder in held if own else ():
            holder.generation_config = own
        for key in LENT:
            config.pop(key, None)
        config.update(kept)
        for name in FORWARD:
            vars(model).pop(name, None)
        vars(model).update(passes)
