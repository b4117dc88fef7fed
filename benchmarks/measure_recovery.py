"""What recovers a pruned model, one thing added at a time: quality, trained parameters, memory and time of every arm, over seeds.

    python benchmarks/measure_recovery.py --out FOLDER [--tasks demo meqsum mts-dialog] [--seeds 42 43 44] [--arms NAME ...]

pareft-mini, 8 of 12 layers kept of each stack; the tasks are the demo's notes and the recipes of MeQSum and MTS-Dialog, whose data
are read from `PAREFT_SHARED` (../shared). Steps are measured side by side first, then the arms are trained one after the other, on
a machine that should have nothing else to do. `best` takes 0.9 times the steps of the others, `time` as many as take full's time.
Seconds are those of training without its evaluations, with what a teacher wrote. What is finished is read, so that the same command
goes on. Writes FOLDER/TASK/SEED/ARM/, and for every task recovery.json and recovery.md. On two cores about a minute for an arm of
the demo.
"""

import argparse
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console

from pareft.arms import order_arms, read_scores
from pareft.budgets import share_out, stretch
from pareft.demo import prepare_demo
from pareft.evaluation.metrics.scores import Scores, average
from pareft.evaluation.uncertainty import shares
from pareft.files import write_atomic, write_json
from pareft.measurement import fits, measure
from pareft.pipeline import run
from pareft.recipe import Recipe, override, resolve, select_arm
from pareft.recipe_file import read_recipe
from pareft.records import EfficiencyRecord, RunRecord, ScoreRecord, name_score
from pareft.run_folder import EFFICIENCY, PREDICTIONS, read_measurement

ROOT = Path(__file__).parents[1]
SHARED = Path(os.environ.get("PAREFT_SHARED", ROOT.parent / "shared")) / "data"
SCORES = ("rouge1", "rouge2", "rougeL")
TASKS = ("demo", "meqsum", "mts-dialog")
LEARNING_RATE = {"train.learning_rate": 1.0e-3}  # of arms in which all weights are trained
ARMS: dict[str, dict[str, Any]] = {  # all but the first two: LoRA on 8 + 8 layers, `ffn` and what is named
    "full": {"prune": None, "adapt": None, **LEARNING_RATE},
    "l-prun": {"adapt": None, **LEARNING_RATE},
    "ffn": {},
    "all": {"adapt.target": "all"},
    "norms": {"adapt.norms": True},
    "gap": {"adapt.start": "gap"},
    "chances": {"distill": {"teacher": "full"}},
    "states": {"distill": {"teacher": "full", "logits": 0.0, "hidden": 1.0}},
    "texts": {"distill": {"teacher": "full", "logits": 0.0, "targets": "teacher"}},
    "time": {},  # as many steps as take the time of full's
    "together": {"adapt.target": "all", "adapt.start": "gap", "distill": {"teacher": "full", "logits": 0.5, "hidden": 1.0}},
    "best": {"adapt.target": ["ffn", "qv"], "adapt.rank": 16},  # and fewer steps
}
EPOCHS = {"meqsum": {"train.epochs": 3}, "mts-dialog": {"train.epochs": 2}}
FEWER = 0.9  # of the steps, for "best"


def read_task(name: str, out: Path) -> Recipe:
    """A task's recipe with the arms of the ablation, without what is measured beside."""
    if name == "demo":
        recipe = prepare_demo(out / "demo", Console(quiet=True))
        changes: dict[str, Any] = {"adapt.target": "ffn", "adapt.rank": 12, "adapt.alpha": 60}
        arms = ARMS | {"best": ARMS["best"] | {"adapt.alpha": 80}}  # the same alpha / rank
    else:
        recipe = read_recipe(ROOT / "recipes" / f"{name}.yaml")
        place = SHARED / name / ("all.jsonl" if name == "meqsum" else "")
        changes, arms = {"data.path": str(place), "adapt.target": "ffn"} | EPOCHS[name], ARMS
    return resolve(override(recipe.model_dump(), changes | {"arms": arms, "evaluate.untouched": False}))


def measure_once(recipe: Recipe, folder: Path) -> EfficiencyRecord:
    """Steps and memory of all arms, side by side."""
    arms = {name: select_arm(recipe, name) for name in recipe.arms}
    assert recipe.measure
    if (stored := read_measurement(folder)) and fits(stored, arms, recipe.measure):
        return stored
    record = measure(arms, recipe.measure, home=folder)
    write_atomic(folder / EFFICIENCY, record.to_json())
    return record


def join(parts: Iterable[Scores]) -> Scores:
    """The examples of all seeds as one corpus of means."""
    return average([{name: example[name] for name in SCORES} for part in parts for example in part.examples])


