"""Time and memory of a training step against layers kept, batch, source length and rank, and memory against the rows of a data set.

    python benchmarks/measure_scaling.py --out docs/scaling.json --picture docs/scaling.png

The model is BART-large's shape with random weights and LoRA on its feed-forward layers; every row is as long as it may be. The
points of a grid are stepped in turn, a process each (`pareft.measurement`); where more are asked for than fit (`--at-once`), the
first point is measured with every group, and times are scaled by it. A line is fitted by least squares; its deviation is the
largest of a point from the line, in parts of the point. Memory against rows is of `pareft.run` with pareft-mini, a process each.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl
from matplotlib.figure import Figure
from measure_shape import write_base

from pareft.data.synthetic import generate_radiology_notes
from pareft.files import write_json
from pareft.measurement import measure
from pareft.recipe import Recipe, override, resolve
from pareft.runtime import describe_hardware, list_versions
from pareft.settings import MeasureSettings

SHAPES: dict[str, dict[str, int]] = {
    "large": {},
    "small": {
        "d_model": 32, "encoder_ffn_dim": 64, "decoder_ffn_dim": 64, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
        "vocab_size": 4_096,
    },
}  # fmt: skip
UNITS = {"layers": "layers kept of each stack", "batch": "batch size", "source": "source tokens", "rank": "rank of LoRA"}
ROWS = "rows of the data set"
LOOKS = {"step_seconds": ("#0b6e8f", "o", "s per step", 1.0), "peak_bytes": ("#b4551d", "s", "GB at the peak", 1e9)}
Points = list[dict[str, Any]]


def write_rows(path: Path, rows: int, *, notes: int) -> None:
    """Rows of so many notes in a source and one in a target."""
    texts = [note["text"] for note in islice(generate_radiology_notes(2_000, seed=1), 2_000)]
    joined = [" ".join(texts[(row + place) % len(texts)] for place in range(notes)) for row in range(rows)]
    pl.DataFrame({"source": joined, "target": [texts[row % len(texts)] for row in range(rows)]}).write_parquet(path)


def make_recipe(base: Path, data: Path, args: argparse.Namespace) -> Recipe:
    """The middle of all grids."""
    return resolve(
        {
            "base": str(base),
            "data": {"path": str(data), "max_source_tokens": 512, "max_target_tokens": args.target_tokens},
            "prune": {"layers": spread(12)},
            "adapt": {"target": "ffn", "rank": 16, "alpha": 32},
            "train": {"batch_size": 2},
            "measure": {"steps": args.steps, "warmup_steps": args.warmup},
        }
    )


def spread(count: int) -> dict[str, list[int]]:
    """So many layers of twelve, evenly, for both stacks."""
    kept = [round(place) for place in np.linspace(0, 11, count)]
    return {"encoder": kept, "decoder": kept}


def change(recipe: Recipe, grid: str, value: int) -> Recipe:
    """The recipe at a point of a grid."""
    lines: dict[str, dict[str, Any]] = {
        "layers": {"prune.layers": spread(value)},
        "batch": {"train.batch_size": value},
        "source": {"data.max_source_tokens": value},
        "rank": {"adapt.rank": value, "adapt.alpha": 2 * value},
    }
    return resolve(override(recipe.model_dump(), lines[grid]))


def measure_grid(arms: Mapping[int, Recipe], settings: MeasureSettings, *, at_once: int) -> Points:
    """The points of a grid, as many at once as are asked for, and the first one with every group."""
    first, *others = arms
    size = max(1, at_once - 1)
    points: dict[int, dict[str, Any]] = {}
    for group in [others[start : start + size] for start in range(0, len(others), size)] or [[]]:
        measured = measure({str(value): arms[value] for value in (first, *group)}, settings).arms
        scale = points[first]["step_seconds"] / measured[str(first)].median_step_seconds if points else 1.0
        for value in [first, *group] if not points else group:
            arm = measured[str(value)]
            points[value] = {"value": value, "step_seconds": arm.median_step_seconds * scale, "peak_bytes": arm.peak_bytes}
            points[value] |= {"single_steps": arm.step_seconds}
    return [points[value] for value in arms]


IN_A_PROCESS = """
import json, sys
import pareft.recipe
from pareft.runtime import peak_memory_bytes, reset_peak_memory
recipe = json.loads(sys.argv[1])
before = reset_peak_memory()
pareft.run(pareft.recipe.resolve(recipe), out=sys.argv[2])
print(json.dumps({"peak_bytes": peak_memory_bytes() - before}))
"""


def measure_rows(counts: Sequence[int], folder: Path, *, steps: int, repeats: int) -> Points:
    """Peak memory of a whole run of so many steps on so many rows; the median of some processes."""
    few = str(folder / "few.parquet")
    write_rows(Path(few), 8, notes=1)
    points = []
    for count in counts:
        data = folder / f"rows-{count}.parquet"
        write_rows(data, count, notes=3)
        recipe = {
            "base": "pareft-mini",
            "data": {"train": str(data), "validation": few, "test": few, "max_source_tokens": 512, "max_target_tokens": 64},
            "adapt": {"target": "ffn"},
            "train": {"max_steps": steps, "batch_size": 4},
            "evaluate": {"num_beams": 1, "max_new_tokens": 8},
        }
        peaks = []
        for number in range(repeats):
            command = [sys.executable, "-c", IN_A_PROCESS, json.dumps(recipe), str(folder / f"run-{count}-{number}")]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            peaks.append(json.loads(done.stdout.strip().splitlines()[-1])["peak_bytes"])
        points.append({"value": count, "peak_bytes": int(median(peaks)), "single_peaks": peaks})
    return points


def fit_line(points: Points, field: str) -> dict[str, float]:
    """The least-squares line of a field against the points' values, and the largest deviation in parts of a point."""
    values, found = np.array([point["value"] for point in points]), np.array([point[field] for point in points])
    slope, start = np.polyfit(values, found, 1) if len(points) > 1 else (0.0, found[0])
    deviation = np.abs(start + slope * values - found) / found
    return {"start": float(start), "slope": float(slope), "largest_deviation": round(float(deviation.max()), 4)}


