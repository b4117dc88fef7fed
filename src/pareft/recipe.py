"""What a user may ask for: strict, typed, frozen, with every default in this one place. No files and no torch in here."""

import difflib
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from pareft.errors import RecipeError

EXCLUSIVE = {"layers": "plan", "plan": "layers"}  # lines of prune of which only one holds
PARTS = ("data", "prune", "adapt", "train", "evaluate", "measure")
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
ARM_NAME = r"[A-Za-z0-9][A-Za-z0-9_.+ -]*"


class Settings(BaseModel):
    """Common to all parts of a recipe: unknown keys are errors, nothing changes after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class DataSettings(Settings):
    """Where examples come from. `path`: a prepared folder, a CSV, TSV, JSONL or Parquet file, or a data set on the Hub.

    Or a file per split in `train`, `validation` and `test`; `path` is then the folder they are in.
    """

    path: str | None = None
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    source: str = "source"
    target: str = "target"
    prefix: str = ""
    max_source_tokens: PositiveInt = 1024
    max_target_tokens: PositiveInt = 128
    limit: dict[Literal["train", "validation", "test"], PositiveInt] = {}


class PruneSettings(Settings):
    """What stays: layers by the paper's rule or as listed for each stack, 0-based; or what the file of a plan says."""

    layers: Literal["alternating"] | dict[str, list[int]] | None = "alternating"
    plan: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_of_both(cls, values: Any) -> Any:
        if not isinstance(values, Mapping) or values.get("plan") is None:
            return values
        if values.get("layers") is not None:
            raise ValueError("give prune.plan or prune.layers, not both; the other is null")
        return {**values, "layers": None}

    @model_validator(mode="after")
    def _one_at_least(self) -> "PruneSettings":
        if self.layers is None and self.plan is None:
            raise ValueError("give prune.layers or prune.plan; `prune: null` prunes nothing")
        return self


class LoraSettings(Settings):
    """LoRA as in arXiv 2305.08285: scale alpha / rank; `bias: wrapped` also trains the existing bias of every wrapped layer.

    `layers`: which layers of which stack get adapters, 0-based in the model that is adapted; a stack that is not named gets none.
    """

    method: Literal["lora"] = "lora"
    target: Literal["ffn", "qv", "attention", "all"] | Annotated[list[str], Field(min_length=1)] = "ffn"
    layers: dict[str, Literal["all"] | list[NonNegativeInt]] | None = None
    rank: PositiveInt = 16
    alpha: PositiveFloat = 32
    dropout: float = Field(0.1, ge=0, lt=1)
    bias: Literal["none", "wrapped"] = "wrapped"


RougeName = Literal["rouge1", "rouge2", "rougeL", "rougeLsum"]
BestMetric = RougeName | Literal["bleu", "bertscore_f1", "summac_zs", "accuracy", "macro_f1", "matthews", "pearson", "spearman"]


def count_bytes(size: str) -> int:
    """How many bytes a size such as `20GB` is; 0 for what is none."""
    number, unit = size[:-2].strip(), UNITS.get(size[-2:].upper(), 0)
    return int(float(number) * unit) if re.fullmatch(r"\d+(\.\d+)?", number) else 0


TrackerName = Literal["tensorboard", "trackio", "wandb", "mlflow"]


class FastSettings(Settings):
    """Ways to the same numbers in less time and memory; `false` takes the plain way.

    `lora`: one pass over what LoRA reads, without casts; `dropout`: on a processor, masks of sixteen random bits; `loss`: logits
    for a part of the targets at a time; `attention`: on a processor, by matrix products; `memory`: on a processor, what is freed
    is used again; `batches`: in parts of similar length, each of at most `part_tokens`, sources and targets together (`auto`: 4,096
    on a processor, any number on CUDA).
    """

    lora: bool = True
    dropout: bool = True
    loss: bool = True
    attention: bool = True
    memory: bool = True
    batches: bool = True
    part_tokens: PositiveInt | Literal["auto"] | None = "auto"


