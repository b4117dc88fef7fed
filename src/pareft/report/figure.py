"""The table as a picture: quality, speed, memory and trained parameters of every arm, first arm = 100 %."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pareft.comparison import Comparison, Row
from pareft.report.table import explain, format_row, list_columns

COLOURS = ("#4c566a", "#d08770", "#5e81ac", "#2e8b57", "#b48ead", "#a3be8c", "#bf616a", "#88c0d0")
INK = "#24292f"  # of text and axes of plots; a page has its own in its place
OURS: Sequence[str | Path | dict[str, Any]] = [
    "default",
    {"text.parse_math": False},
]  # whatever the user's own style; names are no formulas


@style.context(OURS)
def draw_png(comparison: Comparison) -> bytes:
    """Four panels of bars above the table itself, as PNG bytes."""
    rows = [row for row in comparison.rows if row.trainable is not None]
    figure = start_figure(comparison.title, width=12, height=6.6)
    panels = figure.subplot_mosaic([["quality", "speed", "memory", "trained"], ["table"] * 4], height_ratios=[1.5, 1])
    _draw_bars(panels["quality"], rows, [row.quality_kept_percent for row in rows], "Quality kept %\n(higher is better)")
    _draw_bars(panels["speed"], rows, [row.speed_percent for row in rows], "Training speed %\n(higher is better)")
    _draw_bars(panels["memory"], rows, [row.memory_percent for row in rows], "Training memory %\n(lower is better)")
    _draw_bars(panels["trained"], rows, [row.trainable_percent for row in rows], "Trained parameters\nin % of the model's")
    _draw_table(panels["table"], comparison)
    notes = [note for note in explain(comparison) if not note.startswith("Speed and memory")]  # that one is too long for a picture
    figure.supxlabel("\n".join(notes), fontsize=8, color="#555555")
    return render_png(figure)


def start_figure(title: str = "", *, width: float, height: float) -> Figure:
    """An empty figure of so many inches under its title, if it has one, without a screen."""
    figure = Figure(figsize=(width, height), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=14, fontweight="bold")
    return figure


@style.context(OURS)
def settle(figure: Figure) -> None:
    """Lay a figure out, now and for good: each drawing of it is then the same."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")


@style.context(OURS)
def render_png(figure: Figure) -> bytes:
    """A figure as PNG bytes, without the version that drew it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


@style.context(OURS)
def render_svg(figure: Figure, *, salt: str, transparent: bool = False) -> str:
    """A figure as SVG whose text is text, without date and version. `salt`: what its ids are made of, so that figures differ."""
    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=transparent)
    return buffer.getvalue()


def _draw_bars(axes: Axes, rows: Sequence[Row], values: Sequence[float | None], title: str) -> None:
    axes.set_title(title, fontsize=10)
    known = [value or 0.0 for value in values]
    bars = axes.bar(range(len(rows)), known, color=[COLOURS[index % len(COLOURS)] for index in range(len(rows))])
    labels = ["–" if value is None else f"{value:.0f}" if value >= 20 else f"{value:.1f}" for value in values]
    axes.bar_label(bars, labels=labels, fontsize=9, padding=2)
    axes.set_xticks(range(len(rows)), [row.arm for row in rows], rotation=20, ha="right", fontsize=9)
    axes.set_ylim(0, max([100.0, *known]) * 1.15)
    axes.axhline(100, color="#999999", linewidth=0.8, linestyle="--")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_table(axes: Axes, comparison: Comparison) -> None:
    axes.axis("off")
    columns, cells = list_columns(comparison), [format_row(row, comparison) for row in comparison.rows]
    table = axes.table(cells, colLabels=columns, loc="center", cellLoc="right")
    table.auto_set_font_size(False)
    table.set_fontsize(8.5)
    table.scale(1, 1.5)
    table.auto_set_column_width(list(range(len(columns))))
    for (row, column), cell in table.get_celld().items():
        cell.set_edgecolor("#dddddd")
        if row == 0:
            cell.set_text_props(fontweight="bold")
            cell.set_facecolor("#f2f2f2")
        if column == 0:
            cell.set_text_props(ha="left")


def dress(axes: Axes, title: str, across: str, upwards: str) -> None:
    """Titles, ink and grid on a panel, and no frame but at the left and below."""
    axes.set_title(title, fontsize=10.5, color=INK, loc="left")
    axes.set_xlabel(across, fontsize=9, color=INK)
    axes.set_ylabel(upwards, fontsize=9, color=INK)
    axes.tick_params(colors=INK, labelsize=8.5)
    axes.grid(color=INK, alpha=0.13, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(6))
