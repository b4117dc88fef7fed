"""The path of one run, stage by stage: data → plan → load → adapt → train → evaluate → record. START READING HERE.

Stages return values; this module writes the run folder: `recipe.yaml`, `plan.json`, `adapter/` or `weights/`, `predictions.jsonl`,
`validation/` with what was written in training, and last of all `record.json`, by which a run counts as finished.
"""

import json
import shutil
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel

from pareft.adapter_settings import LoraSettings
from pareft.artefact import load, load_writer, make_writer, save_artefact
from pareft.failures import explain_failures
from pareft.files import write_atomic, write_json
from pareft.holding import hold
from pareft.lightening import check_light, lighten
from pareft.models.plan import PLAN_FILE
from pareft.models.structure import build_on_meta, count_parameters
from pareft.progress import SILENT, Progress
from pareft.readying import Prepared, build_model, describe_protocol, encode_split, prepare, recomputes
from pareft.recipe import Recipe
from pareft.recipe_file import take_recipe, write_yaml
from pareft.records import Parameters, RunRecord, StartRecord, TrainingRecord
from pareft.run_folder import (
    CHECKPOINTS,
    DATA,
    ENCODED,
    LABELS,
    LIGHT,
    PLANNING,
    PREDICTIONS,
    PREFIX,
    RECIPE,
    RECORD,
    STARTED,
    TRAINED,
    VALIDATION,
    check_folder,
    check_plan_file,
    check_same_data,
    check_same_plan,
    choose_home,
    find_plan,
    find_plans,
    is_scored_by,
    read_record,
    read_trained,
)
from pareft.runtime import (
    choose_writing_precision,
    describe_hardware,
    find_processes,
    list_versions,
    seed_everything,
)
from pareft.scoring import evaluate_split, round_scores, score_again, score_validation
from pareft.tasking import digest_examples
from pareft.teaching import ask_teacher, read_teacher, teach
from pareft.teaching.caching import check_caches
from pareft.teaching.finding import Teacher, find_teacher
from pareft.teaching.opening import forecast_bytes
from pareft.tuning.plain import comes_back_otherwise
from pareft.tuning.prefix.serving import keep_prefix
from pareft.tuning.starting import begin
from pareft.tuning.trackers import Tracked, track
from pareft.tuning.training import Task, check_shares, count_steps, find_checkpoint, make_arguments, train


def run(
    recipe: Recipe | str | Path,
    changes: Mapping[str, Any] | None = None,
    *,
    out: str | Path | None = None,
    arm: str | None = None,
    progress: Progress = SILENT,
) -> RunRecord:
    """Run one recipe, or one arm of it, and return its record; a finished run is only read, an interrupted one goes on.

    Raises:
        PareftError: anything the user can mend, before or instead of a half-written folder.
    """
    folder, processes = Path(out or choose_home(recipe) / (arm or "run")), find_processes()
    chosen = take_recipe(recipe, changes, arm=arm).model_copy(update={"arms": {}})
    if record := _read_finished(chosen, folder):
        return record
    with explain_failures(folder, arm or "the run"):
        prepared, teacher = _prepare(chosen, folder, progress)
        with hold(folder):
            if record := _read_finished(chosen, folder):  # by a process that held it meanwhile
                return record
            record = _run_stages(_open(prepared, folder, progress), teacher, folder, arm, progress)
            if processes.first:
                write_atomic(folder / RECORD, record.to_json())
    if processes.first:
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return record


def _read_finished(recipe: Recipe, folder: Path) -> RunRecord | None:
    """The record of a finished run of the recipe, scored by its metrics; `None` if there is none, or an unfinished one."""
    check_folder(folder, recipe)
    record = read_record(folder)
    if record is None:
        return None
    check_plan_file(folder, recipe)
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # a kill may have left them
    return record if is_scored_by(folder, recipe) else _score_again(recipe, folder, record)


def fit(recipe: Recipe, out: Path, *, progress: Progress = SILENT) -> TrainingRecord:
    """Train, and evaluate on nothing but the validation split: a run without its test. What was trained is only read, an
    interrupted training goes on, and `run` in the same folder does the rest.

    Raises:
        PareftError: as `run`.
    """
    check_folder(out, recipe)
    if trained := read_trained(out):
        return trained
    with explain_failures(out, "the run"):
        prepared, teacher = _prepare(recipe, out, progress)
        with hold(out):
            check_folder(out, recipe)
            if trained := read_trained(out):  # by a process that held it meanwhile
                return trained
            prepared = _open(prepared, out, progress)
            seed_everything(recipe.seed)
            _, trained = _train(prepared, teacher, out, None, progress)
    for path in (out / CHECKPOINTS).iterdir() if find_processes().first else ():  # what only training needed
        if path.name not in (TRAINED, DATA):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return trained