def describe(points: Points) -> dict[str, Any]:
    """Points with the lines through them."""
    lines = {field: fit_line(points, field) for field in ("step_seconds", "peak_bytes") if field in points[0]}
    return {"points": points, "lines": lines}


def draw(grids: Mapping[str, dict[str, Any]], path: Path) -> None:
    """A panel for every grid: seconds of a step on the left, GB at the peak on the right, and the lines through them."""
    columns = 2 if len(grids) in (2, 4) else 3
    rows = -(-len(grids) // columns)
    figure = Figure(figsize=(4 * columns, 3 * rows), layout="constrained")
    for place, (name, grid) in enumerate(grids.items(), 1):
        panel = figure.add_subplot(rows, columns, place)
        values = np.array([point["value"] for point in grid["points"]])
        axes = {"step_seconds": panel, "peak_bytes": panel.twinx()} if "step_seconds" in grid["lines"] else {"peak_bytes": panel}
        for field, axis in axes.items():
            colour, marker, label, unit = LOOKS[field]
            line, found = grid["lines"][field], np.array([point[field] for point in grid["points"]]) / unit
            along = np.linspace(values.min(), values.max(), 100)
            axis.plot(values, found, marker, color=colour, markersize=5)
            axis.plot(along, (line["start"] + line["slope"] * along) / unit, "-", color=colour, linewidth=1)
            axis.set_ylim(0, 1.15 * found.max())
            axis.set_ylabel(label, color=colour)
            axis.tick_params(axis="y", labelcolor=colour)
        if values.max() > 50 * values.min():
            panel.set_xscale("log")
        panel.set_xticks(values, [f"{value:,}" for value in values])
        panel.minorticks_off()
        panel.set_xlabel(UNITS.get(name, ROWS))
    figure.savefig(path, dpi=130)


def write_table(grids: Mapping[str, dict[str, Any]]) -> str:
    """All points and lines in Markdown."""
    rows = ["| against | at | s per step | GB at the peak |", "| --- | ---: | ---: | ---: |"]
    for name, grid in grids.items():
        for point in grid["points"]:
            seconds = f"{point['step_seconds']:.3g}" if "step_seconds" in point else "–"
            rows.append(f"| {UNITS.get(name, ROWS)} | {point['value']:,} | {seconds} | {point['peak_bytes'] / 1e9:.3g} |")
        time, memory = (grid["lines"].get(field) for field in ("step_seconds", "peak_bytes"))
        cells = [
            f"{line['slope'] / unit:+.2g} each, {100 * line['largest_deviation']:.0f} % off at most" if line else "–"
            for line, unit in ((time, 1.0), (memory, 1e9))
        ]
        rows.append(f"| | *line* | {cells[0]} | {cells[1]} |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    parser.add_argument("--picture", type=Path, help="PNG")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="large", help="small is for trying this out")
    parser.add_argument("--layers", type=int, nargs="*", default=[12, 10, 8, 6, 4])
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--source", type=int, nargs="*", default=[128, 256, 512, 768, 1024])
    parser.add_argument("--rank", type=int, nargs="*", default=[4, 8, 16, 32, 64])
    parser.add_argument("--rows", type=int, nargs="*", default=[100, 1_000, 10_000])
    parser.add_argument("--row-repeats", type=int, default=3, help="processes for every number of rows")
    parser.add_argument("--target-tokens", type=int, default=128)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--at-once", type=int, default=5, help="processes that fit into memory together")
    args = parser.parse_args()
    settings = MeasureSettings(steps=args.steps, warmup_steps=args.warmup)
    grids: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="pareft-scaling-") as place:
        folder = Path(place)
        write_base(folder / "base", "pareft-mini", **SHAPES[args.shape])
        write_rows(folder / "rows.parquet", 64, notes=12)
        recipe = make_recipe(folder / "base", folder / "rows.parquet", args)
        for name in UNITS:
            if asked := getattr(args, name):
                arms = {value: change(recipe, name, value) for value in asked}
                grids[name] = describe(measure_grid(arms, settings, at_once=args.at_once))
        if args.rows:
            grids["rows"] = describe(measure_rows(args.rows, folder, steps=4, repeats=args.row_repeats))
    asked = {key: value for key, value in vars(args).items() if key not in ("out", "picture")}
    write_json(args.out, {"asked": asked, "grids": grids, "versions": list_versions(), "hardware": describe_hardware()})
    if args.picture:
        draw(grids, args.picture)
    print(write_table(grids))


if __name__ == "__main__":
    main()
