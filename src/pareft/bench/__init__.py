"""`pareft bench`: what arms cost on known shapes, as pareft trains them and as one would without it; START READING HERE.

A case is a shape at one length. Its arms run in processes of their own, their steps in turn, in groups that fit into memory.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pareft.bench.arms import ARMS, WAYS, make_recipe
from pareft.bench.batches import Lengths, draw_lengths
from pareft.bench.grouping import estimate_need, find_room, make_groups
from pareft.bench.record import ANCHOR, Case, Entry, Way, Writing
from pareft.bench.shapes import open_config, write_base, write_pruned
from pareft.bench.worker import BEAMS, Order, start
from pareft.errors import MeasurementError
from pareft.evaluation.efficiency import CPU_MEMORY, CUDA_MEMORY, interleave
from pareft.forecast.rates import DTYPES
from pareft.forecast.tracing import PLAIN, Step, trace_step
from pareft.forking import Worker
from pareft.models.families import find_family
from pareft.operations import build_counted, count_operations
from pareft.progress import SILENT, Progress
from pareft.reproduction.counting import count_arm
from pareft.runtime import Precision, choose_device, choose_precision, computes_bf16, describe_hardware, free_memory, list_versions

METHOD = (
    "every arm and way in a process of its own; as many alive at once as fit into memory, full in stock-fp32 always among them "
    "where it fits; one training step (forward, backward, clip, AdamW) of each in turn on the same batches of random ids, model "
    "dropout as configured, LoRA of rank 16 with dropout 0.1; random weights. Ratios are of medians, through full in stock-fp32 "
    "where processes were not alive at once. Memory: {memory}. Operations: of forward and backward, of the texts' own tokens, "
    "without gradients of what is frozen; ceiling: the best rate of products of square matrices, just before every step. Load: "
    "to the end of the first forward pass, files in the page cache. {ways}"
)
WRITING_ROUNDS = 3  # the first is not counted


@dataclass(frozen=True)
class Request:
    """What is asked for: shapes with their lengths, arms, ways, and how much of each."""

    cases: Mapping[str, Sequence[Lengths]]
    arms: Sequence[str] = tuple(ARMS)
    ways: Sequence[Way] = ("pareft", "stock")
    batch_size: int = 4
    steps: int = 8
    warmup_steps: int = 2
    new_tokens: int = 32
    seed: int = 42

    @property
    def units(self) -> list[list[tuple[str, Way]]]:
        """Arms and ways, the anchor first."""
        units: list[list[tuple[str, Way]]] = [[(arm, way) for way in self.ways] for arm in self.arms]
        return [[ANCHOR], *([key for key in unit if key != ANCHOR] for unit in units)]


def bench(request: Request, *, progress: Progress = SILENT) -> Iterator[Case]:
    """Measure case after case; after every group, the case as far as it is measured. What fails is in the case, and named."""
    for shape, lengths in request.cases.items():
        with tempfile.TemporaryDirectory(prefix="pareft-bench-", ignore_cleanup_errors=True) as folder:
            progress.start(f"{shape}: random weights", None)
            place = Path(folder)
            base = write_base(place / "base", shape, seed=request.seed)
            write_pruned(base, place / "pruned")
            free_memory()
            for at in lengths:
                yield from _Bench(request, shape, at, place, progress).measure()


@dataclass
class _Bench:
    """A case being measured."""

    request: Request
    shape: str
    lengths: Lengths
    place: Path
    progress: Progress
    failed: dict[str, str] = field(default_factory=dict)

    def measure(self) -> Iterator[Case]:
        """The case after every group."""
        request = self.request
        orders = {key: self._make_order(*key) for unit in request.units for key in unit}
        operations, groups = self._count_operations(orders.values()), self._group(orders)
        case = Case(
            shape=self.shape,
            lengths=str(self.lengths),
            batch_size=request.batch_size,
            warmup_steps=request.warmup_steps,
            steps=request.steps,
            new_tokens=request.new_tokens,
            method=METHOD.format(
                memory=CUDA_MEMORY if choose_device().type == "cuda" else CPU_MEMORY,
                ways="; ".join(f"{way}: {WAYS[way]}" for way in dict.fromkeys(way for _, way in orders)),
            ),
            versions=list_versions(),
            hardware=describe_hardware(),
            operations=operations,
        )
        for number, keys in enumerate(groups, 1):
            label = f"{self.shape} {self.lengths}" + (f", group {number} of {len(groups)}" if len(groups) > 1 else "")
            measured = self._measure_group([orders[key] for key in keys], label)
            case = case.model_copy(update={"groups": [*case.groups, measured], "failed": dict(self.failed)})
            yield case

    def _make_order(self, arm: str, way: Way) -> Order:
        request = self.request
        recipe = make_recipe(self.place / "base", arm, self.lengths, batch_size=request.batch_size, seed=request.seed)
        return Order(
            arm=arm,
            way=way,
            recipe=recipe,
            precision=choose_way_precision(way, half_precision=find_family(open_config(self.shape)).half_precision),
            checkpoint=str(self.place / ("pruned" if recipe.prune else "base")),
            lengths=self.lengths,
            rounds=request.warmup_steps + request.steps,
            new_tokens=request.new_tokens,
        )

    def _count_operations(self, orders: Iterable[Order]) -> dict[str, list[float]]:
        """The operations of every arm's counted steps."""
        request = self.request
        batches = draw_lengths(
            self.lengths, size=request.batch_size, rounds=request.warmup_steps + request.steps, seed=request.seed
        )
        recipes = {order.arm: order.recipe for order in orders}
        self.progress.start(f"{self.shape} {self.lengths}: count operations", len(recipes))
        counted = {}
        for done, (arm, recipe) in enumerate(recipes.items(), 1):
            counted[arm] = count_operations(build_counted(recipe), batches[request.warmup_steps :])
            self.progress.advance(done, len(recipes), {})
        return counted

    def _group(self, orders: Mapping[tuple[str, Way], Order]) -> list[list[tuple[str, Way]]]:
        """What is alive at once. If all fits by a generous guess, every single one is not forecast."""
        room, most = find_room(), estimate_need(_forecast(orders[ANCHOR]), generously=True)
        needs = dict.fromkeys(orders, most)
        if most * len(orders) > room:
            self.progress.start(f"{self.shape} {self.lengths}: forecast memory", len(orders))
            for done, (key, order) in enumerate(orders.items(), 1):
                needs[key] = estimate_need(_forecast(order))
                self.progress.advance(done, len(orders), {})
        return make_groups(self.request.units, needs, anchor=ANCHOR, room=room)

    def _measure_group(self, orders: Sequence[Order], label: str) -> list[Entry]:
        """Load one after the other, step in turn, ask the peaks, write in turn. What fails leaves, and the others go on."""
        request = self.request
        with ExitStack() as stack:
            workers = {(order.arm, order.way): stack.enter_context(start(order)) for order in orders}
            ask = _Asking(workers, self.failed, self.progress)
            self.progress.start(f"{label}: load", len(workers))
            loaded = {key: answers[0] for key, answers in ask.everyone("load", [0]).items()}
            rounds = request.warmup_steps + request.steps
            self.progress.start(f"{label}: steps", len(workers) * rounds)
            steps = ask.everyone("step", range(rounds))
            self.progress.start(f"{label}: peak memory", len(workers))
            peaks = ask.everyone("peak", [0])
            written: dict[str, dict[Any, list[dict[str, Any]]]] = {}
            for beams in BEAMS if request.new_tokens else ():
                self.progress.start(f"{label}: write, {beams}", len(workers) * WRITING_ROUNDS)
                written[beams] = ask.everyone(beams, [0] * WRITING_ROUNDS)
        return [
            Entry(
                arm=order.arm,
                way=order.way,
                precision=order.precision,
                trainable=loaded[key]["trainable"],
                total=loaded[key]["total"],
                load_seconds=round(loaded[key]["load_seconds"], 4),
                step_seconds=[round(answer["seconds"], 6) for answer in steps[key][request.warmup_steps :]],
                ceilings=[round(answer["ceiling"]) for answer in steps[key][request.warmup_steps :]],
                peak_bytes=peaks[key][0]["peak_bytes"],
                writing={
                    beams: Writing(
                        tokens=answers[key][0]["tokens"], seconds=[round(answer["seconds"], 5) for answer in answers[key][1:]]
                    )
                    for beams, answers in written.items()
                    if key in answers
                },
            )
            for order in orders
            if (key := (order.arm, order.way)) in peaks
        ]


