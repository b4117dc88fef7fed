"""The arms of a recipe: run, measured side by side, read back, and checked to be comparable."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pareft.adapter_settings import UNPRUNED
from pareft.artefact import make_writer
from pareft.budgets import share_out, stretch
from pareft.comparison import Comparison, tabulate
from pareft.errors import MeasurementError, RecipeError, RunError
from pareft.evaluation.metrics import compute
from pareft.evaluation.metrics.scores import Scores, average, join
from pareft.evaluation.predictions import list_examples, list_values, read_rows
from pareft.failures import SMALLER_BATCHES, explain_failures
from pareft.files import make_printable, name_folder, write_atomic
from pareft.lightening import lighten
from pareft.measurement import fits, measure, measure_apart
from pareft.models.loading import load
from pareft.pipeline import run
from pareft.progress import SILENT, Progress
from pareft.readying import describe_protocol, prepare
from pareft.recipe import Recipe, check_changes, select_arm
from pareft.recipe_file import read_recipe, take_recipe, write_yaml
from pareft.records import EfficiencyRecord, Equal, Protocol, Record, RunRecord
from pareft.run_folder import (
    COMPARISON,
    EFFICIENCY,
    PLANS,
    PREDICTIONS,
    RECIPE,
    RECORD,
    SCORES,
    check_folder,
    check_no_export,
    choose_home,
    is_run,
    is_scored_by,
    read_measurement,
    read_record,
)
from pareft.runtime import choose_writing_precision, find_processes, free_memory
from pareft.scoring import evaluate_split, round_scores, score_again
from pareft.teaching.finding import check_taught, find_teacher

OnArm = Callable[[str, RunRecord], None]
NO_SCORES = {"no_number", "right"}  # values of examples that no corpus score comes from
NO_MEANS = ("bleu", "bleu_precisions", "classification", "f1", "regression")  # of the metrics, those whose corpus score is no mean


class UntouchedRecord(Record):
    """The base's own scores and their protocol."""

    protocol: Protocol
    scores: dict[str, float]


def compare(
    recipe: Recipe | str | Path,
    changes: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    title: str | None = None,
    progress: Progress = SILENT,
    on_arm: OnArm | None = None,
    home: str | Path | None = None,
    equal: Equal = "steps",
) -> Comparison:
    """Run every arm (finished ones are read, an interrupted one goes on), measure them side by side, and tabulate.

    Args:
        recipe: a recipe, or the file of one.
        changes: lines of it to change, such as `{"train.epochs": 3}`.
        out: the folder to write to; by default `runs/<name of the recipe's file>`.
        title: the table's; by default the folder's name.
        progress: is told what happens.
        on_arm: is called with the name and the record of every arm once it is finished, or was before.
        equal: what every arm gets as much of as the first: the steps that the recipe says, or as many as take the same `time` or
            the same `flops`; warm-up and the time between evaluations are stretched with them.
        home: the folder of `efficiency.json` and `comparison.json`, where several comparisons share arms; by default `out`.

    Writes `<arm>/` of each, `untouched/` if the recipe asks for it, `efficiency.json` and `comparison.json`.

    Raises:
        RecipeError: what `read_recipe` refuses, or a change of a line that arms set themselves.
        RunError: no arms, a folder of another recipe, arms whose bases or protocols differ; before any arm is run.
    """
    chosen = take_recipe(recipe, changes)
    check_changes(chosen, changes or {})
    place = Path(out or choose_home(recipe))
    return _compare(chosen, place, title, progress, on_arm or (lambda name, record: None), Path(home or place), equal)


