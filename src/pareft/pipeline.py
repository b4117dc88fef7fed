"""The path of one run, stage by stage: data → plan → load → adapt → train → evaluate → record. START READING HERE.

Stages return values; this module writes the run folder: `recipe.yaml`, `plan.json`, `adapter/` or `weights/`, `predictions.jsonl`,
`validation/` with what was written in training, and last of all `record.json`, by which a run counts as finished.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.artefact import load_writer, make_writer, save_artefact
from pareft.data.encoding import check_lengths, encode
from pareft.data.prepared import digest_frames
from pareft.data.sources import read_splits
from pareft.errors import ModelError
from pareft.evaluation.metrics import check_references, describe_scorers
from pareft.failures import explain_failures
from pareft.files import write_atomic
from pareft.forecast import fits_plainly
from pareft.models.checkpoint import Base, load_tokenizer, open_base
from pareft.models.families import find_family
from pareft.models.identity import check_weights
from pareft.models.loading import load
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.models.structure import build_on_meta, count_parameters
from pareft.models.surgery import check_plan
from pareft.models.weights import list_tensors
from pareft.progress import SILENT, Progress
from pareft.pruning import plan
from pareft.recipe import Recipe
from pareft.recipe_file import take_recipe, write_yaml
from pareft.records import Parameters, Protocol, RunRecord, StartRecord, TrainingRecord
from pareft.run_folder import (
    ADAPTER,
    CHECKPOINTS,
    ENCODED,
    PREDICTIONS,
    PREFIX,
    RECIPE,
    RECORD,
    STARTED,
    TRAINED,
    VALIDATION,
    check_folder,
    check_same_plan,
    choose_home,
    is_scored_by,
    read_record,
    read_trained,
)
from pareft.runtime import (
    Precision,
    available_bytes,
    choose_device,
    choose_precision,
    choose_writing_precision,
    describe_hardware,
    find_processes,
    list_versions,
    seed_everything,
)
from pareft.scoring import evaluate_split, round_scores, score_again, score_validation
from pareft.sentences import SENTENCE_SPLITTING
from pareft.settings import METRIC_OF, LoraSettings, PruneSettings
from pareft.tuning.adapters import adapt, attach
from pareft.tuning.gaps import check_bridges
from pareft.tuning.plain import is_plain
from pareft.tuning.prefix.ending import find_prefix
from pareft.tuning.prefix.serving import keep_prefix
from pareft.tuning.starting import begin
from pareft.tuning.trackers import Tracked, check_trackers, track
from pareft.tuning.training import Task, count_steps, find_checkpoint, make_arguments, plan_steps, train


@dataclass(frozen=True)
class Prepared:
    """Everything a run needs before there is a model."""

    recipe: Recipe
    base: Base
    plan: PruningPlan
    tokenizer: PreTrainedTokenizerBase
    splits: dict[str, pl.DataFrame]
    precision: Precision
    scorers: dict[str, dict[str, Any]]  # the models that metrics score with
    steps: int = 1  # of the training, if it is not stopped early


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
    check_folder(folder, chosen)
    if record := read_record(folder):
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)  # a kill may have left them
        return record if is_scored_by(folder, chosen) else _score_again(chosen, folder, record)
    prepared = prepare(chosen)
    check_same_plan(folder, prepared.plan)
    processes.wait()  # everybody has seen the folder as it was
    if processes.first:
        write_atomic(folder / RECIPE, write_yaml(chosen))
        write_atomic(folder / PLAN_FILE, prepared.plan.to_json())
    with explain_failures(folder, arm or "the run"):
        record = _run_stages(prepared, folder, arm, progress)
    if processes.first:
        write_atomic(folder / RECORD, record.to_json())
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return record


def _score_again(recipe: Recipe, folder: Path, record: RunRecord) -> RunRecord:
    """Score a finished run's predictions by other metrics; it is not trained again."""
    prepared = prepare(recipe)
    protocol = describe_protocol(prepared)
    scored = score_again(prepared.splits["test"], folder / PREDICTIONS, recipe, there=record.protocol, here=protocol)
    changed = record.model_copy(update={"protocol": protocol, "scores": round_scores(scored)})
    write_atomic(folder / RECORD, changed.to_json())
    write_atomic(folder / RECIPE, write_yaml(recipe))
    return changed


