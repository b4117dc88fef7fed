"""What `pareft show` prints, by rich: runs as a table, or one run in full."""

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Literal

from rich import box
from rich.table import Table
from rich.text import Text

from pareft.adapter_settings import BottleneckSettings, LoraSettings, StackSettings
from pareft.errors import RunError
from pareft.files import make_printable, name_folder
from pareft.listing import RunSummary, list_runs
from pareft.live import start_console
from pareft.models.plan import PruningPlan
from pareft.recipe import Recipe
from pareft.recipe_file import read_recipe
from pareft.records import LightRecord, name_score
from pareft.run_folder import ADAPTER, BEST, RECIPE, WEIGHTS

BLOCKS, KEPT, DROPPED = "▁▂▃▄▅▆▇█", "■", "·"
SPARKLINE, WIDE_SPARKLINE = 10, 40  # cells
LONGEST_NAME = 12  # cells for the names of runs and arms; longer ones are folded
COLORS = {
    "done": "green",
    "untouched": "green",
    "training": "yellow",
    "evaluating": "yellow",
    "begun": "yellow",
    "searched": "green",
    "searching": "yellow",
    "damaged": "red",
}
GIVING_WAY = ("Best step", "Train time", "Base", "Trained", "Loss", "Layers kept")  # where a terminal is narrow, in this order


@dataclass(frozen=True)
class Column:
    """A column of the table: its head, and what stands in it, on which side."""

    name: str
    write: Callable[[RunSummary], str]
    side: Literal["left", "right"] = "right"


def show(place: Path) -> None:
    """`pareft show`: a run in full, or all of a folder's."""
    plain = bool(os.environ.get("NO_COLOR"))
    console = start_console(highlight=False, color_system=None if plain else "auto")
    runs = list_runs(place)
    if [run.folder for run in runs] == [place]:
        if runs[0].state == "damaged":
            raise RunError(f"{place} is damaged: {runs[0].problem}")
        console.print(make_run_table(runs[0], read_recipe(place / RECIPE)))
        return
    console.print(make_runs_table(runs, place, width=console.width))
    for run in runs:
        if run.problem:
            console.print(Text(f"{_place(run.folder, place)} is damaged: {run.problem}"), soft_wrap=True)


def make_runs_table(runs: Sequence[RunSummary], place: Path, *, width: int) -> Table:
    """A line for every run, below the name of the folder that it is in; columns that do not fit are left out."""
    bases = {run.base for run in runs if run.base}
    caption = f"Base {bases.pop()}. " if len(bases) == 1 else ""
    texts = {column: [column.write(run) for run in runs] for column in _list_columns(runs)}
    heads = {run.folder.parent: _place(run.folder.parent, place) for run in runs if run.folder.parent != place}
    measured = {
        column: _measure(column, [*cells, *heads.values()] if column.name == "Run" else cells) for column, cells in texts.items()
    }
    columns = _fit(measured, width)
    apart = sum(cells + 2 for _, cells in columns) <= width
    table = Table(box=box.SIMPLE_HEAD, padding=(0, int(apart), 0, 0), show_edge=False, caption_justify="left")
    scale = "Loss of training, every run's on its own scale." if any(column.name == "Loss" for column, _ in columns) else ""
    table.caption = Text(f"{caption}{scale}", style="dim")
    for column, cells in columns:
        table.add_column(column.name.replace(" ", "\n"), justify=column.side, overflow="fold", width=cells)
    for number, run in enumerate(runs):
        if head := heads.pop(run.folder.parent, ""):
            table.add_row(Text(head, style="bold"))
        styles = {"State": COLORS[run.state]}
        table.add_row(*(Text(texts[column][number], style=styles.get(column.name, "")) for column, _ in columns))
    return table


def _list_columns(runs: Sequence[RunSummary]) -> list[Column]:
    names = list(next((run.scores for run in runs if run.scores), {}))[:3]
    several = len({run.base for run in runs if run.base}) > 1
    return [
        Column("Run", lambda run: make_printable(run.folder.name), "left"),
        Column("State", describe_state, "left"),
        *([Column("Base", lambda run: (run.base or "–").rsplit("/", 1)[-1], "left")] if several else []),
        Column("Layers kept", lambda run: _count_layers(run.plan)),
        Column("Trained", lambda run: f"{run.trainable / 1e6:.2f} M" if run.trainable else "–"),
        *(Column(name_score(name), partial(_write_score, name)) for name in names),
        Column("Loss", lambda run: draw_sparkline(run.series("loss"), SPARKLINE), "left"),
        Column("Train time", lambda run: "–" if run.seconds is None else format_time(run.seconds)),
        Column("Best step", lambda run: "–" if run.best_step is None else str(run.best_step)),
    ]


