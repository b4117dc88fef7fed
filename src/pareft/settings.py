"""The parts of a recipe: strict, typed, frozen, with every default in this one place. No files and no torch in here."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    StrictFloat,
    StrictInt,
    field_validator,
    model_validator,
)

from pareft.errors import suggest

PAIRED = "\x00"  # between two texts that are one source
GROUPED = "::"  # in an id, between a group of examples that are scored together and a number in it
EITHER = " ||| "  # between several targets, any of which is right
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class Settings(BaseModel):
    """Common to all parts of a recipe: unknown keys are errors, nothing changes after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


def list_answers(target: str) -> list[str]:
    """The targets that a text names, any of which is right; the first is learnt."""
    return target.split(EITHER)


TaskName = Literal["generation", "classification", "regression", "choice", "span"]


class DataSettings(Settings):
    """Where examples come from. `name`: a task with rows, labels and metrics of its own (`glue/sst2`), whose files are in `path`,
    or which comes from the Hub. `path`: a prepared folder, a CSV, TSV, JSONL or Parquet file, or a data set on the Hub.

    Or a file per split in `train`, `validation` and `test`; `path` is then their folder. `source`, `pair` and `target` are
    columns: a text, a second one that goes with it, and what is to come of them; `options`: a column of lists, or a column for
    each, of what may come of them. `task`: texts are written (`generation`), or an encoder says which label (`classification`),
    number (`regression`) or option (`choice`) is the target, or which part of the second text (`span`); `null`: texts are written
    by bases that do, and others choose where there are options, and classify. `unanswerable`: of a span there may be none, and its
    target is empty then.
    """

    name: str | None = None
    path: str | None = None
    train: str | None = None
    validation: str | None = None
    test: str | None = None
    source: str = "source"
    target: str = "target"
    pair: str | None = None
    options: str | Annotated[list[str], Field(min_length=2)] | None = None
    task: TaskName | None = None
    unanswerable: bool = False
    prefix: str = ""
    max_source_tokens: PositiveInt = 1024
    max_target_tokens: PositiveInt = 128
    limit: dict[Literal["train", "validation", "test"], PositiveInt] = {}

    @model_validator(mode="after")
    def _check_together(self) -> "DataSettings":
        if self.name and (self.source, self.target, self.pair, self.options) != ("source", "target", None, None):
            raise ValueError(f"name {self.name} says which columns are read; leave source, target, pair and options out")
        if self.options and self.pair:
            raise ValueError("options are the second texts of a source, and pair is one; give one of them")
        if not self.name and (self.task == "choice") > (self.options is not None):
            raise ValueError("task choice is among options; name their columns")
        if not self.name and self.task == "span" and not self.pair:
            raise ValueError("task span is a part of a second text; name its column in pair")
        if self.unanswerable and self.task != "span":
            raise ValueError("unanswerable is for task span, where a target may be empty")
        return self


RuleName = Literal["even", "drop-top", "drop-bottom", "drop-middle"]
CriterionName = Literal["influence", "angular", "magnitude", "taylor", "leave-one-out", "greedy", "rouge", "gates"]
AUTO: CriterionName = "influence"  # what `auto` is, as measured in docs/choosing.md
Amount = StrictInt | StrictFloat  # of layers, or a part of them up to 1.0


