"""The tables of arXiv 2305.08285 run again, each with the paper's figures beside ours."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pareft.arms import compare
from pareft.artefact import check_base
from pareft.comparison import Comparison, tabulate
from pareft.errors import MeasurementError
from pareft.models.checkpoint import open_base
from pareft.progress import SILENT, Progress
from pareft.recipe import Recipe, check_changes
from pareft.records import RunRecord
from pareft.reporting import EXAMPLES, Report, collect_report
from pareft.reproduction.dry_run import Forecast, forecast_table
from pareft.reproduction.experiments import Side, check_ready, list_tables, read_experiment, split_name
from pareft.reproduction.filling import Reproduction, fill_table
from pareft.reproduction.paper import TABLES
from pareft.reproduction.small import find_small_bases, list_small_changes, prepare_small
from pareft.run_folder import is_finished, is_scored_by, read_record

OnLine = Callable[[Reproduction, str], None]


@dataclass(frozen=True)
class Request:
    """What of the paper is to be run: a table or `all`, whether small, with whose bases and data, and where to.

    `bases` takes the place of BART-large and T5-large; `data` holds a prepared folder for each data set; `changes` are lines of all
    recipes.
    """

    table: str
    out: Path
    small: bool = False
    bases: Mapping[Side, str | None] = field(default_factory=dict)
    data: Path = Path("data")
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """Where the prepared folders are."""
        return self.out / "data" if self.small else self.data


@dataclass(frozen=True)
class Reproduced:
    """A table as far as it is filled, and what stands behind it, by recipe."""

    filled: Reproduction
    reports: dict[str, Report]


def list_experiments(request: Request, table: str) -> dict[str, Recipe]:
    """The recipes that a table needs, by name, each with the table's arms.

    Raises:
        RecipeError: a change that a recipe refuses, or that arms would undo.
        RunError: a base of the small tables is not there.
    """
    sides = {split_name(name)[1] for name in TABLES[table].recipes}
    bases = find_small_bases(request.bases, sides) if request.small else request.bases
    experiments = {}
    for name in TABLES[table].recipes:
        small = list_small_changes(name) if request.small else {}
        check_changes(read_experiment(name, TABLES[table].arms_of(name), {}, data=request.home, bases=bases), request.changes)
        changes = small | dict(request.changes)
        experiments[name] = read_experiment(name, TABLES[table].arms_of(name), changes, data=request.home, bases=bases)
    return experiments


def foresee(request: Request, rate: float | None = None) -> Iterator[tuple[str, Iterator[Forecast]]]:
    """Every table asked for with the forecasts of its rows, as `forecast_table`; nothing is read but configs, and nothing written.

    Raises:
        RecipeError: no such table, or what `list_experiments` refuses.
    """
    for table in list_tables(request.table):
        yield table, forecast_table(table, list_experiments(request, table), rate)


def reproduce(
    request: Request,
    *,
    progress: Progress = SILENT,
    on_line: OnLine = lambda filled, remark: None,
    examples: int = EXAMPLES,
    show_text: bool = False,
) -> Iterator[Reproduced]:
    """Run what is asked for, table after table: arms that are finished are read, an interrupted one goes on, and an arm that
    several tables show is run once.

    Args:
        request: what, and where to; every arm has the folder `<out>/<recipe>/<arm>`.
        progress: is told what happens.
        on_line: gets the table, as it is filled so far, and what is new in it.
        examples: as in `collect_report`.
        show_text: as in `collect_report`.

    Raises:
        RunError: everything that is missing, before anything is run.
        RecipeError: what `list_experiments` refuses.
    """
    tables = {table: list_experiments(request, table) for table in list_tables(request.table)}
    ahead = _list_unfinished(tables, request.out)
    if request.small:
        for base in {recipe.base for recipe in ahead.values()}:
            check_base(Path(base))
            open_base(base)
        for kind in dict.fromkeys(split_name(name)[0] for name in ahead):
            prepare_small(kind, request.home, progress=progress)
    check_ready(ahead, request.out)
    for table, experiments in tables.items():
        yield _run_table(table, experiments, request, progress, on_line, examples=examples, show_text=show_text)


def _list_unfinished(tables: Mapping[str, Mapping[str, Recipe]], out: Path) -> dict[str, Recipe]:
    """The recipes of which an arm is not finished, each with the arms of all tables."""
    whole: dict[str, Recipe] = {}
    for experiments in tables.values():
        for name, recipe in experiments.items():
            arms = whole[name].arms | recipe.arms if name in whole else recipe.arms
            whole[name] = recipe.model_copy(update={"arms": arms})
    return {name: recipe for name, recipe in whole.items() if not all(_is_done(out / name / arm, recipe) for arm in recipe.arms)}


def _run_table(
    table: str,
    experiments: Mapping[str, Recipe],
    request: Request,
    progress: Progress,
    on_line: OnLine,
    **shown: Any,
) -> Reproduced:
    bases = {name: recipe.base for name, recipe in experiments.items()}
    comparisons = {name: found for name, recipe in experiments.items() if (found := _read_finished(request.out / name, recipe))}

    def fill() -> Reproduction:
        return fill_table(table, bases, comparisons, small=request.small, changes=request.changes)

    for name, recipe in experiments.items():
        before = {row.arm for row in comparisons[name].rows} if name in comparisons else set()

        def add(arm: str, record: RunRecord, name: str = name, recipe: Recipe = recipe, before: set[str] = before) -> None:
            if arm not in before and (found := _read_finished(request.out / name, recipe)):
                comparisons[name] = found
                on_line(fill(), f"{name} {arm}")

        places: dict[str, Any] = {"out": request.out / name, "home": request.out / name / table, "title": f"{table}: {name}"}
        try:
            comparisons[name] = compare(recipe, **places, progress=progress, on_arm=add)
            said = "speed, memory and intervals" if recipe.measure else "intervals; speed and memory are not measured"
        except MeasurementError as error:  # an arm does not fit onto the machine alone
            comparisons[name] = compare(recipe, {"measure": None}, **places, progress=progress)
            said = f"not measured ({error})"
        on_line(fill(), f"{name}: {said}")
    reports = {
        name: collect_report(found, {row.arm: request.out / name / row.arm for row in found.rows}, **shown)
        for name, found in comparisons.items()
    }
    return Reproduced(fill(), reports)


def _is_done(folder: Path, recipe: Recipe) -> bool:
    """Whether an arm has nothing left to do, scoring by other metrics included."""
    return is_finished(folder) and is_scored_by(folder, recipe)


def _read_finished(out: Path, recipe: Recipe) -> Comparison | None:
    """The arms that are finished, without intervals and measurements; `None` before the first one is."""
    records = {}
    for arm in recipe.arms:
        if _is_done(out / arm, recipe) and (record := read_record(out / arm)):
            records[arm] = record
    return tabulate(records, None, title=out.name) if next(iter(recipe.arms)) in records else None
