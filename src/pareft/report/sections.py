"""What a page shows of a report, section by section, as its template takes it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from matplotlib.figure import Figure

from pareft.comparison import Comparison, Row
from pareft.records import Protocol, ScoreRecord, name_score
from pareft.report.agreement import Span, find_agreement
from pareft.report.figure import render_svg
from pareft.report.inlining import inline_svg
from pareft.report.plots import CAPTIONS, draw_plots
from pareft.report.table import explain, format_row, format_score, list_columns
from pareft.reporting import ArmReport, Example, Report

SCORE_COLUMNS = ("Arm", "Score", "Value (95 %)", "Less {}'s (95 %)", "Kept of {}'s, % (95 %)", "Told from {}'s")
MAKING_COLUMNS = ("Arm", "Plan", "Steps", "Best step", "Training s", "of it evaluating s", "Test split s")


@dataclass(frozen=True)
class Table:
    """Cells as text; the first of a row names it, and columns before `numbers` hold text."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    numbers: int = 1


@dataclass(frozen=True)
class Plot:
    """A plot as SVG for the page, and what is to be known of it."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Stack:
    """The layers of a stack, numbered from 1 as the paper does, with whether they are kept."""

    name: str
    layers: list[tuple[int, bool]]

    @property
    def summary(self) -> str:
        """The same as a sentence."""
        kept = [str(number) for number, stays in self.layers if stays]
        return f"{self.name}: {len(kept)} of {len(self.layers)} layers kept: {', '.join(kept) or 'none'}"


@dataclass(frozen=True)
class Text:
    """What an arm wrote, in pieces that agree with the reference or not, and its scores; `number` is the arm's, from 0."""

    arm: str
    number: int
    spans: list[Span]
    scores: list[str]


@dataclass(frozen=True)
class Card:
    """An example with all texts; `score`, the mean over arms of the table's first score, orders cards."""

    example: Example
    texts: list[Text]
    score: float | None


@dataclass(frozen=True)
class Sections:
    """All that a page shows of one report; `number` tells its ids from those of others."""

    number: int
    title: str
    lead: list[tuple[str, str]]
    arms: list[str]
    costs: Table
    scores: Table
    notes: list[str]
    plots: list[Plot]
    layers: list[tuple[str, list[Stack]]]
    facts: list[tuple[str, str]]
    making: Table
    cards: list[Card]
    ordered_by: str | None


def collect_sections(report: Report, number: int) -> Sections:
    """Everything a page says of a report, which is its `number`-th."""
    comparison = report.comparison
    cells = [format_row(row, comparison) for row in comparison.rows]
    return Sections(
        number=number,
        title=comparison.title,
        lead=summarise(comparison),
        arms=[row.arm for row in comparison.rows],
        costs=Table("What every arm costs and keeps", list_columns(comparison), cells),
        scores=list_scores(comparison),
        notes=explain(comparison),
        plots=[_inline(figure, stem, number) for stem, figure in draw_plots(report).items()],
        layers=[(arm.arm, list_stacks(arm)) for arm in report.arms],
        facts=list_facts(report),
        making=Table("How every arm was made", [*MAKING_COLUMNS], [_describe_making(arm) for arm in report.arms], 2),
        cards=[_make_card(example, comparison) for example in report.examples],
        ordered_by=name_score(comparison.headlines[0]) if comparison.headlines else None,
    )


def summarise(comparison: Comparison) -> list[tuple[str, str]]:
    """For every arm but the first: its name, and the rest of a sentence that says what it keeps and costs."""
    first = comparison.reference
    return [(row.arm, _summarise(row, first, comparison.quality)) for row in comparison.rows if row.arm != first]


def _summarise(row: Row, first: str, quality: Iterable[str]) -> str:
    kept = f"keeps {_percent(row.quality_kept)} of {first}'s quality" if row.quality_kept else ""
    if row.trainable_percent is None:
        return f"{kept or 'was scored'} without training."
    trained = "all" if row.trainable_percent > 99.9 else f"{row.trainable_percent:.1f} %"
    parts = [
        f"{100 * row.layers_dropped_ratio:.0f} % of the layers dropped" if row.layers_dropped_ratio else "no layer dropped",
        f"{trained} of its parameters trained",
        *([] if row.speed_percent is None else [f"{row.speed_percent:.0f} % of {first}'s training speed"]),
        *([] if row.memory_percent is None else [f"{row.memory_percent:.0f} % of {first}'s training memory"]),
    ]
    told = f" The paired bootstrap does not tell its scores from {first}'s." if row.resembles_in(quality) else ""
    return f"{f'{kept} with' if kept else 'has'} {', '.join(parts[:-1])} and {parts[-1]}.{told}"


