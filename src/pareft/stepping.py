"""A training step taken by itself, as training takes it: the one place for all that measure steps."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerBase

from pareft.pipeline import Prepared, build_model
from pareft.recipe import TrainSettings
from pareft.runtime import Precision, autocast
from pareft.tuning.fast import quicken

MULTIPLE = 8  # to which training pads


class Stepper:
    """A model that is being trained: batches are made of encoded rows, and a step is forward, backward, clipping and AdamW."""

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        settings: TrainSettings,
        precision: Precision,
        *,
        multiple: int | None = MULTIPLE,
    ) -> None:
        """`multiple`: sources and targets are padded to one of it; without it, to the longest."""
        self.model, self.precision = model.train(), precision
        self._trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._trained, lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        self._collate = DataCollatorForSeq2Seq(tokenizer, pad_to_multiple_of=multiple)

    def step(self, rows: Sequence[dict[str, Any]]) -> float:
        """Train on a batch of rows with `input_ids`, `attention_mask` and `labels`; returns the seconds, padding not among them."""
        batch = self._collate(list(rows)).to(self.model.device)
        started = time.perf_counter()
        with autocast(self.precision):
            loss = self.model(**batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained, 1.0)
        self._optimizer.step()
        self._optimizer.zero_grad()
        wait_for_device()
        return time.perf_counter() - started


@contextmanager
def open_stepper(prepared: Prepared) -> Iterator[Stepper]:
    """A run's model, built and computing as its training has it."""
    model = build_model(prepared)
    with quicken(model, prepared.recipe.train.fast):
        yield Stepper(model, prepared.tokenizer, prepared.recipe.train, prepared.precision)


def wait_for_device() -> None:
    """Wait for what the GPU still computes; a processor is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
