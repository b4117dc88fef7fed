"""Finished arms as one table: the first arm is 100 %."""

from collections.abc import Iterable, Mapping, Sequence

from pydantic import Field

from pareft.evaluation.efficiency import relative_speed
from pareft.evaluation.metrics.scores import Scores
from pareft.evaluation.uncertainty import differences, intervals, shares
from pareft.records import BudgetRecord, EfficiencyRecord, Record, RunRecord, ScoreRecord

HEADLINES: dict[str, tuple[str, ...]] = {  # of each metric, the scores that a table shows
    "rouge": ("rouge1", "rouge2", "rougeL"),
    "bertscore": ("bertscore_f1",),
    "summac": ("summac_zs", "summac_conv"),
    "bleu": ("bleu",),
    "bleu_precisions": ("bleu_precision1", "bleu_precision4"),
    "classification": ("accuracy", "macro_f1", "matthews"),
    "f1": ("f1", "group_exact_match"),
    "exact_match": ("exact_match",),
    "regression": ("pearson", "spearman"),
    "answers": ("answer_f1", "answer_match"),
    "surface": ("words", "repeated_trigrams", "copied"),
}
NO_QUALITY = {"surface"}  # more of it is not better
QUALITY = "quality"  # the mean of the table's scores, among what is kept of single ones
Means = Mapping[str, Sequence[str]]


class Row(Record):
    """One line of the table. Percentages are of the first arm; `None` where it was not measured or does not apply. `intervals` are
    those of the scores, `differences` those of the scores less the first arm's on the same examples; `kept` is what is kept of the
    first arm's scores, and `quality_kept` the mean of that over the table's.
    """

    arm: str
    speed_percent: float | None
    memory_percent: float | None
    trainable: int | None
    trainable_percent: float | None
    total: int
    layers_kept: dict[str, int]
    layers_dropped_ratio: float
    scores: dict[str, float]
    kept: dict[str, ScoreRecord]
    quality_kept: ScoreRecord | None
    intervals: dict[str, ScoreRecord] = Field(default_factory=dict)
    differences: dict[str, ScoreRecord] = Field(default_factory=dict)
    inference_percent: float | None = None

    @property
    def quality_kept_percent(self) -> float | None:
        """What is kept of the table's scores, without its interval."""
        return self.quality_kept.value if self.quality_kept else None

    def resembles(self, name: str) -> bool:
        """Whether the paired bootstrap does not tell a score from the first arm's; of too few examples it says nothing."""
        apart = self.differences.get(name)
        return apart is not None and apart.low is not None and not apart.excludes_zero

    def resembles_in(self, names: Iterable[str]) -> bool:
        """Whether that holds for every score of the table, if there is anything to compare."""
        return bool(self.kept) and all(map(self.resembles, names))


class Comparison(Record):
    """The table and what it rests on. `quality`: the scores whose part that is kept the table shows; `headlines`: all that are
    shown with their intervals.
    """

    title: str
    base: str
    examples: dict[str, int]
    quality: list[str]
    headlines: list[str]
    rows: list[Row]
    efficiency: EfficiencyRecord | None
    budget: BudgetRecord | None = None

    @property
    def reference(self) -> str:
        """The arm that is 100 %: the first that was trained."""
        return next(row.arm for row in self.rows if row.trainable is not None)

    @property
    def measures_inference(self) -> bool:
        """Whether the speed of inference was measured."""
        return any(row.inference_percent is not None for row in self.rows)

    def row(self, arm: str) -> Row:
        """The row of an arm."""
        return next(row for row in self.rows if row.arm == arm)