class TrainSettings(Settings):
    """AdamW, linear warm-up and decay; every `evaluate_every` epochs a greedy evaluation, short and within `evaluate_share` of the
    time; best checkpoint by `best_metric`, early stopping. `report_to`: trackers that get the numbers of the log.

    `gradient_checkpointing`: layers are computed again in the backward pass; `auto`: where a step is forecast not to fit else.
    `cache_frozen_prefix`: what is frozen before everything that is trained is computed once, without dropout, and kept on disk;
    `cache_cross_attention`: and the keys and values of the encoder's states, as `auto` on a processor, if they fit into memory.
    """

    epochs: PositiveFloat = 10
    max_steps: PositiveInt | None = None
    batch_size: PositiveInt = 8
    accumulation: PositiveInt = 1
    learning_rate: PositiveFloat = 1e-4
    warmup_steps: NonNegativeInt = 1000
    weight_decay: NonNegativeFloat = 0.01
    precision: Literal["auto", "bf16", "fp16", "fp32"] = "auto"
    evaluate_every: PositiveFloat = 0.3
    evaluate_examples: Annotated[int, Field(strict=True, gt=0)] | Annotated[float, Field(strict=True, gt=0, le=1)] | None = None
    evaluate_max_new_tokens: PositiveInt = 50
    evaluate_share: Annotated[float, Field(gt=0, le=1)] | None = 0.5
    best_metric: BestMetric = "rouge1"
    patience: PositiveInt = 20
    report_to: list[TrackerName] = []
    gradient_checkpointing: bool | Literal["auto"] = "auto"
    cache_frozen_prefix: bool | str = False
    cache_cross_attention: bool | Literal["auto"] = "auto"
    fast: FastSettings = FastSettings()

    @field_validator("cache_frozen_prefix", mode="before")
    @classmethod
    def _check_size(cls, value: Any) -> Any:
        if not isinstance(value, bool) and not (isinstance(value, str) and count_bytes(value)):
            raise ValueError("give true, false, or how much of the disk it may take, such as 20GB")
        return value

    @field_validator("report_to", mode="before")
    @classmethod
    def _name_trackers(cls, names: Any) -> Any:
        known = get_args(TrackerName)
        named = [names] if isinstance(names, str) else names
        for name in named if isinstance(named, list) else ():
            if name not in known:
                raise ValueError(f"no tracker {name!r}.{_suggest(str(name), known)} Known here: {', '.join(known)}")
        return named


MetricName = Literal["rouge", "bleu", "bleu_precisions", "bertscore", "summac", "surface", "classification", "regression"]
METRIC_OF: dict[str, str] = {  # the metric that computes what a checkpoint can be chosen by
    **dict.fromkeys(("rouge1", "rouge2", "rougeL", "rougeLsum"), "rouge"),
    "bleu": "bleu",
    "bertscore_f1": "bertscore",
    "summac_zs": "summac",
    **dict.fromkeys(("accuracy", "macro_f1", "matthews"), "classification"),
    **dict.fromkeys(("pearson", "spearman"), "regression"),
}


class BertScoreSettings(Settings):
    """The encoder of BERTScore, by name or folder; its layer (the last), and the file of a baseline to rescale by."""

    model: str | None = None
    layer: NonNegativeInt | None = None
    baseline: str | None = None
    batch_size: PositiveInt = 16


class SummacSettings(Settings):
    """The NLI model of SummaC, by name or folder; `labels`: its outputs for entailment and contradiction, where their names do not
    say it; `convolution`: the file of SummaC-Conv's published weights.
    """

    model: str | None = None
    labels: tuple[NonNegativeInt, NonNegativeInt] | None = None
    convolution: str | None = None
    max_source_sentences: PositiveInt = 100
    batch_size: PositiveInt = 16


