"""The tables of the command line, by rich."""

from collections.abc import Sequence

from rich import box
from rich.table import Table

from pareft.bench.record import Case
from pareft.comparison import Comparison
from pareft.inference import EvaluationRecord
from pareft.models.plan import PruningPlan
from pareft.planner.amounts import say_amount
from pareft.planner.record import DryRun
from pareft.records import PlanningRecord, SearchRecord, name_score
from pareft.report import bench_table
from pareft.report.beside import list_figures, list_papers, title_of
from pareft.report.families import FAMILY_COLUMNS, list_families
from pareft.report.table import explain, format_intervals, format_number, format_row, list_columns, list_intervals
from pareft.reproduction.dry_run import Forecast
from pareft.reproduction.filling import Reproduction
from pareft.run_tables import LONGEST_NAME

MOST_COLUMNS = 10  # of a comparison, for which 80 characters have room


def make_table(comparison: Comparison) -> Table:
    """The comparison within 80 columns; the notes are its caption, the exact counts are in the written files."""
    caption = "\n".join(explain(comparison))
    table = Table(
        title=comparison.title, caption=caption, caption_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0
    )
    columns = list_columns(comparison)
    left_out = ("Trained %", "Layers dropped %") if len(columns) > MOST_COLUMNS else ()  # what the parameters say, too
    for index, name in enumerate(column for column in columns if column not in left_out):
        heading = name.replace(" ", "\n")
        if index == 0:
            table.add_column(heading, overflow="fold", min_width=_measure_names(comparison))
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in comparison.rows:
        cells = format_row(row, comparison)
        if row.trainable is not None:
            cells[columns.index("Trained parameters")] = f"{row.trainable / 1e6:.2f} M"
        table.add_row(*(cell for name, cell in zip(columns, cells, strict=True) if name not in left_out))
    return table


def _measure_names(comparison: Comparison) -> int:
    """How wide the column of the arms' names is at least: a long name gives way, and no number."""
    return min(LONGEST_NAME, max(len(row.arm) for row in comparison.rows))


def make_interval_tables(comparison: Comparison) -> list[Table]:
    """Every arm's scores with their 95 % intervals, within 80 columns; differences are in the written files."""
    tables = []
    for names in list_intervals(comparison):
        table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        table.add_column("95 % intervals", overflow="fold", min_width=_measure_names(comparison))
        for name in names:
            table.add_column(name_score(name), no_wrap=True)
        for row in comparison.rows:
            table.add_row(*format_intervals(row, names))
        tables.append(table)
    return tables


