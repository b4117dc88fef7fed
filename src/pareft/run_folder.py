"""The folder of a run: whose it is, and the adapter or weights in it."""

import json
from contextlib import suppress
from pathlib import Path

from pareft.errors import RunError
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.recipe import Recipe, list_lines
from pareft.recipe_file import read_recipe
from pareft.records import EfficiencyRecord, PlanningRecord, RunRecord, TrainingRecord
from pareft.settings import METRIC_OF, TaskName

ADAPTER, WEIGHTS, RECIPE, RECORD = "adapter", "weights", "recipe.yaml", "record.json"
PLANNING = "planning.json"  # how a criterion chose the plan
LIGHT = "light"  # what early pruning found, where no comparison keeps it for several arms
COMPARISON, EFFICIENCY = "comparison.json", "efficiency.json"  # beside the runs that were compared and measured together
PLANS = "_plans"  # there, too: what criteria chose; no arm can be called so
LABELS = "labels.json"  # of a run that classifies
CHOICE, LIKELIHOOD = "choice", "likelihood"  # there, where options are chosen: by a head, or by a model that writes
SPAN = "span"  # there, where parts of texts are
PREDICTIONS, SCORES, VALIDATION = "predictions.jsonl", "scores.json", "validation"
CHECKPOINTS, STARTED, TRAINED, PREFIX, ENCODED = "checkpoints", "start.json", "trained.json", "prefix", "encoded/train.arrow"
DATA, LOCK = "data.json", "lock"  # among checkpoints: the digest of the examples; held by who trains
TAUGHT, TEACHER, SOFT = "taught.json", "teacher", "soft"  # in the checkpoints: the teacher's record, its texts, its chances
BESIDE_THE_RUN = (
    "measure",
    "evaluate.untouched",
    "train.report_to",
    "distill.cache",
)  # keys that change what is done around a run, and not the run
STUDY, SEARCH, BEST = "study.journal", "search.json", "best.yaml"  # of a search: Optuna's journal, its record, its result
SCORING = {
    "evaluate.metrics": "",
    "evaluate.bertscore": "bertscore",
    "evaluate.summac": "summac",
}  # keys that only scores depend on


def check_folder(folder: Path, recipe: Recipe) -> None:
    """Raise `RunError` if the folder is another recipe's, or holds something that is no run. Other metrics make no other recipe,
    unless training chose its best checkpoint by them.
    """
    written = folder / RECIPE
    if not written.is_file():
        if folder.is_dir() and any(path.name != CHECKPOINTS for path in folder.iterdir()):  # a kill may have left these alone
            raise RunError(f"{folder} is not empty and is no run folder; give another with --out")
        return
    chosen_by = METRIC_OF[recipe.train.best_metric]
    free = (*BESIDE_THE_RUN, *(key for key, metric in SCORING.items() if metric != chosen_by))
    there, here = list_lines(read_recipe(written).model_dump(mode="json")), list_lines(recipe.model_dump(mode="json"))
    changed = [key for key in sorted(there | here) if there.get(key) != here.get(key) and not key.startswith(free)]
    if changed:
        key = changed[0]
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise RunError(
            f"{folder} holds a run of another recipe ({key}: {there.get(key)!r} there, {here.get(key)!r} asked{more}); "
            "give another folder with --out"
        )


def is_scored_by(folder: Path, recipe: Recipe) -> bool:
    """Whether a run's recipe has the metrics of another."""
    there, here = read_recipe(folder / RECIPE).evaluate, recipe.evaluate
    return (there.metrics, there.bertscore, there.summac) == (here.metrics, here.bertscore, here.summac)


def choose_home(recipe: Recipe | str | Path) -> Path:
    """The folder that a recipe's runs go to unless another is asked for."""
    return Path("runs") if isinstance(recipe, Recipe) else Path("runs") / Path(recipe).stem


def read_record(folder: Path) -> RunRecord | None:
    """The record of a run; `None` if it is not finished."""
    path = folder / RECORD
    try:
        return RunRecord.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None
    except RunError as error:
        raise RunError(f"{path}: {error}; delete the folder to run it again, or read it by the version that wrote it") from error


def is_finished(folder: Path) -> bool:
    """Whether a run has come to its end there."""
    return (folder / RECORD).is_file()


