"""What recovers a pruned model, one thing added at a time: quality, trained parameters, memory and time of every arm, over seeds.

    python benchmarks/measure_recovery.py --out FOLDER [--tasks demo meqsum mts-dialog] [--seeds 42 43 44] [--arms NAME ...]

pareft-mini, 8 of 12 layers kept of each stack; the tasks are the demo's notes and the recipes of MeQSum and MTS-Dialog, whose data
are read from `PAREFT_SHARED` (../shared), for eight epochs, or `-short` for three and by four beams. Steps are measured side by
side first, then the arms are trained one after the other, on a machine that should have nothing else to do. `best`, `upper` and
`by-example` take 0.9 times the steps of the others (in the short tasks `best` alone), `small-batches` 7.6 epochs of the eight
in batches of half the size, `small-batches-longer` eleven, `time` as many steps as take full's time; `full-small-batches` has
full's epochs in the smaller batches. Seconds are those of training without its evaluations, with what a teacher wrote. What is
finished is read, from FOLDER or from benchmarks/results/recovery, where results stay; the same command goes on. Writes
FOLDER/TASK/SEED/ARM/, and for every task table.json and table.md. On two cores about a minute for an arm of the demo, and a quarter
of an hour for one of MTS-Dialog.
"""

from typing import Any

from ablation import ROOT, Asked, measure_once, read_task, run_seeds, run_tasks
from rich.console import Console

from pareft.budgets import share_out, stretch

RESULTS = ROOT / "benchmarks" / "results" / "recovery"
TASKS = ("demo", "meqsum", "mts-dialog", "meqsum-short", "mts-dialog-short")
SHORT = "-short"
LEARNING_RATE = {"train.learning_rate": 1.0e-3}  # of arms in which all weights are trained
UPPER: dict[str, Any] = {  # the lower half of the encoder is frozen and computed once
    "adapt.target": "all",
    "adapt.layers": {"encoder": [4, 5, 6, 7], "decoder": "all"},
    "train.cache_frozen_prefix": True,
}
SMALL = {"train.batch_size": 4, "train.warmup_steps": 60}
ARMS: dict[str, dict[str, Any]] = {  # all but `full`s and `l-prun`: LoRA on 8 + 8 layers, `ffn` and what is named
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
    "upper": UPPER,  # and fewer steps
    "undropped": UPPER | {"adapt.dropout": 0.0},  # whose steps cost less
    "by-example": UPPER | {"adapt.dropout_by": "example"},  # whose steps cost nearly as little; and fewer of them
    "small-batches": UPPER | {"adapt.dropout": 0.0, "train.learning_rate": 3.0e-3, **SMALL},
    "small-batches-longer": UPPER | {"adapt.dropout": 0.0, "train.learning_rate": 3.0e-3, **SMALL},
    "full-small-batches": {"prune": None, "adapt": None, "train.learning_rate": 7.5e-4, **SMALL},
}
CHANGES: dict[str, dict[str, Any]] = {  # lines of a task's recipe that are otherwise here
    "demo": {"adapt.target": "ffn", "adapt.rank": 12, "adapt.alpha": 60},
    "meqsum": {"adapt.target": "ffn", "adapt.layers": None, "adapt.dropout_by": "element"},
    "mts-dialog": {
        "adapt.target": "ffn",
        "adapt.layers": None,
        "adapt.dropout": 0.1,
        "train.batch_size": 8,
        "train.learning_rate": 4.0e-3,
        "train.warmup_steps": 30,
    },
}
OWN: dict[str, dict[str, Any]] = {  # arms that are otherwise in a task
    "demo": {"best": ARMS["best"] | {"adapt.alpha": 80}},  # the same alpha / rank
}
MEASURE = {"steps": 24, "warmup_steps": 3}
FEWER = {"best": 0.9, "upper": 0.9, "by-example": 0.9}  # of full's steps
FEWER |= {"small-batches": 1.894, "small-batches-longer": 2.741}  # in batches of half the size
SHORTER = {"train.epochs": 3, "evaluate.num_beams": 4}


def measure_task(name: str, asked: Asked, console: Console) -> None:
    """Every arm of a task with every seed; the table is written anew after each seed."""
    task, folder = name.removesuffix(SHORT), asked.out / name
    short = SHORTER if name.endswith(SHORT) else {}
    arms = {arm: (ARMS | OWN.get(task, {}))[arm] for arm in asked.arms}
    recipe = read_task(task, asked.out, CHANGES[task] | short | {"measure": MEASURE, "arms": arms})
    efficiency = measure_once(recipe, folder)
    timed = recipe.model_copy(update={"arms": {arm: recipe.arms[arm] for arm in ("full", "time") if arm in arms}})
    budget = share_out(timed, "time", efficiency)
    fewer = {"best": FEWER["best"]} if short else FEWER
    steps = {arm: {"train.max_steps": round(share * budget.planned["full"])} for arm, share in fewer.items()}
    if "time" in arms:
        steps["time"] = dict(stretch(timed, budget).arms["time"])
    recipe = recipe.model_copy(update={"arms": {arm: {**recipe.arms[arm], **steps.get(arm, {})} for arm in arms}})
    run_seeds(recipe, folder, asked.seeds, efficiency, console, keep=RESULTS / f"{name}.json", finished=asked.finished)


if __name__ == "__main__":
    run_tasks(__doc__, ARMS, TASKS, measure_task)
