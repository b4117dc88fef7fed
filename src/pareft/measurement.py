"""Measure the arms' training steps side by side: one process per arm, stepped in turn by this one. `evaluation.efficiency` says the
method.

The worker is this module run as a script: it reads a recipe and the folder of its runs as one line of JSON, answers with what it
holds, and then takes one training step per line that names a round.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import IO, Any

import torch

from pareft.errors import MeasurementError
from pareft.evaluation.efficiency import APART, CPU_MEMORY, CUDA_MEMORY, INFERENCE, METHOD, NEW_TOKENS, interleave
from pareft.progress import SILENT, Progress
from pareft.recipe import Recipe, resolve
from pareft.records import ArmEfficiency, EfficiencyRecord
from pareft.run_folder import PLANS
from pareft.runtime import describe_hardware, list_versions
from pareft.settings import MeasureSettings


class Worker:
    """An arm's process: started, told to step, asked for its peak, and ended with the `with`."""

    def __init__(self, arm: str, recipe: Recipe, home: Path | None, stand_in: Recipe | None) -> None:
        self.arm = arm
        self._errors: IO[str] = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115, closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, "-m", "pareft.measurement"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        asked = {
            name: found.model_dump(mode="json") if found else None for name, found in (("recipe", recipe), ("stand_in", stand_in))
        }
        self._send(json.dumps(asked | {"home": str(home) if home else None}))

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def receive(self) -> dict[str, Any]:
        """The worker's next answer.

        Raises:
            MeasurementError: the process ended instead; with the last line it wrote.
        """
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read().strip().splitlines() or [f"exit code {self._process.wait()}"]
            raise MeasurementError(f"measuring arm {self.arm!r} failed: {said[-1]}. measure=null skips the measurement.")
        return json.loads(line)

    def step(self, number: int) -> float:
        """Take the training step of a round; returns its seconds."""
        self._send(str(number))
        return float(self.receive()["seconds"])

    def infer(self) -> float:
        """Pass over a batch with what the steps have made; returns the seconds. There are no more steps afterwards."""
        self._send("infer")
        return float(self.receive()["seconds"])

    def _send(self, line: str) -> None:
        assert self._process.stdin
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self.receive()


def digest_arm(arm: Recipe) -> str:
    """Identify what is measured: equal for the same arm, however it is evaluated, and however often and how boldly it steps."""
    lasting = {"epochs", "max_steps", "warmup_steps", "learning_rate", "evaluate_every", "patience", "report_to"}
    beside: dict[str, Any] = {"arms": True, "evaluate": True, "measure": True, "train": lasting}
    return hashlib.sha256(arm.model_dump_json(exclude=beside).encode()).hexdigest()[:16]


def fits(record: EfficiencyRecord, arms: Mapping[str, Recipe], settings: MeasureSettings | None = None) -> bool:
    """Whether a measurement is of these very arms, and with `settings`, was taken so."""
    counts = (record.steps, record.warmup_steps, record.inference)
    taken = settings is None or counts == (settings.steps, settings.warmup_steps, settings.inference)
    return taken and all(name in record.arms and record.arms[name].digest == digest_arm(arm) for name, arm in arms.items())


