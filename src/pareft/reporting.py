"""What a report shows, collected from the folders of finished runs: the table, how every arm was made, and examples side by side.
Everything in `report` is a function of it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from pareft.comparison import Comparison
from pareft.data.prepared import digest_frames, list_texts
from pareft.errors import RunError
from pareft.evaluation.predictions import Row, list_values, read_rows
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.recipe_file import read_recipe
from pareft.records import Identity, PlanningRecord, Protocol, Record
from pareft.run_folder import PREDICTIONS, RECIPE, read_planning, read_record, read_task
from pareft.tasking import read_examples

EXAMPLES = 24  # by default


class Example(Record):
    """A test example: what every arm wrote for it and how that was scored, by arm. `source` is there only if it was asked for."""

    id: Identity
    reference: str
    predictions: dict[str, str]
    scores: dict[str, dict[str, float]]
    source: str | None = None


class ArmReport(Record):
    """How an arm was made: layers kept of those the base has, by stack, 0-based, and how a criterion chose them, if one did; where
    layers were narrowed, how many heads and neurons they had, and how many each kept one keeps; the training's log, seconds and
    precision.
    """

    arm: str
    plan_fingerprint: str
    depths: dict[str, int]
    layers: dict[str, list[int]]
    planning: PlanningRecord | None = None
    widths: dict[str, int] = Field(default_factory=dict)
    kept: dict[str, dict[int, int]] = Field(default_factory=dict)
    seed: int
    steps: int
    best_step: int | None
    train_seconds: float
    train_evaluation_seconds: float
    evaluate_seconds: float
    precision: str
    versions: dict[str, str]
    hardware: dict[str, str | int | float | bool | None]
    history: list[dict[str, float]]


class Report(Record):
    """A comparison and what is behind it. `arms` are those that were trained; `examples` are of all that were scored."""

    comparison: Comparison
    protocol: Protocol
    arms: list[ArmReport]
    examples: list[Example]


def collect_report(
    comparison: Comparison, folders: Mapping[str, Path], *, examples: int = EXAMPLES, show_text: bool = False
) -> Report:
    """Read what lies in the folders of a comparison's arms, by arm.

    Args:
        comparison: of these runs.
        folders: of every row of it.
        examples: how many to show, spread evenly from those that all arms together wrote best to those they wrote worst.
        show_text: whether to take the sources in, which may hold what must not be seen.

    Raises:
        RunError: a run is not finished or damaged, or its data are no longer there, or have changed.
        DataError: sources were asked for, and the data cannot be read.
    """
    arms, protocol = [], None
    for row in comparison.rows:
        if (record := read_record(folders[row.arm])) is None:
            continue
        plan = PruningPlan.read(folders[row.arm] / PLAN_FILE)
        protocol = protocol or record.protocol
        layers = {stack: list(kept) for stack, kept in plan.layers.items()}
        same = record.model_dump(include=set(ArmReport.model_fields) - {"arm"})
        planned = read_planning(folders[row.arm])
        narrow: dict[str, Any] = {"widths": plan.widths, "kept": plan.count_units()} if plan.narrows else {}
        arms.append(ArmReport(arm=row.arm, depths=plan.depths, layers=layers, planning=planned, **narrow, **same))
    if protocol is None:
        raise RunError("none of these folders holds a finished run")
    written = {row.arm: read_rows(folders[row.arm] / PREDICTIONS) for row in comparison.rows}
    chosen = choose_examples(written, comparison.headlines[:1], examples)
    sources = _read_sources(folders[arms[0].arm], protocol, next(iter(written.values())), chosen) if show_text and chosen else {}
    shown = [_make_example(index, written, sources.get(index)) for index in chosen]
    return Report(comparison=comparison, protocol=protocol, arms=arms, examples=shown)


def choose_examples(written: Mapping[str, Sequence[Row]], names: Sequence[str], count: int) -> list[int]:
    """Which examples to show: of all, ordered by the mean over arms of the scores `names`, every so manieth, the first and the last
    among them; in the order of the data. Where no example has such a score, they are spread over the data.
    """
    total = min((len(rows) for rows in written.values()), default=0)
    scores = [[list_values(rows[index]) for rows in written.values()] for index in range(total)]
    values = [[found[name] for found in arms for name in names if name in found] for arms in scores]
    ordered = sorted(range(total), key=lambda index: (-sum(values[index]) / max(1, len(values[index])), index))
    if count >= total:
        return list(range(total))
    places = [round(place * (total - 1) / max(1, count - 1)) for place in range(count)]
    return sorted({ordered[place] for place in places})


def _make_example(index: int, written: Mapping[str, Sequence[Row]], source: str | None) -> Example:
    rows = {arm: rows[index] for arm, rows in written.items()}
    first = next(iter(rows.values()))
    return Example(
        id=first["id"],
        reference=first["reference"],
        predictions={arm: row["prediction"] for arm, row in rows.items()},
        scores={arm: list_values(row) for arm, row in rows.items()},
        source=source,
    )


def _read_sources(folder: Path, protocol: Protocol, rows: Sequence[Row], chosen: Sequence[int]) -> dict[int, str]:
    """The sources of chosen test examples, by index."""
    recipe = read_recipe(folder / RECIPE)
    splits = read_examples(recipe, read_task(folder))
    frame = splits["test"]
    if digest_frames(splits) != protocol.data_digest or frame["id"].to_list() != [row["id"] for row in rows]:
        raise RunError(f"{protocol.data} no longer holds the examples of {folder}; leave out --show-text")
    texts = list_texts(frame)
    return {index: texts[index] for index in chosen}
