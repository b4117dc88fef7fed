"""The tables of the command line, by rich."""

from rich import box
from rich.table import Table

from pareft.comparison import Comparison
from pareft.inference import EvaluationRecord
from pareft.report.families import FAMILY_COLUMNS, list_families
from pareft.report.table import explain, format_intervals, format_row, list_columns, list_intervals, name_score

LONGEST_NAME = 12


def make_table(comparison: Comparison) -> Table:
    """The comparison within 80 columns; the notes are its caption, the exact counts are in the written files."""
    caption = "\n".join(explain(comparison))
    table = Table(
        title=comparison.title, caption=caption, caption_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=0
    )
    columns = list_columns(comparison)
    for index, name in enumerate(columns):
        heading = name.replace(" ", "\n")
        if index == 0:
            table.add_column(heading, overflow="fold", min_width=_measure_names(comparison))
        else:
            table.add_column(heading, justify="right", no_wrap=True)
    for row in comparison.rows:
        cells = format_row(row, comparison.quality)
        if row.trainable is not None:
            cells[columns.index("Trained parameters")] = f"{row.trainable / 1e6:.2f} M"
        table.add_row(*cells)
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