def make_scores_table(record: EvaluationRecord) -> Table:
    """An evaluation's scores with their intervals."""
    title = f"{record.run}, {record.split}: {record.examples:,} examples in {record.seconds:.0f} s"
    table = Table(title=title, title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("Metric")
    for name in ("Score", "95 % from", "to"):
        table.add_column(name, justify="right")
    for name, score in record.scores.items():
        ends = ["–" if end is None else f"{end:.2f}" for end in (score.low, score.high)]
        table.add_row(name, f"{score.value:.2f}", *ends)
    return table


def make_families_table() -> Table:
    """The families that can be pruned, within 80 columns; the fields and remarks are in `pareft families --markdown`."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), caption="--markdown shows the config fields and remarks, too")
    shown = [FAMILY_COLUMNS.index(name) for name in ("Family", "Kind", "Heads", "Neurons")]
    for column in shown:
        table.add_column(FAMILY_COLUMNS[column], no_wrap=column == FAMILY_COLUMNS.index("Family"))
    for row in list_families():
        table.add_row(*(row[column] for column in shown))
    return table


def make_search_table(found: SearchRecord) -> Table:
    """The trials of a search, the best one first."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=f"{found.metric} on the validation split", title_style="bold")
    lines = list(dict.fromkeys(line for trial in found.trials for line in trial.changes))
    for name in ("Trial", found.metric, *(line.partition(".")[2] for line in lines), "Trained", "Seconds"):
        table.add_column(name.replace("_", "\n"), justify="right")
    for trial in sorted(found.trials, key=lambda trial: -trial.score):
        values = [_show_value(trial.changes.get(line)) for line in lines]
        style = "bold" if trial.number == found.best else ""
        table.add_row(str(trial.number), f"{trial.score:.2f}", *values, f"{trial.trained:,}", f"{trial.seconds:.0f}", style=style)
    return table


def make_layers_table(decided: PruningPlan, record: PlanningRecord) -> Table:
    """What every layer scored, or when a search dropped it, and whether it stays."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title=f"{record.by}: {decided.describe()}", title_style="bold")
    gone = {(step.stack, step.layer): number for number, step in enumerate(record.path, start=1)}
    table.add_column("Layer", justify="right")
    for stack in decided.depths:
        table.add_column(f"{stack}\nscore" if record.scores else f"{stack}\ndropped", justify="right")
        table.add_column("stays")
    for layer in range(max(decided.depths.values())):
        cells = [str(layer)]
        for stack, depth in decided.depths.items():
            scores = record.scores.get(stack, [])
            step = gone.get((stack, layer))
            said = f"{scores[layer]:.4g}" if layer < len(scores) else "" if step is None else f"step {step}"
            cells += [said, "" if layer >= depth else "✓" if layer in decided.layers[stack] else "–"]
        table.add_row(*cells)
    return table


def make_tried_table(decided: PruningPlan, record: PlanningRecord) -> Table:
    """The numbers of layers that were tried for a budget, the best first: what they take, and the loss with them."""
    chosen = {stack: len(kept) for stack, kept in decided.layers.items()}
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), title="within the budget", title_style="bold")
    for name in ("Layers", "loss", *(line.name for line in record.budgets), ""):
        table.add_column(name, justify="right")
    for tried in sorted(record.tried, key=lambda tried: tried.loss):
        costs = [say_amount(line.name, tried.costs[line.name]) for line in record.budgets]
        said = "✓ chosen" if tried.layers == chosen else "" if tried.within else "too much"
        table.add_row("+".join(map(str, tried.layers.values())), f"{tried.loss:.4f}", *costs, said)
    return table


def _show_value(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else f"{value:g}" if isinstance(value, float) else str(value)


def make_reproduction_table(filled: Reproduction) -> Table:
    """A table with the paper's figures beneath ours, within 80 columns; intervals and notes are in the written files."""
    table = Table(title=title_of(filled), title_style="bold", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("Arm", overflow="fold", min_width=max(len(line.paper.recipe) for line in filled.lines))
    table.add_column("")
    for name in ("Speed\n%", "Trained\nM", "Memory\nGB", *filled.score_names):
        table.add_column(name, justify="right", no_wrap=True)
    recipe = ""
    for line in filled.lines:
        if line.paper.recipe != recipe:
            recipe = line.paper.recipe
            table.add_section()
            table.add_row(recipe, style="bold")
        scores = (format_number(line.scores[name].value if name in line.scores else None, 2) for name in filled.score_names)
        table.add_row(line.paper.arm, "ours", *list_figures(line, scores), style=None if line.finished else "dim")
        table.add_row("", "paper", *list_papers(line), style="dim")
    return table


def make_forecast_table(title: str, rows: Sequence[Forecast]) -> Table:
    """What a table will take, within 80 columns: parameters beside the paper's, memory beside the paper's, hours."""
    table = Table(title=title, title_style="bold", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("Arm", overflow="fold", min_width=max(len(row.paper.recipe) for row in rows))
    heads = ("Layers\nkept", "Trained", "as the\npaper", "paper\nM", "", "In all\nM", "Memory\nGB", "paper\nGB", "Hours")
    for name in heads:
        table.add_column(name, justify="right", no_wrap=True)
    recipe = ""
    for row in rows:
        if row.paper.recipe != recipe:
            recipe = row.paper.recipe
            table.add_section()
            table.add_row(recipe, style="bold")
        counted, paper = row.counted, row.paper
        cells = [f"{counted.trained:,}", f"{counted.millions_as_paper:.1f}", f"{paper.trained_millions:.1f}", _mark(row)]
        more = [
            f"{counted.total / 1e6:.1f}",
            f"{row.memory_bytes / 1e9:.2f}",
            f"{paper.memory_gigabytes:.2f}",
            _format_hours(row.hours),
        ]
        table.add_row(paper.arm, "+".join(map(str, counted.layers.values())), *cells, *more)
    return table


def make_dry_run_table(title: str, record: DryRun) -> Table:
    """What recipes will take, within 80 columns: parameters, what memory is made of, and a step's time; bytes in GB."""
    table = Table(title=title, title_style="bold", box=box.SIMPLE_HEAD, padding=0)
    names = [", ".join(part for part in row.name.split(", ") if not part.startswith("layers ")) for row in record.rows]
    table.add_column("", overflow="fold", min_width=min(LONGEST_NAME, max(map(len, names))))
    cards = record.cards > 1
    heads = ["Layers", "In all", "Trained", "Weights\nGB", "Grad.", "AdamW", "Activ.", "Peak", "Writing"]
    for name in [*heads, f"Of {record.cards}\ncards" if cards else "Step\ns"]:
        table.add_column(name, justify="right", no_wrap=True)
    for name, row in zip(names, record.rows, strict=True):
        sizes = (row.weight_bytes, row.gradient_bytes, row.moment_bytes, row.activation_bytes, row.peak_bytes, row.writing_bytes)
        counts = ("+".join(map(str, row.layers.values())), _format_millions(row.total), _format_millions(row.trainable))
        last = _format_gigabytes(row.card_bytes) if cards else "—" if row.step_seconds is None else f"{row.step_seconds:.2f}"
        table.add_row(name, *counts, *map(_format_gigabytes, sizes), last)
    return table


def _format_millions(count: int) -> str:
    return f"{count / 1e9:.1f} B" if count >= 1e9 else f"{count / 1e6:.2f} M"


def _format_gigabytes(size: int | None) -> str:
    return "—" if size is None else f"{size / 1e9:.0f}" if size >= 1e11 else f"{size / 1e9:.2f}"


def make_bench_table(case: Case) -> Table:
    """A case within 80 columns: every arm, and below it the ways it was measured in."""
    table = Table(title=bench_table.title_of(case), title_style="bold", box=box.SIMPLE_HEAD, padding=0)
    table.add_column("", overflow="fold", min_width=max((len(entry.arm) for entry in case.entries), default=0))
    for name in bench_table.COLUMNS:
        table.add_column(name.replace(" ", "\n"), justify="right", no_wrap=True)
    arm = ""
    for entry in sorted(case.entries, key=lambda entry: [other.arm for other in case.entries].index(entry.arm)):
        if entry.arm != arm:
            arm = entry.arm
            table.add_section()
            table.add_row(arm, style="bold")
        table.add_row(f" {entry.way}", *bench_table.format_entry(case, entry))
    return table


def _mark(row: Forecast) -> str:
    """Whether the paper's count is met."""
    return "=" if row.agrees else "≠"


def _format_hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.1f}" if hours >= 1 else f"{hours:.2f}"
