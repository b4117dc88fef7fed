"""The table, in the paper's columns: Markdown and CSV, and the cells that the terminal and the picture share."""

import csv
import io

from pareft.comparison import Comparison, Row

COLUMNS = (
    "Arm",
    "Speed %",
    "Trained parameters",
    "Trained %",
    "Layers dropped %",
    "Memory %",
    "R-1",
    "R-2",
    "R-L",
    "Quality kept %",
)


def format_row(row: Row) -> list[str]:
    """One row's cells, in the order of `COLUMNS`; an en dash where nothing was measured."""
    return [
        row.arm,
        _number(row.speed_percent, 0),
        "–" if row.trainable is None else f"{row.trainable:,}",
        _number(row.trainable_percent, 1),
        _number(100 * row.layers_dropped_ratio, 0),
        _number(row.memory_percent, 0),
        *(_number(row.scores.get(name), 2) for name in ("rouge1", "rouge2", "rougeL")),
        _number(row.quality_kept_percent, 1) + (" ≈" if row.indistinguishable else ""),
    ]


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def write_markdown(comparison: Comparison) -> str:
    """The table with its title and the notes that say what its columns are."""
    cells = [format_row(row) for row in comparison.rows]
    lines = [" | ".join(COLUMNS), " | ".join(["---"] + ["---:"] * (len(COLUMNS) - 1)), *(" | ".join(row) for row in cells)]
    table = "\n".join(f"| {line} |" for line in lines)
    notes = "\n".join(f"- {note}" for note in explain(comparison))
    return f"# {comparison.title}\n\n{table}\n\n{notes}\n{_write_intervals(comparison)}"


def _write_intervals(comparison: Comparison) -> str:
    """A table of every score with its interval, and of its difference from the first arm's with its own; empty without them."""
    if not any(row.intervals for row in comparison.rows):
        return ""
    lines = ["| Arm | Metric | Score | 95 % | Less the first arm's | 95 % |", "| --- | --- | ---: | ---: | ---: | ---: |"]
    for row in comparison.rows:
        for name, score in row.intervals.items():
            apart = row.differences.get(name)
            less = ["–", "–"] if apart is None else [f"{apart.value:+.2f}", f"{apart.low:+.2f} to {apart.high:+.2f}"]
            cells = [row.arm, name, f"{score.value:.2f}", f"{score.low:.2f} to {score.high:.2f}", *less]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n" + "\n".join(lines) + "\n"


def write_csv(comparison: Comparison) -> str:
    """The table as CSV, with plain numbers."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in comparison.rows:
        writer.writerow([cell.replace(",", "").replace("–", "").replace(" ≈", "") for cell in format_row(row)])
    return file.getvalue()


def explain(comparison: Comparison) -> list[str]:
    """What the columns mean and how they were measured."""
    reference = next(row.arm for row in comparison.rows if row.trainable is not None)
    sizes = ", ".join(f"{count:,} {name}" for name, count in comparison.examples.items())
    notes = [
        f"Base {comparison.base}; examples: {sizes}. ROUGE F1 in percent on the test split.",
        f"{reference} = 100 %; quality kept is the mean of what R-1, R-2 and R-L keep of it.",
    ]
    if any(row.intervals for row in comparison.rows):
        notes.append(f"≈: nothing tells its R-1, R-2 and R-L from {reference}'s (paired bootstrap, 95 %).")
    if comparison.efficiency:
        notes.append(f"Speed and memory: {comparison.efficiency.method}.")
    return notes