class PruneSettings(Settings):
    """What stays: layers by the paper's rule or as listed for each stack, 0-based; or what the file of a plan says; or, `by` a rule
    or criterion, as many as `keep` says, of every stack, by stack, or in `total`; `auto` is `influence`.

    A criterion sees `examples` of the training split, and leaves the layers in `never_drop`; of a total, `least` of each stack
    stay, and `symmetric` as many of each.
    """

    layers: Literal["alternating"] | dict[str, list[int]] | None = "alternating"
    plan: str | None = None
    by: RuleName | CriterionName | None = None
    keep: Amount | dict[str, Amount] | None = None
    never_drop: dict[str, list[int]] = {}
    least: PositiveInt = 1
    symmetric: bool = False
    examples: PositiveInt = 128

    @property
    def criterion(self) -> CriterionName | None:
        """The criterion that needs a model to choose layers, if it is one."""
        return self.by if self.by in get_args(CriterionName) else None  # type: ignore[return-value]

    @model_validator(mode="before")
    @classmethod
    def _one_of_all(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        if values.get("by") == "auto":
            values = {**values, "by": AUTO}
        given = [name for name in CHOICES if values.get(name) is not None]
        if len(given) > 1:
            raise ValueError(f"give one of {', '.join(f'prune.{name}' for name in given)}; the others are null")
        return values if "layers" in given or not given else {**values, "layers": None}

    @model_validator(mode="after")
    def _check_together(self) -> "PruneSettings":
        if self.layers is None and self.plan is None and self.by is None:
            raise ValueError("give prune.layers, prune.plan or prune.by; `prune: null` prunes nothing")
        if self.by and self.keep is None:
            raise ValueError(f"by {self.by} keeps as many layers as keep says: 8, {{encoder: 10, decoder: 6}} or {{total: 16}}")
        if not self.by and self.keep is not None:
            raise ValueError("keep says how many layers stay by a rule or criterion, and none is named; give by")
        if not self.criterion and (self.never_drop or self.least != 1 or self.symmetric):
            raise ValueError(f"never_drop, least and symmetric are for a criterion: by {', '.join(get_args(CriterionName))}")
        return self


CHOICES = ("layers", "plan", "by")  # lines of prune of which only one holds


RougeName = Literal["rouge1", "rouge2", "rougeL", "rougeLsum"]
LabelScore = Literal["accuracy", "macro_f1", "matthews", "f1", "exact_match", "pearson", "spearman", "answer_f1", "answer_match"]
BestMetric = Literal[RougeName, "bleu", "bertscore_f1", "summac_zs", LabelScore]


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

    `lora_plus`: LoRA's second matrices, norms and biases learn so many times as fast (arXiv 2402.12354).
    `gradient_checkpointing`: layers are computed again in the backward pass; `auto`: where a step is forecast not to fit else.
    `cache_frozen_prefix`: what is frozen before everything that is trained is computed once, without dropout, and kept on disk;
    `cache_cross_attention`: and the keys and values of the encoder's states, as `auto` on a processor, if they fit into memory.
    """

    epochs: PositiveFloat = 10
    max_steps: PositiveInt | None = None
    batch_size: PositiveInt = 8
    accumulation: PositiveInt = 1
    learning_rate: PositiveFloat = 1e-4
    lora_plus: PositiveFloat | None = None
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
                raise ValueError(f"no tracker {name!r}.{suggest(str(name), known)} Known here: {', '.join(known)}")
        return named


LabelMetric = Literal["classification", "f1", "exact_match", "regression", "answers"]
MetricName = Literal["rouge", "bleu", "bleu_precisions", "bertscore", "summac", "surface", LabelMetric]
METRIC_OF: dict[str, str] = {  # the metric that computes what a checkpoint can be chosen by
    **dict.fromkeys(("rouge1", "rouge2", "rougeL", "rougeLsum"), "rouge"),
    "bleu": "bleu",
    "bertscore_f1": "bertscore",
    "summac_zs": "summac",
    **dict.fromkeys(("accuracy", "macro_f1", "matthews"), "classification"),
    "f1": "f1",
    "exact_match": "exact_match",
    **dict.fromkeys(("pearson", "spearman"), "regression"),
    **dict.fromkeys(("answer_f1", "answer_match"), "answers"),
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
    """Speed and memory: `steps` timed training steps of every arm, interleaved, after `warmup_steps` that are not counted; and
    `inference` timed passes over a batch, which is written for, or classified, with adapters merged.
    """

    steps: PositiveInt = 8
    warmup_steps: NonNegativeInt = 2
    inference: NonNegativeInt = 0
