"""Arms of a recipe over seeds, for benchmarks: measured side by side, trained one after the other, and as a table beside the first,
which is full fine-tuning. What is finished is read.
"""

import argparse
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

from pareft.arms import order_arms, read_scores
from pareft.demo import prepare_demo
from pareft.evaluation.metrics.scores import Scores, average
from pareft.evaluation.uncertainty import shares
from pareft.files import write_atomic, write_json
from pareft.measurement import fits, measure
from pareft.pipeline import run
from pareft.recipe import Recipe, override, resolve, select_arm
from pareft.recipe_file import read_recipe
from pareft.records import ArmEfficiency, EfficiencyRecord, RunRecord, ScoreRecord, name_score
from pareft.run_folder import EFFICIENCY, PREDICTIONS, read_measurement

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("PAREFT_SHARED", ROOT.parent / "shared")) / "data"
SCORES = ("rouge1", "rouge2", "rougeL")
TASKS = ("demo", "meqsum", "mts-dialog")
MeasureTask = Callable[[str, Path, list[int], list[str], Console], None]  # of a task, where, seeds, arms


def read_task(name: str, out: Path, changes: Mapping[str, Any]) -> Recipe:
    """A task's recipe with some lines changed; its data are made in `out`, or read from `PAREFT_SHARED`."""
    if name == "demo":
        recipe, place = prepare_demo(out / "demo", Console(quiet=True)), None
    else:
        recipe = read_recipe(ROOT / "recipes" / f"{name}.yaml")
        place = SHARED / name / ("all.jsonl" if name == "meqsum" else "")
    where = {"data.path": str(place)} if place else {}
    return resolve(override(recipe.model_dump(), {**where, "evaluate.untouched": False, **changes}))


def measure_once(recipe: Recipe, folder: Path) -> EfficiencyRecord:
    """Steps and memory of all arms, side by side; of arms that were added since, beside the first, whose step says how fast the
    machine was then.
    """
    arms = {name: select_arm(recipe, name) for name in recipe.arms}
    assert recipe.measure
    stored, first = read_measurement(folder), next(iter(arms))
    known = stored and fits(stored, {first: arms[first]}, recipe.measure)
    missing = {name: arm for name, arm in arms.items() if not (known and stored and fits(stored, {name: arm}))}
    if stored and not missing:
        return stored
    record = measure({first: arms[first]} | missing, recipe.measure, home=folder, beside=arms)
    if stored and known:
        pace = stored.arms[first].median_step_seconds / record.arms[first].median_step_seconds
        added = {name: _scale(record.arms[name], pace) for name in missing}
        record = stored.model_copy(update={"arms": stored.arms | added})
    write_atomic(folder / EFFICIENCY, record.to_json())
    return record


def _scale(arm: ArmEfficiency, pace: float) -> ArmEfficiency:
    seconds = {"step_seconds": [round(value * pace, 5) for value in arm.step_seconds]}
    return arm.model_copy(update=seconds | {"median_step_seconds": round(arm.median_step_seconds * pace, 5)})


def join(parts: Iterable[Scores], scores: Sequence[str]) -> Scores:
    """The examples of all seeds as one corpus of means."""
    return average([{name: example[name] for name in scores} for part in parts for example in part.examples])


def summarise(
    records: Mapping[str, Sequence[RunRecord]],
    folders: Mapping[str, Sequence[Path]],
    efficiency: EfficiencyRecord,
    metrics: list[str],
    scores: Sequence[str],
) -> list[dict[str, Any]]:
    """A row for every arm: means over the seeds, with deviations, and what is kept of the first with its interval."""
    scored = {name: join((_read(place, metrics) for place in places), scores) for name, places in folders.items()}
    rows, first = [], next(iter(records))
    for name, found in records.items():
        kept = shares(scored[name], scored[first], {score: [score] for score in scores})
        seconds = [_count_seconds(record) for record in found]
        rows.append(
            {
                "arm": name,
                "scores": {score: [record.scores[score] for record in found] for score in scores},
                "kept": {score: kept[score].rounded().model_dump() for score in scores},
                "trained_percent": 100 * found[0].parameters.trainable / found[0].parameters.base,
                "peak_bytes": efficiency.arms[name].peak_bytes,
                "step_seconds": efficiency.arms[name].median_step_seconds,
                "steps": [record.steps for record in found],
                "seconds": [round(value, 1) for value in seconds],
                "test_seconds": [record.evaluate_seconds for record in found],
            }
        )
    return rows


