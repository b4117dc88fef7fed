"""The plots of a report: quality against what an arm costs, how training went, what a step takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import cycle

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from pareft.comparison import Row
from pareft.records import ArmEfficiency, name_score
from pareft.report.choices import Chosen, draw_choices
from pareft.report.figure import COLOURS, INK, OURS, dress, settle, start_figure
from pareft.report.labelling import name_points, say_plainly
from pareft.report.widths import Narrowed, draw_widths
from pareft.reporting import ArmReport, Report

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">")  # more than colours, so that the pairs are many
WIDTH, HEIGHT = 4.2, 3.1  # inches of a panel; on a telephone a point is then a pixel
SPREAD = (10, 90)  # percentiles of the single steps
CAPTIONS = {
    "quality-memory": "Vertical lines: 95 % intervals. Up and to the left is better.",
    "quality-speed": "Vertical lines: 95 % intervals. Up and to the right is better.",
    "quality-trained": "Vertical lines: 95 % intervals. Up and to the left is better; the axis is logarithmic.",
    "curves": "As logged in training. A ring: the step whose weights were kept.",
    "choices": "What every layer scored, in colour those that stay; of a search, the loss as layers went one after the other.",
    "widths": "Of every kept layer, what stays of its heads and feed-forward neurons; layers without a bar are dropped.",
    "steps": f"Bars: the median step and the highest memory. Thin lines: {SPREAD[1] - SPREAD[0]} % of the single steps.",
}
Reading = tuple[list[float], list[float]]  # steps and what was logged at them


@dataclass(frozen=True)
class Sign:
    """What tells an arm from the others: a colour and a shape."""

    colour: str
    marker: str


@style.context(OURS)
def draw_plots(report: Report) -> dict[str, Figure]:
    """The plots for which a report has numbers, by the stems of their files: those of `CAPTIONS`, in that order."""
    rows = [row for row in report.comparison.rows if row.trainable is not None]
    signs = {row.arm: Sign(*pair) for row, pair in zip(rows, zip(cycle(COLOURS), cycle(MARKERS), strict=False), strict=False)}
    whose = f"% of {say_plainly(report.comparison.reference)}'s"
    drawn = {
        "quality-memory": _draw_quality(rows, signs, whose, f"Training memory, {whose}", lambda row: row.memory_percent),
        "quality-speed": _draw_quality(rows, signs, whose, f"Training speed, {whose}", lambda row: row.speed_percent),
        "quality-trained": _draw_quality(rows, signs, whose, "Trained parameters", lambda row: row.trainable or None),
        "curves": _draw_curves(report, signs),
        "choices": draw_choices(_list_choices(report)),
        "widths": draw_widths(_list_narrowed(report)),
        "steps": _draw_steps(report, signs),
    }
    return {stem: figure for stem, figure in drawn.items() if figure}


def _list_choices(report: Report) -> list[Chosen]:
    """Every choice of a criterion once, by the first arm it was made for."""
    arms = _list_first([arm for arm in report.arms if arm.planning])
    return [Chosen(arm.depths, arm.layers, arm.planning, f"{say_plainly(arm.arm)}, ") for arm in arms if arm.planning]


def _list_narrowed(report: Report) -> list[Narrowed]:
    """Every plan that narrows once, by the first arm that has it."""
    arms = _list_first([arm for arm in report.arms if arm.kept])
    return [Narrowed(arm.depths, arm.widths, arm.kept, f"{say_plainly(arm.arm)}, ") for arm in arms]


def _list_first(arms: list[ArmReport]) -> list[ArmReport]:
    """Of arms that share a plan, the first."""
    first = {arm.plan_fingerprint: arm for arm in reversed(arms)}
    return [arm for arm in arms if arm is first[arm.plan_fingerprint]]


def _draw_quality(
    rows: list[Row], signs: Mapping[str, Sign], whose: str, across: str, find: Callable[[Row], float | None]
) -> Figure | None:
    """What is kept of the quality, upwards, against a cost of each arm."""
    found = {row.arm: (x, row.quality_kept) for row in rows if (x := find(row)) is not None}
    points = {arm: (x, kept) for arm, (x, kept) in found.items() if kept}
    if not points:
        return None
    figure = start_figure(width=WIDTH, height=HEIGHT)
    axes = figure.subplots()
    dress(axes, f"Quality against {across[0].lower()}{across[1:].split(',')[0]}", across, f"Quality kept, {whose}")
    axes.axhline(100, color=INK, alpha=0.5, linewidth=0.8, linestyle="--")
    for arm, (x, kept) in points.items():
        sign = signs[arm]
        if kept.low is not None and kept.high is not None:
            axes.vlines(x, kept.low, kept.high, colors=sign.colour, linewidth=1.5)
        axes.plot([x], [kept.value], color=sign.colour, marker=sign.marker, markersize=7, linestyle="none")
    if across == "Trained parameters":
        _count_logarithmically(axes, [x for x, _ in points.values()])
    else:
        axes.margins(x=0.25)
    axes.margins(y=0.12)
    settle(figure)
    name_points(axes, points, colour=INK)
    return figure


def _count_logarithmically(axes: Axes, counts: list[float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(min(counts) / 4, max(counts) * 4)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3) if max(counts) < 100 * min(counts) else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _shorten(value)))


def _shorten(number: float) -> str:
    """1,500,000 as 1.5 M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:g} {unit}"
    return f"{number:g}"


