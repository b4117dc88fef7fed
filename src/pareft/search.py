"""`pareft tune`: an arm's learning rate, rank, target and length, looked for by Optuna on the validation split alone."""

import json
import math
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from pareft.adapter_settings import TARGETS, BottleneckSettings, LoraSettings
from pareft.errors import AdapterError, PareftError, RecipeError, RunError, suggest
from pareft.extras import explain_missing
from pareft.files import open_alone, write_atomic, write_json
from pareft.lightening import check_light
from pareft.pipeline import fit
from pareft.progress import SILENT, Progress
from pareft.readying import Prepared, check_adapter, prepare
from pareft.recipe import Recipe, override, resolve
from pareft.recipe_file import write_yaml
from pareft.records import SearchRecord, TrainingRecord, TrialRecord
from pareft.run_folder import BEST, PLANS, SEARCH, STUDY
from pareft.runtime import find_processes
from pareft.settings import METRIC_OF
from pareft.tasking import digest_examples
from pareft.teaching.finding import find_teacher
from pareft.tuning.prefix.ending import find_prefix

RESTS_ON, LOCK = "rests-on.json", "lock"  # the digests of data and plan; held by who searches
REFUSED = "refused"
FARTHEST = 10.0  # times the recipe's learning rate, either way
RANKS = (0.5, 1, 2, 4)  # times the recipe's
LENGTHS = (0.5, 1, 2)  # times the recipe's

OnTrial = Callable[[TrialRecord], None]


def search(
    recipe: Recipe,
    out: Path,
    *,
    metric: str,
    trials: int,
    space: Sequence[str],
    progress: Progress = SILENT,
    on_trial: OnTrial = lambda _: None,
) -> SearchRecord:
    """Train `trials` times, the recipe as it is first, and write the best as a recipe. A search that was interrupted goes on; with
    more trials, it takes the more.

    Args:
        recipe: one without arms, or one of its arms.
        out: `best.yaml`, `search.json`, Optuna's own journal, and the best trial's folder, where `pareft run` goes on to the test.
        metric: by what trials are compared and their best checkpoints chosen, on the validation split.
        trials: how many there are to be in all.
        space: what is looked for: `learning_rate`, up to ten times the recipe's either way; `rank`, half to four times, with the
            same alpha / rank; `target`; `epochs`, half or twice as many, or steps where the recipe says these.
        progress: is told what happens in a trial.
        on_trial: is called with every trial that ends, or had before.

    Raises:
        RunError: an unknown metric or nothing to look for; a folder that holds the search of another recipe, space or data, or in
            which another process searches.
        RecipeError: the recipe does not go.
    """
    chosen = _check(recipe, metric, space)
    if find_processes().count > 1:
        raise RunError("several processes train one arm, but do not search: start pareft tune alone")
    with explain_missing("optuna", extra="tune", error=RunError):
        import optuna  # noqa: F401
    _check_folder(out, chosen, space)
    prepared = prepare(chosen, plans=out / PLANS)  # what the recipe as it is gets wrong is no trial's fault
    if chosen.distill and chosen.distill.asks:
        find_teacher(prepared, out.absolute())
    out.mkdir(parents=True, exist_ok=True)
    held = open_alone(out / LOCK)
    if held is None:
        raise RunError(f"another process is searching in {out}; wait for it, or give another folder with --out")
    with held:
        rests_on = {"data": digest_examples(prepared.splits), "plan": prepared.plan.fingerprint}
        if _read(out / RESTS_ON) not in (None, rests_on):
            raise RunError(
                f"{out} holds a search on other examples, or of a base with other weights: trials of both cannot be compared; put "
                "them back, or give another folder with --out"
            )
        write_atomic(out / "recipe.yaml", write_yaml(chosen))
        write_atomic(out / "space.json", json.dumps(sorted(space)) + "\n")
        write_json(out / RESTS_ON, rests_on)
        return _search(prepared, out, metric, trials, space, progress, on_trial)


