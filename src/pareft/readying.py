"""Everything of a run before there is training: what a user can get wrong, checked; its data, plan and model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.adapter_settings import LoraSettings
from pareft.artefact import check_base, choose_head
from pareft.calibrating import Calibration, choose_by, key_of, limit
from pareft.data.encoding import check_lengths, encode
from pareft.data.prepared import digest_frames
from pareft.data.spans import count_windows
from pareft.data.tasks import Labels, find_right
from pareft.errors import ModelError, RecipeError
from pareft.evaluation.metrics import check_references, describe_scorers
from pareft.files import write_atomic
from pareft.forecast.fitting import fits_plainly
from pareft.frames import pl
from pareft.models.checkpoint import Base, load_tokenizer, open_base
from pareft.models.families import find_family
from pareft.models.identity import check_weights
from pareft.models.loading import load
from pareft.models.plan import PruningPlan
from pareft.models.structure import build_on_meta, count_positions
from pareft.models.surgery import check_plan
from pareft.models.weights import list_tensors
from pareft.progress import SILENT, Progress
from pareft.pruning import plan
from pareft.pruning.choosing import choose
from pareft.recipe import Recipe
from pareft.records import LightRecord, PlanningRecord, Protocol
from pareft.run_folder import CHOICE, LIKELIHOOD, SPAN
from pareft.runtime import (
    Precision,
    available_bytes,
    choose_device,
    choose_precision,
    choose_writing_precision,
    find_processes,
)
from pareft.sentences import SENTENCE_SPLITTING
from pareft.settings import PruneSettings, TaskName
from pareft.tasking import (
    SOURCE,
    check_classifies,
    check_windows,
    find_task,
    list_labels,
    list_metrics,
    read_examples,
    writes,
)
from pareft.tuning.adapters import adapt
from pareft.tuning.dropping import drop_as_asked
from pareft.tuning.gaps import check_bridges
from pareft.tuning.light.trimming import Trimmed, attach_trimmed
from pareft.tuning.prefix.ending import find_prefix
from pareft.tuning.trackers import check_trackers
from pareft.tuning.training import plan_steps


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
    planning: PlanningRecord | None = None  # how a criterion chose the plan, unless it was known
    labels: Labels | None = None  # of a task of labels; of numbers or options, none; where texts are written, `None`
    task: TaskName = "generation"
    trimmed: Trimmed | None = None  # what early pruning has left of the adapter
    light: LightRecord | None = None  # and of everything

    @property
    def by_likelihood(self) -> bool:
        """Whether options are chosen by how likely the base would write them, and not by a head."""
        return self.task == "choice" and writes(self.base)

    @property
    def told(self) -> Labels | str | None:
        """What is told apart: labels, none for numbers, `choice` or `likelihood` for options, or `span`; `None` where texts are
        written.
        """
        if self.task not in (CHOICE, SPAN):
            return self.labels
        return LIKELIHOOD if self.by_likelihood else self.task


def prepare(
    recipe: Recipe, *, plans: Path | None = None, known: PruningPlan | None = None, progress: Progress = SILENT
) -> Prepared:
    """Check everything a user can get wrong before anything is written or loaded; then, if layers are chosen by a criterion, choose
    them, which loads the base.

    Args:
        recipe: without arms, or one of them.
        plans: a folder in which plans by criteria are kept, for other runs of the same.
        known: the plan, if a criterion has chosen it before.
        progress: is told when a criterion chooses.
    """
    check_base(Path(recipe.base))
    base = open_base(recipe.base, revision=recipe.revision)
    task, family = find_task(base, recipe), find_family(base.config)
    list_tensors(base)
    decided = decide(base, recipe.prune)
    adapted = check_adapter(base, decided, recipe)
    if recipe.train.cache_frozen_prefix:
        find_prefix(adapted)
        if recipe.distill and recipe.distill.hidden:
            raise RecipeError(
                "distill.hidden is learnt behind layers that train.cache_frozen_prefix leaves out; let one of them be 0 or false"
            )
    if recipe.distill and recipe.distill.listens and isinstance(recipe.adapt, LoraSettings) and recipe.adapt.method == "adalora":
        raise RecipeError("adapt.method adalora adds a penalty to the model's own loss, which distill replaces; let one of them be")
    if task != "generation":
        check_classifies(recipe, task, writes=writes(base))
    check_trackers(recipe.train.report_to)
    precision = choose_precision(recipe.train.precision, half_precision=family.half_precision)
    lengths = {SOURCE: recipe.data.max_source_tokens}
    if task == "generation":
        lengths["data.max_target_tokens"] = recipe.data.max_target_tokens
        lengths["evaluate.max_new_tokens"] = recipe.evaluate.max_new_tokens
    elif family.kind == "decoder":
        lengths = {"data.max_source_tokens + data.max_target_tokens": recipe.data.max_source_tokens + recipe.data.max_target_tokens}
    elif writes(base):
        lengths["data.max_target_tokens"] = recipe.data.max_target_tokens
    names = list_metrics(recipe)
    scorers = describe_scorers(names, recipe.evaluate)
    tokenizer = load_tokenizer(base)
    if family.kind == "decoder":  # whose batches are padded behind the texts, by whatever is there: it is not attended to
        tokenizer.padding_side = "right"
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    positions = count_positions(base.config)
    if positions and not writes(base):  # RoBERTa's first positions are none of a text's
        positions = min(positions, tokenizer.model_max_length)
    check_lengths(lengths, positions, least=tokenizer.num_special_tokens_to_add())
    if task == "span":
        check_windows(recipe, tokenizer)
    splits = read_examples(recipe, task)
    for split in ("validation", "test"):
        check_references(names, splits[split]["target"])
    labels = list_labels(task, splits, recipe)
    count = splits["train"].height
    if task == "span" and not recipe.train.max_steps:
        count = count_windows(splits["train"], tokenizer, prefix=recipe.data.prefix, max_tokens=recipe.data.max_source_tokens)
    _, steps = plan_steps(recipe.train, count)
    planning = None
    if recipe.prune and recipe.prune.criterion:
        if known:
            decided = known
            check_weights(base, list_tensors(base), decided)
        else:
            limits, examples = limit(base, recipe.prune), recipe.prune.examples
            given = Calibration(base, decided.whole(), limits, examples, recipe, tokenizer, splits["train"], precision)
            decided, planning = _choose(recipe.prune, given, plans, progress)
        check_adapter(base, decided, recipe)
    return Prepared(recipe, base, decided, tokenizer, splits, precision, scorers, steps, planning, labels, task)


def check_adapter(base: Base, decided: PruningPlan, recipe: Recipe) -> PreTrainedModel | PeftModel:
    """The model as the recipe adapts it, on `meta`.

    Raises:
        AdapterError: no module is called what the target says, or a gap has no LoRA before it.
    """
    adapted = adapt(build_on_meta(base.config, decided), recipe.adapt)
    if isinstance(adapted, PeftModel) and isinstance(recipe.adapt, LoraSettings) and recipe.adapt.start == "gap":
        check_bridges(adapted, decided)
    return adapted


def check_writes(base: Base, who: str) -> None:
    """Raise `ModelError` unless the base is a text encoder-decoder; `who` wants one."""
    if find_family(base.config).auto_class != "AutoModelForSeq2SeqLM":
        raise ModelError(f"{base.name} is a {base.config.model_type}; {who} text encoder-decoders, such as BART and T5")


def decide(base: Base, settings: PruneSettings | None, *, weights: bool = True) -> PruningPlan:
    """The plan of a recipe; without `weights`, only the base's config is read for it. Where a criterion chooses, which sees data,
    it is a plan of as many layers, for what only depends on that; `prepare` has the real one.

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
        return _place(chosen, base)
    if settings.criterion:
        limits = limit(base, settings)
        return plan(base, layers=choose({stack: [0.0] * depth for stack, depth in limits.depths.items()}, limits), weights=weights)
    if settings.by:
        rule: Any = settings.by
        return plan(base, by=rule, keep=settings.keep, weights=weights)
    if isinstance(settings.layers, str):
        return plan(base, by=settings.layers, weights=weights)
    return plan(base, layers=settings.layers, weights=weights)


