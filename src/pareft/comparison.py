"""The arms of a recipe, run and measured, as one table: the first arm is 100 %."""

from pathlib import Path

import torch

from pareft.errors import RunError
from pareft.evaluation.efficiency import relative_speed
from pareft.measurement import measure
from pareft.models.loading import load
from pareft.pipeline import describe_protocol, evaluate, prepare, run
from pareft.progress import SILENT, Progress
from pareft.recipe import Recipe, select_arm
from pareft.recipe_file import write_yaml
from pareft.records import EfficiencyRecord, Record, RunRecord, write_atomic
from pareft.run_folder import check_folder
from pareft.runtime import choose_device

QUALITY = ("rouge1", "rouge2", "rougeL")


class Row(Record):
    """One line of the table. Percentages are of the first arm; `None` where it was not measured or does not apply."""

    arm: str
    speed_percent: float | None
    memory_percent: float | None
    trainable: int | None
    trainable_percent: float | None
    total: int
    layers_kept: dict[str, int]
    layers_dropped_ratio: float
    scores: dict[str, float]
    kept_percent: dict[str, float]
    quality_kept_percent: float


class Comparison(Record):
    """The table and what it rests on."""

    title: str
    base: str
    examples: dict[str, int]
    rows: list[Row]
    efficiency: EfficiencyRecord | None

    def row(self, arm: str) -> Row:
        """The row of an arm."""
        return next(row for row in self.rows if row.arm == arm)


def compare(recipe: Recipe, out: Path, *, title: str, progress: Progress = SILENT) -> Comparison:
    """Run every arm (finished ones are read, an interrupted one goes on), measure them side by side, and tabulate.

    Writes `<arm>/` of each, `untouched.json` if the recipe asks for it, `efficiency.json` and `comparison.json`.

    Raises:
        RunError: no arms, a folder of another recipe, arms whose protocols differ.
    """
    if not recipe.arms:
        raise RunError("the recipe has no arms to compare; add arms, or use pareft run")
    arms = {name: select_arm(recipe, name) for name in recipe.arms}
    for name, arm in arms.items():
        check_folder(out / name, arm)
        prepare(arm)
    untouched = _evaluate_untouched(recipe, out, progress) if recipe.evaluate.untouched else None
    records = {name: run(recipe, out=out / name, arm=name, progress=progress) for name in arms}
    _check_protocols(records)
    efficiency = _measure_once(arms, recipe, out, progress) if recipe.measure else None
    comparison = tabulate(records, efficiency, untouched=untouched, title=title)
    write_atomic(out / "comparison.json", comparison.to_json())
    return comparison


def tabulate(
    records: dict[str, RunRecord],
    efficiency: EfficiencyRecord | None,
    *,
    title: str,
    untouched: dict[str, float] | None = None,
) -> Comparison:
    """The rows of finished runs, first arm = 100 %; with the untouched base first, where it was scored."""
    reference = next(iter(records))
    scores = records[reference].scores
    rows = [_make_row(name, record, scores, efficiency, reference) for name, record in records.items()]
    if untouched:
        kept = _kept(untouched, scores)
        base = records[reference].parameters
        row = Row(
            arm="untouched", speed_percent=None, memory_percent=None, trainable=None, trainable_percent=None,
            total=base.base, layers_kept=base.layers_kept, layers_dropped_ratio=0.0, scores=untouched,
            kept_percent=kept, quality_kept_percent=_mean(kept),
        )  # fmt: skip
        rows.insert(0, row)
    first = records[reference]
    return Comparison(title=title, base=first.base, examples=first.protocol.examples, rows=rows, efficiency=efficiency)


def _make_row(
    name: str, record: RunRecord, reference_scores: dict[str, float], efficiency: EfficiencyRecord | None, reference: str
) -> Row:
    speed = memory = None
    if efficiency:
        arm, first = efficiency.arms[name], efficiency.arms[reference]
        speed, memory = relative_speed(first.step_seconds, arm.step_seconds), 100 * (arm.peak_bytes / first.peak_bytes)
    kept, counts = _kept(record.scores, reference_scores), record.parameters
    return Row(
        arm=name,
        speed_percent=speed,
        memory_percent=memory,
        trainable=counts.trainable,
        trainable_percent=100 * counts.trainable / counts.total,
        total=counts.total,
        layers_kept=counts.layers_kept,
        layers_dropped_ratio=counts.layers_dropped_ratio,
        scores=record.scores,
        kept_percent=kept,
        quality_kept_percent=_mean(kept),
    )


def _kept(scores: dict[str, float], reference: dict[str, float]) -> dict[str, float]:
    return {name: 100 * scores[name] / reference[name] if reference[name] else 0.0 for name in QUALITY}


def _mean(values: dict[str, float]) -> float:
    return sum(values.values()) / len(values)


def _check_protocols(records: dict[str, RunRecord]) -> None:
    first, *others = records.items()
    for name, record in others:
        there, here = first[1].protocol.model_dump(), record.protocol.model_dump()
        if differing := [key for key in there if there[key] != here[key]]:
            raise RunError(
                f"arms {first[0]!r} and {name!r} cannot be compared: their protocols differ in {', '.join(differing)} "
                f"({there[differing[0]]!r} and {here[differing[0]]!r})"
            )


def _measure_once(arms: dict[str, Recipe], recipe: Recipe, out: Path, progress: Progress) -> EfficiencyRecord:
    """Measure, or read the measurement of these very arms."""
    assert recipe.measure
    stored = out / "efficiency.json"
    if stored.is_file():
        record = EfficiencyRecord.model_validate_json(stored.read_text(encoding="utf-8"))
        counted = {len(arm.step_seconds) for arm in record.arms.values()}
        if list(record.arms) == list(arms) and counted == {recipe.measure.steps}:
            return record
    record = measure(arms, recipe.measure, progress=progress)
    write_atomic(stored, record.to_json())
    return record


def _evaluate_untouched(recipe: Recipe, out: Path, progress: Progress) -> dict[str, float]:
    """Score the base as it is, with nothing trained or pruned: the same protocol, a folder of its own."""
    plain = recipe.model_copy(update={"arms": {}, "prune": None, "adapt": None})
    folder = out / "untouched"
    check_folder(folder, plain)
    prepared = prepare(plain)
    stored = folder / "scores.json"
    if not stored.is_file():
        write_atomic(folder / "recipe.yaml", write_yaml(plain))
        model = load(prepared.base, dtype=torch.float32).to(choose_device())
        scores = evaluate(prepared, model, folder / "predictions.jsonl", progress, label="untouched: evaluate")
        write_atomic(stored, UntouchedRecord(protocol=describe_protocol(prepared).model_dump(), scores=scores).to_json())
    return UntouchedRecord.model_validate_json(stored.read_text(encoding="utf-8")).scores


class UntouchedRecord(Record):
    """The base's own scores and their protocol."""

    protocol: dict[str, object]
    scores: dict[str, float]
