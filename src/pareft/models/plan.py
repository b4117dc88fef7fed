"""The artefact in the middle: which layers of which base are kept, and how that was decided. Decided in `pruning`, carried out in
`models`.
"""

import hashlib
import json
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pareft.errors import PlanError


class PruningPlan(BaseModel):
    """What is kept of a base, as JSON.

    `layers` holds the kept layers of every stack by their 0-based index in the base, ascending; `depths` how many the base has.
    `base_digest` identifies the base's architecture, so that a plan is refused by another base; `by` says how the choice was made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    revision: str | None = None
    family: str
    base_digest: str
    depths: dict[str, int]
    layers: dict[str, tuple[int, ...]]
    by: str

    @model_validator(mode="before")
    @classmethod
    def _check(cls, values: Mapping[str, object]) -> Mapping[str, object]:
        depths, layers = values.get("depths"), values.get("layers")
        if isinstance(depths, Mapping) and isinstance(layers, Mapping):
            check_layers(layers, depths)
        return values

    @property
    def fingerprint(self) -> str:
        """Equal for plans that give the same shapes from the same base, however they were decided and whatever the base's path."""
        content = [self.family, self.base_digest, sorted(self.depths.items()), sorted(self.layers.items())]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def keeps_everything(self) -> bool:
        """Whether the plan is the identity."""
        return all(len(kept) == self.depths[stack] for stack, kept in self.layers.items())

    @property
    def ratio(self) -> float:
        """The fraction of the layers that is removed, over all stacks."""
        return 1 - sum(map(len, self.layers.values())) / sum(self.depths.values())

    def to_json(self) -> str:
        """The plan and its fingerprint, indented."""
        return json.dumps(self.model_dump() | {"fingerprint": self.fingerprint}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> "PruningPlan":
        """Read a plan; the fingerprint, where there is one, must be the plan's own.

        Raises:
            PlanError: no plan, or one that was changed after it was written.
        """
        try:
            values = json.loads(text)
            written = values.pop("fingerprint", None)
            plan = cls.model_validate(values)
        except (ValueError, TypeError, AttributeError, ValidationError) as error:
            raise PlanError(f"this is no pruning plan: {str(error).splitlines()[0]}") from error
        if written not in (None, plan.fingerprint):
            raise PlanError(f"the plan says fingerprint {written} and is {plan.fingerprint}: it was changed after it was written")
        return plan


def check_layers(layers: Mapping[str, object], depths: Mapping[str, int]) -> None:
    """Raise `PlanError` unless `layers` keeps at least one layer of every stack, each once, in order and in range."""
    if set(layers) != set(depths):
        raise PlanError(f"layers are given for {', '.join(sorted(layers)) or 'no stack'}; the stacks are {', '.join(depths)}")
    for stack, kept in layers.items():
        depth = depths[stack]
        if not isinstance(kept, list | tuple) or not all(type(index) is int for index in kept):
            raise PlanError(f"{stack} layers must be a list of integers, not {kept!r}")
        if not kept:
            raise PlanError(f"{stack} would keep 0 of {depth} layers; keep at least one")
        if out := [index for index in kept if not 0 <= index < depth]:
            raise PlanError(f"{stack} has no layer {out[0]}: it has {depth}, numbered 0 to {depth - 1}")
        if list(kept) != sorted(set(kept)):
            raise PlanError(f"{stack} layers {list(kept)} must be ascending and each named once")
