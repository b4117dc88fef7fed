"""What a forecast says."""

from typing import Any, Literal

from pydantic import Field

from pareft.records import Record


class Forecast(Record):
    """What one recipe, or arm of it, will take, with every text as long as the recipe allows.

    Parameters are exact. Bytes are those of tensors, and `process_bytes`, where a reference was measured, what libraries and the
    allocator take on top; `card_bytes`: of a training step on each of several cards. `step_seconds`: of an optimizer step.
    """

    name: str
    base: str
    layers: dict[str, int]
    total: int
    trainable: int
    batch_size: int
    max_source_tokens: int
    max_target_tokens: int
    precision: str
    recomputing: bool
    weight_bytes: int
    gradient_bytes: int
    moment_bytes: int
    activation_bytes: int
    tensor_bytes: int
    process_bytes: int | None = None
    writing_bytes: int | None = None
    card_bytes: int | None = None
    operations: int
    step_seconds: float | None = None
    notes: list[str] = Field(default_factory=list)

    @property
    def peak_bytes(self) -> int:
        """The peak of training: of tensors, and what is known to come on top."""
        return self.tensor_bytes + (self.process_bytes or 0)


class Reference(Record):
    """What a model of few layers took here, and how its forecast relates to those of deeper ones.

    `learn_seconds`, `update_seconds`: of its step, measured; `replayed_seconds`: the sum of its calls, each timed alone, and
    `others_seconds`, those of the deeper ones; `tensor_bytes`, `process_bytes`: the peak of its tensors, and by how much its
    measured peak is more; `process_share`: by how much more this is for every byte more of tensors, as a model of more layers
    shows.
    """

    learn_seconds: float
    update_seconds: float
    replayed_seconds: float
    trainable: int
    tensor_bytes: int
    process_bytes: int
    process_share: float
    others_seconds: list[float]

    def count_process_bytes(self, tensor_bytes: int) -> int:
        """What comes on top of so many bytes of tensors."""
        return round(self.process_bytes + self.process_share * max(0, tensor_bytes - self.tensor_bytes))


class DryRun(Record):
    """All rows of a dry run, and how they came about. `cards`: over how many accelerators the states of training are shared."""

    version: Literal[1] = 1
    method: str
    cards: int = 1
    versions: dict[str, str]
    hardware: dict[str, Any]
    rows: list[Forecast]
