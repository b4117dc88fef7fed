"""The reference: an arm with few layers, trained for some steps in a process of its own, so that forecasts of deeper ones know this
machine. Beside it every call of a traced step is timed alone.

A step is forecast to take as many times the reference's as the sum of its calls is that of the reference's: what calls do not
show (caches, Python, autograd) is in both alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch

from pareft.errors import MeasurementError
from pareft.forecast.calls import Call, time_call
from pareft.forecast.tracing import Step, make_batch, trace_step
from pareft.forking import open_apart
from pareft.models.structure import count_parameters
from pareft.planner.arms import Arm
from pareft.planner.record import Reference
from pareft.runtime import choose_device, free_memory, peak_memory_bytes, reset_peak_memory, seed_everything
from pareft.stepping import Stepper
from pareft.tuning.fast import quicken

FEW, MORE = 2, 4  # layers of each stack of a reference, and of the one that tells how memory beside tensors grows
MOST_SHARE = 0.5  # of tensors' bytes, that may come on top
WARMUP = 5  # steps that are not timed, after which the peak is read
ROUNDS, STEPS = 2, 2  # of steps and of calls in turn; steps of a round


def choose_reference(arm: Arm) -> Arm:
    """The arm with few layers."""
    return _keep(arm, FEW)


def _keep(arm: Arm, most: int) -> Arm:
    return arm.keep({stack: min(most, depth) for stack, depth in arm.plan.depths.items()})


def trace_arm(arm: Arm, *, recomputing: bool, listing: bool = False) -> Step:
    """An arm's step without content."""
    recipe = arm.recipe
    return trace_step(arm.build(), recipe, arm.precision, fast=recipe.train.fast, recomputing=recomputing, listing=listing)


def measure_reference(arm: Arm, others: Sequence[Arm], *, recomputing: bool) -> Reference:
    """Train a reference of an arm, and time the calls of it and of others, which differ from it in their layers alone, in a process
    of its own.

    Raises:
        MeasurementError: it failed there, or takes more memory than there is.
    """
    small, larger = choose_reference(arm), _keep(arm, MORE)
    try:
        with open_apart(__name__) as pool:
            reference = pool.submit(_measure, small, list(others), recomputing).result()
        with open_apart(__name__) as pool:
            tensors, process = pool.submit(_measure_memory, larger, recomputing).result()
        more = tensors - reference.tensor_bytes
        share = (process - reference.process_bytes) / more if more > 0 else 0.0
        return reference.model_copy(update={"process_share": min(MOST_SHARE, max(0.0, share))})
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise MeasurementError(f"a reference of {arm.name} with few layers could not be measured: {said[0]}") from error


def _measure(small: Arm, others: Sequence[Arm], recomputing: bool) -> Reference:
    step = trace_arm(small, recomputing=recomputing, listing=True)
    listed = [trace_arm(arm, recomputing=recomputing, listing=True).calls for arm in others]
    timed: dict[Call, list[float]] = {call: [] for calls in (step.calls, *listed) for call in calls}
    learning, updating, device = [], [], choose_device()
    with _train(small, recomputing) as (stepper, batch, peak):
        trainable = count_parameters(stepper.model).trainable
        for _ in range(ROUNDS):
            for _ in range(STEPS):
                learnt, updated = stepper.take(batch)
                learning.append(learnt)
                updating.append(updated)
            for call, seconds in timed.items():
                seconds.append(time_call(call, device))
    costs = {call: median(seconds) for call, seconds in timed.items()}
    return Reference(
        learn_seconds=median(learning),
        update_seconds=median(updating),
        replayed_seconds=_add(step.calls, costs),
        trainable=trainable,
        tensor_bytes=step.peak_bytes,
        process_bytes=max(0, peak - step.peak_bytes),
        process_share=0.0,
        others_seconds=[_add(calls, costs) for calls in listed],
    )


def _measure_memory(arm: Arm, recomputing: bool) -> tuple[int, int]:
    """The peak of an arm's tensors, and by how much the measured one is more."""
    step = trace_arm(arm, recomputing=recomputing)
    with _train(arm, recomputing) as (_, _, peak):
        return step.peak_bytes, max(0, peak - step.peak_bytes)


@contextmanager
def _train(arm: Arm, recomputing: bool) -> Iterator[tuple[Stepper, Any, int]]:
    """An arm with random weights that has taken its first steps, a batch, and the peak of these steps."""
    seed_everything(arm.recipe.seed)
    free_memory()
    before = reset_peak_memory()
    model, fast = _build(arm), arm.recipe.train.fast
    batch = make_batch(model, arm.recipe, arm.recipe.train.batch_size, choose_device().type)
    if recomputing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    with quicken(model, fast):
        stepper = Stepper(model, None, arm.recipe.train, arm.precision, fast=fast)
        reset_peak_memory()  # building took more for a moment
        for _ in range(WARMUP):
            stepper.take(batch)
        yield stepper, batch, peak_memory_bytes() - before


def _add(calls: Mapping[Call, float], costs: Mapping[Call, float]) -> float:
    return sum(count * costs[call] for call, count in calls.items())


def _build(arm: Arm) -> Any:
    """The arm's model with random weights, as it is trained."""
    device, recipe = choose_device(), arm.recipe
    model = arm.build_plain(device)
    if recipe.adapt and arm.precision == "bf16":
        model = model.to(torch.bfloat16)
    return arm.adapt(model).to(device)
