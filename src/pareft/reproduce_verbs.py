"""What `pareft reproduce` does: forecasts, or the tables themselves, printed and written as they are filled."""

from pathlib import Path

from pareft.console import make_forecast_table, make_reproduction_table
from pareft.errors import RunError
from pareft.files import write_atomic
from pareft.live import LiveProgress, start_console
from pareft.recipe_file import parse_changes
from pareft.report import beside
from pareft.report.page import write_page
from pareft.reproduction import Reproduced, Request, foresee, reproduce
from pareft.reproduction.dry_run import Forecast
from pareft.reproduction.filling import Reproduction
from pareft.reproduction.paper import TABLES
from pareft.verbs import choose_count

FORECAST = (
    "Trained parameters as the paper counts them: with the biases its release adds to T5, and T5's 32,100 embeddings; millions, "
    "cut to a tenth. Memory: of a step whose texts are all as long as the recipe allows, as this processor's kernels save tensors; "
    "the paper's is measured, with the libraries of 2022. Hours: of training steps alone, all texts as long, at 35 % of the "
    "rate of matrix products of this machine, or of the one that --teraflops says."
)


def parse_request(
    table: str, changes: list[str], *, small: bool, data: Path | None, bart: str | None, t5: str | None, out: Path | None
) -> Request:
    """What was asked for on the command line."""
    if small and data:
        raise RunError("--small makes its own data; leave --data out")
    home = out or Path("runs") / ("paper-small" if small else "paper")
    return Request(table, home, small, {"bart": bart, "t5": t5}, data or Path("data"), parse_changes(changes))


def foresee_and_show(request: Request, teraflops: float | None) -> None:
    """`pareft reproduce TABLE --dry-run`."""
    console = start_console()
    for table, forecasts in foresee(request, teraflops and 1e12 * teraflops):
        with LiveProgress(console) as progress:
            progress.start(f"{table}: every arm on meta", len(TABLES[table].rows))
            rows: list[Forecast] = []
            for row in forecasts:
                rows.append(row)
                progress.advance(len(rows), len(TABLES[table].rows), {})
        precisions = " and ".join(dict.fromkeys(row.precision for row in rows))
        console.print(make_forecast_table(f"{table}: {TABLES[table].about}, in {precisions}", rows))
        for row in rows:
            if row.remark and not row.agrees:
                console.print(f"≠ {row.paper.arm}: {row.remark}", soft_wrap=True)
    console.print(FORECAST, soft_wrap=True)


def reproduce_and_show(request: Request, *, examples: int | None, show_text: bool) -> None:
    """`pareft reproduce TABLE`."""
    console = start_console()
    with LiveProgress(console) as progress:

        def show_line(filled: Reproduction, said: str) -> None:
            write_filled(filled, request)
            progress.say(f"{filled.table}: {said}")

        tables = reproduce(request, progress=progress, on_line=show_line, examples=choose_count(examples), show_text=show_text)
        for done in tables:
            write_reproduced(done, request)
            console.print(make_reproduction_table(done.filled))
            console.print(f"Written to {request.out}: {done.filled.table}.html, .md, .csv, .tex, .json", soft_wrap=True)


def write_filled(filled: Reproduction, request: Request) -> None:
    """The table as far as it is filled: `<table>.md`, `.csv`, `.tex`, `.json`."""
    stem = request.out / filled.table
    write_atomic(stem.with_suffix(".md"), beside.write_markdown(filled))
    write_atomic(stem.with_suffix(".csv"), beside.write_csv(filled))
    write_atomic(stem.with_suffix(".tex"), beside.write_latex(filled))
    write_atomic(stem.with_suffix(".json"), filled.to_json())


def write_reproduced(done: Reproduced, request: Request) -> None:
    """The page of a finished table, whose other forms are there since its last line."""
    page = write_page(beside.title_of(done.filled), list(done.reports.values()), beside=beside.write_html(done.filled))
    write_atomic(request.out / f"{done.filled.table}.html", page, private=True)