def _forecast(order: Order) -> Step:
    ours = order.way == "pareft"
    frozen, fast = None if ours else DTYPES["fp32"], order.recipe.train.fast if ours else PLAIN
    return trace_step(count_arm(order.recipe).model, order.recipe, order.precision, frozen=frozen, fast=fast)


class _Asking:
    """Asks all workers of a group in turn; one that fails is asked no more."""

    def __init__(self, workers: Mapping[tuple[str, Way], Worker], failed: dict[str, str], progress: Progress) -> None:
        self.alive, self.failed, self.progress = dict(workers), failed, progress

    def everyone(self, what: str, numbers: Sequence[int]) -> dict[tuple[str, Way], list[dict[str, Any]]]:
        """The answers of those who gave all, number after number."""
        answers: dict[tuple[str, Way], list[dict[str, Any]]] = {key: [] for key in self.alive}
        done, total = 0, len(self.alive) * len(numbers)

        def ask(key: tuple[str, Way], number: int) -> float:
            nonlocal done
            if key in self.alive:
                try:
                    answers[key].append(self.alive[key].ask(what, numbers[number]))
                except MeasurementError as error:
                    self.failed[" ".join(key)] = f"{what}: {error}"
                    self.alive.pop(key).end()
            done += 1
            self.progress.advance(done, total, {})
            return 0.0

        steppers: dict[Any, Callable[[int], float]] = {key: partial(ask, key) for key in self.alive}
        interleave(steppers, warmup=0, steps=len(numbers))
        return {key: found for key, found in answers.items() if len(found) == len(numbers)}


def choose_way_precision(way: Way, *, half_precision: bool) -> Precision:
    """What a way computes in: pareft in what a recipe's `auto` gives, stock under bf16 autocast where the machine has it."""
    if way == "pareft":
        return choose_precision("auto", half_precision=half_precision)
    return "bf16" if way == "stock" and computes_bf16() else "fp32"
