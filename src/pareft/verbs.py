"""What the verbs do once their arguments are read: call the library, write the reports, print what a person wants to see."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

from pareft.arms import compare, compare_runs, name_runs
from pareft.comparison import Comparison
from pareft.console import make_families_table, make_interval_tables, make_scores_table, make_search_table, make_table
from pareft.data.inputs import Format
from pareft.errors import DataError, RunError
from pareft.exporting import export
from pareft.files import write_atomic
from pareft.inference import evaluate, generate
from pareft.live import LiveProgress, start_console
from pareft.pipeline import run
from pareft.recipe import Recipe
from pareft.recipe_file import parse_changes, take_recipe
from pareft.records import Equal
from pareft.report.families import write_families
from pareft.report.figure import draw_png, render_png, render_svg
from pareft.report.latex import write_latex
from pareft.report.page import write_page
from pareft.report.plots import CAPTIONS, draw_plots
from pareft.report.table import write_csv, write_markdown
from pareft.reporting import EXAMPLES, Report, collect_report
from pareft.run_folder import BEST, COMPARISON, SEARCH
from pareft.runtime import find_processes
from pareft.search import list_space, search
from pareft.tuning.remapping import remap


def run_and_show(recipe: Path, changes: list[str], arm: str | None, out: Path | None) -> None:
    """`pareft run`."""
    console = make_console()
    folder = out or Path("runs") / recipe.stem / (arm or "run")
    with LiveProgress(console) as progress:
        record = run(recipe, parse_changes(changes), out=folder, arm=arm, progress=progress)
    scores = "  ".join(f"{name} {value:.2f}" for name, value in record.scores.items())
    console.print(
        f"{scores}\n{record.parameters.trainable:,} of {record.parameters.total:,} parameters trained; written to {folder}"
    )
    if record.start:
        start = record.start
        console.print(
            f"The adapter started as what stands in for dropped layers: loss {start.loss_before:.3f} → {start.loss_after:.3f}; "
            f"the unpruned base's is {start.loss_of_base:.3f}",
            style="dim",
            soft_wrap=True,
        )
    if record.evaluations_left_out:
        console.print(
            f"{record.evaluations_left_out} evaluations in training were left out, as they would have taken more than their share "
            "of the time: lower train.evaluate_examples, or set train.evaluate_share=null",
            soft_wrap=True,
        )


def compare_and_show(
    recipe: Path,
    changes: list[str],
    out: Path | None,
    report: Path | None,
    *,
    examples: int | None,
    show_text: bool,
    equal: Equal = "steps",
) -> None:
    """`pareft compare`, of a recipe's arms, or of runs that are finished."""
    if report and report.exists() and not report.is_dir():
        raise RunError(f"{report} is a file; give --report a folder")
    if not report and (examples is not None or show_text):
        raise RunError("--examples and --show-text say what a report shows; give the folder to write it to with --report")
    console = start_console()
    if recipe.is_dir():
        if equal != "steps":
            raise RunError("--equal says how arms are trained, and these runs are finished; give a recipe")
        runs = [recipe, *map(Path, changes)]
        comparison, folders = compare_runs(runs), name_runs(runs)
        console.print(make_table(comparison), *make_interval_tables(comparison))
        if out:
            write_comparison(comparison, out)
            write_atomic(out / COMPARISON, comparison.to_json())
            console.print(f"Written to {out}: comparison.png, .md, .csv, .json", soft_wrap=True)
    else:
        home = out or Path("runs") / recipe.stem
        read = parse_changes(changes)
        comparison = show_comparison(recipe, home, title=recipe.stem, console=console, changes=read, equal=equal)
        folders = {row.arm: home / row.arm for row in comparison.rows}
    if report:
        write_report(collect_report(comparison, folders, examples=choose_count(examples), show_text=show_text), report)
        console.print(f"Written to {report}: report.html, .md, .csv, .tex, .json, and plots/", soft_wrap=True)


def tune_and_show(
    recipe: Path, changes: list[str], *, metric: str, trials: int, arm: str | None, space: str, out: Path | None
) -> None:
    """`pareft tune`."""
    console = make_console()
    chosen = take_recipe(recipe, parse_changes(changes), arm=arm).model_copy(update={} if arm is None else {"arms": {}})
    home = out or Path("runs") / (f"{recipe.stem}-tune" if arm is None else f"{recipe.stem}-{arm}-tune")
    names = [name.strip() for name in space.split(",") if name.strip()] or list_space(chosen)
    with LiveProgress(console) as progress:
        found = search(chosen, home, metric=metric, trials=trials, space=names, progress=progress)
    console.print(make_search_table(found))
    console.print(f"The best as a recipe: {home / BEST}; every trial: {home / SEARCH}", soft_wrap=True)


def choose_count(asked: int | None) -> int:
    """How many examples a report shows."""
    return EXAMPLES if asked is None else asked


