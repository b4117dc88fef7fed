"""The arms of a recipe, run and measured, as one table: the first arm is 100 %."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from pareft.errors import RunError
from pareft.evaluation.efficiency import relative_speed
from pareft.evaluation.metrics import compute
from pareft.evaluation.metrics.scores import Scores, average, join
from pareft.evaluation.uncertainty import differences, intervals
from pareft.measurement import digest_arms, measure
from pareft.models.loading import load
from pareft.pipeline import describe_protocol, evaluate_split, explain_failures, prepare, round_scores, run
from pareft.progress import SILENT, Progress
from pareft.recipe import Recipe, check_changes, select_arm
from pareft.recipe_file import take_recipe, write_yaml
from pareft.records import EfficiencyRecord, Protocol, Record, RunRecord, ScoreRecord, write_atomic
from pareft.run_folder import PREDICTIONS, RECIPE, RECORD, SCORES, check_folder
from pareft.runtime import choose_device

QUALITY = ("rouge1", "rouge2", "rougeL")
NO_MEANS = ("bleu", "bleu_precisions", "classification", "regression")  # of the metrics, those whose corpus score is no mean


class UntouchedRecord(Record):
    """The base's own scores and their protocol."""

    protocol: Protocol
    scores: dict[str, float]


class Row(Record):
    """One line of the table. Percentages are of the first arm; `None` where it was not measured or does not apply. `intervals` are
    those of the scores, `differences` those of the scores less the first arm's on the same examples.
    """

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
    quality_kept_percent: float | None
    intervals: dict[str, ScoreRecord] = Field(default_factory=dict)
    differences: dict[str, ScoreRecord] = Field(default_factory=dict)

    @property
    def indistinguishable(self) -> bool:
        """Whether the paired bootstrap tells none of its ROUGE scores from the first arm's."""
        known = [self.differences[name] for name in QUALITY if name in self.differences]
        return bool(known) and not any(difference.excludes_zero for difference in known)


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


def compare(
    recipe: Recipe | str | Path,
    changes: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    title: str | None = None,
    progress: Progress = SILENT,
) -> Comparison:
    """Run every arm (finished ones are read, an interrupted one goes on), measure them side by side, and tabulate.

    Args:
        recipe: a recipe, or the file of one.
        changes: lines of it to change, such as `{"train.epochs": 3}`.
        out: the folder to write to; by default `runs/<name of the recipe's file>`.
        title: the table's; by default the folder's name.
        progress: is told what happens.

    Writes `<arm>/` of each, `untouched/` if the recipe asks for it, `efficiency.json` and `comparison.json`.

    Raises:
        RecipeError: what `read_recipe` refuses, or a change of a line that arms set themselves.
        RunError: no arms, a folder of another recipe, arms whose bases or protocols differ; before any arm is run.
    """
    home = Path("runs") if isinstance(recipe, Recipe) else Path("runs") / Path(recipe).stem
    chosen = take_recipe(recipe, changes)
    check_changes(chosen, changes or {})
    return _compare(chosen, Path(out or home), title, progress)


def _compare(recipe: Recipe, out: Path, title: str | None, progress: Progress) -> Comparison:
    if not recipe.arms:
        raise RunError("the recipe has no arms to compare; add arms, or use pareft run")
    arms = {name: select_arm(recipe, name) for name in recipe.arms}
    plain = recipe.model_copy(update={"arms": {}, "prune": None, "adapt": None})
    asked = {"untouched": plain, **arms} if recipe.evaluate.untouched else arms
    for name, arm in asked.items():
        check_folder(out / name, arm)
    check_comparable(arms, {name: _find_protocol(arm, out / name) for name, arm in asked.items()})
    untouched = _evaluate_untouched(plain, out / "untouched", progress) if recipe.evaluate.untouched else None
    records = {name: run(recipe, out=out / name, arm=name, progress=progress) for name in arms}
    efficiency = _measure_once(arms, recipe, out, progress) if recipe.measure else None
    scored = {name: read_scores(out / name / PREDICTIONS, recipe.evaluate.metrics) for name in asked}
    comparison = tabulate(records, efficiency, untouched=untouched, scored=scored, title=title or out.resolve().name)
    write_atomic(out / "comparison.json", comparison.to_json())
    return comparison