def tabulate(
    records: dict[str, RunRecord],
    efficiency: EfficiencyRecord | None,
    *,
    title: str,
    untouched: dict[str, float] | None = None,
    scored: Mapping[str, Scores] | None = None,
    budget: BudgetRecord | None = None,
) -> Comparison:
    """The rows of finished runs, first arm = 100 %; with the untouched base first, where it was scored. With the scores of every
    example, rows have intervals.
    """
    reference = next(iter(records))
    scores = records[reference].scores
    shown = {
        metric: [name for name in HEADLINES.get(metric, ()) if name in scores] for metric in records[reference].protocol.metrics
    }
    judged = [names for metric, names in shown.items() if metric not in NO_QUALITY]
    quality: list[str] = next(filter(None, ([*shown.get("rouge", ())], *judged)), [])
    headlines = [name for names in shown.values() for name in names]
    means = {name: [name] for names in judged for name in names} | {QUALITY: quality}
    means |= {name: [name] for name in ("rougeLsum",) if name in scores}  # which papers print as R-L
    rows = [_make_row(name, record, scores, efficiency, reference, means) for name, record in records.items()]
    if untouched:
        kept = _keep(untouched, scores, means)
        base = records[reference].parameters
        row = Row(
            arm="untouched", speed_percent=None, memory_percent=None, trainable=None, trainable_percent=None,
            total=base.base, layers_kept=base.depths or base.layers_kept, layers_dropped_ratio=0.0, scores=untouched,
            quality_kept=kept.pop(QUALITY, None), kept=kept,
        )  # fmt: skip
        rows.insert(0, row)
    if scored:
        rows = [_with_intervals(row, scored[row.arm], None if row.arm == reference else scored[reference], means) for row in rows]
    first = records[reference]
    return Comparison(
        title=title,
        base=first.base,
        examples=first.protocol.examples,
        quality=quality,
        headlines=headlines,
        rows=rows,
        efficiency=efficiency,
        budget=budget,
    )


def _with_intervals(row: Row, scores: Scores, first: Scores | None, means: Means) -> Row:
    own = {name: found.rounded() for name, found in intervals(scores).items()}
    if first is None:
        return row.model_copy(update={"intervals": own})
    apart = {name: found.rounded() for name, found in differences(scores, first).items()}
    kept = {name: found.rounded() for name, found in shares(scores, first, means).items()}
    more = {"quality_kept": kept.pop(QUALITY, None), "kept": kept}
    return row.model_copy(update={"intervals": own, "differences": apart} | more)


def _make_row(
    name: str,
    record: RunRecord,
    reference_scores: dict[str, float],
    efficiency: EfficiencyRecord | None,
    reference: str,
    means: Means,
) -> Row:
    speed = memory = inference = None
    if efficiency:
        arm, first = efficiency.arms[name], efficiency.arms[reference]
        speed = relative_speed(first.step_seconds, arm.step_seconds, sizes=(first.batch_size, arm.batch_size))
        memory = 100 * (arm.peak_bytes / first.peak_bytes)
        if first.inference_seconds and arm.inference_seconds:
            sizes = (first.inference_batch_size, arm.inference_batch_size)
            inference = relative_speed(first.inference_seconds, arm.inference_seconds, sizes=sizes)
    kept, counts = _keep(record.scores, reference_scores, means), record.parameters
    return Row(
        arm=name,
        speed_percent=speed,
        memory_percent=memory,
        trainable=counts.trainable,
        trainable_percent=100 * counts.trainable / counts.total,
        total=counts.total,
        layers_kept=counts.layers_kept,
        layers_dropped_ratio=counts.layers_dropped_ratio,
        scores=record.scores,
        quality_kept=kept.pop(QUALITY, None),
        kept=kept,
        inference_percent=inference,
    )


def _keep(scores: dict[str, float], reference: dict[str, float], means: Means) -> dict[str, ScoreRecord]:
    """As `shares`, of the scores of all examples alone, and so without intervals."""
    kept = {}
    for key, names in means.items():
        if known := [name for name in names if name in scores and reference.get(name, 0) > 0]:
            value = sum(100 * scores[name] / reference[name] for name in known) / len(known)
            kept[key] = ScoreRecord(value=round(value, 4), low=None, high=None)
    return kept
