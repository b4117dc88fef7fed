"""Which layers to keep: rules and criteria at 8 + 8 of 12 + 12 layers, and other shapes of as many layers, trained alike.

    python benchmarks/measure_choosing.py --out FOLDER [--tasks demo mts-dialog] [--seeds 42 43 44] [--arms NAME ...]

pareft-mini with LoRA on the feed-forward layers, query and value; every arm of a task takes the same steps, and quality is compared
with `alternating`, the paper's rule. A criterion sees 128 examples of the training split (greedy 32 of MTS-Dialog), once for
all seeds. Steps, and the writing of one text, are measured once for each number of layers, side by side, on a machine that should
have nothing else to do; then the arms are trained one after the other. What is finished is read, so that two processes may take a
seed or task each, and the same command then makes the table; results are kept in benchmarks/results/choosing, and what is there is
not run again. Writes FOLDER/TASK/SEED/ARM/, and for every task table.json, table.md, plans.md, shapes.json and shapes.md. On one
core two to three minutes for an arm.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablation import ROOT, Asked, describe_share, describe_values, measure_once, read_task, run_seeds, run_tasks
from rich.console import Console

from pareft.calibrating import CRITERIA
from pareft.files import write_atomic, write_json
from pareft.models.structure import build_on_meta, count_parameters
from pareft.planner.arms import open_arm
from pareft.planner.costs import time_writing
from pareft.pruning.depth import RULES
from pareft.recipe import Recipe, select_arm
from pareft.records import EfficiencyRecord, ScoreRecord, name_score
from pareft.run_folder import PLANS

RESULTS = ROOT / "benchmarks" / "results" / "choosing"  # runs of which results are kept
HALF = {"encoder": 8, "decoder": 8}
HEAVY = {"10+6": {"encoder": 10, "decoder": 6}, "12+4": {"encoder": 12, "decoder": 4}}
FULL: dict[str, Any] = {"prune": None, "adapt": None, "train.learning_rate": 1.0e-3}
ARMS: dict[str, dict[str, Any]] = {
    "alternating": {"prune": {"layers": "alternating"}},
    "full": FULL,
    **{by: {"prune": {"by": by, "keep": HALF}} for by in (*RULES, *CRITERIA)},
    **{f"{by} {name}": {"prune": {"by": by, "keep": keep}} for by in ("even", "greedy") for name, keep in HEAVY.items()},
}
SHAPES = {"8+8": ARMS["even"], **{name: ARMS[f"even {name}"] for name in HEAVY}}
CHANGES: dict[str, dict[str, Any]] = {  # lines of a task's recipe that are otherwise here
    "demo": {},
    "mts-dialog": {  # so that all arms and seeds are trained in hours
        "adapt.target": ["ffn", "qv"],
        "adapt.layers": None,
        "adapt.dropout": 0.1,
        "train.batch_size": 8,
        "train.learning_rate": 4.0e-3,
        "train.warmup_steps": 30,
        "train.epochs": 2,
        "data.max_source_tokens": 256,
        "train.max_steps": 200,
        "train.evaluate_every": 2,
        "train.evaluate_examples": 48,
        "evaluate.num_beams": 2,
    },
}
OWN: dict[str, dict[str, Any]] = {  # arms that are otherwise in a task: its texts are long, and greedy measures some 160 times
    "mts-dialog": {name: {"prune": lines["prune"] | {"examples": 32}} for name, lines in ARMS.items() if name.startswith("greedy")},
}


def find_shape(arm: str) -> str:
    """The number of layers an arm keeps, as `SHAPES` has it."""
    last = arm.rpartition(" ")[2]
    return last if last in HEAVY else "full" if arm == "full" else "8+8"


def share_plans(folder: Path, seeds: Sequence[int]) -> None:
    """One place for the plans that criteria choose, beside the runs of every seed."""
    (folder / PLANS).mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        (folder / str(seed)).mkdir(exist_ok=True)
        beside = folder / str(seed) / PLANS
        if not beside.is_symlink():
            beside.symlink_to(Path("..") / PLANS)


def measure_shapes(recipe: Recipe, efficiency: EfficiencyRecord, folder: Path) -> None:
    """Parameters, step, memory and writing of every number of layers, as a file and a table; measured ones are kept."""
    file = folder / "shapes.json"
    if not file.is_file():
        arms = {name: open_arm(name, select_arm(recipe, name)) for name in recipe.arms}
        seconds = time_writing(list(arms.values()), rounds=9)
        rows = [
            {
                "layers": name,
                "parameters": count_parameters(build_on_meta(arm.base.config, arm.plan)).total,
                "step_seconds": efficiency.arms[name].median_step_seconds,
                "peak_bytes": efficiency.arms[name].peak_bytes,
                "writing_seconds": round(taken, 4),
            }
            for (name, arm), taken in zip(arms.items(), seconds, strict=True)
        ]
        write_json(file, rows)
    write_atomic(folder / "shapes.md", tabulate_shapes(json.loads(file.read_text(encoding="utf-8"))))


def tabulate_shapes(rows: Sequence[Mapping[str, Any]]) -> str:
    """Each beside the first, of which they are percents."""
    lines = ["| layers | parameters | step % | memory % | writing % | writing s |", "| --- |" + " ---: |" * 5]
    for row in rows:
        shares = [100 * row[name] / rows[0][name] for name in ("step_seconds", "peak_bytes", "writing_seconds")]
        cells = [row["layers"], f"{row['parameters']:,}", *(f"{share:.0f}" for share in shares), f"{row['writing_seconds']:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def tabulate_plans(rows: Sequence[Mapping[str, Any]]) -> str:
    """What every arm keeps, of the first seed, and its scores beside the first arm's."""
    names = list(rows[0]["scores"])
    shares = [f"{name_score(score)} %" for score in names[:2]]
    heads = ["encoder", "decoder", *map(name_score, names), *shares]
    lines = ["| arm | " + " | ".join(heads) + " |", "| --- | --- | --- |" + " ---: |" * (len(heads) - 2)]
    for row in rows:
        kept = [shorten(row["layers"][0][stack]) for stack in ("encoder", "decoder")]
        scores = [describe_values(row["scores"][score]) for score in names]
        beside = [describe_share(ScoreRecord(**row["kept"][score])) for score in names[:2]]
        fewer = "" if len(row["seeds"]) == len(rows[0]["seeds"]) else f" ({len(row['seeds'])} seeds)"
        lines.append(f"| {row['arm']}{fewer} | " + " | ".join([*kept, *scores, *beside]) + " |")
    return "\n".join(lines) + "\n"


def shorten(numbers: Sequence[int]) -> str:
    """0, 1, 2, 7 as 0-2 7."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def measure_task(name: str, asked: Asked, console: Console) -> None:
    """Every arm of a task with every seed."""
    out, folder = asked.out, asked.out / name
    share_plans(folder, asked.seeds)
    shapes = read_task(name, out, CHANGES[name] | {"prune": {}, "arms": {"full": FULL, **SHAPES}})
    measured = measure_once(shapes, folder)
    measure_shapes(shapes, measured, folder)
    efficiency = measured.model_copy(update={"arms": {arm: measured.arms[find_shape(arm)] for arm in asked.arms}})
    arms = ARMS | OWN.get(name, {})
    recipe = read_task(name, out, CHANGES[name] | {"prune": {}, "arms": {arm: arms[arm] for arm in asked.arms}})
    run_seeds(recipe, folder, asked.seeds, efficiency, console, keep=RESULTS / f"{name}.json", finished=asked.finished)
    table = json.loads((folder / "table.json").read_text(encoding="utf-8"))
    write_atomic(folder / "plans.md", tabulate_plans(table["rows"]))


if __name__ == "__main__":
    run_tasks(__doc__, ARMS, ("demo", "mts-dialog"), measure_task)
