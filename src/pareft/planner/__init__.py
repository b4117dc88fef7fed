"""The planner: what recipes will take, by their configs alone, before there are weights or data; START READING HERE.

Every step is traced on tensors without content. What that cannot know of this machine, a reference tells: the same model with
few layers, trained for some steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from pareft.errors import MeasurementError
from pareft.forecast.fitting import MARGIN, fits_plainly
from pareft.forecast.rates import UTILISATION
from pareft.forecast.tracing import Step
from pareft.models.structure import count_parameters
from pareft.planner.arms import Arm, open_arm
from pareft.planner.cards import count_card
from pareft.planner.record import Forecast, Reference
from pareft.planner.reference import choose_reference, measure_reference, trace_arm
from pareft.planner.writers import measure_beside, trace_arm_writing
from pareft.progress import SILENT, Progress
from pareft.recipe import Recipe
from pareft.runtime import available_bytes


def forecast(
    recipes: Mapping[str, Recipe],
    *,
    measuring: bool = True,
    rate: float | None = None,
    cards: int = 1,
    writing: bool = True,
    progress: Progress = SILENT,
) -> Iterator[Forecast]:
    """What each recipe, which has no arms, will take, one after the other.

    Args:
        recipes: by the names that they are to have.
        measuring: references are trained on this machine, so that there is a time, and what a process takes beside its tensors.
        rate: operations a second of matrix products of another machine, from which the time follows; nothing is measured then.
        cards: accelerators over which the states of training are shared.
        writing: whether writing is forecast, too, and where measured, what it takes beside its tensors.
        progress: is told how far it is.

    Raises:
        ModelError, PlanError, RecipeError: as `open_arm`, of any of them, before anything is traced.
    """
    arms = [open_arm(name, recipe) for name, recipe in recipes.items()]
    here = measuring and rate is None and cards == 1
    again = {arm.name: _recomputes(arm, here=here) for arm in arms}
    references = _measure(arms, again, progress) if here else {}
    beside = _measure_writing(arms, progress) if here and writing else {}
    progress.start("trace", len(arms))
    for done, arm in enumerate(arms, 1):
        step = trace_arm(arm, recomputing=again[arm.name])
        row = _describe(arm, step, again[arm.name], references.get(arm.name), rate, cards)
        yield row.model_copy(update={"writing_bytes": trace_arm_writing(arm) + beside.get(arm.name, 0)}) if writing else row
        progress.advance(done, len(arms), {})


def describe_method(*, measuring: bool = True, rate: float | None = None, cards: int = 1) -> str:
    """How a forecast with these arguments comes about."""
    said = ["every text as long as the recipe allows; parameters counted, memory traced on tensors without content"]
    if measuring and rate is None and cards == 1:
        said.append(
            "time and what a process takes beside its tensors: from a model of few layers that was trained here for some steps, "
            "and every operation timed alone"
        )
    if rate is not None:
        said.append(f"time: operations at {UTILISATION:.0%} of {rate / 1e12:g} TFLOP/s")
    if cards > 1:
        said.append(f"a prediction: weights, gradients and moments shared by {cards} cards (FSDP), a batch on each, none measured")
    return "; ".join(said)


def _recomputes(arm: Arm, *, here: bool) -> bool:
    """Whether layers are computed again: as the recipe says; `auto` is for this machine's memory, and for no other's."""
    asked = arm.recipe.train.gradient_checkpointing
    if asked != "auto":
        return asked
    return here and not fits_plainly(arm.build(), arm.recipe, arm.precision, room=available_bytes())


def _measure(arms: Sequence[Arm], again: Mapping[str, bool], progress: Progress) -> dict[str, tuple[Reference, float] | str]:
    """The reference of every arm and the seconds of its calls, or why there is none. Arms that differ in their layers alone have
    one reference.
    """
    groups: dict[str, list[Arm]] = {}
    for arm in arms:
        alike = arm.recipe.model_copy(update={"prune": None, "arms": {}}).model_dump_json(exclude={"evaluate", "measure"})
        groups.setdefault(f"{again[arm.name]} {alike}", []).append(arm)
    found: dict[str, tuple[Reference, float] | str] = {}
    progress.start("train references", len(groups))
    for done, members in enumerate(groups.values(), 1):
        first = members[0]
        recomputing = again[first.name]
        try:
            needed = MARGIN * trace_arm(choose_reference(first), recomputing=recomputing).peak_bytes
            if needed > available_bytes():
                raise MeasurementError(f"even few layers take {needed / 1e9:.1f} GB, more than is free")
            reference = measure_reference(first, members, recomputing=recomputing)
            found |= {arm.name: (reference, seconds) for arm, seconds in zip(members, reference.others_seconds, strict=True)}
        except MeasurementError as error:
            found |= {arm.name: f"no time: {error}" for arm in members}
        progress.advance(done, len(groups), {})
    return found


def _measure_writing(arms: Sequence[Arm], progress: Progress) -> dict[str, int]:
    """What writing takes beside its tensors, as a model of few layers shows; arms that write alike share one. Where that cannot be
    measured, there is nothing of it.
    """
    groups: dict[str, list[Arm]] = {}
    for arm in arms:
        groups.setdefault(arm.recipe.model_dump_json(include={"base", "revision", "data", "evaluate"}), []).append(arm)
    found: dict[str, int] = {}
    progress.start("measure writing", len(groups))
    for done, members in enumerate(groups.values(), 1):
        small = choose_reference(members[0])
        if MARGIN * trace_arm_writing(small) <= available_bytes():
            with suppress(MeasurementError):
                found |= dict.fromkeys((arm.name for arm in members), measure_beside(small))
        progress.advance(done, len(groups), {})
    return found


def _describe(
    arm: Arm, step: Step, recomputing: bool, found: tuple[Reference, float] | str | None, rate: float | None, cards: int
) -> Forecast:
    recipe, counted = arm.recipe, count_parameters(arm.build())
    notes = [found] if isinstance(found, str) else []
    seconds = process = None
    if isinstance(found, tuple):
        reference, replayed = found
        learning = recipe.train.accumulation * reference.learn_seconds * replayed / reference.replayed_seconds
        seconds = learning + reference.update_seconds * counted.trainable / reference.trainable
        process = reference.count_process_bytes(step.peak_bytes)
    elif rate is not None:
        seconds = step.operations / (rate * UTILISATION)
    if recipe.distill and recipe.distill.listens:
        notes.append("without the teacher's memory and time")
    if recipe.train.cache_frozen_prefix:
        notes.append("as without cache_frozen_prefix")
    if recipe.light:
        notes.append("as without light")
    return Forecast(
        name=arm.name,
        base=recipe.base,
        layers={stack: len(kept) for stack, kept in arm.plan.layers.items()},
        total=counted.total,
        trainable=counted.trainable,
        batch_size=recipe.train.batch_size,
        max_source_tokens=recipe.data.max_source_tokens,
        max_target_tokens=recipe.data.max_target_tokens,
        precision=arm.precision,
        recomputing=recomputing,
        weight_bytes=step.weight_bytes,
        gradient_bytes=step.gradient_bytes,
        moment_bytes=step.moment_bytes,
        activation_bytes=step.activation_bytes,
        tensor_bytes=step.peak_bytes,
        process_bytes=process,
        card_bytes=count_card(arm, step, cards) if cards > 1 else None,
        operations=step.operations,
        step_seconds=seconds,
        notes=notes,
    )