def measure(
    arms: Mapping[str, Recipe],
    settings: MeasureSettings,
    *,
    home: Path | None = None,
    beside: Mapping[str, Recipe] | None = None,
    progress: Progress = SILENT,
) -> EfficiencyRecord:
    """Measure every arm's training step and peak memory on the first batches of its training split. `home`: the folder of the arms'
    runs, among which teachers may be; `beside`: all arms, if these are some: an arm that teaches and is not trained yet is stood in
    for by itself, untrained.

    Raises:
        MeasurementError: a worker failed, for want of memory, say.
    """
    passes = settings.inference + 1 if settings.inference else 0
    total = len(arms) * (settings.warmup_steps + settings.steps + passes)
    progress.start("measure", total)
    done = 0
    with ExitStack() as stack:
        workers = {
            arm: stack.enter_context(Worker(arm, recipe, home, _find_stand_in(recipe, beside or arms)))
            for arm, recipe in arms.items()
        }
        held = {arm: worker.receive() for arm, worker in workers.items()}

        def count(take: Callable[[], float]) -> float:
            nonlocal done
            seconds, done = take(), done + 1
            progress.advance(done, total, {})
            return seconds

        steppers = {arm: lambda number, worker=worker: count(lambda: worker.step(number)) for arm, worker in workers.items()}
        seconds = interleave(steppers, warmup=settings.warmup_steps, steps=settings.steps)
        peaks = {arm: _ask_peak(worker) for arm, worker in workers.items()}
        inferring = {arm: lambda _, worker=worker: count(worker.infer) for arm, worker in workers.items()} if passes else {}
        inferred = interleave(inferring, warmup=1, steps=settings.inference)
    memory = CUDA_MEMORY if torch.cuda.is_available() else CPU_MEMORY
    method = METHOD.format(warmup=settings.warmup_steps, steps=settings.steps, memory=memory)
    return EfficiencyRecord(
        method=method + (INFERENCE.format(passes=settings.inference, tokens=NEW_TOKENS) if passes else ""),
        steps=settings.steps,
        warmup_steps=settings.warmup_steps,
        inference=settings.inference,
        batch_size=next(iter(arms.values())).train.batch_size,
        versions=list_versions(),
        hardware=describe_hardware(),
        arms={
            arm: ArmEfficiency(
                digest=digest_arm(recipe),
                step_seconds=[round(value, 5) for value in seconds[arm]],
                median_step_seconds=round(median(seconds[arm]), 5),
                peak_bytes=peaks[arm],
                trainable=held[arm]["trainable"],
                total=held[arm]["total"],
                inference_seconds=[round(value, 5) for value in inferred.get(arm, [])],
            )
            for arm, recipe in arms.items()
        },
    )


def measure_apart(
    arms: Mapping[str, Recipe], settings: MeasureSettings, *, home: Path | None = None, progress: Progress = SILENT
) -> EfficiencyRecord:
    """As `measure`, one arm after the other: for arms that do not fit onto the machine together. The record's method says so.

    Raises:
        MeasurementError: an arm does not fit alone, or failed otherwise.
    """
    records = {name: measure({name: arm}, settings, home=home, beside=arms, progress=progress) for name, arm in arms.items()}
    first = next(iter(records.values()))
    measured = {name: record.arms[name] for name, record in records.items()}
    return first.model_copy(update={"method": f"{APART}: {first.method}", "arms": measured})


def _find_stand_in(recipe: Recipe, arms: Mapping[str, Recipe]) -> Recipe | None:
    """The arm that teaches a recipe."""
    return arms.get(recipe.distill.teacher) if recipe.distill else None


def _ask_peak(worker: Worker) -> int:
    worker._send("peak")
    return int(worker.receive()["peak_bytes"])


def serve(requests: IO[str], answers: IO[str]) -> None:
    """A worker's life: build the arm of the first line, then step for every further line until the input ends."""
    from pareft.lightening import lighten
    from pareft.models.structure import count_parameters
    from pareft.readying import encode_split, prepare
    from pareft.runtime import peak_memory_bytes, reset_peak_memory, seed_everything
    from pareft.stepping import open_inference, open_stepper

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    asked = json.loads(requests.readline())
    recipe, home = resolve(asked["recipe"]), Path(asked["home"]) if asked["home"] else None
    stand_in = resolve(asked["stand_in"]) if asked["stand_in"] else None
    seed_everything(recipe.seed)
    plans = home / PLANS if home else None
    prepared = lighten(prepare(recipe, plans=plans), plans)
    rounds = recipe.measure or MeasureSettings()
    size = recipe.train.batch_size
    rows = encode_split(prepared, "train", limit=size * (rounds.warmup_steps + rounds.steps))
    before = reset_peak_memory()
    with open_stepper(prepared, rows, home=home, stand_in=stand_in) as stepper:
        counted = count_parameters(stepper.model)
        answer(trainable=counted.trainable, total=counted.total)
        for line in requests:
            if line.strip() == "peak":
                answer(peak_bytes=peak_memory_bytes() - before)
                continue
            if line.strip() == "infer":
                break
            start = int(line) * size % max(1, len(rows) - size + 1)
            answer(seconds=stepper.step([rows[index] for index in range(start, min(start + size, len(rows)))]))
        else:
            return
        model = stepper.model
    infer = open_inference(model, prepared, rows)
    answer(seconds=infer())
    for _ in requests:
        answer(seconds=infer())


def _serve_standard_streams() -> None:
    """Answer on the real standard output, and send whatever libraries print to standard error."""
    answers, sys.stdout = sys.stdout, sys.stderr
    serve(sys.stdin, answers)


if __name__ == "__main__":
    _serve_standard_streams()