def _prepare(recipe: Recipe, folder: Path, progress: Progress) -> tuple[Prepared, Teacher | None]:
    """Everything before there is training, and who teaches it, if it is still to come; nothing is written to the folder."""
    processes, teacher, known = find_processes(), None, find_plan(folder)
    if not read_trained(folder):
        check_shares(recipe.train, processes.count)
    if known and recipe.light:  # which narrows a plan of layers
        known = known.model_copy(update={"heads": {}, "neurons": {}})
    prepared = prepare(recipe, plans=find_plans(folder), known=known, progress=progress)
    check_same_data(folder, digest_examples(prepared.splits))
    if recipe.light:
        check_light(prepared)
    else:
        check_same_plan(folder, prepared.plan)
    if recipe.distill and recipe.distill.asks and not read_trained(folder):
        teacher = find_teacher(prepared, folder.absolute().parent)
        check_caches(teacher, prepared, folder)
    return prepared, teacher


def _open(prepared: Prepared, folder: Path, progress: Progress) -> Prepared:
    """The run's folder with recipe and plan, which early pruning estimates there."""
    recipe, processes = prepared.recipe, find_processes()
    begun = find_checkpoint(folder / CHECKPOINTS) or read_trained(folder)
    processes.wait()  # everybody has seen the folder as it was
    if processes.first:
        write_atomic(folder / RECIPE, write_yaml(recipe))
        if not begun:
            write_json(folder / CHECKPOINTS / DATA, digest_examples(prepared.splits))
        if prepared.planning:
            write_atomic(folder / PLANNING, prepared.planning.to_json())
        if prepared.told is not None:
            write_atomic(folder / LABELS, json.dumps(prepared.told) + "\n", private=True)
    if recipe.light:
        prepared = lighten(prepared, find_plans(folder) or folder / LIGHT, progress)
        check_same_plan(folder, prepared.plan)
    if processes.first:
        write_atomic(folder / PLAN_FILE, prepared.plan.to_json())
    return prepared


def _score_again(recipe: Recipe, folder: Path, record: RunRecord) -> RunRecord:
    """Score a finished run's predictions by other metrics; it is not trained again."""
    prepared = prepare(recipe, known=find_plan(folder))
    protocol = describe_protocol(prepared)
    scored = score_again(prepared.splits["test"], folder / PREDICTIONS, recipe, there=record.protocol, here=protocol)
    changed = record.model_copy(update={"protocol": protocol, "scores": round_scores(scored)})
    write_atomic(folder / RECORD, changed.to_json())
    write_atomic(folder / RECIPE, write_yaml(recipe))
    return changed


def _run_stages(prepared: Prepared, teacher: Teacher | None, folder: Path, arm: str | None, progress: Progress) -> RunRecord:
    recipe, processes, protocol = prepared.recipe, find_processes(), describe_protocol(prepared)
    seed_everything(recipe.seed)
    progress.start(_label(arm, "load"), None)
    trained = read_trained(folder)
    if trained:
        model = load_writer(folder)
    else:
        model, trained = _train(prepared, teacher, folder, arm, progress)
    started = time.perf_counter()
    label = _label(arm, "evaluate")
    scored = evaluate_split(
        make_writer(model, precision=choose_writing_precision(recipe.evaluate.precision)),
        prepared.tokenizer,
        prepared.splits["test"],
        folder / PREDICTIONS,
        recipe,
        progress=progress,
        label=label,
    )
    if scored is None:
        return RunRecord.from_json(processes.share(None))
    record = RunRecord(
        arm=arm,
        base=recipe.base,
        plan_fingerprint=prepared.plan.fingerprint,
        protocol=protocol,
        parameters=Parameters(
            base=count_parameters(build_on_meta(prepared.base.config)).total,
            total=trained.total,
            trainable=trained.trainable,
            layers_kept={stack: len(kept) for stack, kept in prepared.plan.layers.items()},
            depths=prepared.plan.depths,
            layers_dropped_ratio=prepared.plan.ratio,
        ),
        precision=prepared.precision,
        seed=recipe.seed,
        versions=list_versions(),
        hardware=describe_hardware() | {"processes": processes.count},
        train_seconds=trained.seconds,
        train_evaluation_seconds=trained.evaluation_seconds,
        evaluations_left_out=trained.evaluations_left_out,
        evaluate_seconds=round(time.perf_counter() - started, 2),
        steps=trained.steps,
        best_step=trained.best_step,
        start=trained.start,
        distill=trained.distill,
        light=prepared.light,
        scores=round_scores(scored),
        history=trained.history,
    )
    processes.share(record.to_json())
    return record


