"""The runs in a folder, finished or not, as their files tell: nothing is imported that takes long, so that it answers at once."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict

from pareft.errors import PareftError, RunError
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.recipe_file import read_recipe
from pareft.records import Record, RunRecord, SearchRecord
from pareft.run_folder import CHECKPOINTS, COMPARISON, RECIPE, SCORES, SEARCH, STUDY, TRAINED, is_export, read_record, read_trained

DEEPEST = 4  # folders below the one that is listed
State = Literal["done", "evaluating", "training", "begun", "untouched", "searched", "searching", "damaged"]


@dataclass(frozen=True)
class RunSummary:
    """What a run's folder tells. `untouched` is a base that was scored as it is, `begun` a run without a checkpoint; `steps` are
    those done of `max_steps`; `seconds` is the time of training so far; `told` is when an unfinished run wrote this, in seconds
    since 1970; `problem` is what is wrong with a damaged one. A search by `pareft tune` is one line, with its record once it has
    ended.
    """

    folder: Path
    state: State
    base: str | None = None
    plan: PruningPlan | None = None
    record: RunRecord | None = None
    steps: int = 0
    max_steps: int = 0
    best_step: int | None = None
    seconds: float | None = None
    trainable: int | None = None
    total: int | None = None
    scores: dict[str, float] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    told: float | None = None
    problem: str = ""
    search: SearchRecord | None = None

    def series(self, name: str) -> list[float]:
        """The values of one thing in the log, in order."""
        return [entry[name] for entry in self.history if name in entry]


class _Part(Record):
    """What is read of a file in which there is more."""

    model_config = ConfigDict(extra="ignore")


class _TrainerState(_Part):
    global_step: int
    max_steps: int
    best_global_step: int | None = None
    log_history: list[dict[str, float]]


class _Scores(_Part):
    scores: dict[str, float]


def list_runs(place: Path) -> list[RunSummary]:
    """The runs in a folder and the folders below it, folder by folder; those of a comparison in the order of its arms.

    Raises:
        RunError: no folder, or none of a run in it.
    """
    if not place.is_dir():
        raise RunError(f"no folder {place}; give the folder of a run, or one with runs in it, such as runs")
    homes: dict[Path, list[Path]] = {}
    for folder in sorted(_find_runs(place)):
        homes.setdefault(folder.parent, []).append(folder)
    if not homes:
        raise RunError(f"no run in {place}; give the folder of a run, or one with runs in it, as pareft run and compare write them")
    return [summarize(folder) for home, folders in homes.items() for folder in _order(home, folders)]


def _find_runs(place: Path, depth: int = 0) -> Iterator[Path]:
    try:
        found = (place / RECIPE).is_file() and not is_export(place)  # which has the recipe of its run beside it
        below = [] if found or depth == DEEPEST else _list_folders(place)
    except OSError:
        if depth:
            return  # nobody may look into it, or it is gone by now
        raise
    if found:
        yield place
    for name in below:
        yield from _find_runs(place / name, depth + 1)


def _list_folders(place: Path) -> list[str]:
    with os.scandir(place) as entries:
        return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")]


def _order(home: Path, folders: list[Path]) -> list[Path]:
    """As the comparison in their folder has them, others after it; without one as they are."""
    try:
        rows = json.loads((home / COMPARISON).read_text(encoding="utf-8"))["rows"]
        places = {row["arm"]: number for number, row in enumerate(rows)}
    except (OSError, ValueError, LookupError, TypeError):
        return folders
    return sorted(folders, key=lambda folder: places.get(folder.name, len(places)))


def summarize(folder: Path) -> RunSummary:
    """What a run's folder tells; of a damaged one, what is wrong with it."""
    try:
        return _read_search(folder) or _read_finished(folder) or _read_unfinished(folder)
    except (PareftError, OSError, ValueError) as error:
        problem = str(error).strip().splitlines()[0].replace(f"{folder}{os.sep}", "")
        return RunSummary(folder, "damaged", problem=problem)


def _read_search(folder: Path) -> RunSummary | None:
    if not (folder / STUDY).is_file():
        return None
    base, place = read_recipe(folder / RECIPE).base, folder / SEARCH
    if not place.is_file():
        return RunSummary(folder, "searching", base, told=_tell_time(folder / STUDY))
    record = SearchRecord.from_json(place.read_text(encoding="utf-8"))
    seconds = sum(trial.seconds for trial in record.trials)
    return RunSummary(folder, "searched", base, steps=len(record.trials), seconds=seconds, search=record)


def _read_finished(folder: Path) -> RunSummary | None:
    if record := read_record(folder):
        return RunSummary(
            folder,
            "done",
            record.base,
            PruningPlan.read(folder / PLAN_FILE),
            record,
            steps=record.steps,
            max_steps=record.steps,
            best_step=record.best_step,
            seconds=record.train_seconds,
            trainable=record.parameters.trainable,
            total=record.parameters.total,
            scores=record.scores,
            history=record.history,
        )
    if (folder / SCORES).is_file():
        scores = _Scores.from_json((folder / SCORES).read_text(encoding="utf-8")).scores
        return RunSummary(folder, "untouched", read_recipe(folder / RECIPE).base, scores=scores)
    return None


def _read_unfinished(folder: Path) -> RunSummary:
    if not (folder / PLAN_FILE).is_file():
        return RunSummary(folder, "begun", read_recipe(folder / RECIPE).base, told=_tell_time(folder / RECIPE))
    plan = PruningPlan.read(folder / PLAN_FILE)
    if trained := read_trained(folder):
        return RunSummary(
            folder,
            "evaluating",
            plan.base,
            plan,
            steps=trained.steps,
            max_steps=trained.steps,
            best_step=trained.best_step,
            seconds=trained.seconds,
            trainable=trained.trainable,
            total=trained.total,
            history=trained.history,
            told=_tell_time(folder / CHECKPOINTS / TRAINED),
        )
    stored = max((folder / CHECKPOINTS).glob("checkpoint-*/trainer_state.json"), key=_tell_time, default=None)
    if stored is None:
        return RunSummary(folder, "begun", plan.base, plan, told=_tell_time(folder / PLAN_FILE))
    state = _TrainerState.from_json(stored.read_text(encoding="utf-8"))
    return RunSummary(
        folder,
        "training",
        plan.base,
        plan,
        steps=state.global_step,
        max_steps=state.max_steps,
        best_step=state.best_global_step,
        seconds=max((entry["elapsed"] for entry in state.log_history if "elapsed" in entry), default=None),
        history=state.log_history,
        told=_tell_time(stored),
    )


def _tell_time(path: Path) -> float:
    return path.stat().st_mtime