def _read(place: Path, metrics: list[str]) -> Scores:
    """The scores of one run's examples, which other seeds may have split otherwise."""
    return read_scores({"": place / PREDICTIONS}, metrics)[""]


def _count_seconds(record: RunRecord) -> float:
    writing = record.distill.writing_seconds or 0.0 if record.distill else 0.0
    return record.train_seconds - record.train_evaluation_seconds + writing


def tabulate(rows: Sequence[Mapping[str, Any]], seeds: int) -> str:
    """Time: steps times the median step, a part of the first arm's; seconds: of the runs, one after the other; test: of
    writing for the test split and scoring.
    """
    names = list(rows[0]["scores"])
    heads = [*map(name_score, names), *(f"{name_score(score)} kept %" for score in names[:2])]
    lines = [
        "| arm | " + " | ".join(heads) + " | trained % | memory MB | time % | seconds | test s | steps |",
        "| --- |" + " ---: |" * (len(heads) + 6),
    ]
    first = rows[0]["step_seconds"] * rows[0]["steps"][0]
    for row in rows:
        scores = [f"{mean(row['scores'][score]):.1f}" + _deviate(row["scores"][score]) for score in names]
        kept = [_show(ScoreRecord(**row["kept"][score])) for score in names[:2]]
        share = 100 * row["step_seconds"] * row["steps"][0] / first
        cells = [*scores, *kept, f"{row['trained_percent']:.1f}", f"{row['peak_bytes'] / 1e6:,.0f}"]
        cells += [f"{share:.0f}", f"{mean(row['seconds']):.0f}", f"{mean(row['test_seconds']):.1f}"]
        lines.append(f"| {row['arm']} | " + " | ".join(cells) + f" | {row['steps'][0]} |")
    return (
        "\n".join(lines) + f"\n\n{seeds} seeds: mean ± standard deviation; kept: with the 95 % interval of the paired bootstrap.\n"
    )


def _deviate(values: Sequence[float]) -> str:
    return f" ± {stdev(values):.1f}" if len(values) > 1 else ""


def _show(kept: ScoreRecord) -> str:
    return f"{kept.value:.1f} ({kept.low:.1f}–{kept.high:.1f})" if kept.low is not None else f"{kept.value:.1f}"


def run_tasks(doc: str | None, arms: Collection[str], tasks: Sequence[str], measure_task: MeasureTask) -> None:
    """The command line of a benchmark: of which `tasks`, seeds and arms, the first being always one, `measure_task` is asked."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=list(tasks), default=list(tasks))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--arms", nargs="+", choices=list(arms), default=list(arms))
    args = parser.parse_args()
    first = next(iter(arms))
    chosen = [first, *(arm for arm in arms if arm in args.arms and arm != first)]
    for name in args.tasks:
        measure_task(name, args.out, args.seeds, chosen, Console())


def run_seeds(
    recipe: Recipe,
    folder: Path,
    seeds: Sequence[int],
    efficiency: EfficiencyRecord,
    console: Console,
    *,
    scores: Sequence[str] = SCORES,
) -> None:
    """Every arm of a recipe with every seed, below `folder`; the table is written anew after each seed."""
    records: dict[str, list[RunRecord]] = {arm: [] for arm in recipe.arms}
    folders: dict[str, list[Path]] = {arm: [] for arm in recipe.arms}
    for seed in seeds:
        seeded = recipe.model_copy(update={"seed": seed})
        for arm in order_arms({arm: select_arm(seeded, arm) for arm in seeded.arms}, folder / str(seed)):
            place = folder / str(seed) / arm
            records[arm].append(record := run(seeded, out=place, arm=arm))
            folders[arm].append(place)
            values = " ".join(f"{name_score(score)} {record.scores[score]:.2f}" for score in scores)
            console.print(f"{folder.name} {seed} {arm}: {values}, {_count_seconds(record):.0f} s")
        done = list(seeds[: len(next(iter(records.values())))])
        rows = summarise(records, folders, efficiency, list(recipe.evaluate.metrics), scores)
        write_json(folder / "table.json", {"task": folder.name, "seeds": done, "rows": rows})
        write_atomic(folder / "table.md", tabulate(rows, len(done)))
