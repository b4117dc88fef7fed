"""Arms of a recipe over seeds, for benchmarks: measured side by side, trained one after the other, and as a table beside the first,
which is full fine-tuning. What is finished is read.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
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
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.pipeline import run
from pareft.recipe import Recipe, override, resolve, select_arm
from pareft.recipe_file import read_recipe
from pareft.records import ArmEfficiency, EfficiencyRecord, Record, RunRecord, ScoreRecord, name_score
from pareft.run_folder import EFFICIENCY, PREDICTIONS, read_measurement, read_record

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("PAREFT_SHARED", ROOT.parent / "shared")) / "data"
SCORES = ("rouge1", "rouge2", "rougeL")
TASKS = ("demo", "meqsum", "mts-dialog")


@dataclass(frozen=True)
class Asked:
    """What a benchmark is to do: where, with which seeds and arms; `finished`: nothing but tables of what is there."""

    out: Path
    seeds: list[int]
    arms: list[str]
    finished: bool = False


MeasureTask = Callable[[str, Asked, Console], None]


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
    seconds = {
        "step_seconds": [round(value * pace, 5) for value in arm.step_seconds],
        "inference_seconds": [round(value * pace, 5) for value in arm.inference_seconds],
    }
    return arm.model_copy(update=seconds | {"median_step_seconds": round(arm.median_step_seconds * pace, 5)})


class Result(Record):
    """What a run came to, so that tables need no run folder. `digest`: of its recipe, wherever its data lie; `examples`: by score,
    the test examples' values; `cut_percent`: of attention and feed-forward by early pruning, or of the layers; `seconds`: of
    training without its evaluations, and `test_seconds` of writing for the test split and scoring.
    """

    digest: str
    scores: dict[str, float]
    examples: dict[str, list[float]]
    layers: dict[str, list[int]]
    trained_percent: float
    cut_percent: float = 0.0
    steps: int
    seconds: float
    test_seconds: float
    versions: dict[str, str]
    hardware: dict[str, Any]


def digest_recipe(recipe: Recipe) -> str:
    """Equal where a run would be the same, whatever machine its data lie on, and whatever a recipe can say besides."""
    content = recipe.model_dump_json(exclude={"arms": True, "measure": True, "data": {"path"}}, exclude_defaults=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def read_result(recipe: Recipe, record: RunRecord, folder: Path, scores: Sequence[str]) -> Result:
    """A finished run's."""
    scored = read_scores({"": folder / PREDICTIONS}, list(recipe.evaluate.metrics))[""]
    writing = record.distill.writing_seconds or 0.0 if record.distill else 0.0
    return Result(
        digest=digest_recipe(recipe),
        scores={score: record.scores[score] for score in scores},
        examples={score: [round(example[score], 2) for example in scored.examples] for score in scores},
        layers={stack: list(kept) for stack, kept in PruningPlan.read(folder / PLAN_FILE).layers.items()},
        trained_percent=100 * record.parameters.trainable / record.parameters.base,
        cut_percent=round(100 * (record.light.removed_ratio if record.light else record.parameters.layers_dropped_ratio), 2),
        steps=record.steps,
        seconds=round(record.train_seconds - record.train_evaluation_seconds + writing, 1),
        test_seconds=record.evaluate_seconds,
        versions=record.versions,
        hardware=record.hardware,
    )


class Kept:
    """Results in a file, by seed and arm: what is there is not run again, what is new is added."""

    def __init__(self, file: Path | None) -> None:
        self.file = file
        self.results: dict[str, Result] = {}
        if file and file.is_file():
            self.results = {key: Result.model_validate(found) for key, found in json.loads(file.read_text()).items()}

    def find(self, key: str, recipe: Recipe) -> Result | None:
        found = self.results.get(key)
        return found if found and found.digest == digest_recipe(recipe) else None

    def add(self, key: str, result: Result) -> None:
        self.results[key] = result
        if self.file:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            rows = (f"{json.dumps(name)}: {found.model_dump_json()}" for name, found in sorted(self.results.items()))
            write_atomic(self.file, "{\n" + ",\n".join(rows) + "\n}\n")


