"""What `pareft plan RECIPE --dry-run` does once its arguments are read."""

from collections.abc import Sequence
from pathlib import Path

from pareft.console import make_dry_run_table
from pareft.files import write_atomic
from pareft.live import LiveProgress, start_console
from pareft.planner import describe_method, forecast
from pareft.planner.grid import AXES, read_axes, spread_out
from pareft.planner.record import DryRun
from pareft.recipe import select_arm
from pareft.recipe_file import parse_changes, read_recipe
from pareft.runtime import describe_hardware, list_versions


def foresee_and_show(
    place: str,
    changes: Sequence[str],
    *,
    arm: str | None,
    grid: Sequence[str],
    cards: int,
    teraflops: float | None,
    on_paper: bool,
    out: Path | None,
) -> None:
    """Forecast a recipe's arms, or one, for every combination of a grid, print the table, and write it, if `out` says where.

    Args:
        place: the recipe's file.
        changes: lines of it that are changed; after `--grid` axes, too.
        arm: of which alone.
        grid: the axes, as written.
        cards: over how many accelerators states are shared.
        teraflops: of another machine.
        on_paper: nothing is measured here.
        out: a file for the record.

    Raises:
        RecipeError, PlanError, ModelError: what is wrong with the recipe or grid, before anything is traced.
    """
    axes = [*grid, *(text for text in changes if grid and text.partition("=")[0] in AXES)]
    lines = parse_changes([text for text in changes if text not in axes])
    recipe = read_recipe(Path(place), lines, arm=arm)
    arms = {name: select_arm(recipe, name) for name in recipe.arms} or {arm or "": recipe}
    recipes = spread_out(arms, read_axes(axes))
    measuring, rate = not on_paper and cards == 1 and teraflops is None, teraflops and 1e12 * teraflops
    with LiveProgress(start_console(stderr=True)) as progress:
        rows = list(forecast(recipes, measuring=measuring, rate=rate, cards=cards, progress=progress))
    record = DryRun(
        method=describe_method(measuring=measuring, rate=rate, cards=cards),
        cards=cards,
        versions=list_versions(),
        hardware=describe_hardware(),
        rows=rows,
    )
    console = start_console()
    console.print(make_dry_run_table(Path(place).stem, record))
    for note in dict.fromkeys(note for row in rows for note in row.notes):
        console.print(f"note: {note}", style="dim")
    console.print(record.method, style="dim")
    if out:
        write_atomic(out, record.to_json())
        console.print(f"written to {out}")