def _place(chosen: PruningPlan, base: Base) -> PruningPlan:
    """A plan that was read, of a base where it is now: it fits the same weights in any folder."""
    return chosen.model_copy(update={"base": base.name, "revision": base.revision})


def _choose(
    settings: PruneSettings, given: Calibration, plans: Path | None, progress: Progress
) -> tuple[PruningPlan, PlanningRecord]:
    """The plan of a criterion: chosen by the first process, once for all runs that keep theirs in one folder."""
    assert settings.criterion
    processes, found = find_processes(), None
    file = plans / f"{key_of(settings, given)}.json" if plans else None
    if processes.first:
        if file and file.is_file():
            scores = file.with_suffix(".scores.json").read_text(encoding="utf-8")
            found = _place(PruningPlan.read(file), given.base), PlanningRecord.from_json(scores)
        else:
            found = choose_by(settings.criterion, given, progress)
            if file:
                write_atomic(file.with_suffix(".scores.json"), found[1].to_json())
                write_atomic(file, found[0].to_json())
    shared: tuple[PruningPlan, PlanningRecord] = processes.share(found)
    return shared


def build_model(prepared: Prepared) -> PreTrainedModel | PeftModel:
    """Load what the plan keeps and adapt it. A frozen base is stored in bf16 where that is computed with; trained weights are
    float32.
    """
    model = load_planned(prepared)
    return build_trained(prepared, model).to(choose_device())