class FastWriting(Settings):
    """Ways to write the same in less time; `false` takes stock `generate`'s own.

    `beams`: what the beams of a source share is computed and kept once; `repeats`: repeated n-grams are looked for in all rows at
    once.
    """

    beams: bool = True
    repeats: bool = True


class EvaluateSettings(Settings):
    """The test evaluation: beam search and the metrics; `untouched` has `compare` score the base as it is, too.

    `precision` is what the model that writes is stored and computed in: `null` leaves it as it is, trained and merged weights in
    fp32; `auto` is bf16 where the hardware computes in it.
    """

    metrics: Annotated[list[MetricName], Field(min_length=1)] = ["rouge"]
    bertscore: BertScoreSettings = BertScoreSettings()
    summac: SummacSettings = SummacSettings()
    num_beams: PositiveInt = 6
    max_new_tokens: PositiveInt = 128
    no_repeat_ngram_size: NonNegativeInt = 3
    batch_size: PositiveInt = 16
    batch_tokens: PositiveInt = 16_384
    precision: Literal["auto", "bf16", "fp32"] | None = None
    fast: FastWriting = FastWriting()
    untouched: bool = False

    def how_to_write(self) -> dict[str, Any]:
        """The settings that predictions depend on; the others are of what is done with them."""
        return self.model_dump(exclude={"metrics", "bertscore", "summac", "untouched"})


class MeasureSettings(Settings):
    """Speed and memory: `steps` timed training steps of every arm, interleaved, after `warmup_steps` that are not counted."""

    steps: PositiveInt = 8
    warmup_steps: NonNegativeInt = 2


class Recipe(Settings):
    """One run, or with `arms` the comparison of several: each arm is the recipe with some lines changed."""

    base: str
    revision: str | None = None
    seed: int = Field(42, ge=0, lt=2**32)
    data: DataSettings
    prune: PruneSettings | None = None
    adapt: LoraSettings | None = None
    train: TrainSettings = TrainSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    measure: MeasureSettings | None = MeasureSettings()
    arms: dict[str, dict[str, Any]] = {}


def resolve(values: Mapping[str, Any]) -> Recipe:
    """Check every key and value, in the arms too, and fill in the defaults.

    Raises:
        RecipeError: names the key, its place, what is allowed and, for an unknown key, the nearest known one.
    """
    _check_keys(values, Recipe, "")
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"recipe: {'; or '.join(_describe(single) for single in error.errors())}") from error
    for name in recipe.arms:
        if not re.fullmatch(ARM_NAME, name) or name == "untouched":
            raise RecipeError(
                f"recipe: arms: {name!r} cannot be an arm's name, which is also its folder's; use letters, digits and _ . + - "
                "(untouched is the base as it is)"
            )
        select_arm(recipe, name)
    return recipe


def _describe(error: ErrorDetails) -> str:
    """One of pydantic's errors in a line; a value with several allowed forms has one for each form."""
    place = ".".join(str(part) for part in error["loc"] if not str(part).startswith(("literal[", "dict[", "list[", "constrained-")))
    return f"{place}: {error['msg'].removeprefix('Value error, ')} (got {error['input']!r})"


def select_arm(recipe: Recipe, name: str) -> Recipe:
    """The recipe of one arm, with no arms of its own."""
    if name not in recipe.arms:
        raise RecipeError(f"no arm {name!r}: the arms are {', '.join(recipe.arms) or 'none'}")
    values = override(recipe.model_dump(exclude={"arms"}), recipe.arms[name])
    try:
        return resolve(values)
    except RecipeError as error:
        raise RecipeError(f"arm {name!r}: {error}") from error


