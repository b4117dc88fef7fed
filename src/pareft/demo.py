"""The demo: synthetic radiology notes through the real builder, `pareft-mini` fine-tuned four ways, the table, and examples."""

import json
import time
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pareft.comparison import Comparison
from pareft.data.synthetic import generate_radiology_notes
from pareft.evaluation.predictions import read_rows
from pareft.files import fill_file
from pareft.preparation import find_finished, prepare_notes
from pareft.preparation.synthetic import write_notes
from pareft.preparation.writing import Handling
from pareft.recipe import Recipe
from pareft.recipe_file import read_recipe
from pareft.reporting import collect_report
from pareft.run_folder import PREDICTIONS
from pareft.verbs import show_comparison, write_report

NOTES, SEED = 3600, 20_261_120
SHOWN = 3


def run_demo(out: Path) -> None:
    """All of it into one folder; run again, it goes on or shows what is there."""
    console, started = Console(), time.monotonic()
    recipe = prepare_demo(out, console)
    console.print("[bold]2. Fine-tune pareft-mini (BART, 12 + 12 layers) four ways: same data, steps and seed[/bold]")
    comparison = show_comparison(
        recipe, out / "runs", title="pareft demo: pareft-mini on synthetic radiology notes", console=console
    )
    console.print(_show_examples(out / "runs", [row.arm for row in comparison.rows if row.trainable is not None]))
    _tell_large(console, comparison)
    folders = {row.arm: out / "runs" / row.arm for row in comparison.rows}
    write_report(collect_report(comparison, folders, show_text=True), out / "report")
    console.print(f"Everything is in [bold]{out}[/bold]; open {out / 'report' / 'report.html'} in a browser", soft_wrap=True)
    console.print(f"{time.monotonic() - started:.0f} seconds")


def prepare_demo(out: Path, console: Console) -> Recipe:
    """Write the notes as `radiology.csv`, build the examples, and return the demo's recipe with its data path set."""
    console.print(f"[bold]1. {NOTES:,} synthetic radiology notes → the MIMIC-IV radiology builder[/bold]")
    notes = out / "notes" / "radiology.csv"
    if not notes.is_file():
        with fill_file(notes) as file:
            write_notes(generate_radiology_notes(NOTES, seed=SEED), file, NOTES)
    made = find_finished("radiology", notes, out / "data")
    prepared = made or prepare_notes("radiology", notes, out / "data", handling=Handling(overwrite=True))
    description = prepared.description
    examples = ", ".join(f"{count:,} {name}" for name, count in description["examples"].items())
    dropped = ", ".join(f"{count} with {reason}" for reason, count in description["dropped"].items())
    console.print(f"  ✓ examples: {examples}; dropped: {dropped}; no patient in two splits", soft_wrap=True)
    shipped = Path(str(files("pareft") / "assets" / "demo.yaml"))
    return read_recipe(shipped, {"data.path": str(out / "data")})


def _show_examples(folder: Path, arms: list[str]) -> Table:
    """The first test examples in columns: the reference, and below it what every arm wrote."""
    written = {arm: read_rows(folder / arm / PREDICTIONS) for arm in arms}
    table = Table(title="Three test examples", show_lines=True, title_style="bold")
    table.add_column("", no_wrap=True)
    for index in range(SHOWN):
        table.add_column(written[arms[0]][index]["id"], ratio=1)
    table.add_row("reference", *(row["reference"] for row in written[arms[0]][:SHOWN]), style="bold")
    for arm in arms:
        table.add_row(arm, *(row["prediction"] for row in written[arm][:SHOWN]))
    return table


def _tell_large(console: Console, comparison: Comparison) -> None:
    """Say that a small base gains less, and show what BART-large's shape gains, from the committed measurement."""
    measured = json.loads((files("pareft") / "assets" / "bart-large-shape.json").read_text(encoding="utf-8"))
    table = Table(title=f"BART-large's shape, measured on {measured['measured_on']}", title_style="bold")
    for name in ("Arm", "Speed %", "Memory %", "Trained parameters"):
        table.add_column(name, justify="left" if name == "Arm" else "right")
    for row in measured["rows"]:
        table.add_row(row["arm"], f"{row['speed_percent']:.0f}", f"{row['memory_percent']:.0f}", f"{row['trainable']:,}")
    total = comparison.rows[0].total
    console.print(f"A base of {total / 1e6:.1f} M parameters gains less speed and memory than a large one:", soft_wrap=True)
    console.print(table)
    console.print(f"Measured by: {measured['command']}", soft_wrap=True)