def _percent(score: ScoreRecord) -> str:
    value, _, interval = format_score(score, ".1f").partition(" ")
    return f"{value} % {interval}".rstrip()


def list_scores(comparison: Comparison) -> Table:
    """Every headline score of every arm: itself, less the first arm's, and as a share of it; and the mean share of the table's."""
    rows = []
    for row in comparison.rows:
        for name in comparison.headlines:
            score = row.intervals.get(name) or _without_interval(row.scores.get(name))
            apart, kept = format_score(row.differences.get(name), "+.2f"), format_score(row.kept.get(name), ".1f")
            rows.append([row.arm, name_score(name), format_score(score, ".2f"), apart, kept, _judge(row, name)])
        if len(comparison.quality) > 1:
            mean = f"mean of {', '.join(map(name_score, comparison.quality))}"
            rows.append([row.arm, mean, "–", "–", format_score(row.quality_kept, ".1f"), "–"])
    columns = [column.format(comparison.reference) for column in SCORE_COLUMNS]
    return Table("Quality kept, score by score", columns, rows, 2)


def _without_interval(value: float | None) -> ScoreRecord | None:
    return None if value is None else ScoreRecord(value=value, low=None, high=None)


def _judge(row: Row, name: str) -> str:
    apart = row.differences.get(name)
    if apart is None:
        return "–"
    if apart.low is None:
        return "too few examples"
    return "≈ no" if row.resembles(name) else f"yes, {'higher' if apart.low > 0 else 'lower'}"


def _inline(figure: Figure, stem: str, number: int) -> Plot:
    prefix = f"report-{number}-{stem}-"
    name = "; ".join(axes.get_title(loc="left") for axes in figure.axes)
    return Plot(inline_svg(render_svg(figure, salt=prefix, transparent=True), prefix=prefix, name=name), CAPTIONS[stem])


def list_stacks(arm: ArmReport) -> list[Stack]:
    """Which layers of each stack an arm has kept."""
    return [
        Stack(stack, [(layer + 1, layer in arm.layers.get(stack, ())) for layer in range(depth)])
        for stack, depth in arm.depths.items()
    ]


def list_facts(report: Report) -> list[tuple[str, str]]:
    """What the numbers rest on, as names and values: the base, the protocol, and of the arms what is not its arm's alone."""
    protocol = [(name.replace("_", " "), _write(getattr(report.protocol, name))) for name in Protocol.model_fields]
    of_arms: dict[str, Callable[[ArmReport], object]] = {
        "training seed": lambda arm: arm.seed,
        "precision": lambda arm: arm.precision,
        "versions": lambda arm: arm.versions,
        "hardware": lambda arm: arm.hardware,
    }
    shared = [(name, _write_once({arm.arm: _write(read(arm)) for arm in report.arms})) for name, read in of_arms.items()]
    return [("base", report.comparison.base), *protocol, *shared]


def _write(value: object) -> str:
    """A value of a record as text."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {_write(inner)}" for key, inner in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(map(_write, value)) or "–"
    return value or "–" if isinstance(value, str) else json.dumps(value)


def _write_once(values: dict[str, str]) -> str:
    """What all arms have in common, or else what each has."""
    alike = len(set(values.values())) == 1
    return next(iter(values.values())) if alike else "; ".join(f"{arm}: {value}" for arm, value in values.items())


def _describe_making(arm: ArmReport) -> list[str]:
    seconds = (arm.train_seconds, arm.train_evaluation_seconds, arm.evaluate_seconds)
    best = "–" if arm.best_step is None else f"{arm.best_step:,}"
    return [arm.arm, arm.plan_fingerprint, f"{arm.steps:,}", best, *(f"{value:,.0f}" for value in seconds)]


def _make_card(example: Example, comparison: Comparison) -> Card:
    names, arms = comparison.headlines, [row.arm for row in comparison.rows]
    texts = [
        Text(
            arm=arm,
            number=number,
            spans=find_agreement(example.predictions[arm], example.reference),
            scores=[f"{name_score(name)}\u00a0{example.scores[arm][name]:.1f}" for name in names if name in example.scores[arm]],
        )
        for number, arm in enumerate(arms)
    ]
    found = [scores[name] for scores in example.scores.values() for name in names[:1] if name in scores]
    return Card(example, texts, sum(found) / len(found) if found else None)