def _search(
    prepared: Prepared, out: Path, metric: str, trials: int, space: Sequence[str], progress: Progress, on_trial: OnTrial
) -> SearchRecord:
    """Go on to `trials` in a folder that is this search's alone."""
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    chosen = prepared.recipe
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    targets = _list_targets(prepared) if "target" in space else []
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(out / STUDY))),
        study_name="search",
        direction="maximize",
        load_if_exists=True,
    )
    seed = (chosen.seed + len(study.get_trials())) % 2**32  # or a search that is taken up would draw its first trials again
    study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=max(3, trials // 3))
    _take_up(study, optuna.trial.TrialState, first=_describe_as_is(chosen, space))
    done: list[TrialRecord] = []

    def try_out(trial: Any) -> float:
        changes = _suggest(trial, chosen, space, targets)
        if same := next((other for other in done if other.changes == changes), None):
            trial.set_user_attr("seconds", same.seconds)
            trial.set_user_attr("trained", same.trained)
            return same.score
        try:
            record = fit(resolve(override(chosen.model_dump(), changes)), out / _name(trial.params), progress=progress)
        except PareftError:
            trial.set_user_attr(REFUSED, True)  # started again, the search goes on with another
            raise
        trial.set_user_attr("seconds", record.seconds)
        trial.set_user_attr("trained", record.trainable)
        return find_best(record, metric)

    def tell(_: Any, trial: Any) -> None:
        done.append(_record(trial, chosen, space))
        best = max(done, key=lambda trial: trial.score)
        for other in done:  # their numbers are kept, and no model but the best
            if other.changes != best.changes:
                shutil.rmtree(out / other.folder, ignore_errors=True)
        on_trial(done[-1])

    complete = study.get_trials(states=(optuna.trial.TrialState.COMPLETE,))
    for trial in complete:
        tell(study, trial)
    started = time.perf_counter()
    if trials > len(complete):
        study.optimize(try_out, n_trials=trials - len(complete), callbacks=[tell])
    best = max(done, key=lambda trial: trial.score)
    found = SearchRecord(
        metric=metric, space=list(space), trials=done, best=best.number, seconds=round(time.perf_counter() - started, 2)
    )
    head = f"# {metric} {best.score:.2f} on the validation split, the best of {len(done)} trials of pareft tune\n"
    write_atomic(out / BEST, head + write_yaml(resolve(override(chosen.model_dump(), best.changes))))
    write_atomic(out / SEARCH, found.to_json())
    return found


def list_space(recipe: Recipe) -> list[str]:
    """What can be looked for in an arm."""
    ranked = isinstance(recipe.adapt, LoraSettings | BottleneckSettings)
    return ["learning_rate", *(["rank"] if ranked else []), *(["target"] if recipe.adapt else []), "epochs"]


def find_best(record: TrainingRecord, metric: str) -> float:
    """The best score in training, of the checkpoint that was kept."""
    return max(entry[f"eval_{metric}"] for entry in record.history if f"eval_{metric}" in entry)


def _check(recipe: Recipe, metric: str, space: Sequence[str]) -> Recipe:
    if metric not in METRIC_OF:
        raise RunError(f"--metric: no {metric!r}.{suggest(metric, METRIC_OF)} There is {', '.join(METRIC_OF)}")
    if recipe.arms:
        raise RunError(f"the recipe has arms; say which one with --arm: {', '.join(recipe.arms)}")
    possible = list_space(recipe)
    for name in space:
        if name not in possible:
            raise RunError(
                f"--space: this arm has no {name!r} to look for.{suggest(name, possible)} There is {', '.join(possible)}"
            )
    if not space:
        raise RunError(f"--space: name at least one of {', '.join(possible)}")
    return resolve(override(recipe.model_dump(), {"train.best_metric": metric}))


def _check_folder(out: Path, recipe: Recipe, space: Sequence[str]) -> None:
    stored, searched = out / "recipe.yaml", out / "space.json"
    begun = (PLANS, LOCK)  # what a search may leave that ended before it began
    if not stored.is_file() and out.is_dir() and any(path.name not in begun for path in out.iterdir()):
        raise RunError(f"{out} holds something else; give another folder with --out")
    if not stored.is_file():
        return
    same = stored.read_text(encoding="utf-8") == write_yaml(recipe)
    if not same or _read(searched) != sorted(space):
        raise RunError(f"{out} holds the search of another recipe, metric or space; give another folder with --out")


def _read(path: Path) -> Any:
    """The JSON in a file; `None` without one."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _take_up(study: Any, states: Any, first: Mapping[str, Any]) -> None:
    """Have an interrupted trial taken again, in its folder; of a new study, have the recipe as it is come first."""
    trials = study.get_trials()
    waiting = [trial for trial in trials if trial.state in (states.COMPLETE, states.WAITING, states.RUNNING)]
    if not any(trial.number == 0 or trial.params == first for trial in waiting):
        study.enqueue_trial(dict(first))
    elif (last := trials[-1]).state in (states.RUNNING, states.FAIL) and REFUSED not in last.user_attrs:
        if last.state == states.RUNNING:  # it was killed
            study.tell(last.number, state=states.FAIL)
        study.enqueue_trial(last.params)


def _list_ranks(recipe: Recipe) -> list[int]:
    assert isinstance(recipe.adapt, LoraSettings | BottleneckSettings)
    return sorted({max(1, round(times * recipe.adapt.rank)) for times in RANKS})


def _list_targets(prepared: Prepared) -> list[str]:
    """The recipe's own target, and those by name that the base has and that go with its other lines, as JSON: Optuna keeps no
    lists.
    """
    recipe = prepared.recipe
    assert recipe.adapt
    found = [json.dumps(recipe.adapt.target)]
    for target in TARGETS:
        other = resolve(override(recipe.model_dump(), {"adapt.target": target}))
        with suppress(AdapterError, RecipeError):
            adapted = check_adapter(prepared.base, prepared.plan, other)
            if recipe.train.cache_frozen_prefix:
                find_prefix(adapted)
            if recipe.light:
                check_light(replace(prepared, recipe=other))
            found.append(json.dumps(target))
    return list(dict.fromkeys(found))


def _describe_as_is(recipe: Recipe, space: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {"learning_rate": recipe.train.learning_rate, "epochs": 1}
    if isinstance(recipe.adapt, LoraSettings | BottleneckSettings):
        values["rank"] = recipe.adapt.rank
    if recipe.adapt:
        values["target"] = json.dumps(recipe.adapt.target)
    return {name: values[name] for name in space}


def _suggest(trial: Any, recipe: Recipe, space: Sequence[str], targets: Sequence[str]) -> dict[str, Any]:
    """What a trial changes in the recipe."""
    rate = recipe.train.learning_rate
    if "learning_rate" in space:
        trial.suggest_float("learning_rate", rate / FARTHEST, rate * FARTHEST, log=True)
    if "rank" in space:
        trial.suggest_categorical("rank", _list_ranks(recipe))
    if "target" in space:
        trial.suggest_categorical("target", targets)
    if "epochs" in space:
        trial.suggest_categorical("epochs", list(LENGTHS))
    return _as_changes(trial.params, recipe)


def _as_changes(params: Mapping[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Optuna's values as lines of the recipe."""
    changes: dict[str, Any] = {}
    if "learning_rate" in params:
        changes["train.learning_rate"] = float(f"{params['learning_rate']:.3g}")
    if "rank" in params and recipe.adapt:
        changes |= recipe.adapt.change_rank(params["rank"])
    if "target" in params:
        changes["adapt.target"] = json.loads(params["target"])
    if times := params.get("epochs"):
        changes |= {"train.epochs": recipe.train.epochs * times, "train.warmup_steps": round(recipe.train.warmup_steps * times)}
        if recipe.train.max_steps:
            changes["train.max_steps"] = math.ceil(recipe.train.max_steps * times)
    return changes


def _name(params: Mapping[str, Any]) -> str:
    """A trial's folder, by what it tries: the same values, the same training."""
    parts = (f"{value:.3g}" if isinstance(value, float) else str(value) for _, value in sorted(params.items()))
    return "-".join(["trial", *(re.sub(r"[^A-Za-z0-9.+]+", "_", part).strip("_") for part in parts)])


def _record(trial: Any, recipe: Recipe, space: Sequence[str]) -> TrialRecord:
    return TrialRecord(
        number=trial.number,
        folder=_name(trial.params),
        changes=_as_changes({name: trial.params[name] for name in space}, recipe),
        score=round(float(trial.value), 4),
        seconds=float(trial.user_attrs["seconds"]),
        trained=int(trial.user_attrs["trained"]),
    )
