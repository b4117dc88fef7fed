"""The picture of what is left inside the layers: of every kept one, the part of its heads and of its feed-forward neurons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pareft.report.figure import COLOURS, OURS, dress, settle, start_figure
from pareft.report.labelling import say_plainly

WIDTH, HEIGHT = 4.2, 2.8  # inches of a panel


@dataclass(frozen=True)
class Narrowed:
    """A plan that narrows: how many layers the base has, by stack; how many heads or neurons a layer has, by `stack.attention` or
    stack; and how many of them each kept layer keeps, by its number in the base. `name` is whose it is.
    """

    depths: Mapping[str, int]
    widths: Mapping[str, int]
    kept: Mapping[str, Mapping[int, int]]
    name: str = ""


@style.context(OURS)
def draw_widths(plans: Sequence[Narrowed]) -> Figure | None:
    """A row for every plan, and in it a panel for each kind of unit, a bar for each kept layer; `None` where there is none."""
    if not plans:
        return None
    across = max(len(plan.kept) for plan in plans)
    figure = start_figure(width=WIDTH * across, height=HEIGHT * len(plans))
    grid = figure.subplots(len(plans), across, squeeze=False)
    for row, plan in zip(grid, plans, strict=True):
        for axes, key in zip(row, plan.kept, strict=False):
            _draw(axes, plan, key)
        for axes in row[len(plan.kept) :]:
            axes.set_visible(False)
    settle(figure)
    return figure


def _draw(axes: Axes, plan: Narrowed, key: str) -> None:
    stack = next(name for name in plan.depths if key == name or key.startswith(f"{name}."))
    attention = key[len(stack) + 1 :]
    kept, width = plan.kept[key], plan.widths[key]
    what = f"{say_plainly(stack)} {attention} heads" if attention else f"{say_plainly(stack)} neurons"
    dress(axes, f"{plan.name}{what}: {sum(kept.values()):,} of {width * len(kept):,}", "layer of the base", "% kept")
    axes.bar(list(kept), [100 * count / width for count in kept.values()], color=COLOURS[0], width=0.7)
    axes.set_xlim(-0.6, plan.depths[stack] - 0.4)
    axes.set_ylim(0, 100)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