def read_measurement(home: Path) -> EfficiencyRecord | None:
    """The measurement in the folder that runs are in; a damaged one, or another version's, is none."""
    path = home / EFFICIENCY
    with suppress(RunError):
        return EfficiencyRecord.from_json(path.read_text(encoding="utf-8")) if path.is_file() else None
    return None


def read_trained(folder: Path) -> TrainingRecord | None:
    """What training did, if it has ended and all of it is stored."""
    path = folder / CHECKPOINTS / TRAINED
    return TrainingRecord.from_json(path.read_text(encoding="utf-8")) if path.is_file() and is_run(folder) else None


def check_plan_file(folder: Path, recipe: Recipe) -> None:
    """Raise `RunError` if the file that a recipe names as its plan is no longer what a finished run has kept."""
    place = recipe.prune.plan if recipe.prune else None
    there = find_plan(folder)
    if not place or not Path(place).is_file() or there is None:
        return
    here = PruningPlan.read(place)
    if here.layers != there.layers or (not recipe.light and here.fingerprint != there.fingerprint):
        raise RunError(
            f"{folder} holds a run of plan {there.fingerprint} ({there.describe()}), and {place} now is {here.fingerprint} "
            f"({here.describe()}); give another folder with --out"
        )


def check_same_data(folder: Path, digest: str) -> None:
    """Raise `RunError` if an unfinished run in the folder began with other examples."""
    file = folder / CHECKPOINTS / DATA
    if file.is_file() and (there := json.loads(file.read_text(encoding="utf-8"))) != digest:
        raise RunError(
            f"{folder} holds a run that began with other examples ({there}, now {digest}): the data have changed, and what it was "
            "trained on may be in another split now; put the data back, or give another folder with --out"
        )


def check_same_plan(folder: Path, plan: PruningPlan) -> None:
    """Raise `RunError` if an unfinished run in the folder began with another plan, or with other weights under the same name."""
    if not (folder / PLAN_FILE).is_file():
        return
    there = PruningPlan.read(folder / PLAN_FILE)
    if there.fingerprint != plan.fingerprint:
        raise RunError(
            f"{folder} holds a run of plan {there.fingerprint} ({there.describe()}), the recipe now gives {plan.fingerprint} "
            f"({plan.describe()}): the plan or the base has changed; give another folder with --out"
        )


def find_plan(folder: Path) -> PruningPlan | None:
    """The plan of a run that was begun."""
    return PruningPlan.read(folder / PLAN_FILE) if (folder / PLAN_FILE).is_file() else None


def read_planning(folder: Path) -> PlanningRecord | None:
    """How a criterion chose a run's plan, if one did."""
    return PlanningRecord.from_json((folder / PLANNING).read_text(encoding="utf-8")) if (folder / PLANNING).is_file() else None


def find_plans(folder: Path) -> Path | None:
    """Where the comparison that a run belongs to keeps the plans of criteria, if it does."""
    beside = folder.absolute().parent / PLANS
    return beside if beside.is_dir() else None


def read_labels(folder: Path) -> list[str] | str | None:
    """The labels that a run tells apart, none for numbers, `CHOICE` or `LIKELIHOOD` of options, `SPAN`; `None` where it writes."""
    path = folder / LABELS
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def read_task(folder: Path) -> TaskName:
    """What a run has its base do."""
    told = read_labels(folder)
    if told is None:
        return "generation"
    if isinstance(told, str):
        return "span" if told == SPAN else "choice"
    return "classification" if told else "regression"


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's and holds what the run has made."""
    return (folder / RECIPE).is_file() and ((folder / ADAPTER).is_dir() or (folder / WEIGHTS).is_dir())


def check_no_export(folder: Path) -> None:
    """Raise `RunError` if a folder is what `pareft export` has written, which has the run's recipe and record beside it."""
    if is_export(folder):
        raise RunError(f"{folder} is an export, and no run; give the folder that `pareft run` or `pareft compare` has written")


def is_export(folder: Path) -> bool:
    """Whether a folder is what `pareft export` has written."""
    return any((folder / name).is_file() for name in ("config.json", "adapter_config.json"))


def read_precision(folder: Path) -> str | None:
    """What a run was trained in: bf16, fp16 or fp32."""
    done = read_record(folder) or read_trained(folder)
    return done.precision if done else None
