"""What a run leaves behind."""

from collections.abc import Collection
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from typing_extensions import Self

from pareft.errors import RunError

Identity = str | int | float | bool  # of an example, as JSON has it
SHORT = {"rouge1": "R-1", "rouge2": "R-2", "rougeL": "R-L", "bertscore_f1": "BERTScore", "summac_zs": "SummaC-ZS"}


class Record(BaseModel):
    """Base of the records: frozen, strict, JSON; a number that is none, as of a gradient in fp16, is a text there, "NaN"."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), ser_json_inf_nan="strings")

    def to_json(self) -> str:
        """Indented JSON."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a record back.

        Raises:
            RunError: the text is no such record of this version.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise RunError(f"this is no {cls.__name__}: {error.errors()[0]['msg']} at {error.errors()[0]['loc']}") from error


class Protocol(Record):
    """What a score depends on besides the model. Runs whose protocols differ are not compared."""

    data: str
    data_digest: str
    source: str
    target: str
    prefix: str
    examples: dict[str, int]
    max_source_tokens: int
    max_target_tokens: int
    metrics: list[str]
    sentence_splitting: str
    scorers: dict[str, dict[str, Any]] = {}
    num_beams: int
    max_new_tokens: int
    no_repeat_ngram_size: int
    writing_precision: str = "as stored"
    seed: int

    def list_differences(self, other: "Protocol", *, but: Collection[str] = ()) -> list[str]:
        """The names of the fields in which two protocols differ, `but` for some, and for where the examples, which have a digest,
        are from.
        """
        known = {*but, "data"}
        return [name for name in type(self).model_fields if name not in known and getattr(self, name) != getattr(other, name)]


class Parameters(Record):
    """Counts of distinct parameters, of the model as trained and of the unpruned base; `depths`: of the base's layers."""

    base: int
    total: int
    trainable: int
    layers_kept: dict[str, int]
    depths: dict[str, int] = {}
    layers_dropped_ratio: float


class DroppedRecord(Record):
    """A layer that a search dropped, and the cost of what was left then."""

    stack: str
    layer: int
    cost: float


class BudgetLine(Record):
    """One budget: as it was asked for, the most that is allowed, what the unpruned base takes, and the plan, in bytes, seconds or
    parameters.
    """

    name: str
    asked: str
    limit: float
    whole: float
    found: float


class TriedRecord(Record):
    """Numbers of layers that were tried for a budget: what they take, by its names, the loss of a target's token with them, and
    whether that is within the budget.
    """

    layers: dict[str, int]
    costs: dict[str, float]
    loss: float
    within: bool


class PlanningRecord(Record):
    """How a criterion chose the plan of this fingerprint: on how many examples of which data; by stack, what every layer scored (of
    `angular`, the blocks that begin at it); for a search, what went one after the other; for budgets, how near the plan comes to
    each, and the numbers of layers that were tried.
    """

    by: str
    fingerprint: str
    data: str | None
    data_digest: str | None
    examples: int | None
    scores: dict[str, list[float]]
    path: list[DroppedRecord]
    seconds: float
    budgets: list[BudgetLine] = Field(default_factory=list)
    tried: list[TriedRecord] = Field(default_factory=list)


class StartRecord(Record):
    """What an adapter began with where dropped layers were bridged: from how many examples, what share of it was kept (all, unless
    the model was worse with it), the loss of a target's token in the unpruned base and in the pruned model before and after, and
    what part of what was missing behind a kept layer, by its stack and number in the base, the start explains; the last two on
    examples it was not found on.
    """

    examples: int
    share: float
    loss_of_base: float
    loss_before: float
    loss_after: float
    explained: dict[str, float]


class DistillRecord(Record):
    """Who taught: as the recipe names it, and a digest of its weights; the bytes of these that were in memory beside the model, and
    those that are the model's own, `None` if it never had to be opened; the seconds for which it wrote its texts, if it did, since
    the last interruption.
    """

    teacher: str
    digest: str
    added_bytes: int | None = None
    shared_bytes: int | None = None
    writing_seconds: float | None = None