def _compare(
    recipe: Recipe, out: Path, title: str | None, progress: Progress, on_arm: OnArm, home: Path, equal: Equal
) -> Comparison:
    if not recipe.arms:
        raise RunError("the recipe has no arms to compare; add arms, or use pareft run")
    if find_processes().count > 1:
        raise RunError(
            "several processes train and evaluate, but do not compare: run each arm with pareft run --arm NAME --out "
            f"{out}/NAME, and then pareft compare alone, which reads them"
        )
    arms, budget = {name: select_arm(recipe, name) for name in recipe.arms}, None
    order = order_arms(arms, out)
    if equal != "steps":
        _choose_plans(arms, out, progress)
        efficiency = _measure_once(arms, recipe, out, home, progress) if recipe.measure and equal == "time" else None
        budget = share_out(recipe, equal, efficiency, plans=out / PLANS)
        recipe = stretch(recipe, budget)
        arms = {name: select_arm(recipe, name) for name in recipe.arms}
    whole: dict[str, Any] = {"prune": None, "adapt": None, "light": None, "distill": None, "train.cache_frozen_prefix": False}
    plain = take_recipe(recipe.model_copy(update={"arms": {}}), whole)
    asked = {"untouched": plain, **arms} if recipe.evaluate.untouched else arms
    for name, arm in asked.items():
        check_folder(out / name, arm)
    check_comparable(arms, {name: _find_protocol(arm, out / name, progress) for name, arm in asked.items()})
    if any(arm.light for arm in arms.values()):
        (out / PLANS).mkdir(parents=True, exist_ok=True)  # where arms share what early pruning found
    untouched = _evaluate_untouched(plain, out / "untouched", progress) if recipe.evaluate.untouched else None
    records = {}
    for name in order:
        records[name] = run(recipe, out=out / name, arm=name, progress=progress)
        on_arm(name, records[name])
    records = {name: records[name] for name in arms}
    efficiency = _measure_once(arms, recipe, out, home, progress) if recipe.measure else None
    metrics = next(iter(records.values())).protocol.metrics  # those of all arms
    scored = read_scores({name: out / name / PREDICTIONS for name in asked}, metrics)
    comparison = tabulate(records, efficiency, untouched=untouched, scored=scored, title=title or out.resolve().name, budget=budget)
    write_atomic(home / COMPARISON, comparison.to_json())
    return comparison


def _choose_plans(arms: Mapping[str, Recipe], out: Path, progress: Progress) -> None:
    """Have criteria and early pruning choose before processes measure side by side, each of which would choose for itself."""
    for arm in arms.values():
        if (arm.prune and arm.prune.criterion) or arm.light:
            with explain_failures(out, "choosing what stays"):
                lighten(prepare(arm, plans=out / PLANS, progress=progress), out / PLANS, progress)


def order_arms(arms: Mapping[str, Recipe], out: Path) -> list[str]:
    """The arms' names, each after the arm that teaches it; a teacher that is no arm is looked at, where its pupil is not finished.

    Raises:
        RecipeError: arms that teach each other, or a teacher that cannot teach an arm.
    """
    teachers = {}
    if UNPRUNED in arms and any(arm.distill and arm.distill.teacher == UNPRUNED for arm in arms.values()):
        raise RecipeError(
            f"recipe: an arm is called {UNPRUNED!r}, which as a teacher is the unpruned base; give the arm another name"
        )
    for name, arm in arms.items():
        if arm.distill and arm.distill.asks:
            if arm.distill.teacher == UNPRUNED or arm.distill.teacher not in arms:
                if not is_run(out / name):
                    find_teacher(prepare(arm, plans=out / PLANS), out)
            else:
                teachers[name] = arm.distill.teacher
                check_taught(name, arm, arm.distill.teacher, arms[arm.distill.teacher])
    ordered: list[str] = []
    while left := [name for name in arms if name not in ordered]:
        ready = [name for name in left if teachers.get(name) not in left]
        if not ready:
            raise RecipeError(f"recipe: arms {', '.join(map(repr, left))} teach each other or themselves (distill.teacher)")
        ordered.append(ready[0])
    return ordered


def compare_runs(folders: Sequence[str | Path], *, title: str | None = None) -> Comparison:
    """Finished runs on the same examples as one table, wherever they are; the first is 100 %. Steps are not measured; a measurement
    of these very arms that lies beside them is read.

    Raises:
        RunError: fewer than two, one that is no finished run, or runs whose bases, protocols or examples differ.
    """
    places = name_runs(folders)
    if len(places) < 2:
        raise RunError("give at least two different runs to compare, or a recipe with arms")
    records = {}
    for name, place in places.items():
        check_no_export(place)
        if not (record := read_record(place)):
            raise RunError(f"{place} is no finished run; give folders that pareft run or pareft compare has written")
        records[name] = record
    recipes = {name: read_recipe(place / RECIPE).model_copy(update={"measure": None}) for name, place in places.items()}
    protocols = {name: record.protocol for name, record in records.items()}
    check_comparable(recipes, protocols)
    metrics = next(iter(protocols.values())).metrics
    scored = read_scores({name: place / PREDICTIONS for name, place in places.items()}, metrics)
    homes = {place.resolve().parent for place in places.values()}
    stored = read_measurement(homes.pop()) if len(homes) == 1 else None
    efficiency = stored if stored and fits(stored, recipes) else None
    return tabulate(records, efficiency, scored=scored, title=title or " and ".join(places))


def name_runs(folders: Sequence[str | Path]) -> dict[str, Path]:
    """What runs are called in a table: as their folders, in full where two have the same name; what cannot be printed is �."""
    names = [make_printable(name_folder(Path(folder))) for folder in folders]
    full = [make_printable(str(folder)) for folder in folders]
    return {
        whole if names.count(name) > 1 else name: Path(folder) for folder, name, whole in zip(folders, names, full, strict=True)
    }