def check_comparable(arms: dict[str, Recipe], protocols: dict[str, Protocol]) -> None:
    """Raise `RunError` unless all arms have one base, one protocol and, where steps are measured, one batch size."""
    (first, reference), *others = arms.items()
    for name, arm in others:
        if (arm.base, arm.revision) != (reference.base, reference.revision):
            bases = f"{reference.base} and {arm.base}"
            raise RunError(f"arms {first!r} and {name!r} have different bases, {bases}; compare arms of one base")
        if reference.measure and arm.train.batch_size != reference.train.batch_size:
            sizes = f"{reference.train.batch_size} and {arm.train.batch_size}"
            raise RunError(
                f"arms {first!r} and {name!r} have batch sizes {sizes}: their steps are not alike. "
                "Give them one train.batch_size, or measure=null"
            )
    (first, protocol), *rest = protocols.items()
    for name, other in rest:
        there, here = protocol.model_dump(), other.model_dump()
        if differing := [key for key in there if there[key] != here[key]]:
            raise RunError(
                f"{first!r} and {name!r} cannot be compared: their protocols differ in {', '.join(differing)} "
                f"({there[differing[0]]!r} and {here[differing[0]]!r})"
            )


def _find_protocol(recipe: Recipe, folder: Path) -> Protocol:
    """The protocol a finished run was evaluated by; else the one it would be, once everything about it is checked."""
    for name, kind in ((RECORD, RunRecord), (SCORES, UntouchedRecord)):
        if (folder / name).is_file():
            return kind.from_json((folder / name).read_text(encoding="utf-8")).protocol
    return describe_protocol(prepare(recipe))


def tabulate(
    records: dict[str, RunRecord],
    efficiency: EfficiencyRecord | None,
    *,
    title: str,
    untouched: dict[str, float] | None = None,
    scored: Mapping[str, Scores] | None = None,
) -> Comparison:
    """The rows of finished runs, first arm = 100 %; with the untouched base first, where it was scored. With the scores of every
    example, rows have intervals.
    """
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
    if scored:
        rows = [_with_intervals(row, scored[row.arm], None if row.arm == reference else scored[reference]) for row in rows]
    first = records[reference]
    return Comparison(title=title, base=first.base, examples=first.protocol.examples, rows=rows, efficiency=efficiency)


def read_scores(path: Path, metrics: Sequence[str]) -> Scores:
    """The scores of a file of predictions, example by example; those that are no means are counted again from the texts.

    Raises:
        RunError: the file is not there, or is damaged.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        examples = [{key: value for key, value in row.items() if isinstance(value, int | float)} for row in rows]
        texts = [[row[key] for row in rows] for key in ("prediction", "reference")]
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise RunError(f"cannot read the predictions in {path}: {error}; delete the arm's folder to run it again") from error
    counted = [name for name in metrics if name in NO_MEANS]
    return join([average(examples), *([compute(counted, texts[0], texts[1])] if counted else [])])


def _with_intervals(row: Row, scores: Scores, first: Scores | None) -> Row:
    own = {name: found.rounded() for name, found in intervals(scores).items()}
    apart = {name: found.rounded() for name, found in differences(scores, first).items()} if first else {}
    return row.model_copy(update={"intervals": own, "differences": apart})


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
    """Per metric; a metric of which the first arm has nothing says nothing."""
    return {name: 100 * scores[name] / reference[name] for name in QUALITY if reference.get(name) and name in scores}


def _mean(values: dict[str, float]) -> float | None:
    return sum(values.values()) / len(values) if values else None


def _measure_once(arms: dict[str, Recipe], recipe: Recipe, out: Path, progress: Progress) -> EfficiencyRecord:
    """Measure, or read the measurement of these very arms."""
    assert recipe.measure
    stored = out / "efficiency.json"
    if stored.is_file():
        with suppress(RunError):  # a damaged one, or another version's, is taken again
            record = EfficiencyRecord.from_json(stored.read_text(encoding="utf-8"))
            if record.arms_digest == digest_arms(arms):
                return record
    record = measure(arms, recipe.measure, progress=progress)
    write_atomic(stored, record.to_json())
    return record


def _evaluate_untouched(plain: Recipe, folder: Path, progress: Progress) -> dict[str, float]:
    """Score the base as it is, with nothing trained or pruned: the same protocol, a folder of its own."""
    stored = folder / SCORES
    if not stored.is_file():
        prepared = prepare(plain)
        write_atomic(folder / RECIPE, write_yaml(plain))
        with explain_failures(folder, "untouched"):
            model = load(prepared.base, dtype=torch.float32).to(choose_device())
            scored = evaluate_split(prepared, model, folder / PREDICTIONS, progress, label="untouched: evaluate")
        write_atomic(stored, UntouchedRecord(protocol=describe_protocol(prepared), scores=round_scores(scored)).to_json())
    return UntouchedRecord.from_json(stored.read_text(encoding="utf-8")).scores