def override(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested `values` with some lines changed: `{"train.epochs": 3}` or `{"train": {"epochs": 3}}`, which is the same.

    A part that was null begins empty, and a line that excludes another (`prune.plan` and `prune.layers`) takes its place.

    Raises:
        RecipeError: a line of an arm that is not there.
    """
    changed = dict(values)
    named = {_as_line(line) for line in list_lines(changes)}
    for key, value in ((str(key), value) for key, value in changes.items()):
        head, _, rest = key.partition(".")
        if rest and head == "arms" and "." in rest:
            arm, _, inner = rest.partition(".")
            arms = dict(changed.get("arms") or {})
            if arm not in arms:
                raise RecipeError(
                    f"recipe: no arm {arm!r} to change.{_suggest(arm, arms)} The arms are {', '.join(arms) or 'none'}"
                )
            changed["arms"] = arms | {arm: {**_without_other(arms[arm] or {}, inner), inner: value}}
        elif rest:
            part = changed.get(head)
            changed[head] = override(part if isinstance(part, Mapping) else {}, {rest: value})
        elif key in PARTS and isinstance(value, Mapping) and isinstance(changed.get(key), Mapping):
            changed[key] = override(changed[key], value)
        else:
            changed[key] = value
    for one, other in EXCLUSIVE.items():
        prune = changed.get("prune")
        if isinstance(prune, Mapping) and f"prune.{one}" in named and f"prune.{other}" not in named and prune.get(one) is not None:
            changed["prune"] = {**prune, other: None}
    return changed


def _as_line(line: str) -> str:
    """A line of the recipe: the layers of a stack are part of one."""
    return "prune.layers" if line.startswith("prune.layers.") else line


def _as_choice(line: str) -> str:
    """A line, whichever of those that exclude each other it is."""
    return "prune.layers" if _as_line(line) == "prune.plan" else _as_line(line)


def _overlap(line: str, other: str) -> bool:
    return line == other or line.startswith(f"{other}.") or other.startswith(f"{line}.")


def _without_other(arm: Mapping[str, Any], line: str) -> dict[str, Any]:
    """An arm without the line whose place this one takes."""
    part, _, one = _as_line(line).partition(".")
    if part != "prune" or one not in EXCLUSIVE:
        return dict(arm)
    kept = {key: value for key, value in arm.items() if _as_line(key) != f"prune.{EXCLUSIVE[one]}"}
    if isinstance(kept.get("prune"), Mapping):
        kept["prune"] = {key: value for key, value in kept["prune"].items() if key != EXCLUSIVE[one]}
    return kept


def list_lines(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values as lines: `{"train": {"epochs": 3}}` and `{"train.epochs": 3}` are both `{"train.epochs": 3}`."""
    lines: dict[str, Any] = {}
    for key, value in values.items():
        lines |= list_lines(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return lines


def check_changes(recipe: Recipe, changes: Mapping[str, Any]) -> None:
    """Raise `RecipeError` if a change would be lost, because arms set that line, or what it is a part of, themselves. An arm that
    has no such part at all is meant so.
    """
    for line in list_lines(changes):
        for name, arm in recipe.arms.items():
            own = {_as_choice(key): value for key, value in list_lines(arm).items()}
            if any(_overlap(_as_choice(line), key) and (value is not None or key == line) for key, value in own.items()):
                raise RecipeError(f"{line} is set by arm {name!r} itself, which wins over the recipe's; change arms.{name}.{line}")


def _suggest(name: str, known: Iterable[str], place: str = "") -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {place}{near[0]}?" if near else ""


def _check_keys(values: object, model: type[BaseModel], place: str) -> None:
    if not isinstance(values, Mapping):
        raise RecipeError(
            f"recipe: {place.rstrip('.') or 'the file'} must be a mapping of {', '.join(model.model_fields)}, not {values!r}"
        )
    for key, value in values.items():
        if key not in model.model_fields:
            hint = _suggest(str(key), model.model_fields, place)
            raise RecipeError(f"recipe: unknown key {place}{key}.{hint} Known here: {', '.join(model.model_fields)}")
        for inner in _models(model.model_fields[key].annotation):
            if value is not None:
                _check_keys(value, inner, f"{place}{key}.")


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if get_origin(annotation) in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _models(part)
    elif isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
