"""One of the paper's tables with ours beside it: cells that every form shares, Markdown, CSV, LaTeX, HTML."""

import csv
import io
from collections.abc import Iterable
from html import escape
from pathlib import Path

from pareft.report.latex import PREAMBLE, make_tabular
from pareft.report.table import format_briefly, format_number, join_cells
from pareft.reproduction.filling import Line, Reproduction

HEADS = ("Arm", "", "Speed %", "Trained M", "Memory GB")
SMALL = "Run small: small bases and synthetic data, so that the figures compare with the paper's in their shape alone."
NOTES = (
    "Speed is of training steps, measured beside each other; the paper's is of whole trainings. Memory is the peak of a training "
    "step; the paper's is that of a training with its evaluations.",
    "Trained parameters in millions; the paper's LoRA arms on T5 count random biases of the release, which pareft does not add.",
    "Kept: what of full's score is left, with its 95 % interval (paired bootstrap); the paper's from its own table.",
)


def list_heads(filled: Reproduction) -> list[str]:
    """The heads of the table."""
    return [*HEADS, *filled.score_names]


def list_rows(filled: Reproduction) -> list[list[str]]:
    """Cells: for every arm a row of ours and one of the paper's, and for all but `full` one of what each keeps of full's scores."""
    first = {line.paper.recipe: line for line in reversed(filled.lines)}
    rows = []
    for line in filled.lines:
        reference = first[line.paper.recipe]
        ours = list_figures(line, (format_briefly(line.scores.get(name)) for name in filled.score_names))
        rows += [[f"{line.paper.recipe} {line.paper.arm}", "ours", *ours], ["", "paper", *list_papers(line)]]
        if line is not reference:
            rows.append(["", "kept %", "", "", "", *(format_briefly(line.kept.get(name), 1) for name in filled.score_names)])
            shares = [100 * own / full for own, full in zip(line.paper.scores, reference.paper.scores, strict=True)]
            rows.append(["", "paper kept %", "", "", "", *(f"{share:.1f}" for share in shares)])
    return rows


def list_notes(filled: Reproduction) -> list[str]:
    """What has to be known to read it."""
    remarks = [f"{line.paper.arm}: {line.remark}." for line in filled.lines if line.remark]
    whose = f"Ours: {' and '.join(dict.fromkeys(Path(line.base).name for line in filled.lines))}."
    changed = "; ".join(f"{key}={value}" for key, value in filled.changes.items())
    asked = [f"Recipes changed by: {changed}."] if changed else []
    return [*([SMALL] if filled.small else []), whose, *asked, *NOTES, *remarks]


def list_figures(line: Line, scores: Iterable[str]) -> list[str]:
    """Ours: speed, trained parameters, memory, and then the scores, as they are given."""
    trained = None if line.trained is None else line.trained / 1e6
    numbers = [(line.speed_percent, 0), (trained, 2), (line.memory_gigabytes, 2)]
    return [*(format_number(value, digits) for value, digits in numbers), *scores]


def list_papers(line: Line) -> list[str]:
    """The paper's, in the same order."""
    paper = line.paper
    numbers = [str(paper.speed_percent), f"{paper.trained_millions:.1f}", f"{paper.memory_gigabytes:.2f}"]
    return [*numbers, *(f"{score:.2f}" for score in paper.scores)]


def title_of(filled: Reproduction) -> str:
    """What it is called wherever it is shown."""
    number = filled.table.removeprefix("table")
    return f"Table {number} of arXiv 2305.08285: {filled.about}{' (small)' if filled.small else ''}"


def write_markdown(filled: Reproduction) -> str:
    """As Markdown, with its notes."""
    heads = list_heads(filled)
    lines = [heads, ["---", "---", *["---:"] * (len(heads) - 2)], *list_rows(filled)]
    table = "".join(f"{join_cells(cells)}\n" for cells in lines)
    return f"# {title_of(filled)}\n\n{table}\n" + "".join(f"- {note}\n" for note in list_notes(filled))


def write_csv(filled: Reproduction) -> str:
    """As CSV, a line for every arm and whose figures they are."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["recipe", "arm", "whose", "speed_percent", "trained", "memory_gigabytes", *filled.score_names])
    for line in filled.lines:
        paper, names = line.paper, filled.score_names
        ours = [line.scores[name].value if name in line.scores else None for name in names]
        writer.writerow([paper.recipe, paper.arm, "ours", line.speed_percent, line.trained, line.memory_gigabytes, *ours])
        printed = [paper.speed_percent, round(paper.trained_millions * 1e6), paper.memory_gigabytes, *paper.scores]
        writer.writerow([paper.recipe, paper.arm, "paper", *printed])
    return file.getvalue()


def write_latex(filled: Reproduction) -> str:
    """As a LaTeX table (booktabs)."""
    rows = list_rows(filled)
    rules = {index for index, row in enumerate(rows) if row[0] and index}
    return PREAMBLE + make_tabular(
        list_heads(filled), rows, caption=f"{title_of(filled)}. {' '.join(list_notes(filled))}", rules=rules, left=2
    )


def write_html(filled: Reproduction) -> str:
    """As a part of a page."""
    heads = enumerate(list_heads(filled))
    head = "".join(f'<th scope="col"{_align(index)}>{escape(name)}</th>' for index, name in heads)
    body = "".join(
        f"<tr>{_head_row(row[0])}{''.join(f'<td{_align(index)}>{escape(cell)}</td>' for index, cell in enumerate(row[1:], 1))}</tr>"
        for row in list_rows(filled)
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in list_notes(filled))
    table = f"<table><caption>Ours and the paper's</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    scroll = '<div class="scroll" role="region" tabindex="0" aria-labelledby="beside">'
    return f'<h2 id="beside">Beside the paper</h2>{scroll}{table}</div><ul class="notes">{notes}</ul>'


def _head_row(name: str) -> str:
    return f'<th scope="row">{escape(name)}</th>' if name else "<td></td>"


def _align(column: int) -> str:
    return ' class="number"' if column > 1 else ""
