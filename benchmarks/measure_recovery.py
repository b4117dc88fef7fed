"""What recovers a pruned model, one thing added at a time: quality, trained parameters, memory and time of every arm, over seeds.

    python benchmarks/measure_recovery.py --out FOLDER [--tasks demo meqsum mts-dialog] [--seeds 42 43 44] [--arms NAME ...]

pareft-mini, 8 of 12 layers kept of each stack; the tasks are the demo's notes and the recipes of MeQSum and MTS-Dialog, whose data
are read from `PAREFT_SHARED` (../shared). Steps are measured side by side first, then the arms are trained one after the other, on
a machine that should have nothing else to do. `best` takes 0.9 times the steps of the others, `time` as many as take full's time.
Seconds are those of training without its evaluations, with what a teacher wrote. What is finished is read, so that the same command
goes on. Writes FOLDER/TASK/SEED/ARM/, and for every task table.json and table.md. On two cores about a minute for an arm of
the demo.
"""

from typing import Any

from ablation import TASKS, Asked, measure_once, read_task, run_seeds, run_tasks
from rich.console import Console

from pareft.budgets import share_out, stretch

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
    "upper": {  # the lower half of the encoder is frozen and computed once
        "adapt.target": "all",
        "adapt.layers": {"encoder": [4, 5, 6, 7], "decoder": "all"},
        "train.cache_frozen_prefix": True,
    },
}
CHANGES: dict[str, dict[str, Any]] = {  # lines of a task's recipe that are otherwise here
    "demo": {"adapt.target": "ffn", "adapt.rank": 12, "adapt.alpha": 60},
    "meqsum": {"adapt.target": "ffn", "train.epochs": 3},
    "mts-dialog": {"adapt.target": "ffn", "train.epochs": 3},
}
OWN: dict[str, dict[str, Any]] = {  # arms that are otherwise in a task
    "demo": {"best": ARMS["best"] | {"adapt.alpha": 80}},  # the same alpha / rank
}
FEWER = 0.9  # of the steps, for "best"


def measure_task(name: str, asked: Asked, console: Console) -> None:
    """Every arm of a task with every seed; the table is written anew after each seed."""
    recipe = read_task(name, asked.out, CHANGES[name] | {"arms": ARMS | OWN.get(name, {})})
    folder = asked.out / name
    efficiency = measure_once(recipe, folder)
    timed = recipe.model_copy(update={"arms": {arm: recipe.arms[arm] for arm in ("full", "time")}})
    budget = share_out(timed, "time", efficiency)
    steps: dict[str, dict[str, Any]] = {"time": dict(stretch(timed, budget).arms["time"])}
    steps["best"] = {**recipe.arms["best"], "train.max_steps": round(FEWER * budget.planned["full"])}
    recipe = recipe.model_copy(update={"arms": {arm: recipe.arms[arm] for arm in asked.arms}})
    recipe = recipe.model_copy(update={"arms": recipe.arms | {arm: steps[arm] for arm in steps if arm in recipe.arms}})
    run_seeds(recipe, folder, asked.seeds, efficiency, console, finished=asked.finished)


if __name__ == "__main__":
    run_tasks(__doc__, ARMS, TASKS, measure_task)