def _label(arm: str | None, stage: str) -> str:
    return f"{arm}: {stage}" if arm else stage


def _train(
    prepared: Prepared, teacher: Teacher | None, folder: Path, arm: str | None, progress: Progress
) -> tuple[PreTrainedModel | PeftModel, TrainingRecord]:
    """Train, and store the adapter or weights, and what training did, so that a run that is killed later does not train again."""
    recipe, processes = prepared.recipe, find_processes()
    if teacher:
        ask_teacher(teacher, prepared, folder, progress, _label(arm, "the teacher writes"))
    listens = bool(recipe.distill and recipe.distill.listens)
    model = build_model(prepared)
    counted = count_parameters(model)
    progress.start(_label(arm, "train"), None)
    examples = encode_split(prepared, "train", file=folder / CHECKPOINTS / ENCODED)
    prepared.splits.pop("train")  # its text is not needed any more
    started = _begin(prepared, model, examples, folder / CHECKPOINTS)
    arguments = make_arguments(
        recipe.train,
        examples=len(examples),
        precision=prepared.precision,
        seed=recipe.seed,
        folder=folder / CHECKPOINTS,
        processes=processes.count,
        checkpointing=recomputes(prepared, beside=forecast_bytes(teacher, prepared) if teacher and listens else 0),
        distilling=listens,
    )
    task = Task(
        examples,
        prepared.tokenizer,
        evaluate=lambda trained, step: score_validation(
            trained, prepared.tokenizer, prepared.splits["validation"], folder / VALIDATION / f"step-{step:06}.jsonl", recipe
        ),
    )
    tracked = Tracked(folder, steps_before=count_steps(folder / CHECKPOINTS))
    prefix = keep_prefix(
        model,
        examples,
        recipe.train.cache_frozen_prefix,
        cross=recipe.train.cache_cross_attention,
        folder=folder / CHECKPOINTS / PREFIX,
        precision=prepared.precision,
    )
    with ExitStack() as stack:
        send = stack.enter_context(track(recipe.train.report_to if processes.first else [], tracked))
        stack.enter_context(prefix)
        distiller = None
        if teacher and listens:
            distiller = stack.enter_context(teach(teacher, model, prepared, examples, folder=folder))

        def tell(done: int, total: int, values: dict[str, float]) -> None:
            progress.advance(done, total, values)
            send(values, done)

        trained = train(
            model,
            task,
            arguments,
            patience=recipe.train.patience,
            share=recipe.train.evaluate_share,
            fast=recipe.train.fast,
            lora_plus=recipe.train.lora_plus if isinstance(recipe.adapt, LoraSettings) else None,
            distiller=distiller,
            on_progress=tell,
        )
    more = {
        "distill": read_teacher(folder),
        "total": counted.total,
        "trainable": counted.trainable,
        "precision": prepared.precision,
        "start": started,
    }
    stored = trained.model_copy(update=more)
    if processes.first:
        save_artefact(model, prepared.plan, prepared.tokenizer, folder)
        write_atomic(folder / CHECKPOINTS / TRAINED, stored.to_json())
    processes.wait()
    if isinstance(model, PeftModel) and comes_back_otherwise(model.peft_config[model.active_adapter]):
        model = load(folder)  # what was stored is what is evaluated
    return model, stored


def _begin(prepared: Prepared, model: PreTrainedModel | PeftModel, examples: Dataset, folder: Path) -> StartRecord | None:
    """Give a new adapter what it starts with; one that is being trained has it."""
    recipe, stored = prepared.recipe, folder / STARTED
    if find_checkpoint(folder) or not isinstance(recipe.adapt, LoraSettings):
        return StartRecord.from_json(stored.read_text(encoding="utf-8")) if stored.is_file() else None
    started = begin(
        model,
        recipe.adapt,
        examples,
        prepared.tokenizer,
        base=prepared.base,
        plan=prepared.plan,
        precision=prepared.precision,
    )
    if started and find_processes().first:
        write_atomic(stored, started.to_json())
    return started
