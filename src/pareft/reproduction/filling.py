"""One of the paper's tables with our figures beside it, as far as there are any."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from pareft.comparison import Comparison
from pareft.comparison import Row as OurRow
from pareft.records import Record, ScoreRecord
from pareft.reproduction.paper import NOT_REPRODUCIBLE, SCORES, TABLES, Row


class Line(Record):
    """An arm in a table: the paper's row and ours, which is empty while the arm is not finished. Memory is in gigabytes (10^9);
    `scores` go by the paper's names, `kept` is what of the first arm's is kept, in percent.
    """

    paper: Row
    base: str
    finished: bool = False
    layers: dict[str, int] = Field(default_factory=dict)
    trained: int | None = None
    speed_percent: float | None = None
    memory_gigabytes: float | None = None
    scores: dict[str, ScoreRecord] = Field(default_factory=dict)
    kept: dict[str, ScoreRecord] = Field(default_factory=dict)
    remark: str | None = None


class Reproduction(Record):
    """A table: `small` if it is of small bases and synthetic data, and so compares with the paper in its shape alone; `changes`
    are the lines in which its recipes were changed by who asked for it.
    """

    table: str
    about: str
    small: bool
    changes: dict[str, Any] = Field(default_factory=dict)
    score_names: list[str]
    lines: list[Line]

    @property
    def finished(self) -> bool:
        """Whether every arm is."""
        return all(line.finished for line in self.lines)


def fill_table(
    name: str,
    bases: Mapping[str, str],
    comparisons: Mapping[str, Comparison],
    *,
    small: bool,
    changes: Mapping[str, Any] | None = None,
) -> Reproduction:
    """Lay what is finished beside the paper's table.

    Args:
        name: the table's.
        bases: of its recipes, by their names.
        comparisons: of its recipes, by their names; what is not there is empty.
        small: whether these are small bases and synthetic data.
        changes: the lines in which the recipes were changed.
    """
    table = TABLES[name]
    lines = []
    for row in table.rows:
        comparison = comparisons.get(row.recipe)
        line = Line(paper=row, base=bases[row.recipe], remark=NOT_REPRODUCIBLE.get((name, row.arm)))
        ours = {ours.arm: ours for ours in comparison.rows}.get(row.arm) if comparison else None
        lines.append(_fill(line, ours, comparison, table.scores) if ours and comparison else line)
    return Reproduction(
        table=name, about=table.about, small=small, changes=dict(changes or {}), score_names=list(table.scores), lines=lines
    )


def _fill(line: Line, row: OurRow, comparison: Comparison, names: tuple[str, ...]) -> Line:
    ours = {name: SCORES[name] for name in names if SCORES[name] in row.scores}
    measured = comparison.efficiency.arms[row.arm] if comparison.efficiency else None
    plain = {name: ScoreRecord(value=row.scores[score], low=None, high=None) for name, score in ours.items()}
    return line.model_copy(
        update={
            "finished": True,
            "layers": row.layers_kept,
            "trained": row.trainable,
            "speed_percent": row.speed_percent,
            "memory_gigabytes": measured.peak_bytes / 1e9 if measured else None,
            "scores": plain | {name: row.intervals[score] for name, score in ours.items() if score in row.intervals},
            "kept": {name: row.kept[score] for name, score in ours.items() if score in row.kept},
        }
    )
