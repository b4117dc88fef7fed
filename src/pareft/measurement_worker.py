"""An arm in a process of its own: it is built, steps when it is told to, tells its peak, and infers."""

from collections.abc import Callable
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pareft.errors import MeasurementError
from pareft.forking import Worker, answer_orders
from pareft.lightening import lighten
from pareft.models.structure import count_parameters
from pareft.readying import encode_split, prepare
from pareft.recipe import Recipe
from pareft.run_folder import PLANS
from pareft.runtime import peak_memory_bytes, reset_peak_memory, seed_everything
from pareft.settings import MeasureSettings
from pareft.stepping import open_inference, open_stepper


def start(recipe: Recipe, home: Path | None, stand_in: Recipe | None) -> Worker:
    """The process of an arm. `home`: the folder of the arms' runs; `stand_in`: what teaches it, if it is not trained yet."""
    return Worker(serve, recipe, home, stand_in, hint="a smaller train.batch_size needs less")


def ask(worker: Worker, arm: str, what: str, number: int = 0) -> dict[str, Any]:
    """An arm's answer to `load`, `step` with the number of a round, `peak`, or `infer`, after which there are no more steps.

    Raises:
        MeasurementError: the process failed, or ended instead.
    """
    try:
        return worker.ask(what, number)
    except MeasurementError as error:
        raise MeasurementError(f"measuring arm {arm!r} failed: {error}. measure=null skips the measurement.") from error


def serve(orders: Connection, recipe: Recipe, home: Path | None, stand_in: Recipe | None) -> None:
    """A worker's life."""
    answer_orders(orders, lambda stack: _Measured(stack, recipe, home, stand_in).answer)


class _Measured:
    """What is measured in this process. What training holds goes before it infers."""

    def __init__(self, stack: ExitStack, recipe: Recipe, home: Path | None, stand_in: Recipe | None) -> None:
        self._stack, self.recipe, self.home, self.stand_in = stack, recipe, home, stand_in
        self._infer: Callable[[], float] | None = None

    def answer(self, what: str, number: int) -> dict[str, Any]:
        """Do as told."""
        if what == "load":
            return self.load()
        if what == "peak":
            return {"peak_bytes": peak_memory_bytes() - self._before}
        return {"seconds": self.step(number) if what == "step" else self.infer()}

    def load(self) -> dict[str, Any]:
        """Build what is trained, on the first rows of the training split."""
        recipe, plans = self.recipe, self.home / PLANS if self.home else None
        seed_everything(recipe.seed)
        self._prepared = lighten(prepare(recipe, plans=plans), plans)
        rounds = recipe.measure or MeasureSettings()
        count = recipe.train.batch_size * (rounds.warmup_steps + rounds.steps)
        self._rows = encode_split(self._prepared, "train", limit=max(count, recipe.evaluate.batch_size if rounds.inference else 0))
        self._before = reset_peak_memory()
        stepper = open_stepper(self._prepared, self._rows, home=self.home, stand_in=self.stand_in)
        self._stepper = self._stack.enter_context(stepper)
        counted = count_parameters(self._stepper.model)
        inferred = min(recipe.evaluate.batch_size, len(self._rows))
        return {"trainable": counted.trainable, "total": counted.total, "inferred": inferred}

    def step(self, number: int) -> float:
        """Train on the batch of a round; returns the seconds."""
        rows, size = self._rows, self.recipe.train.batch_size
        start = number * size % max(1, len(rows) - size + 1)
        return self._stepper.step([rows[index] for index in range(start, min(start + size, len(rows)))])

    def infer(self) -> float:
        """Pass over a batch with what the steps have made; returns the seconds."""
        if self._infer is None:
            model = self._stepper.model
            del self._stepper
            self._stack.close()
            self._infer = open_inference(model, self._prepared, self._rows)
        return self._infer()
