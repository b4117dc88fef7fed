"""Which layers to keep: rules and criteria at 8 + 8 of 12 + 12 layers, and other shapes of as many layers, trained alike.

    python benchmarks/measure_choosing.py --out FOLDER [--tasks demo mts-dialog] [--seeds 42 43 44] [--arms NAME ...]

pareft-mini with LoRA as the task's recipe has it; every arm takes the same steps. A criterion sees 128 examples of the training
split of each seed. Steps are measured once for each number of layers, side by side; then the arms are trained one after the
other, on a machine that should have nothing else to do. What is finished is read. Writes FOLDER/TASK/SEED/ARM/, and for every
task table.json and table.md. On two cores about a minute for an arm of the demo.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ablation import measure_once, read_task, run_seeds, run_tasks
from rich.console import Console

from pareft.calibrating import CRITERIA
from pareft.pruning.depth import RULES

HALF = {"encoder": 8, "decoder": 8}
HEAVY = {"10+6": {"encoder": 10, "decoder": 6}, "12+4": {"encoder": 12, "decoder": 4}}
FULL: dict[str, Any] = {"prune": None, "adapt": None, "train.learning_rate": 1.0e-3}
ARMS: dict[str, dict[str, Any]] = {
    "full": FULL,
    "alternating": {"prune": {"layers": "alternating"}},
    **{by: {"prune": {"by": by, "keep": HALF}} for by in (*RULES, *CRITERIA)},
    **{f"{by} {name}": {"prune": {"by": by, "keep": keep}} for by in ("even", "greedy") for name, keep in HEAVY.items()},
}
SHAPES = {"8+8": ARMS["even"], **{name: ARMS[f"even {name}"] for name in HEAVY}}


def find_shape(arm: str) -> str:
    """The number of layers an arm keeps, as `SHAPES` has it."""
    last = arm.rpartition(" ")[2]
    return last if last in HEAVY else "full" if arm == "full" else "8+8"


def measure_task(name: str, out: Path, seeds: Sequence[int], chosen: Sequence[str], console: Console) -> None:
    """Every arm of a task with every seed."""
    shapes = read_task(name, out, {"prune": {}, "arms": {"full": FULL, **SHAPES}})
    measured = measure_once(shapes, out / name)
    efficiency = measured.model_copy(update={"arms": {arm: measured.arms[find_shape(arm)] for arm in chosen}})
    recipe = read_task(name, out, {"prune": {}, "arms": {arm: ARMS[arm] for arm in chosen}})
    run_seeds(recipe, out / name, seeds, efficiency, console)


if __name__ == "__main__":
    run_tasks(__doc__, ARMS, ("demo", "mts-dialog"), measure_task)