def _draw_curves(report: Report, signs: Mapping[str, Sign]) -> Figure | None:
    """The loss by step, above the score on the validation split."""
    score = _find_validation(report)
    wanted = {"loss": "Training loss"} | ({score: f"Validation {name_score(score.removeprefix('eval_'))}"} if score else {})
    logged = {key: {arm.arm: reading for arm in report.arms if (reading := _read_log(arm, key))[0]} for key in wanted}
    shown = [key for key in wanted if logged[key]]
    if not shown:
        return None
    figure = start_figure(width=WIDTH, height=HEIGHT * len(shown))
    best = {arm.arm: arm.best_step for arm in report.arms}
    for axes, key in zip(figure.subplots(len(shown), squeeze=False)[:, 0], shown, strict=True):
        dress(axes, wanted[key], "step", "")
        for arm, reading in logged[key].items():
            _draw_line(axes, arm, reading, signs[arm], best[arm] if key == score else None)
        axes.legend(fontsize=8, labelcolor=INK, framealpha=0)
    settle(figure)
    return figure


def _find_validation(report: Report) -> str | None:
    """The key of the first of the table's scores that was logged in training, or else of any."""
    logged = [
        key for arm in report.arms for entry in arm.history for key in entry if key.startswith("eval_") and key != "eval_seconds"
    ]
    wanted = [f"eval_{name}" for name in report.comparison.quality]
    return next((key for key in [*wanted, *logged] if key in logged), None)


def _read_log(arm: ArmReport, key: str) -> Reading:
    entries = [entry for entry in arm.history if key in entry and "step" in entry]
    return [entry["step"] for entry in entries], [entry[key] for entry in entries]


def _draw_line(axes: Axes, arm: str, reading: Reading, sign: Sign, best: int | None) -> None:
    steps, values = reading
    often = max(1, len(steps) // 8)  # markers enough to tell the lines apart
    label = f" {say_plainly(arm)}"  # legends leave out what begins with _
    axes.plot(steps, values, color=sign.colour, marker=sign.marker, markersize=4.5, markevery=often, linewidth=1.4, label=label)
    if best in steps:
        axes.plot(
            [best], [values[steps.index(best)]], color=INK, marker="o", markersize=11, markerfacecolor="none", linestyle="none"
        )


def _draw_steps(report: Report, signs: Mapping[str, Sign]) -> Figure | None:
    """The seconds of a training step, above the memory of training."""
    efficiency = report.comparison.efficiency
    arms = {arm: measured for arm, measured in efficiency.arms.items() if arm in signs} if efficiency else {}
    if not arms:
        return None
    figure = start_figure(width=WIDTH, height=2 * max(HEIGHT, 0.45 * len(arms)))
    upper, lower = figure.subplots(2)
    dress(upper, "Time of a training step", "seconds", "")
    _draw_bars(upper, arms, signs, [measured.median_step_seconds for measured in arms.values()], "s")
    for place, measured in enumerate(arms.values()):
        low, high = np.percentile(measured.step_seconds, SPREAD)
        upper.hlines(place, low, high, colors=INK, linewidth=1.5)
    dress(lower, "Memory of training", "GB (10⁹ bytes)", "")
    _draw_bars(lower, arms, signs, [measured.peak_bytes / 1e9 for measured in arms.values()], "GB")
    settle(figure)
    return figure


def _draw_bars(axes: Axes, arms: Mapping[str, ArmEfficiency], signs: Mapping[str, Sign], values: list[float], unit: str) -> None:
    """A bar an arm, downwards, with its value beside its name."""
    axes.barh(range(len(arms)), values, height=0.62, color=[signs[arm].colour for arm in arms])
    numbers = [f"{value:#.3g}".removesuffix(".") for value in values]
    labels = [f"{say_plainly(arm)}\n{number} {unit}" for arm, number in zip(arms, numbers, strict=True)]
    axes.set_yticks(range(len(arms)), labels, fontsize=8.5)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
