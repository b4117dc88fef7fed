"""What a recipe has its base do: write, or say which label, number, option or part of a text; and what goes with that."""

from collections.abc import Mapping

from transformers import PreTrainedTokenizerBase

from pareft.adapter_settings import LoraSettings
from pareft.data.prepared import digest_frames
from pareft.data.sources import read_splits
from pareft.data.spans import locate_answers
from pareft.data.tasks import Labels, check_numbers, find_labels, name_options
from pareft.errors import ModelError, RecipeError
from pareft.frames import pl
from pareft.models.checkpoint import Base
from pareft.models.families import find_family
from pareft.recipe import Recipe
from pareft.settings import EITHER, METRIC_OF, TaskName

SOURCE = "data.max_source_tokens"
LEAST_WINDOW = 24  # tokens of a question and a part of its text, so that windows can overlap
WRITERS = ("AutoModelForSeq2SeqLM", "AutoModelForCausalLM")
METRICS_OF: dict[TaskName, tuple[str, ...]] = {
    "classification": ("classification", "f1"),
    "regression": ("regression",),
    "choice": ("exact_match", "answers"),
    "span": ("answers",),
}
BEST_OF: dict[TaskName, str] = {"classification": "accuracy", "regression": "pearson", "choice": "exact_match", "span": "answer_f1"}


def writes(base: Base) -> bool:
    """Whether a base writes texts, and has the head for it."""
    return find_family(base.config).auto_class in WRITERS


def find_task(base: Base, recipe: Recipe) -> TaskName:
    """What a recipe has a base do.

    Raises:
        ModelError: a base that does not do this.
    """
    kind, task = find_family(base.config).auto_class, recipe.data.task
    if writes(base) and (task == "choice" or (task is None and recipe.data.options)):
        return "choice"
    if kind == "AutoModelForSeq2SeqLM":
        if task not in (None, "generation") or recipe.data.options:
            raise ModelError(
                f"{base.name} is a {base.config.model_type}, which writes labels as texts (data.task generation) or chooses among "
                "options; encoders classify"
            )
        return "generation"
    if kind != "AutoModel" or task == "generation":
        raise ModelError(
            f"{base.name} is a {base.config.model_type}; a recipe trains text encoder-decoders, such as BART and T5, encoders that "
            "classify, such as BERT and RoBERTa, and decoders that choose among options, such as Llama (data.options)"
        )
    if task in ("classification", "regression") and recipe.data.options:
        raise RecipeError(f"data.options are for data.task choice, and it is {task}; let one of them be null")
    return task or ("choice" if recipe.data.options else "classification")


def check_classifies(recipe: Recipe, task: TaskName, *, writes: bool = False) -> None:
    """Raise `RecipeError` for what only goes where texts are written; `writes`: the base could, and has its head."""
    if recipe.distill:
        raise RecipeError(f"distill: what a teacher says is of texts that are written, and data.task is {task}; let it be null")
    if recipe.train.cache_frozen_prefix:
        raise RecipeError(f"train.cache_frozen_prefix is for texts that are written, and data.task is {task}; let it be false")
    if recipe.prune and recipe.prune.criterion:
        check_texts(recipe.prune.criterion, task)
    if recipe.adapt and isinstance(recipe.adapt, LoraSettings) and recipe.adapt.start in ("gap", "eva"):
        raise RecipeError(f"adapt.start {recipe.adapt.start} looks at texts and what is written for them; data.task is {task}")
    if recipe.evaluate.untouched and not writes:
        raise RecipeError("evaluate.untouched scores a base that has not been trained, and this one has no head for the task yet")
    for name in (*recipe.evaluate.metrics, METRIC_OF[recipe.train.best_metric]):
        if name not in METRICS_OF[task]:
            raise RecipeError(
                f"{name} scores texts, and the targets of {task} are none: let evaluate.metrics be [{METRICS_OF[task][0]}] and "
                f"train.best_metric {BEST_OF[task]}"
            )


def check_texts(by: str, task: TaskName) -> None:
    """Raise `RecipeError` where layers are chosen by what texts lose, and none are written; `by`: a criterion, or what else."""
    if task != "generation" and by != "magnitude":
        raise RecipeError(f"{by} looks at a loss of texts, and data.task is {task}; magnitude and rules do not")


def check_windows(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise unless texts can be cut in windows of which every token's characters are known.

    Raises:
        ModelError: a tokenizer that does not know them.
        RecipeError: windows that are too short.
    """
    if not tokenizer.is_fast:
        raise ModelError(f"data.task span needs a fast tokenizer, one with a tokenizer.json, and {recipe.base} has none")
    if recipe.data.max_source_tokens < LEAST_WINDOW:
        raise RecipeError(
            f"{SOURCE} is {recipe.data.max_source_tokens}; a question and a part of its text have {LEAST_WINDOW} at least"
        )


def list_labels(task: TaskName, splits: Mapping[str, pl.DataFrame], recipe: Recipe) -> Labels | None:
    """The labels of a task that has them, none of another; `None` where texts are written.

    Raises:
        DataError: targets that are no labels, or no numbers.
    """
    if task == "generation":
        return None
    if task == "classification":
        return find_labels(splits, where=name_target(recipe))
    if task == "regression":
        check_numbers(splits, where=name_target(recipe))
    return ()


def read_examples(recipe: Recipe, task: TaskName) -> dict[str, pl.DataFrame]:
    """The splits of a recipe as a task has them. Of texts that are written, without options and places of answers, and where
    several are right by the metrics, with the first of them to learn; options are named by their texts; of parts of texts, without
    training examples whose answer is not where it is said to be.

    Raises:
        DataError: what `read_splits` refuses, or options or answers that are not there.
    """
    splits = read_splits(recipe.data, seed=recipe.seed)
    if task == "generation":
        splits = {name: frame.drop("options", "start", strict=False) for name, frame in splits.items()}
        if {"answers", "exact_match"} & list_metrics(recipe):
            splits["train"] = _take_first(splits["train"])
    if task == "choice":
        splits = name_options(splits, where=name_target(recipe))
    if task == "span":
        splits["train"] = locate_answers(splits["train"], where=name_target(recipe))
    return splits


def digest_examples(splits: Mapping[str, pl.DataFrame]) -> str:
    """Identify the splits of a task, whatever metrics say of several right targets."""
    return digest_frames({**splits, "train": _take_first(splits["train"])})


def _take_first(frame: pl.DataFrame) -> pl.DataFrame:
    """Examples with the first of several right targets."""
    return frame.with_columns(target=pl.col("target").str.split(EITHER).list.first())


def list_metrics(recipe: Recipe) -> set[str]:
    """The metrics of a recipe, and that by which its best checkpoint is chosen."""
    return {*recipe.evaluate.metrics, METRIC_OF[recipe.train.best_metric]}


def name_target(recipe: Recipe) -> str:
    """The line of a recipe that says what its targets are."""
    return f"data.name {recipe.data.name}" if recipe.data.name else f"data.target {recipe.data.target!r}"
