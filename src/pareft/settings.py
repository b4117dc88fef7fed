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

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


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


RuleName = Literal["even", "drop-top", "drop-bottom", "drop-middle"]
CriterionName = Literal["influence", "angular", "magnitude", "taylor", "leave-one-out", "greedy", "rouge", "gates"]
Amount = StrictInt | StrictFloat  # of layers, or below 1 a part of them


class PruneSettings(Settings):
    """What stays: layers by the paper's rule or as listed for each stack, 0-based; or what the file of a plan says; or, `by` a rule
    or criterion, as many as `keep` says, of every stack, by stack, or in `total`.

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


TargetName = Literal["ffn", "qv", "attention", "all"]
TARGETS: tuple[str, ...] = get_args(TargetName)
Target = TargetName | Annotated[list[str], Field(min_length=1)]  # a list has names of modules, and of these groups


class StackSettings(Settings):
    """What is different for the adapters of one stack; `null` is as for the others."""

    target: Target | None = None
    rank: PositiveInt | None = None
    alpha: PositiveFloat | None = None


class AdapterSettings(Settings):
    """Common to all adapters. `layers`: which layers of which stack get adapters, 0-based in the model that is adapted; a stack
    that is not named gets none. `norms`: the normalisations, of these layers if `layers` says which, are trained, too.
    """

    target: Target = "ffn"
    layers: dict[str, Literal["all"] | list[NonNegativeInt]] | None = None
    norms: bool = False

    @classmethod
    def list_methods(cls) -> tuple[str, ...]:
        """What `method` can be."""
        return get_args(cls.model_fields["method"].annotation)


class LoraSettings(AdapterSettings):
    """LoRA as in arXiv 2305.08285: scale alpha / rank; `bias: wrapped` also trains the existing bias of every wrapped layer.

    `method: adalora` starts with half as many ranks again and shares `rank` for each out by importance (arXiv 2303.10512).
    `rslora`: scale alpha / sqrt(rank) (arXiv 2312.03732); `dora`: magnitude and direction apart (arXiv 2402.09353). `start`: what
    the two matrices are at first: `zero`, a random one and zeros; `gap`, before dropped layers what stands in for them; `pissa`,
    the principal components of the weights (arXiv 2404.02948); `olora`, a QR decomposition of theirs (arXiv 2406.01775); `eva`, the
    principal components of what comes in (arXiv 2410.07170), and zeros; what needs data reads `start_examples` of the training
    split. `encoder` and `decoder`: what is different there.
    """

    method: Literal["lora", "adalora"] = "lora"
    rank: PositiveInt = 16
    alpha: PositiveFloat = 32
    dropout: float = Field(0.1, ge=0, lt=1)
    bias: Literal["none", "wrapped"] = "wrapped"
    rslora: bool = False
    dora: bool = False
    start: Literal["zero", "gap", "pissa", "olora", "eva"] = "zero"
    start_examples: PositiveInt = 256
    encoder: StackSettings | None = None
    decoder: StackSettings | None = None

    @model_validator(mode="after")
    def _check_together(self) -> "LoraSettings":
        if self.method == "adalora":
            if self.dora or self.rslora or self.start != "zero":
                raise ValueError("AdaLoRA has a form and a start of its own: it goes with neither dora, rslora nor another start")
            if any(stack and (stack.rank or stack.alpha) for stack in (self.encoder, self.decoder)):
                raise ValueError("AdaLoRA shares ranks out itself; a stack can have its own target, but no rank and alpha")
        if self.dora and self.start in ("pissa", "olora"):
            raise ValueError(
                f"start {self.start} changes the base, and is stored as a plain LoRA of twice the rank, which dora is not"
            )
        if self.dora and self.start == "gap":
            raise ValueError("start gap adds to the weights, and dora keeps their lengths at the start")
        return self


class Ia3Settings(AdapterSettings):
    """IA³ (arXiv 2205.05638): a trained factor for every output of the target, and for every input of a feed-forward layer."""

    method: Literal["ia3"]


UNPRUNED = "base"  # the teacher that is the unpruned base


class DistillSettings(Settings):
    """Learning from a `teacher`: `base`, the unpruned base; the name of a run beside this one, or of an arm; the folder of a run or
    a checkpoint. What is learnt is labels · cross entropy + logits · divergence + hidden · distance.

    `logits`: from the teacher's chances for every token at a `temperature` (arXiv 1503.02531), those of the `top` likeliest tokens
    and of all others together, `null` for each by itself; `hidden`: from its states behind the layers that were kept; `targets:
    teacher`: on the texts that it writes by `num_beams` (as many as the evaluation, unless given) in place of the data's (arXiv
    1606.07947). `cache`: what it says of an example is kept on disk from the first time on, `true` beside the run until it ends,
    or in a folder, for other runs of the same teacher, data and tokenizer, too.
    """

    teacher: str = UNPRUNED
    labels: NonNegativeFloat = 1.0
    logits: NonNegativeFloat = 1.0
    temperature: PositiveFloat = 2.0
    top: PositiveInt | None = 64
    hidden: NonNegativeFloat = 0.0
    targets: Literal["data", "teacher"] = "data"
    num_beams: PositiveInt | None = None
    cache: bool | str = False

    @property
    def listens(self) -> bool:
        """Whether the loss has a part that a teacher must be asked for."""
        return bool(self.logits or self.hidden)

    @property
    def asks(self) -> bool:
        """Whether there is anything that a teacher must be there for."""
        return self.listens or self.targets == "teacher"

    @model_validator(mode="after")
    def _check_together(self) -> "DistillSettings":
        if not (self.labels or self.logits or self.hidden):
            raise ValueError("of labels, logits and hidden one must be more than 0, or nothing is learnt")
        if self.labels != 1 and not self.listens:
            raise ValueError("labels counts beside logits or hidden, and both are 0: the loss is that of the targets alone")
        if self.num_beams and self.targets != "teacher":
            raise ValueError("num_beams is how a teacher writes, and none does; let targets be teacher")
        if self.cache and self.hidden:
            raise ValueError("states are not kept, so that a cache and hidden do not go together; let one of them be 0 or false")
        if self.cache and self.logits and self.top is None:
            raise ValueError("a cache keeps the likeliest tokens: give top, such as 64")
        return self


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
