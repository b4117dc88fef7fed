"""Training by `Seq2SeqTrainer`: its arguments and callbacks, and no loop of our own."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from peft import PeftModel
from transformers import (
    DataCollatorForSeq2Seq,
    EarlyStoppingCallback,
    EvalPrediction,
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

from pareft.recipe import EvaluateSettings, TrainSettings
from pareft.runtime import Precision, autocast

Score = Callable[[Sequence[str], Sequence[str]], dict[str, float]]
OnProgress = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True)
class Task:
    """What is learnt: encoded examples, the validation examples of in-training evaluation, and how their predictions are scored.

    `score` turns predictions and references into metrics, among them `rouge1`, by which the best checkpoint is chosen.
    """

    examples: Dataset
    validation: Dataset
    tokenizer: PreTrainedTokenizerBase
    score: Score


@dataclass(frozen=True)
class TrainingResult:
    """What training did: steps taken, the best checkpoint's step, wall time with evaluations, and everything that was logged."""

    steps: int
    best_step: int | None
    seconds: float
    history: list[dict[str, float]]


class _Report(TrainerCallback):
    """Pass step, total steps and what is logged on to the caller; have the last step evaluated, wherever it falls."""

    def __init__(self, on_progress: OnProgress) -> None:
        self.on_progress = on_progress

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object) -> None:
        self.on_progress(state.global_step, state.max_steps, {})
        if state.global_step >= state.max_steps:
            control.should_evaluate = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **_: object,
    ) -> None:
        self.on_progress(state.global_step, state.max_steps, logs or {})


class _AutocastGeneration(Seq2SeqTrainer):
    """Generates in the precision it trains in: the trainer's own autocast covers `forward` and not `generate`."""

    def prediction_step(self, *args: Any, **kwargs: Any) -> Any:
        precision: Precision = "bf16" if self.args.bf16 else "fp16" if self.args.fp16 else "fp32"
        with autocast(precision):
            return super().prediction_step(*args, **kwargs)


def train(
    model: PreTrainedModel,
    task: Task,
    arguments: Seq2SeqTrainingArguments,
    evaluation: EvaluateSettings,
    *,
    patience: int,
    on_progress: OnProgress,
) -> TrainingResult:
    """Train in place, from the last checkpoint in the output folder if there is one; the model ends with the best one's weights.

    `arguments` are those of `make_arguments`; training ends early after `patience` evaluations without a better ROUGE-1.
    """
    started = time.perf_counter()
    with _lent(model, evaluation):
        trainer = _AutocastGeneration(
            model=model,
            args=arguments,
            train_dataset=task.examples,
            eval_dataset=task.validation,
            processing_class=task.tokenizer,
            data_collator=DataCollatorForSeq2Seq(task.tokenizer, model, pad_to_multiple_of=8),
            compute_metrics=_score_tokens(task.tokenizer, task.score),
            callbacks=[EarlyStoppingCallback(patience), _Report(on_progress)],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=find_checkpoint(Path(arguments.output_dir)))
    best = trainer.state.best_model_checkpoint
    return TrainingResult(
        steps=trainer.state.global_step,
        best_step=int(best.rsplit("-", 1)[1]) if best else None,
        seconds=round(time.perf_counter() - started, 2),
        history=[{key: round(float(value), 6) for key, value in entry.items()} for entry in trainer.state.log_history],
    )


def make_arguments(
    settings: TrainSettings,
    evaluation: EvaluateSettings,
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
        per_device_eval_batch_size=evaluation.batch_size,
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
        metric_for_best_model="rouge1",
        predict_with_generate=True,
        disable_tqdm=True,
        report_to="none",
    )


def find_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint; one that a kill cut short lacks the state that is written last."""
    complete = [path.parent for path in folder.glob("checkpoint-*/trainer_state.json")]
    return str(max(complete, key=lambda path: int(path.name.split("-")[1]))) if complete else None


@contextmanager
def _lent(model: PreTrainedModel, evaluation: EvaluateSettings) -> Iterator[None]:
    """Lend the model to the trainer: it generates greedily in between, and afterwards has its own settings again.

    The trainer switches `config.use_cache` off and leaves it so; a checkpoint saved like that would generate without a cache.
    """
    held = [model, model.get_base_model()] if isinstance(model, PeftModel) else [model]
    own, use_cache = copy.deepcopy(model.generation_config), model.config.use_cache
    greedy = copy.deepcopy(own)
    greedy.update(
        max_length=None,
        min_length=0,
        max_new_tokens=evaluation.max_new_tokens,
        num_beams=1,
        early_stopping=False,
        no_repeat_ngram_size=evaluation.no_repeat_ngram_size,
        length_penalty=None,
    )
    try:
        for holder in held:
            holder.generation_config = greedy
        yield
    finally:
        for holder in held:
            holder.generation_config = own
        model.config.use_cache = use_cache


def _score_tokens(tokenizer: PreTrainedTokenizerBase, score: Score) -> Callable[[EvalPrediction], dict[str, float]]:
    """Decode predictions and labels (-100 is padding, which no tokenizer decodes) and score them."""

    def decode(ids: np.ndarray) -> list[str]:
        padded = np.where(ids < 0, tokenizer.pad_token_id, ids)
        return [text.strip() for text in tokenizer.batch_decode(padded, skip_special_tokens=True)]

    def compute(prediction: EvalPrediction) -> dict[str, float]:
        return score(decode(np.asarray(prediction.predictions)), decode(np.asarray(prediction.label_ids)))

    return compute