def show_comparison(
    recipe: Recipe | Path,
    folder: Path,
    *,
    title: str,
    console: Console,
    changes: Mapping[str, Any] | None = None,
    equal: Equal = "steps",
) -> Comparison:
    """Compare, write `comparison.md`, `.csv` and `.png` beside the records, and print the table."""
    with LiveProgress(console) as progress:
        comparison = compare(recipe, changes, out=folder, title=title, progress=progress, equal=equal)
    write_comparison(comparison, folder)
    console.print(make_table(comparison), *make_interval_tables(comparison))
    console.print(f"Written to {folder}: comparison.png, .md, .csv, .json, and a folder for every arm", soft_wrap=True)
    return comparison


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """`comparison.md`, `.csv` and `.png`."""
    write_atomic(folder / "comparison.md", write_markdown(comparison))
    write_atomic(folder / "comparison.csv", write_csv(comparison))
    write_atomic(folder / "comparison.png", draw_png(comparison))


def write_report(report: Report, folder: Path) -> None:
    """`report.html`, `.md`, `.csv`, `.tex`, `.json`, and the plots as PNG and SVG in `plots/`; those with examples are private.
    Plots of an earlier report that this one has no numbers for go.
    """
    comparison, plots = report.comparison, draw_plots(report)
    for stem in CAPTIONS:
        png, svg = (folder / "plots" / f"{stem}.{suffix}" for suffix in ("png", "svg"))
        if stem in plots:
            write_atomic(png, render_png(plots[stem]))
            write_atomic(svg, render_svg(plots[stem], salt=stem))
        else:
            png.unlink(missing_ok=True)
            svg.unlink(missing_ok=True)
    written = {
        "md": write_markdown(comparison), "csv": write_csv(comparison), "tex": write_latex(comparison), "json": report.to_json(),
        "html": write_page(comparison.title, [report]),
    }  # fmt: skip
    for suffix, text in written.items():
        write_atomic(folder / f"report.{suffix}", text, private=suffix in ("json", "html"))


def evaluate_and_show(run: Path, changes: list[str], split: str, metrics: str | None, out: Path | None, *, merged: bool) -> None:
    """`pareft evaluate`."""
    console = make_console()
    chosen = None if metrics is None else [name.strip() for name in metrics.split(",") if name.strip()]
    with LiveProgress(console) as progress:
        record = evaluate(run, parse_changes(changes), split=split, metrics=chosen, out=out, merged=merged, progress=progress)
    console.print(make_scores_table(record))
    console.print(f"Written to {out or run / 'evaluation' / split}: predictions.jsonl, scores.json", soft_wrap=True)


def generate_and_show(
    model: str,
    source: str,
    target: Path,
    changes: list[str],
    *,
    column: str,
    pair: str | None,
    format: str,
    prefix: str | None,
    max_source_tokens: int | None,
    merged: bool,
    overwrite: bool,
) -> None:
    """`pareft generate`."""
    if format not in get_args(Format):
        raise DataError(f"--format {format}: choose {', '.join(get_args(Format))}")
    console = make_console()
    with LiveProgress(console) as progress:
        count = generate(
            model,
            source,
            target,
            parse_changes(changes),
            column=column,
            pair=pair,
            format=format,  # type: ignore[arg-type]
            prefix=prefix,
            max_source_tokens=max_source_tokens,
            merged=merged,
            overwrite=overwrite,
            progress=progress,
        )
    console.print(f"{count:,} texts written to {target}", soft_wrap=True)


def make_console() -> Console:
    """The terminal; among several processes, of the first one alone."""
    return start_console(quiet=find_processes().rank > 0)


def export_and_show(run: Path, folder: Path, forms: list[str]) -> None:
    """`pareft export`."""
    if len(forms) > 1:
        raise RunError(f"give one of {', '.join(f'--{form}' for form in forms)}; each goes into a folder of its own")
    done = export(run, folder, forms[0] if forms else "merged")  # type: ignore[arg-type]
    console = start_console()
    console.print(f"{done.form}: {done.folder}, {done.bytes / 1e6:.1f} MB", soft_wrap=True)
    for note in done.notes:
        console.print(f"- {note}", soft_wrap=True, highlight=False)
    how = "without pareft" if done.by_stock else "by pareft, as no stock library can read it"
    console.print(f"- verified {how}: logits differ by {done.difference:.1e} at most (largest {done.largest:.3g})", soft_wrap=True)


def remap_and_show(adapter: Path, to: str, out: Path, *, base: str | None) -> None:
    """`pareft adapter remap`."""
    report = remap(adapter, out, to=to, base=base)
    print(f"{report.describe()}\nwritten to {out}, for plan {report.plan.fingerprint} ({report.plan.describe()})")


def show_families(*, markdown: bool) -> None:
    """`pareft families`."""
    if markdown:
        print(write_families(), end="")
    else:
        start_console().print(make_families_table())