def summarise(
    results: Mapping[str, Mapping[int, Result]], efficiency: EfficiencyRecord, scores: Sequence[str]
) -> list[dict[str, Any]]:
    """A row for every arm that has results, by seed: means over the seeds, with deviations, and what is kept of the first arm, on
    the same seeds, with its interval.
    """
    rows, first = [], next(iter(results.values()))
    for name, by_seed in results.items():
        found, seeds = list(by_seed.values()), [seed for seed in by_seed if seed in first]
        if not seeds:
            continue
        own, beside = (join([part[seed] for seed in seeds], scores) for part in (by_seed, first))
        kept = shares(own, beside, {score: [score] for score in scores})
        rows.append(
            {
                "arm": name,
                "seeds": list(by_seed),
                "scores": {score: [result.scores[score] for result in found] for score in scores},
                "kept": {score: kept[score].rounded().model_dump() for score in scores},
                "layers": [result.layers for result in found],
                "trained_percent": found[0].trained_percent,
                "cut_percent": found[0].cut_percent,
                "peak_bytes": efficiency.arms[name].peak_bytes,
                "step_seconds": efficiency.arms[name].median_step_seconds,
                "steps": [result.steps for result in found],
                "seconds": [result.seconds for result in found],
                "test_seconds": [result.test_seconds for result in found],
            }
        )
    return rows


def join(results: Sequence[Result], scores: Sequence[str]) -> Scores:
    """The examples of all seeds as one corpus of means."""
    columns = {score: [value for result in results for value in result.examples[score]] for score in scores}
    return average([dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)])


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
        fewer = "" if len(row["seeds"]) == seeds else f" ({len(row['seeds'])} of {seeds} seeds)"
        scores = [describe_values(row["scores"][score]) for score in names]
        kept = [describe_share(ScoreRecord(**row["kept"][score])) for score in names[:2]]
        share = 100 * row["step_seconds"] * row["steps"][0] / first
        cells = [*scores, *kept, f"{row['trained_percent']:.1f}", f"{row['peak_bytes'] / 1e6:,.0f}"]
        cells += [f"{share:.0f}", f"{mean(row['seconds']):.0f}", f"{mean(row['test_seconds']):.1f}"]
        lines.append(f"| {row['arm']}{fewer} | " + " | ".join(cells) + f" | {row['steps'][0]} |")
    return (
        "\n".join(lines) + f"\n\n{seeds} seeds: mean ± standard deviation; kept: with the 95 % interval of the paired bootstrap.\n"
    )


def describe_values(values: Sequence[float]) -> str:
    """The mean, and of several seeds the standard deviation."""
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def describe_share(kept: ScoreRecord) -> str:
    """What is kept in percent, with its interval."""
    return f"{kept.value:.1f} ({kept.low:.1f}–{kept.high:.1f})" if kept.low is not None else f"{kept.value:.1f}"


def run_tasks(doc: str | None, arms: Collection[str], tasks: Sequence[str], measure_task: MeasureTask) -> None:
    """The command line of a benchmark: of which `tasks`, seeds and arms, the first being always one, `measure_task` is asked."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=list(tasks), default=list(tasks))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--arms", nargs="+", choices=list(arms), default=list(arms))
    parser.add_argument("--finished", action="store_true", help="run nothing: the tables of what is finished")
    args = parser.parse_args()
    first = next(iter(arms))
    chosen = [first, *(arm for arm in arms if arm in args.arms and arm != first)]
    for name in args.tasks:
        measure_task(name, Asked(args.out, args.seeds, chosen, args.finished), Console())


def run_seeds(
    recipe: Recipe,
    folder: Path,
    seeds: Sequence[int],
    efficiency: EfficiencyRecord,
    console: Console,
    *,
    scores: Sequence[str] = SCORES,
    keep: Path | None = None,
    finished: bool = False,
) -> None:
    """Every arm of a recipe with every seed, below `folder`; the table is written anew after each seed. `keep`: a file in which
    results stay, from which those that are there are taken. `finished`: what is not there is left out.
    """
    kept = Kept(keep)
    results: dict[str, dict[int, Result]] = {arm: {} for arm in recipe.arms}
    for done, seed in enumerate(seeds, 1):
        seeded = recipe.model_copy(update={"seed": seed})
        arms = {arm: select_arm(seeded, arm) for arm in seeded.arms}
        for arm in order_arms(arms, folder / str(seed)):
            key, place = f"{seed}/{arm}", folder / str(seed) / arm
            result = kept.find(key, arms[arm])
            if result is None:
                record = read_record(place) if finished else run(seeded, out=place, arm=arm)
                if record is None:
                    continue
                result = read_result(arms[arm], record, place, scores)
                kept.add(key, result)
            results[arm][seed] = result
            values = " ".join(f"{name_score(score)} {result.scores[score]:.2f}" for score in scores)
            console.print(f"{folder.name} {seed} {arm}: {values}, {result.seconds:.0f} s")
        rows = summarise(results, efficiency, scores)
        write_json(folder / "table.json", {"task": folder.name, "seeds": list(seeds[:done]), "rows": rows})
        write_atomic(folder / "table.md", tabulate(rows, done))