class TrainingRecord(Record):
    """What training did: steps taken, the best checkpoint's step, wall time with evaluations, that of the evaluations alone, how
    many were left out for their cost, everything that was logged; parameters in all and trained, and the precision. All of it
    counts what was done before an interruption, too.
    """

    steps: int
    best_step: int | None
    seconds: float
    evaluation_seconds: float
    evaluations_left_out: int
    history: list[dict[str, float]]
    total: int = 0
    trainable: int = 0
    precision: str | None = None
    start: StartRecord | None = None
    distill: DistillRecord | None = None


class LightRecord(Record):
    """What early pruning has left (`by` early masks, or at random): heads (groups) and neurons of every kept layer, modules, ranks
    of the adapter, beside how many there were; the part of the layers' attention and feed-forward parameters that is gone; what
    every module did while `steps` were estimated, in `seconds`.
    """

    by: str
    steps: int
    seconds: float
    heads: dict[str, list[int]]
    neurons: dict[str, list[int]]
    modules: int
    modules_kept: int
    ranks: int
    ranks_kept: int
    removed_ratio: float
    importance: dict[str, float]


class RunRecord(Record):
    """One finished run. Scores are in percent, times in seconds."""

    arm: str | None
    base: str
    plan_fingerprint: str
    protocol: Protocol
    parameters: Parameters
    precision: str
    seed: int
    versions: dict[str, str]
    hardware: dict[str, Any]
    train_seconds: float
    train_evaluation_seconds: float = 0.0
    evaluations_left_out: int = 0
    evaluate_seconds: float
    steps: int
    best_step: int | None
    start: StartRecord | None = None
    distill: DistillRecord | None = None
    light: LightRecord | None = None
    scores: dict[str, float]
    history: list[dict[str, float]]


class TrialRecord(Record):
    """A trial of a search: its folder, what it changed in the recipe, its best score on the validation split, seconds, parameters
    trained.
    """

    number: int
    folder: str
    changes: dict[str, Any]
    score: float
    seconds: float
    trained: int


class SearchRecord(Record):
    """A search: by what, for what, every trial that ended, the number of the best one, and how long the trials of the last call
    took.
    """

    metric: str
    space: list[str]
    trials: list[TrialRecord]
    best: int
    seconds: float


class ScoreRecord(Record):
    """A corpus score, or a difference of two, and its 95 % bootstrap interval; `None` for one of too few examples."""

    value: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is distinguishable from none."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def rounded(self) -> "ScoreRecord":
        """As records hold it: to four digits after the point."""
        return ScoreRecord(value=round(self.value, 4), low=_round(self.low), high=_round(self.high))


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def name_score(name: str) -> str:
    """A score as tables call it."""
    return SHORT.get(name, name)


class ArmEfficiency(Record):
    """One arm's training step: the median and the single times, and the peak memory of its own process; the times of inference, if
    that was measured; `digest` says of which arm exactly. The sizes are of the batches of both, where they are known.
    """

    digest: str
    batch_size: int | None = None
    inference_batch_size: int | None = None
    step_seconds: list[float]
    median_step_seconds: float
    peak_bytes: int
    trainable: int
    total: int
    inference_seconds: list[float] = Field(default_factory=list)


Equal = Literal["steps", "time", "flops"]


class BudgetRecord(Record):
    """What the arms of a comparison got alike, the steps that this makes for each and those that the recipe says, and what a step
    costs: seconds or operations.
    """

    equal: Equal
    steps: dict[str, int]
    planned: dict[str, int]
    costs: dict[str, float]


class EfficiencyRecord(Record):
    """The speed and memory of all arms, measured side by side; `method` says how."""

    method: str
    steps: int
    warmup_steps: int
    inference: int = 0
    batch_size: int
    versions: dict[str, str]
    hardware: dict[str, Any]
    arms: dict[str, ArmEfficiency]
