"""The table, in the paper's columns: Markdown and CSV, and the cells that the terminal and the picture share."""

import csv
import io
from collections.abc import Sequence

from pareft.comparison import Comparison, Row
from pareft.records import BudgetRecord, ScoreRecord, name_score

COLUMNS = ("Arm", "Speed %", "Trained parameters", "Trained %", "Layers dropped %", "Memory %")
KEPT, INFERENCE = "Quality kept %", "Infer. speed %"
INTERVALS_A_ROW = 3  # scores beside each other within 80 columns


def list_columns(comparison: Comparison) -> list[str]:
    """The heads of the table: `COLUMNS`, the speed of inference if it was measured, the scores of quality, what is kept of them."""
    measured = [INFERENCE] if comparison.measures_inference else []
    return [*COLUMNS, *measured, *map(name_score, comparison.quality), KEPT]


def format_row(row: Row, comparison: Comparison) -> list[str]:
    """One row's cells, in the order of `list_columns`; an en dash where nothing was measured, ≈ after what the paired bootstrap
    does not tell from the first arm's.
    """
    return [
        row.arm,
        format_number(row.speed_percent, 0),
        "–" if row.trainable is None else f"{row.trainable:,}",
        format_number(row.trainable_percent, 1),
        format_number(100 * row.layers_dropped_ratio, 0),
        format_number(row.memory_percent, 0),
        *([format_number(row.inference_percent, 0)] if comparison.measures_inference else []),
        *(format_number(row.scores.get(name), 2) for name in comparison.quality),
        format_number(row.quality_kept_percent, 1) + (" ≈" if row.resembles_in(comparison.quality) else ""),
    ]


def format_intervals(row: Row, names: Sequence[str]) -> list[str]:
    """The arm, and each of its scores with its 95 % interval, marked as in `format_row`."""
    return [row.arm, *(format_briefly(row.intervals.get(name)) + (" ≈" if row.resembles(name) else "") for name in names)]


def list_intervals(comparison: Comparison) -> list[list[str]]:
    """The names of the scores that are shown with intervals, as many as fit beside each other at a time; none without them."""
    names = comparison.headlines if any(row.intervals for row in comparison.rows) else []
    return [names[start : start + INTERVALS_A_ROW] for start in range(0, len(names), INTERVALS_A_ROW)]


def format_briefly(score: ScoreRecord | None, digits: int = 2) -> str:
    """As `format_score`, with an interval so short that three fit beside each other in a terminal."""
    if score is None:
        return "–"
    span = "" if score.low is None or score.high is None else f" ({score.low:.1f}–{score.high:.1f})"
    return f"{score.value:.{digits}f}{span}"


def format_score(score: ScoreRecord | None, digits: str) -> str:
    """A value with its 95 % interval, if it has one; an en dash for none. `digits` as in a format string, `.1f`."""
    if score is None:
        return "–"
    return f"{score.value:{digits}}" + ("" if score.low is None or score.high is None else f" ({_span(score, digits)})")


def _span(score: ScoreRecord, digits: str) -> str:
    return "–" if score.low is None or score.high is None else f"{score.low:{digits}} to {score.high:{digits}}"


def format_number(value: float | None, digits: int) -> str:
    """An en dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"


def write_markdown(comparison: Comparison) -> str:
    """The table with its title and the notes that say what its columns are."""
    columns, cells = list_columns(comparison), [format_row(row, comparison) for row in comparison.rows]
    table = "\n".join(map(join_cells, [columns, ["---"] + ["---:"] * (len(columns) - 1), *cells]))
    notes = "\n".join(f"- {note}" for note in explain(comparison))
    return f"# {comparison.title}\n\n{table}\n\n{notes}\n{_write_intervals(comparison)}"


def join_cells(cells: Sequence[str]) -> str:
    """A line of a table in Markdown."""
    escaped = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _write_intervals(comparison: Comparison) -> str:
    """A table of every score with its interval, its difference from the first arm's and what of that is kept, each with its own;
    empty without them.
    """
    if not any(row.intervals for row in comparison.rows):
        return ""
    heads = ["Arm", "Metric", "Score", "95 %", "Less the first arm's", "95 %", "Kept %", "95 %", ""]
    lines = [join_cells(heads), f"| --- | --- |{' ---: |' * 6} --- |"]
    for row in comparison.rows:
        for name, score in row.intervals.items():
            apart = row.differences.get(name)
            less = ["–", "–"] if apart is None else [f"{apart.value:+.2f}", _span(apart, "+.2f")]
            share = row.kept.get(name) if apart else None
            kept = ["–", "–"] if share is None else [f"{share.value:.1f}", _span(share, ".1f")]
            cells = [row.arm, name, f"{score.value:.2f}", _span(score, ".2f"), *less, *kept, "≈" if row.resembles(name) else ""]
            lines.append(join_cells(cells))
    return "\n" + "\n".join(lines) + "\n"


def write_csv(comparison: Comparison) -> str:
    """The table as CSV, with plain numbers."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(list_columns(comparison))
    for row in comparison.rows:
        arm, *cells = format_row(row, comparison)
        writer.writerow([arm, *(cell.replace(",", "").replace("–", "").replace(" ≈", "") for cell in cells)])
    return file.getvalue()


def _explain_budget(budget: BudgetRecord, reference: str) -> str:
    whole = budget.steps[reference] * budget.costs[reference]
    amount = f"{whole:,.0f} seconds of training steps" if budget.equal == "time" else f"{whole:.3g} training FLOPs"
    steps = ", ".join(f"{name} {count:,}" for name, count in budget.steps.items())
    return f"Every arm was given the {amount} of {reference}; steps: {steps}."


def explain(comparison: Comparison) -> list[str]:
    """What the columns mean and how they were measured."""
    reference = comparison.reference
    sizes = ", ".join(f"{count:,} {name}" for name, count in comparison.examples.items())
    names = [name_score(name) for name in comparison.quality]
    scores = " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
    kind = "ROUGE F1" if "rouge1" in comparison.quality else "Scores"
    notes = [f"Base {comparison.base}; examples: {sizes}. {kind} in percent on the test split."]
    if names:
        whose = f"the mean of what {scores} keep" if len(names) > 1 else f"what {scores} keeps"
        notes.append(f"{reference} = 100 %; quality kept is {whose} of it.")
    if any(score.low is not None for row in comparison.rows for score in row.intervals.values()):
        notes.append(f"≈: the paired bootstrap (95 %) does not tell it from {reference}.")
    elif any(row.intervals for row in comparison.rows):
        notes.append("Too few test examples for intervals and for telling arms apart.")
    if comparison.budget:
        notes.append(_explain_budget(comparison.budget, reference))
    if comparison.efficiency:
        notes.append(f"Speed and memory: {comparison.efficiency.method}.")
    return notes