def prepare(recipe: Recipe) -> Prepared:
    """Check everything a user can get wrong before anything is written or loaded."""
    base = open_base(recipe.base, revision=recipe.revision)
    check_writes(base, "a recipe trains")
    family = find_family(base.config)
    list_tensors(base)
    decided = decide(base, recipe.prune)
    shape = build_on_meta(base.config, decided)
    adapted = adapt(shape, recipe.adapt)
    if isinstance(adapted, PeftModel) and isinstance(recipe.adapt, LoraSettings) and recipe.adapt.start == "gap":
        check_bridges(adapted, decided)
    if recipe.train.cache_frozen_prefix:
        find_prefix(adapted)
    check_trackers(recipe.train.report_to)
    precision = choose_precision(recipe.train.precision, half_precision=family.half_precision)
    lengths = {
        "data.max_source_tokens": recipe.data.max_source_tokens,
        "data.max_target_tokens": recipe.data.max_target_tokens,
        "evaluate.max_new_tokens": recipe.evaluate.max_new_tokens,
    }
    names = {*recipe.evaluate.metrics, METRIC_OF[recipe.train.best_metric]}
    scorers = describe_scorers(names, recipe.evaluate)
    tokenizer = load_tokenizer(base)
    positions = getattr(base.config, "max_position_embeddings", None)
    check_lengths(lengths, positions, least=tokenizer.num_special_tokens_to_add())
    splits = read_splits(recipe.data, seed=recipe.seed)
    for split in ("validation", "test"):
        check_references(names, splits[split]["target"])
    _, steps = plan_steps(recipe.train, splits["train"].height)
    return Prepared(recipe, base, decided, tokenizer, splits, precision, scorers, steps)


def check_writes(base: Base, who: str) -> None:
    """Raise `ModelError` unless the base is a text encoder-decoder; `who` wants one."""
    if find_family(base.config).auto_class != "AutoModelForSeq2SeqLM":
        raise ModelError(f"{base.name} is a {base.config.model_type}; {who} text encoder-decoders, such as BART and T5")


def decide(base: Base, settings: PruneSettings | None, *, weights: bool = True) -> PruningPlan:
    """The plan of a recipe; without `weights`, only the base's config is read for it.

    Raises:
        PlanError: layers that are not there, or the file of a plan for another base.
    """
    if settings is None:
        return plan(base, by="everything", weights=weights)
    if settings.plan:
        chosen = PruningPlan.read(settings.plan)
        check_plan(base.config, chosen)
        if weights:
            check_weights(base, list_tensors(base), chosen)
        return chosen
    if isinstance(settings.layers, str):
        return plan(base, by=settings.layers, weights=weights)
    return plan(base, layers=settings.layers, weights=weights)


def build_model(prepared: Prepared) -> PreTrainedModel | PeftModel:
    """Load what the plan keeps and adapt it. A frozen base is stored in bf16 where that is computed with; trained weights are
    float32.
    """
    frozen = prepared.recipe.adapt is not None and prepared.precision == "bf16"
    model = load(prepared.base, prepared.plan, dtype=torch.bfloat16 if frozen else torch.float32)
    return adapt(model, prepared.recipe.adapt, seed=prepared.recipe.seed, steps=prepared.steps).to(choose_device())