def _fit(columns: Mapping[Column, tuple[int, int]], width: int) -> list[tuple[Column, int]]:
    """The columns that fit beside each other with a blank between them, and the cells of each, at least and at most as many as
    given; what is left over goes to the first that want more.
    """
    kept = list(columns)
    for name in GIVING_WAY:
        if sum(columns[column][0] + 1 for column in kept) <= width + 1:
            break
        kept = [column for column in kept if column.name != name]
    room = width + 1 - sum(columns[column][0] + 1 for column in kept)
    fitted = []
    for column in kept:
        least, most = columns[column]
        more = max(0, min(room, most - least))
        room -= more
        fitted.append((column, least + more))
    return fitted


def _measure(column: Column, texts: Sequence[str]) -> tuple[int, int]:
    """How many cells a column takes at least and at most; a long name may be folded, a state between its words."""
    head, longest = max(map(len, column.name.split())), max(map(len, texts))
    least = longest
    if column.name == "Run":
        least = min(LONGEST_NAME, longest)
    elif column.name == "State":
        least = max(len(word) for text in texts for word in text.split())
    return max(head, least), max(head, longest)


def describe_state(run: RunSummary) -> str:
    """`training 45 %`, `as is` of an untouched base, `searched 8 trials`; else the state's name."""
    if run.state == "untouched":
        return "as is"
    if run.state == "searched":
        return f"searched {run.steps} trials"
    return f"training {100 * run.steps // max(1, run.max_steps)} %" if run.state == "training" else run.state


def _count_layers(plan: PruningPlan | None) -> str:
    """`8+8 of 12+12`, in the order of the stacks."""
    if plan is None:
        return "–"
    kept, all_of_them = (
        "+".join(str(count) for count in counts) for counts in (map(len, plan.layers.values()), plan.depths.values())
    )
    return kept if kept == all_of_them else f"{kept} of {all_of_them}"


def _write_score(name: str, run: RunSummary) -> str:
    return f"{run.scores[name]:.2f}" if name in run.scores else "–"


def _place(folder: Path, place: Path) -> str:
    return make_printable(str(folder.relative_to(place)) if folder != place else folder.name)


