"""The picture of how layers were chosen: what every layer scored and which stay, or the path of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pareft.records import PlanningRecord
from pareft.report.figure import COLOURS, INK, OURS, dress, settle, start_figure

WIDTH, HEIGHT = 4.2, 2.8  # inches of a panel
GONE = "#9aa4af"  # of what is dropped
PATH, TRIED = "the path", "the budget"  # panels that are of no stack


@dataclass(frozen=True)
class Chosen:
    """Layers that a criterion chose: how many the base has, which stay, by stack, and what it found. `name` is whose they are."""

    depths: Mapping[str, int]
    layers: Mapping[str, Sequence[int]]
    record: PlanningRecord
    name: str = ""


@style.context(OURS)
def draw_choices(choices: Sequence[Chosen]) -> Figure | None:
    """A row for every choice: a panel for each stack with what its layers scored, the kept ones in colour; or the loss as layers
    went one after the other. `None` where there is none.
    """
    drawn = [(chosen, _list_panels(chosen)) for chosen in choices]
    if not any(panels for _, panels in drawn):
        return None
    across = max(len(panels) for _, panels in drawn)
    figure = start_figure(width=WIDTH * across, height=HEIGHT * len(drawn))
    grid = figure.subplots(len(drawn), across, squeeze=False)
    for row, (chosen, panels) in zip(grid, drawn, strict=True):
        for axes, stack in zip(row, panels, strict=False):
            {PATH: _draw_path, TRIED: _draw_tried}.get(stack, partial(_draw_scores, stack=stack))(axes, chosen=chosen)
        for axes in row[len(panels) :]:
            axes.set_visible(False)
    settle(figure)
    return figure


def _list_panels(chosen: Chosen) -> list[str]:
    """The stacks that have scores, the path of a search, and what was tried for a budget."""
    found = [stack for stack in chosen.depths if chosen.record.scores.get(stack)]
    return [*found, *([PATH] if chosen.record.path else []), *([TRIED] if chosen.record.tried else [])]


def _draw_scores(axes: Axes, chosen: Chosen, stack: str) -> None:
    scores, kept, depth = chosen.record.scores[stack], chosen.layers[stack], chosen.depths[stack]
    blocks = len(scores) < depth  # a score for each place where a block can begin
    gone = next((layer for layer in range(depth) if layer not in kept), None)
    stays = [layer != gone if blocks else layer in kept for layer in range(len(scores))]
    title = f"{chosen.name}{stack}: {len(kept)} of {depth} stay"
    dress(axes, title, "the block's first layer" if blocks else "layer", chosen.record.by)
    axes.bar(range(len(scores)), scores, color=[COLOURS[0] if stay else GONE for stay in stays], width=0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_path(axes: Axes, chosen: Chosen) -> None:
    path = chosen.record.path
    dress(axes, f"{chosen.name}one layer after the other", "layers dropped", "loss of a target's token")
    axes.plot(range(1, len(path) + 1), [step.cost for step in path], color=COLOURS[0], marker="o", markersize=4.5, linewidth=1.4)
    for number, step in enumerate(path, start=1):
        text = f"{step.stack[:3]} {step.layer}"
        axes.annotate(text, (number, step.cost), (0, 6), textcoords="offset points", rotation=60, fontsize=7, color=INK)
    axes.margins(y=0.3)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def _draw_tried(axes: Axes, chosen: Chosen) -> None:
    """Loss against what the first budget is of, in % of the unpruned base's, for all numbers of layers that were tried."""
    record, kept = chosen.record, {stack: len(layers) for stack, layers in chosen.layers.items()}
    budget = record.budgets[0]
    dress(
        axes,
        f"{chosen.name}numbers of layers within the budget",
        f"{budget.name}, % of the unpruned base's",
        "loss of a target's token",
    )
    for tried in record.tried:
        place = 100 * tried.costs[budget.name] / budget.whole, tried.loss
        axes.plot(*place, marker="o", markersize=5.5, color=COLOURS[0] if tried.layers == kept else GONE)
        text = "+".join(map(str, tried.layers.values()))
        axes.annotate(text, place, (0, 6), textcoords="offset points", ha="center", fontsize=7, color=INK)
    axes.axvline(100 * budget.limit / budget.whole, color=INK, linewidth=0.8, linestyle="--")
    axes.margins(x=0.12, y=0.2)
