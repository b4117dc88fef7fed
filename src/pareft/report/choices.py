"""The picture of how layers were chosen: what every layer scored and which stay, or the path of a search."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pareft.records import PlanningRecord
from pareft.report.figure import COLOURS, INK, OURS, dress, settle, start_figure

WIDTH, HEIGHT = 4.2, 2.8  # inches of a panel
GONE = "#9aa4af"  # of what is dropped


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
            _draw_scores(axes, stack, chosen) if stack else _draw_path(axes, chosen)
        for axes in row[len(panels) :]:
            axes.set_visible(False)
    settle(figure)
    return figure


def _list_panels(chosen: Chosen) -> list[str]:
    """The stacks that have scores; an empty name is the path."""
    return [stack for stack in chosen.depths if chosen.record.scores.get(stack)] + ([""] if chosen.record.path else [])


def _draw_scores(axes: Axes, stack: str, chosen: Chosen) -> None:
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