def load_planned(prepared: Prepared) -> PreTrainedModel:
    """What the plan keeps, with a head for the run's task."""
    frozen = prepared.recipe.adapt is not None and prepared.precision == "bf16"
    dtype = torch.bfloat16 if frozen else torch.float32
    return load(prepared.base, prepared.plan, dtype=dtype, **choose_head(prepared.told))


def build_trained(prepared: Prepared, model: PreTrainedModel) -> PreTrainedModel | PeftModel:
    """A model of the run's plan with the run's adapter, in place; it may be on `meta`."""
    if prepared.trimmed:
        return drop_as_asked(attach_trimmed(model, prepared.trimmed, seed=prepared.recipe.seed), prepared.recipe.adapt)
    return adapt(model, prepared.recipe.adapt, seed=prepared.recipe.seed, steps=prepared.steps)


def recomputes(prepared: Prepared, *, beside: int = 0) -> bool:
    """Whether layers are computed again in the backward pass: as the recipe says, or where a step would not fit otherwise, with so
    many bytes `beside` it.
    """
    recipe = prepared.recipe
    asked = recipe.train.gradient_checkpointing
    if asked != "auto":
        return asked
    if prepared.labels is not None:  # no forecast is of classifiers
        return False
    model = build_trained(prepared, build_on_meta(prepared.base.config, prepared.plan))
    return not fits_plainly(model, recipe, prepared.precision, room=available_bytes() - beside)


def encode_split(prepared: Prepared, name: str, *, limit: int | None = None, file: Path | None = None) -> Dataset:
    """One split as token ids; at most the first `limit` rows. In memory, or in a file."""
    data = prepared.recipe.data
    frame = prepared.splits[name]
    if prepared.by_likelihood:  # the right option is a target like any other
        right = [options[find_right(target, options)] for target, options in zip(frame["target"], frame["options"], strict=True)]
        frame = frame.drop("options").with_columns(target=pl.Series(right, dtype=pl.String))
    return encode(
        frame.head(limit or frame.height),
        prepared.tokenizer,
        prefix=data.prefix,
        max_source_tokens=data.max_source_tokens,
        max_target_tokens=data.max_target_tokens,
        labels=None if prepared.by_likelihood else prepared.labels,
        continues=find_family(prepared.base.config).kind == "decoder",
        file=file,
    )


def describe_protocol(prepared: Prepared) -> Protocol:
    """What the scores depend on besides the model."""
    recipe, data = prepared.recipe, prepared.recipe.data
    return Protocol(
        data=data.name or data.path or data.train or "",
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