def summarise(
    records: Mapping[str, Sequence[RunRecord]],
    folders: Mapping[str, Sequence[Path]],
    efficiency: EfficiencyRecord,
    metrics: list[str],
) -> list[dict[str, Any]]:
    """A row for every arm: means over the seeds, with deviations, and what is kept of full with its interval."""
    scored = {
        name: join(read_scores({str(p): p / PREDICTIONS for p in places}, metrics).values()) for name, places in folders.items()
    }
    rows = []
    for name, found in records.items():
        kept = shares(scored[name], scored["full"], {score: [score] for score in SCORES})
        seconds = [_count_seconds(record) for record in found]
        rows.append(
            {
                "arm": name,
                "scores": {score: [record.scores[score] for record in found] for score in SCORES},
                "kept": {score: kept[score].rounded().model_dump() for score in SCORES},
                "trained_percent": 100 * found[0].parameters.trainable / found[0].parameters.base,
                "peak_bytes": efficiency.arms[name].peak_bytes,
                "step_seconds": efficiency.arms[name].median_step_seconds,
                "steps": [record.steps for record in found],
                "seconds": [round(value, 1) for value in seconds],
            }
        )
    return rows


def _count_seconds(record: RunRecord) -> float:
    writing = record.distill.writing_seconds or 0.0 if record.distill else 0.0
    return record.train_seconds - record.train_evaluation_seconds + writing


def tabulate(rows: Sequence[Mapping[str, Any]], seeds: int) -> str:
    """Markdown. Time: steps times the median step, as a part of full's; seconds: of the runs, one after the other."""
    heads = [*map(name_score, SCORES), *(f"{name_score(score)} kept %" for score in SCORES[:2])]
    lines = [
        "| arm | " + " | ".join(heads) + " | trained % | memory MB | time % | seconds | steps |",
        "| --- |" + " ---: |" * (len(heads) + 5),
    ]
    first = rows[0]["step_seconds"] * rows[0]["steps"][0]
    for row in rows:
        scores = [f"{mean(row['scores'][score]):.1f}" + _deviate(row["scores"][score]) for score in SCORES]
        kept = [_show(ScoreRecord(**row["kept"][score])) for score in SCORES[:2]]
        share = 100 * row["step_seconds"] * row["steps"][0] / first
        cells = [*scores, *kept, f"{row['trained_percent']:.1f}", f"{row['peak_bytes'] / 1e6:,.0f}"]
        cells += [f"{share:.0f}", f"{mean(row['seconds']):.0f}"]
        lines.append(f"| {row['arm']} | " + " | ".join(cells) + f" | {row['steps'][0]} |")
    return (
        "\n".join(lines) + f"\n\n{seeds} seeds: mean ± standard deviation; kept: with the 95 % interval of the paired bootstrap.\n"
    )


def _deviate(values: Sequence[float]) -> str:
    return f" ± {stdev(values):.1f}" if len(values) > 1 else ""


def _show(kept: ScoreRecord) -> str:
    return f"{kept.value:.1f} ({kept.low:.1f}–{kept.high:.1f})" if kept.low is not None else f"{kept.value:.1f}"


def measure_task(name: str, out: Path, seeds: Sequence[int], chosen: Sequence[str], console: Console) -> None:
    """Every arm of a task with every seed; the table is written anew after each seed."""
    recipe = read_task(name, out)
    folder = out / name
    efficiency = measure_once(recipe, folder)
    pair = recipe.model_copy(update={"arms": {"full": recipe.arms["full"], "time": recipe.arms["ffn"]}})
    budget = share_out(pair, "time", efficiency)
    steps = {"time": dict(stretch(pair, budget).arms["time"])}
    steps["best"] = {**recipe.arms["best"], "train.max_steps": round(FEWER * budget.planned["full"])}
    recipe = recipe.model_copy(update={"arms": {arm: recipe.arms[arm] for arm in chosen}})
    recipe = recipe.model_copy(update={"arms": recipe.arms | {arm: steps[arm] for arm in steps if arm in recipe.arms}})
    records: dict[str, list[RunRecord]] = {arm: [] for arm in recipe.arms}
    folders: dict[str, list[Path]] = {arm: [] for arm in recipe.arms}
    for seed in seeds:
        seeded = recipe.model_copy(update={"seed": seed})
        for arm in order_arms({arm: select_arm(seeded, arm) for arm in seeded.arms}, folder / str(seed)):
            place = folder / str(seed) / arm
            records[arm].append(record := run(seeded, out=place, arm=arm))
            folders[arm].append(place)
            values = " ".join(f"{name_score(score)} {record.scores[score]:.2f}" for score in SCORES)
            console.print(f"{name} {seed} {arm}: {values}, {_count_seconds(record):.0f} s")
        rows = summarise(records, folders, efficiency, list(recipe.evaluate.metrics))
        write_json(folder / "recovery.json", {"task": name, "seeds": list(seeds[: len(records["full"])]), "rows": rows})
        write_atomic(folder / "recovery.md", tabulate(rows, len(records["full"])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44])
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    args = parser.parse_args()
    chosen = ["full", *(arm for arm in ARMS if arm in args.arms and arm != "full")]
    for name in args.tasks:
        measure_task(name, args.out, args.seeds, chosen, Console())


if __name__ == "__main__":
    main()