def draw_sparkline(values: Sequence[float], width: int) -> str:
    """A block for every value, from the lowest to the highest; of more than `width` values, for the means of as many parts. What is
    no finite number is a blank.
    """
    parts = (
        [values[len(values) * n // width : len(values) * (n + 1) // width] for n in range(width)]
        if len(values) > width
        else [[value] for value in values]
    )
    means = [mean(part) for part in parts]
    finite = [value for value in means if math.isfinite(value)]
    if not finite:
        return ""
    low, span = min(finite), max(finite) - min(finite)
    return "".join(
        BLOCKS[round((value - low) / span * (len(BLOCKS) - 1)) if span else 0] if math.isfinite(value) else " " for value in means
    )


def format_time(seconds: float) -> str:
    """`52 s`, `9 min`, `3.1 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"


def make_run_table(run: RunSummary, recipe: Recipe) -> Table:
    """All that one run's folder tells, a line for each thing."""
    table = Table(
        title=make_printable(name_folder(run.folder)),
        box=box.SIMPLE,
        show_header=False,
        padding=0,
        title_style="bold",
        title_justify="left",
    )
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _list_details(run, recipe):
        table.add_row(Text(name, style="bold"), Text(text, style=COLORS[run.state] if name == "State" else ""))
    return table


def _list_details(run: RunSummary, recipe: Recipe) -> list[tuple[str, str]]:
    lines = [
        ("State", _describe_progress(run)),
        ("Base", run.base or ""),
        *_describe_plan(run.plan),
        ("Adapter", _describe_adapter(recipe) if run.plan else ""),
        ("Early pruning", describe_light(run.record.light) if run.record and run.record.light else ""),
        ("Parameters", _describe_parameters(run)),
        ("Scores", "  ".join(f"{name_score(name)} {value:.2f}" for name, value in run.scores.items())),
        ("Best trial", _describe_search(run)),
        ("Best step", "" if run.best_step is None else f"{run.best_step:,} of {run.steps:,}, by {recipe.train.best_metric}"),
        ("Loss", _describe_series(run.series("loss"), min)),
        ("Validation", _describe_series(run.series(f"eval_{recipe.train.best_metric}"), max)),
        ("Time", _describe_times(run)),
        *_describe_record(run),
        ("Files", ", ".join(f"{name}/" for name in (ADAPTER, WEIGHTS) if (run.folder / name).is_dir())),
    ]
    return [(name, text) for name, text in lines if text]


def _describe_search(run: RunSummary) -> str:
    if run.search is None:
        return ""
    best = next(trial for trial in run.search.trials if trial.number == run.search.best)
    return f"{name_score(run.search.metric)} {best.score:.2f} on the validation split, in {best.folder}/; its recipe is {BEST}"


def _describe_progress(run: RunSummary) -> str:
    done = f" (step {run.steps:,} of {run.max_steps:,})" if run.state == "training" else ""
    told = f", as of {format_time(max(0.0, time.time() - run.told))} ago" if run.told else ""
    return f"{describe_state(run)}{done}{told}"


def _describe_plan(plan: PruningPlan | None) -> Iterable[tuple[str, str]]:
    """What is kept, in words, and every stack's layers as cells."""
    if plan is None:
        return
    yield "Plan", f"{plan.describe()}; {plan.fingerprint}"
    for stack, depth in plan.depths.items():
        kept = plan.layers[stack]
        yield stack.capitalize(), " ".join(KEPT if layer in kept else DROPPED for layer in range(depth))


def _describe_adapter(recipe: Recipe) -> str:
    adapt = recipe.adapt
    if adapt is None:
        return "none: every parameter is trained"
    target = adapt.target if isinstance(adapt.target, str) else ", ".join(adapt.target)
    where = "".join(f"; {stack} layers {_list(chosen)}" for stack, chosen in (adapt.layers or {}).items() if chosen)
    norms = "; and the normalisations" if adapt.norms else ""
    if isinstance(adapt, BottleneckSettings):
        return f"bottleneck adapters of width {adapt.rank}, {adapt.activation}, behind {target}{where}{norms}"
    if not isinstance(adapt, LoraSettings):
        return f"IA3 on {target}{where}{norms}"
    method = "AdaLoRA" if adapt.method == "adalora" else "DoRA" if adapt.dora else "rsLoRA" if adapt.rslora else "LoRA"
    start = "" if adapt.start == "zero" else f", started by {adapt.start}"
    stacks = {"encoder": adapt.encoder, "decoder": adapt.decoder}
    own = "".join(f"; {name}: {_describe_own(stack)}" for name, stack in stacks.items() if stack)
    return f"{method} of rank {adapt.rank}, alpha {adapt.alpha:g}{start}, on {target}{where}{own}{norms}"


def describe_light(light: LightRecord) -> str:
    """What early pruning has left, in a line."""
    return (
        f"by {light.by}, {light.steps} steps: {100 * light.removed_ratio:.1f} % of attention and feed-forward gone, "
        f"{light.modules_kept} of {light.modules} modules and {light.ranks_kept} of {light.ranks} ranks kept"
    )


def _describe_own(stack: StackSettings) -> str:
    return ", ".join(f"{key} {value}" for key, value in stack.model_dump(exclude_none=True).items())


def _list(layers: str | list[int]) -> str:
    return layers if isinstance(layers, str) else ", ".join(map(str, layers))


def _describe_parameters(run: RunSummary) -> str:
    if not run.trainable or not run.total:
        return ""
    base = f"; the base has {run.record.parameters.base:,}" if run.record else ""
    return f"{run.trainable:,} of {run.total:,} trained ({100 * run.trainable / run.total:.1f} %){base}"


def _describe_series(values: Sequence[float], best: Callable[[Sequence[float]], float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return ""
    return f"{draw_sparkline(values, WIDE_SPARKLINE)}  {values[0]:.4g} → {values[-1]:.4g}, {best.__name__} {best(known):.4g}"


def _describe_times(run: RunSummary) -> str:
    if run.seconds is None:
        return ""
    if run.record is None:
        return f"training {format_time(run.seconds)}"
    within = format_time(run.record.train_evaluation_seconds)
    after = format_time(run.record.evaluate_seconds)
    return f"training {format_time(run.seconds)}, {within} of it evaluating; test evaluation {after}"


def _describe_record(run: RunSummary) -> Iterable[tuple[str, str]]:
    """What only a finished run's record says."""
    if (record := run.record) is None:
        return
    yield "Examples", ", ".join(f"{count:,} {name}" for name, count in record.protocol.examples.items())
    yield "Precision", f"{record.precision}, seed {record.seed}"
    hardware, memory = record.hardware, (record.hardware.get("memory_bytes") or 0) / 2**30
    yield "Hardware", f"{hardware.get('gpu') or hardware.get('processor')}, {hardware.get('threads')} threads, {memory:.0f} GiB"
    yield "Versions", ", ".join(f"{name} {version}" for name, version in record.versions.items())