def recomputes(prepared: Prepared) -> bool:
    """Whether layers are computed again in the backward pass: as the recipe says, or where a step would not fit otherwise."""
    recipe = prepared.recipe
    asked = recipe.train.gradient_checkpointing
    if asked != "auto":
        return asked
    model = adapt(build_on_meta(prepared.base.config, prepared.plan), recipe.adapt)
    return not fits_plainly(model, recipe, prepared.precision, room=available_bytes())


def encode_split(prepared: Prepared, name: str, *, limit: int | None = None, file: Path | None = None) -> Dataset:
    """One split as token ids; at most the first `limit` rows. In memory, or in a file."""
    data = prepared.recipe.data
    frame = prepared.splits[name]
    return encode(
        frame.head(limit or frame.height),
        prepared.tokenizer,
        prefix=data.prefix,
        max_source_tokens=data.max_source_tokens,
        max_target_tokens=data.max_target_tokens,
        file=file,
    )


def _run_stages(prepared: Prepared, folder: Path, arm: str | None, progress: Progress) -> RunRecord:
    recipe, processes, protocol = prepared.recipe, find_processes(), describe_protocol(prepared)
    seed_everything(recipe.seed)
    progress.start(_label(arm, "load"), None)
    trained = read_trained(folder)
    if trained:
        model = load_writer(folder)
    else:
        model, trained = _train(prepared, folder, arm, progress)
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
        scores=round_scores(scored),
        history=trained.history,
    )
    processes.share(record.to_json())
    return record


def _label(arm: str | None, stage: str) -> str:
    return f"{arm}: {stage}" if arm else stage


def _train(
    prepared: Prepared, folder: Path, arm: str | None, progress: Progress
) -> tuple[PreTrainedModel | PeftModel, TrainingRecord]:
    """Train, and store the adapter or weights, and what training did, so that a run that is killed later does not train again."""
    recipe, processes, model = prepared.recipe, find_processes(), build_model(prepared)
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
        checkpointing=recomputes(prepared),
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
    with track(recipe.train.report_to if processes.first else [], tracked) as send, prefix:

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
            lora_plus=recipe.train.lora_plus,
            on_progress=tell,
        )
    more = {"total": counted.total, "trainable": counted.trainable, "precision": prepared.precision, "start": started}
    stored = trained.model_copy(update=more)
    if processes.first:
        save_artefact(model, prepared.plan, prepared.tokenizer, folder)
        write_atomic(folder / CHECKPOINTS / TRAINED, stored.to_json())
    processes.wait()
    if isinstance(model, PeftModel) and not is_plain(model.peft_config[model.active_adapter]):
        model = load(prepared.base, prepared.plan, dtype=torch.bfloat16 if prepared.precision == "bf16" else torch.float32)
        model = attach(model, folder / ADAPTER)  # what was stored is what is evaluated
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
        batch_size=recipe.train.batch_size,
        precision=prepared.precision,
    )
    if started and find_processes().first:
        write_atomic(stored, started.to_json())
    return started


def describe_protocol(prepared: Prepared) -> Protocol:
    """What the scores depend on besides the model."""
    recipe, data = prepared.recipe, prepared.recipe.data
    return Protocol(
        data=data.path or data.train or "",
        data_digest=digest_frames(prepared.splits),
        source=data.source,
        target=data.target,
        prefix=data.prefix,
        examples={name: frame.height for name, frame in prepared.splits.items()},
        max_source_tokens=data.max_source_tokens,
        max_target_tokens=data.max_target_tokens,
        metrics=list(recipe.evaluate.metrics),
        sentence_splitting=SENTENCE_SPLITTING,
        scorers={name: found for name, found in prepared.scorers.items() if name in recipe.evaluate.metrics},
        num_beams=recipe.evaluate.num_beams,
        max_new_tokens=recipe.evaluate.max_new_tokens,
        no_repeat_ngram_size=recipe.evaluate.no_repeat_ngram_size,
        writing_precision=choose_writing_precision(recipe.evaluate.precision) or "as stored",
        seed=recipe.seed,
    )
