"""A recipe's settings of what is trained: adapters, early pruning, teachers; strict, typed, frozen, with every default."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from pareft.settings import Settings

Scope = Literal["layer", "global"]  # what a ratio is of: of every layer, or of all of them together
Rules = Literal["count", "release"]
Ratio = Annotated[float, Field(ge=0, lt=1)]


class LightSettings(Settings):
    """Light-PEFT (arXiv 2406.03792): in `steps` of training, on the base with the layers that `prune` keeps, it is learnt which
    heads, neurons, adapter modules and ranks are needed least; these go, and what is left is trained.

    `heads`, `neurons`, `modules`, `ranks`: the part of each that goes; `..._scope`: of every layer or module, or of all together.
    `sparsity`: λ of λ · Σ |mask|; `learning_rate`: of the estimation, `null` is that of the training. `rules`: `count` keeps
    n - ⌊ratio · n⌋; `release` what is above the ratio's quantile, as the paper's release. `carry`: the adapter's weights go on from
    the estimation, and do not start anew. `by: random` chooses all four at random after the same estimation, as a control.
    """

    heads: Ratio = 1 / 3
    neurons: Ratio = 1 / 3
    modules: Ratio = 0.75
    ranks: Ratio = 0.5
    heads_scope: Scope = "layer"
    neurons_scope: Scope = "global"
    ranks_scope: Scope = "global"
    steps: PositiveInt = 800
    learning_rate: PositiveFloat | None = None
    sparsity: NonNegativeFloat = 1e-4
    rules: Rules = "count"
    carry: bool = True
    by: Literal["masks", "random"] = "masks"


TargetName = Literal["ffn", "qv", "attention", "outputs", "all"]
TARGETS: tuple[str, ...] = get_args(TargetName)
Target = TargetName | Annotated[list[str], Field(min_length=1)]  # a list has names of modules, and of these groups


class StackSettings(Settings):
    """What is different for the adapters of one stack; `null` is as for the others."""

    target: Target | None = None
    rank: PositiveInt | None = None
    alpha: PositiveFloat | None = None


class AdapterSettings(Settings):
    """Common to all adapters. `layers`: which layers of which stack get adapters, 0-based in the model that is adapted, or all, or
    the upper half; a stack that is not named gets none. `norms`: the normalisations, of these layers if `layers` says which, are
    trained, too.
    """

    target: Target = "ffn"
    layers: dict[str, Literal["all", "upper"] | list[NonNegativeInt]] | None = None
    norms: bool = False

    @classmethod
    def list_methods(cls) -> tuple[str, ...]:
        """What `method` can be."""
        return get_args(cls.model_fields["method"].annotation)

    def change_rank(self, rank: int) -> dict[str, Any]:
        """The lines of a recipe that give it another rank; none, where it has none."""
        return {}


class LoraSettings(AdapterSettings):
    """LoRA as in arXiv 2305.08285: scale alpha / rank; `bias: wrapped` also trains the existing bias of every wrapped layer.
    `dropout_by: example` drops the same of an adapter's inputs at all positions of an example (arXiv 1512.05287).

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
    dropout_by: Literal["element", "example"] = "element"
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

    def change_rank(self, rank: int) -> dict[str, Any]:
        """A stack's own rank changes as much, and alpha / rank stays."""
        times = rank / self.rank
        lines: dict[str, Any] = {"adapt.rank": rank, "adapt.alpha": self.alpha * times}
        for name, own in (("encoder", self.encoder), ("decoder", self.decoder)):
            if own and own.rank:
                lines[f"adapt.{name}.rank"] = max(1, round(own.rank * times))
            if own and own.alpha:
                lines[f"adapt.{name}.alpha"] = own.alpha * times
        return lines


class Ia3Settings(AdapterSettings):
    """IA³ (arXiv 2205.05638): a trained factor for every output of the target, and for every input of a feed-forward layer."""

    method: Literal["ia3"]


class BottleneckSettings(AdapterSettings):
    """Bottleneck adapters (arXiv 1902.00751) behind the outputs of attention and feed-forward parts, as Light-PEFT's release has
    them: y + scale · Up activation(Down dropout(y)), without biases, `rank` wide in the middle. `start`: `zero`, where Up is; or
    `normal`, both from N(0, 0.02), as in the release, which does not start as the base. They cannot be merged.
    """

    method: Literal["bottleneck"]
    target: Target = "outputs"
    rank: PositiveInt = 8
    scale: PositiveFloat = 1.0
    activation: Literal["relu", "tanh", "gelu"] = "relu"
    dropout: float = Field(0.1, ge=0, lt=1)
    dropout_by: Literal["element", "example"] = "element"
    start: Literal["zero", "normal"] = "zero"

    def change_rank(self, rank: int) -> dict[str, Any]:
        """The scale has nothing to do with it."""
        return {"adapt.rank": rank}


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