def check_comparable(arms: dict[str, Recipe], protocols: dict[str, Protocol]) -> None:
    """Raise `RunError` unless all arms have one base and one protocol."""
    (first, reference), *others = arms.items()
    for name, arm in others:
        if (arm.base, arm.revision) != (reference.base, reference.revision):
            bases = f"{reference.base} and {arm.base}"
            raise RunError(f"arms {first!r} and {name!r} have different bases, {bases}; compare arms of one base")
    (first, protocol), *rest = protocols.items()
    for name, other in rest:
        if differing := protocol.list_differences(other):
            values = f"{getattr(protocol, differing[0])!r} and {getattr(other, differing[0])!r}"
            raise RunError(
                f"{first!r} and {name!r} cannot be compared: their protocols differ in {', '.join(differing)} ({values})"
            )


def _find_protocol(recipe: Recipe, folder: Path, progress: Progress) -> Protocol:
    """The protocol a finished run was evaluated by; else, or by other metrics, the one it would be, once everything is checked."""
    for name, kind in ((RECORD, RunRecord), (SCORES, UntouchedRecord)):
        if (folder / name).is_file() and is_scored_by(folder, recipe):
            return kind.from_json((folder / name).read_text(encoding="utf-8")).protocol
    return describe_protocol(prepare(recipe, plans=folder.parent / PLANS, progress=progress))


def read_scores(paths: Mapping[str, Path], metrics: Sequence[str]) -> dict[str, Scores]:
    """The scores in every arm's file of predictions, example by example; those that are no means are counted again.

    Raises:
        RunError: a file is not there, is damaged, or is of other examples than the first.
    """
    rows = {name: read_rows(path) for name, path in paths.items()}
    (first, expected), *others = rows.items()
    for name, found in others:
        if list_examples(found) != list_examples(expected):
            raise RunError(
                f"{paths[first]} and {paths[name]} are not of the same examples in the same order; delete the folder of the one "
                "that was changed to run it again"
            )
    return {name: _rebuild(found, metrics) for name, found in rows.items()}


def _rebuild(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str]) -> Scores:
    counted = [name for name in metrics if name in NO_MEANS]
    texts, references = ([row[key] for row in rows] for key in ("prediction", "reference"))
    recounted = compute(counted, texts, references, ids=[row["id"] for row in rows]) if counted else None
    no_means = {*(recounted.totals if recounted else ()), *NO_SCORES}
    values = [list_values(row) for row in rows]
    means = average([{key: value for key, value in example.items() if key not in no_means} for example in values])
    return join([means, *([recounted] if recounted else [])])


def _measure_once(arms: dict[str, Recipe], recipe: Recipe, out: Path, home: Path, progress: Progress) -> EfficiencyRecord:
    """Measure, or read the measurement of these very arms."""
    assert recipe.measure
    if (stored := read_measurement(home)) and fits(stored, arms, recipe.measure):
        return stored
    free_memory()
    try:
        record = measure(arms, recipe.measure, home=out, progress=progress)
    except MeasurementError:
        if len(arms) == 1:
            raise
        record = measure_apart(arms, recipe.measure, home=out, progress=progress)
    write_atomic(home / EFFICIENCY, record.to_json())
    return record


def _evaluate_untouched(plain: Recipe, folder: Path, progress: Progress) -> dict[str, float]:
    """Score the base as it is, with nothing trained or pruned: the same protocol, a folder of its own."""
    stored = folder / SCORES
    if not stored.is_file() or not is_scored_by(folder, plain):
        prepared = prepare(plain)
        frame, protocol = prepared.splits["test"], describe_protocol(prepared)
        if stored.is_file():
            there = UntouchedRecord.from_json(stored.read_text(encoding="utf-8")).protocol
            scored: Scores | None = score_again(frame, folder / PREDICTIONS, plain, there=there, here=protocol)
        else:
            write_atomic(folder / RECIPE, write_yaml(plain))
            with explain_failures(folder, "untouched", advice=SMALLER_BATCHES):
                model = make_writer(
                    load(prepared.base, dtype=torch.float32), precision=choose_writing_precision(plain.evaluate.precision)
                )
                label = "untouched: evaluate"
                target = folder / PREDICTIONS
                scored = evaluate_split(model, prepared.tokenizer, frame, target, plain, progress=progress, label=label)
        assert scored
        write_atomic(stored, UntouchedRecord(protocol=protocol, scores=round_scores(scored)).to_json())
        write_atomic(folder / RECIPE, write_yaml(plain))
    return UntouchedRecord.from_json(stored.read_text(encoding="utf-8")).scores
