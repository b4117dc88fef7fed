"""A training step taken by itself, as training takes it, and a pass of inference: the one place for all that measure them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from pareft.artefact import make_writer
from pareft.evaluation.efficiency import NEW_TOKENS
from pareft.evaluation.generation import Batch, write_batch
from pareft.readying import Prepared, build_model, recomputes
from pareft.recipe import Recipe
from pareft.runtime import Precision, autocast, choose_writing_precision, wait_for_device
from pareft.settings import FastSettings, TrainSettings
from pareft.teaching import teach
from pareft.teaching.finding import find_teacher
from pareft.teaching.opening import forecast_bytes
from pareft.tuning.distilling import Distiller
from pareft.tuning.fast import quicken
from pareft.tuning.fast.batches import MULTIPLE, count_targets, divide
from pareft.tuning.learning import make_collator
from pareft.tuning.prefix.serving import keep_prefix


class Stepper:
    """A model that is being trained: batches are made of encoded rows, and a step is forward, backward, clipping and AdamW."""

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase | None,
        settings: TrainSettings,
        precision: Precision,
        *,
        fast: FastSettings | None = None,
        multiple: int | None = MULTIPLE,
        distiller: Distiller | None = None,
    ) -> None:
        """`tokenizer`: what pads rows; without one there are only batches. `fast`: how these are cut in parts; without it they are
        not. `multiple`: sources and targets are padded to one of it; without it, to the longest. `distiller`: whose loss is learnt.
        """
        self.model, self.precision, self._fast, self._distiller = model.train(), precision, fast, distiller
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self._collate: Any = make_collator(model, tokenizer, multiple=multiple) if tokenizer else None

    def step(self, rows: Sequence[dict[str, Any]]) -> float:
        """Train on a batch of rows with `input_ids`, `attention_mask` and `labels`; returns the seconds, padding not among them."""
        return sum(self.take(self._collate(list(rows)).to(self.model.device)))

    def take(self, batch: Any) -> tuple[float, float]:
        """Train on a padded batch; returns the seconds of forward and backward, and those of clipping and AdamW."""
        started = time.perf_counter()
        learn(self.model, batch, self.precision, self._fast, self._distiller)
        wait_for_device()
        learnt = time.perf_counter()
        torch.nn.utils.clip_grad_norm_(self._trained, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        wait_for_device()
        return learnt - started, time.perf_counter() - learnt

    def look(self, rows: Sequence[dict[str, Any]]) -> None:
        """Compute rows forward, as a first epoch does."""
        batch = self._collate(list(rows)).to(self.model.device)
        with autocast(self.precision), torch.set_grad_enabled(self._distiller is not None):  # else all logits would be held
            if self._distiller:
                self._distiller.compute(self.model, batch)
            else:
                self.model(**batch)


def learn(model: Any, batch: Any, precision: Precision, fast: FastSettings | None, distiller: Distiller | None = None) -> None:
    """Forward and backward of a batch; with `fast`, in the parts that it says. `distiller`: whose loss is learnt."""
    tokens = count_targets(batch)
    for part in divide(batch, model, fast) if fast else [batch]:
        with autocast(precision):
            loss = distiller.compute(model, part)[0] if distiller else model(**part).loss
        (loss * count_targets(part) / tokens).backward()
        del loss  # or what its graph holds would lie beside the next part's


@contextmanager
def open_stepper(
    prepared: Prepared, rows: Dataset | None = None, *, home: Path | None = None, stand_in: Recipe | None = None
) -> Iterator[Stepper]:
    """A run's model, built and computing as its training has it; with `rows`, which it will step on, behind a frozen prefix that a
    first epoch has left, and with all that a cached teacher says. `home`: where the teacher is, if it is a run that is named;
    before that has trained, the arm `stand_in` is in its place, untrained.
    """
    model, settings = build_model(prepared), prepared.recipe.train
    distill = prepared.recipe.distill
    teacher = find_teacher(prepared, home, stand_in=stand_in) if distill and distill.listens else None
    if recomputes(prepared, beside=forecast_bytes(teacher, prepared) if teacher else 0):
        model.gradient_checkpointing_enable({"use_reentrant": False})
    with ExitStack() as stack:
        kept = rows if settings.cache_frozen_prefix else None
        if kept is not None:
            cross = settings.cache_cross_attention
            stack.enter_context(
                keep_prefix(model, kept, settings.cache_frozen_prefix, cross=cross, folder=None, precision=prepared.precision)
            )
        distiller = stack.enter_context(teach(teacher, model, prepared, rows, folder=None)) if teacher else None
        stack.enter_context(quicken(model, settings.fast))
        stepper = Stepper(model, prepared.tokenizer, settings, prepared.precision, fast=settings.fast, distiller=distiller)
        seen = rows if settings.cache_frozen_prefix or (distill and distill.cache) else None
        if seen is not None:
            for start in range(0, len(seen), settings.batch_size):
                stepper.look([seen[place] for place in range(start, min(start + settings.batch_size, len(seen)))])
        yield stepper


def open_inference(model: Any, prepared: Prepared, rows: Dataset) -> Callable[[], float]:
    """A pass of inference over the first rows, as many as the evaluation takes at once, and its seconds: they are written for, no
    text ending early, or classified, or how likely their targets are is measured, by a model that is not trained any more, its
    adapter merged.
    """
    settings = prepared.recipe.evaluate
    writer = make_writer(model, precision=choose_writing_precision(settings.precision))
    chosen = [rows[place] for place in range(min(settings.batch_size, len(rows)))]
    if prepared.task != "generation":
        batch = make_collator(writer, prepared.tokenizer)(chosen).to(writer.device)
        learnt = () if prepared.by_likelihood else ("labels", "start_positions", "end_positions")
        inputs = {name: value for name, value in batch.items() if name not in learnt}

        def infer() -> object:
            return writer(**inputs)

    else:
        tokens, numbers = min(NEW_TOKENS, settings.max_new_tokens), tuple(range(len(chosen)))
        writer.generation_config.min_new_tokens = tokens
        short = settings.model_copy(update={"max_new_tokens": tokens})
        sources = Batch(numbers, numbers, tuple(row["input_ids"] for row in chosen))

        def infer() -> object:
            return write_batch(writer, prepared.tokenizer, sources, short)

    def take() -> float:
        started = time.perf_counter()
        with torch.inference_mode():
            infer()
        wait_for_device()
        return time.perf_counter() - started

    return take
