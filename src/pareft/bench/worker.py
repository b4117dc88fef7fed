"""One arm in one way, in a process of its own: it loads, steps, tells its peak and writes when it is told to."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from pareft.bench.batches import Lengths, draw_lengths, draw_rows
from pareft.bench.record import Way
from pareft.bench.stock import open_stock_stepper
from pareft.bench.writers import Write, make_stock_writer, make_writer
from pareft.forking import Worker, answer_orders
from pareft.models.checkpoint import load_tokenizer, open_base
from pareft.models.structure import count_parameters, count_vocabulary
from pareft.operations import measure_ceiling
from pareft.readying import Prepared, decide
from pareft.recipe import Recipe
from pareft.records import Record
from pareft.runtime import Precision, autocast, peak_memory_bytes, reset_peak_memory, seed_everything, wait_for_device
from pareft.stepping import open_stepper

BEAMS = {"greedy": 1, "beam 6": 6}


class Order(Record):
    """What a worker measures: an arm's recipe, a way, and the checkpoint the stock ways read; `rounds` batches of these lengths."""

    arm: str
    way: Way
    recipe: Recipe
    precision: Precision
    checkpoint: str
    lengths: Lengths
    rounds: int
    new_tokens: int


def start(order: Order) -> Worker:
    """The process, as who gives the orders sees it."""
    return Worker(serve, order, hint="lower --batch")


def serve(orders: Connection, order: Order) -> None:
    """A worker's life."""
    answer_orders(orders, lambda stack: _Measured(order, stack).answer)


class _Measured:
    """What is measured in this process, from load to writing. What training holds goes before it writes."""

    def __init__(self, order: Order, stack: ExitStack) -> None:
        self.order, self._stack = order, stack
        recipe, base = order.recipe, open_base(order.recipe.base)
        self.prepared = Prepared(recipe, base, decide(base, recipe.prune), load_tokenizer(base), {}, order.precision, {})
        self.batches = draw_lengths(order.lengths, size=recipe.train.batch_size, rounds=order.rounds, seed=recipe.seed)
        self._write: Write | None = None
        self._before = self._peak = 0
        seed_everything(recipe.seed)

    def answer(self, what: str, number: int) -> dict[str, Any]:
        """Do as told."""
        if what == "load":
            return self.load()
        if what == "step":
            ceiling = measure_ceiling(self.order.precision)
            reset_peak_memory()  # matrices that tell the ceiling are no training's
            seconds = self.stepper.step(self._draw_rows(number))
            self._peak = max(self._peak, peak_memory_bytes() - self._before)
            return {"seconds": seconds, "ceiling": ceiling}
        if what == "peak":
            return {"peak_bytes": self._peak}
        return self.write(BEAMS[what], number)

    def load(self) -> dict[str, Any]:
        """Build what is trained, up to its first forward pass."""
        self._before, started = reset_peak_memory(), time.perf_counter()
        self.stepper = self._stack.enter_context(self._open())
        tokens = torch.full((1, 8), self.prepared.base.config.eos_token_id, device=self.stepper.model.device)
        with torch.no_grad(), autocast(self.order.precision):
            self.stepper.model(input_ids=tokens, labels=tokens)
        wait_for_device()
        seconds, counted = time.perf_counter() - started, count_parameters(self.stepper.model)
        self._peak = peak_memory_bytes() - self._before
        return {"load_seconds": seconds, "trainable": counted.trainable, "total": counted.total}

    @contextmanager
    def _open(self) -> Iterator[Any]:
        if self.order.way == "pareft":
            with open_stepper(self.prepared) as stepper:
                yield stepper
        else:
            order, tokenizer = self.order, self.prepared.tokenizer
            yield open_stock_stepper(Path(order.checkpoint), order.recipe, tokenizer, order.precision)

    def _draw_rows(self, number: int) -> list[dict[str, Any]]:
        config, seed = self.prepared.base.config, self.order.recipe.seed
        return draw_rows(self.batches[number], vocabulary=count_vocabulary(config), end=config.eos_token_id, seed=seed + number)

    def write(self, beams: int, number: int) -> dict[str, Any]:
        """Write for the sources of a batch. Before the first time, the model leaves training, with all that holds."""
        if self._write is None:
            model = self.stepper.model
            del self.stepper
            self._stack.close()
            make = make_writer if self.order.way == "pareft" else make_stock_writer
            self._write = make(model, self.prepared.tokenizer, self.order.new_tokens)
        sources = [row["input_ids"] for row in self._draw_rows(number)]
        started = time.perf_counter()
        self._write(sources, beams)
        wait_for_device()
        return {"seconds": time.perf_counter() - started, "tokens": len(sources) * self.order.new_tokens}
