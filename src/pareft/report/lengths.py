"""How long the texts of a data set are, beside what a recipe lets a model read of them."""

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pareft.report.figure import COLOURS, OURS, render_png, start_figure

BINS = 40
SHOWN_PERCENT = 99.5  # of the examples are on the axis; the longest few would press the others together
HEADROOM = 1.3  # above the highest bar, for what is written beside the limit


@style.context(OURS)
def draw_lengths(lengths: Mapping[str, npt.NDArray[np.int32]], limits: Mapping[str, int], *, title: str) -> bytes:
    """Histograms side by side (source, target) of examples by their tokens, (N,), each with its limit, as PNG bytes."""
    figure = start_figure(title, width=5.2 * len(lengths), height=3.8)
    panels = figure.subplots(1, len(lengths), squeeze=False)[0]
    for panel, (name, values), colour in zip(panels, lengths.items(), (COLOURS[2], COLOURS[3]), strict=False):
        _draw_histogram(panel, name, values, limits[name], colour)
    return render_png(figure)


def _draw_histogram(axes: Axes, name: str, lengths: npt.NDArray[np.int32], limit: int, colour: str) -> None:
    shown = max(limit, int(np.percentile(lengths, SHOWN_PERCENT, method="higher")) if len(lengths) else 0)
    edges = _find_edges(limit, shown)
    counts, _ = np.histogram(lengths[lengths <= shown], bins=edges)
    axes.bar(edges[:-1], counts, width=edges[1] - edges[0], align="edge", color=colour, edgecolor="white", linewidth=0.4)
    axes.set_xlim(0, 1.02 * edges[-1])  # the line stands clear of the border
    axes.set_ylim(0, HEADROOM * max(1, counts.max()))
    beyond = int((lengths > shown).sum())
    axes.set_title(f"{name}: {len(lengths):,} example{'' if len(lengths) == 1 else 's'}", fontsize=10)
    axes.set_xlabel(f"tokens ({beyond:,} longer than {shown:,} not shown)" if beyond else "tokens", fontsize=9)
    axes.set_ylabel("examples", fontsize=9)
    axes.tick_params(labelsize=9)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.spines[["top", "right"]].set_visible(False)
    _mark_limit(axes, lengths, limit)


def _find_edges(limit: int, shown: int) -> npt.NDArray[np.float64]:
    """Edges of equal bins from below 0 to beyond `shown`, one of them just beyond `limit`: no bar stands on both sides of it."""
    width = math.ceil((shown + 1) / BINS)
    below, above = math.ceil((limit + 1) / width), math.ceil((shown - limit) / width)
    return np.arange(-below, above + 1, dtype=np.float64) * width + (limit + 0.5)


def _mark_limit(axes: Axes, lengths: npt.NDArray[np.int32], limit: int) -> None:
    """A line at the limit, and the share beyond it on the side that has more room."""
    place = limit + 0.5  # a text of just so many tokens is not truncated
    axes.axvline(place, color="#bf616a", linewidth=1.2, linestyle="--")
    share = 100 * float((lengths > limit).mean()) if len(lengths) else 0.0
    left = place > axes.get_xlim()[1] / 2
    axes.annotate(
        f"limit {limit:,} tokens\n{share:.1f} % of examples are longer",
        xy=(place, 1.0), xycoords=("data", "axes fraction"), xytext=(-5 if left else 5, -2), textcoords="offset points",
        ha="right" if left else "left", va="top", fontsize=9, color="#bf616a",
    )  # fmt: skip
