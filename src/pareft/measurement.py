"""Measure the arms' training steps side by side: one process per arm, stepped in turn by this one. `evaluation.efficiency` says the
method, `measurement_worker` what such a process does.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch

from pareft.evaluation.efficiency import APART, CPU_MEMORY, CUDA_MEMORY, INFERENCE, METHOD, NEW_TOKENS, interleave
from pareft.measurement_worker import ask, start
from pareft.models.plan import PruningPlan
from pareft.progress import SILENT, Progress
from pareft.recipe import Recipe
from pareft.records import ArmEfficiency, EfficiencyRecord
from pareft.runtime import describe_hardware, list_versions
from pareft.settings import MeasureSettings


def digest_arm(arm: Recipe, *, writes: bool = False) -> str:
    """Identify what is measured: equal for the same arm and plan, however often and how boldly it steps; where it also `writes`,
    written alike.
    """
    lasting = {"epochs", "max_steps", "warmup_steps", "learning_rate", "evaluate_every", "patience", "report_to"}
    beside: dict[str, Any] = {"arms": True, "evaluate": True, "measure": True, "train": lasting}
    content = [arm.model_dump_json(exclude=beside)]
    if arm.prune and arm.prune.plan and Path(arm.prune.plan).is_file():
        content.append(PruningPlan.read(arm.prune.plan).fingerprint)
    if writes:
        content.append(json.dumps(arm.evaluate.how_to_write()))
    return hashlib.sha256("".join(content).encode()).hexdigest()[:16]


def fits(record: EfficiencyRecord, arms: Mapping[str, Recipe], settings: MeasureSettings | None = None) -> bool:
    """Whether a measurement is of these very arms, and with `settings`, was taken so."""
    counts = (record.steps, record.warmup_steps, record.inference)
    taken = settings is None or counts == (settings.steps, settings.warmup_steps, settings.inference)
    return taken and all(
        name in record.arms and record.arms[name].digest == digest_arm(arm, writes=bool(record.inference))
        for name, arm in arms.items()
    )


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
            arm: stack.enter_context(start(recipe, home, _find_stand_in(recipe, beside or arms))) for arm, recipe in arms.items()
        }
        held = {arm: ask(worker, arm, "load") for arm, worker in workers.items()}

        def take(arm: str, what: str, number: int) -> float:
            nonlocal done
            seconds, done = float(ask(workers[arm], arm, what, number)["seconds"]), done + 1
            progress.advance(done, total, {})
            return seconds

        steppers = {arm: partial(take, arm, "step") for arm in arms}
        seconds = interleave(steppers, warmup=settings.warmup_steps, steps=settings.steps)
        peaks = {arm: int(ask(worker, arm, "peak")["peak_bytes"]) for arm, worker in workers.items()}
        inferring = {arm: partial(take, arm, "infer") for arm in arms} if passes else {}
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
                digest=digest_arm(recipe, writes=bool(settings.inference)),
                batch_size=recipe.train.batch_size,
                inference_batch_size=held[arm]["inferred"],
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
