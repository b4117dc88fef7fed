"""What the verbs do once their arguments are read: call the library, write the reports, print what a person wants to see."""

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

from rich.console import Console

from pareft.comparison import Comparison, compare
from pareft.console import LiveProgress, make_families_table, make_table
from pareft.data.mimic import Rules
from pareft.data.prepared import SplitBy
from pareft.errors import AdapterError, DataError, PlanError, RunError
from pareft.exporting import export
from pareft.models.checkpoint import open_base
from pareft.models.families import find_family
from pareft.models.plan import PruningPlan
from pareft.pipeline import run
from pareft.preparation import write_prepared
from pareft.pruning import plan
from pareft.recipe import Recipe
from pareft.recipe_file import parse_changes, read_recipe
from pareft.records import write_atomic
from pareft.report.families import write_families
from pareft.report.figure import draw_png
from pareft.report.table import write_csv, write_markdown
from pareft.tuning.remapping import remap
from pareft.tuning.storage import read_adapter


def run_and_show(recipe: Path, changes: list[str], arm: str | None, out: Path | None) -> None:
    """`pareft run`."""
    console = Console()
    folder = out or Path("runs") / recipe.stem / (arm or "run")
    with LiveProgress(console) as progress:
        record = run(recipe, parse_changes(changes), out=folder, arm=arm, progress=progress)
    scores = "  ".join(f"{name} {value:.2f}" for name, value in record.scores.items())
    console.print(
        f"{scores}\n{record.parameters.trainable:,} of {record.parameters.total:,} parameters trained; written to {folder}"
    )


def compare_and_show(recipe: Path, changes: list[str], out: Path | None) -> None:
    """`pareft compare`."""
    console = Console()
    folder = out or Path("runs") / recipe.stem
    show_comparison(read_recipe(recipe, parse_changes(changes)), folder, title=recipe.stem, console=console)


def show_comparison(recipe: Recipe, folder: Path, *, title: str, console: Console) -> Comparison:
    """Compare, write `comparison.md`, `.csv` and `.png` beside the records, and print the table."""
    with LiveProgress(console) as progress:
        comparison = compare(recipe, folder, title=title, progress=progress)
    write_atomic(folder / "comparison.md", write_markdown(comparison))
    write_atomic(folder / "comparison.csv", write_csv(comparison))
    write_atomic(folder / "comparison.png", draw_png(comparison))
    console.print(make_table(comparison))
    console.print(f"Written to {folder}: comparison.png, .md, .csv, .json, and a folder for every arm", soft_wrap=True)
    return comparison


def prepare_and_show(builder: str, notes: Path, out: Path, *, rules: str, split_by: str | None, seed: int) -> None:
    """`pareft prepare`."""
    if builder != "mimic-radiology":
        raise DataError(f"no builder {builder!r}; there is mimic-radiology")
    if rules not in get_args(Rules):
        raise DataError(f"--rules {rules}: choose {' or '.join(get_args(Rules))}")
    if split_by not in (None, *get_args(SplitBy)):
        raise DataError(f"--split-by {split_by}: choose {' or '.join(get_args(SplitBy))}")
    description = write_prepared(notes, out, rules=rules, split_by=split_by, seed=seed)  # type: ignore[arg-type]
    Console().print_json(json.dumps(description))


def print_plan(base: str, *, encoder: str | None, decoder: str | None, revision: str | None) -> None:
    """`pareft plan`."""
    named = {stack: _parse_layers(stack, text) for stack, text in (("encoder", encoder), ("decoder", decoder)) if text is not None}
    print(plan(base, layers=named or None, revision=revision).to_json(), end="")


def export_and_show(run: Path, folder: Path, forms: list[str]) -> None:
    """`pareft export`."""
    if len(forms) > 1:
        raise RunError(f"give one of {', '.join(f'--{form}' for form in forms)}; each goes into a folder of its own")
    done = export(run, folder, forms[0] if forms else "merged")  # type: ignore[arg-type]
    console = Console()
    console.print(f"{done.form}: {done.folder}, {done.bytes / 1e6:.1f} MB", soft_wrap=True)
    for note in done.notes:
        console.print(f"- {note}", soft_wrap=True, highlight=False)
    console.print(
        f"- verified without pareft: logits differ by {done.difference:.1e} at most (largest {done.largest:.3g})", soft_wrap=True
    )


def remap_and_show(adapter: Path, to: str, out: Path, *, base: str | None) -> None:
    """`pareft adapter remap`."""
    stored = read_adapter(adapter)
    if stored.plan is None:
        if base is None:
            raise AdapterError(f"{adapter} has no plan.json; if it was trained on a whole base, name that with --base")
        stored = replace(stored, plan=plan(base, by="everything"))
    elif base is not None:
        raise AdapterError(f"{adapter} has a plan.json, which says its base; leave --base out")
    assert stored.plan is not None
    target = stored.plan.whole() if to == "full" else PruningPlan.read(to)
    family = find_family(open_base(stored.plan.base, revision=stored.plan.revision).config)
    report = remap(stored, family, target, out)
    print(f"{report.describe()}\nwritten to {out}, for plan {target.fingerprint} ({target.describe()})")


def show_families(*, markdown: bool) -> None:
    """`pareft families`."""
    if markdown:
        print(write_families(), end="")
    else:
        Console().print(make_families_table())


def _parse_layers(stack: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as error:
        raise PlanError(f"--{stack} {text!r}: give layer numbers with commas, such as 0,1,2,4") from error
