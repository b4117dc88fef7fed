"""The artefact in the middle: what of which base is kept, and how that was decided. Decided in `pruning`, carried out in
`models`.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pareft.errors import PlanError

PLAN_FILE = "plan.json"
Units = dict[int, tuple[int, ...]]  # base layer → its kept heads or neurons
UNITS = ("heads", "neurons")  # the fields that hold them


class PruningPlan(BaseModel):
    """What is kept of a base, as JSON. All numbers are 0-based and the base's own, ascending.

    `layers` holds the kept layers of every stack; `depths` how many the base has. `heads` holds, by `stack.attention` (such as
    `decoder.cross`) and kept layer, the kept heads, under GQA the kept key-value groups; `neurons`, by stack and kept layer, the
    kept feed-forward neurons; a layer that is not named keeps all of its own. `widths` says how many the base has of both.
    `base_digest` identifies the base's architecture and `weights_digest` its weights, so that a plan is refused by another base;
    `by` says how the choice was made.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: str
    revision: str | None = None
    family: str
    base_digest: str
    weights_digest: str | None = None
    depths: dict[str, int]
    layers: dict[str, tuple[int, ...]]
    widths: dict[str, int] = {}
    heads: dict[str, Units] = {}
    neurons: dict[str, Units] = {}
    by: str

    @model_validator(mode="before")
    @classmethod
    def _check(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        depths, layers, widths = values.get("depths"), values.get("layers"), values.get("widths", {})
        if not (isinstance(depths, Mapping) and isinstance(layers, Mapping) and isinstance(widths, Mapping)):
            return values
        check_layers(layers, depths)
        heads, neurons = (_whole_left_out(values.get(field, {}), widths) for field in ("heads", "neurons"))
        check_units("heads", heads, layers, {key: size for key, size in widths.items() if "." in key})
        check_units("neurons", neurons, layers, {key: size for key, size in widths.items() if "." not in key})
        return {**values, "heads": heads, "neurons": neurons}

    @property
    def fingerprint(self) -> str:
        """Equal for plans that keep the same of the same base, however they were decided and whatever the base's path."""
        content: list[Any] = [self.family, self.base_digest, sorted(self.depths.items()), sorted(self.layers.items())]
        if self.weights_digest or self.narrows:  # plans from before there were weights and widths in them keep their fingerprint
            content += [self.weights_digest, self.heads, self.neurons]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def keeps_everything(self) -> bool:
        """Whether the plan is the identity."""
        return not self.narrows and all(len(kept) == self.depths[stack] for stack, kept in self.layers.items())

    @property
    def narrows(self) -> bool:
        """Whether a kept layer loses heads or neurons."""
        return bool(self.heads or self.neurons)

    @property
    def ratio(self) -> float:
        """The fraction of the layers that is removed, over all stacks."""
        return 1 - sum(map(len, self.layers.values())) / sum(self.depths.values())

    def whole(self) -> "PruningPlan":
        """The plan that keeps all of the same base."""
        everything = {stack: tuple(range(depth)) for stack, depth in self.depths.items()}
        return self.model_copy(update={"layers": everything, "heads": {}, "neurons": {}, "by": "everything"})

    def then(self, other: "PruningPlan") -> "PruningPlan":
        """The plan that does both: what `other`, a plan for what this one leaves, keeps of that.

        Raises:
            PlanError: `other` is for a model of other layers, heads or neurons than this plan leaves.
        """
        left = {stack: len(kept) for stack, kept in self.layers.items()}
        if other.family != self.family or other.depths != left or (self.narrows and other.narrows) or other.widths != self.widths:
            raise PlanError(
                f"the second plan is for a {other.family} with layers {other.depths} and widths {other.widths}; the first leaves a "
                f"{self.family} with {left} and {'layers of different widths' if self.narrows else self.widths}"
            )
        layers = {stack: [self.layers[stack][number] for number in kept] for stack, kept in other.layers.items()}
        narrow = {field: self._renumber(getattr(other, field)) if other.narrows else getattr(self, field) for field in UNITS}
        kept = {
            field: {
                key: {n: units for n, units in by_layer.items() if n in layers[key.partition(".")[0]]}
                for key, by_layer in all_.items()
            }
            for field, all_ in narrow.items()
        }
        return PruningPlan.model_validate({**self.model_dump(), "layers": layers, **kept, "by": f"{self.by}, then {other.by}"})

    def _renumber(self, units: Mapping[str, Units]) -> dict[str, Units]:
        """Units by the numbers of the base's layers, not of those that this plan leaves."""
        return {
            key: {self.layers[key.partition(".")[0]][n]: kept for n, kept in by_layer.items()} for key, by_layer in units.items()
        }

    def kept_heads(self, key: str, layer: int) -> tuple[int, ...]:
        """The heads (key-value groups) that a kept layer keeps of `stack.attention`, by the layer's number in the base."""
        return self.heads.get(key, {}).get(layer) or tuple(range(self.widths[key]))

    def kept_neurons(self, stack: str, layer: int) -> tuple[int, ...]:
        """The feed-forward neurons that a kept layer keeps, by the layer's number in the base."""
        return self.neurons.get(stack, {}).get(layer) or tuple(range(self.widths[stack]))

    def count_units(self) -> dict[str, dict[int, int]]:
        """How many heads of each `stack.attention`, and neurons of each stack, every kept layer keeps."""
        counted: dict[str, dict[int, int]] = {}
        for key in self.widths:
            find = self.kept_heads if "." in key else self.kept_neurons
            counted[key] = {layer: len(find(key, layer)) for layer in self.layers[key.partition(".")[0]]}
        return counted

    def describe(self) -> str:
        """What is kept, in words: `8 of 12 encoder layers, 8 of 12 decoder layers`, and how many heads and neurons."""
        words = [f"{len(kept)} of {self.depths[stack]} {stack} layers" for stack, kept in self.layers.items()]
        for what, units in (("heads", self.heads), ("neurons", self.neurons)):
            for key, by_layer in units.items():
                kept = sum(len(by_layer.get(layer, range(self.widths[key]))) for layer in self.layers[key.partition(".")[0]])
                words.append(f"{kept} of {self.widths[key] * len(self.layers[key.partition('.')[0]])} {key} {what} in them")
        return ", ".join(words)

    def to_json(self) -> str:
        """The plan and its fingerprint, indented, a list of numbers on one line."""
        text = json.dumps(self.model_dump() | {"fingerprint": self.fingerprint}, indent=2)
        return re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda found: f"[{' '.join(found[1].split())}]", text) + "\n"

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
        except (ValueError, TypeError, AttributeError, RecursionError, ValidationError) as error:
            raise PlanError(f"this is no pruning plan: {' '.join(str(error).split()[:40])}") from error
        if written not in (None, plan.fingerprint):
            raise PlanError(f"the plan says fingerprint {written} and is {plan.fingerprint}: it was changed after it was written")
        return plan

    @classmethod
    def read(cls, path: str | Path) -> "PruningPlan":
        """Read a plan from a file.

        Raises:
            PlanError: no file, no plan, or one that was changed after it was written.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise PlanError(f"cannot read a plan from {path}: {getattr(error, 'strerror', None) or error}") from error
        try:
            return cls.from_json(text)
        except PlanError as error:
            raise PlanError(f"{path}: {error}") from error


def check_layers(layers: Mapping[str, object], depths: Mapping[str, int]) -> None:
    """Raise `PlanError` unless `layers` keeps at least one layer of every stack, each once, in order and in range."""
    if set(layers) != set(depths):
        raise PlanError(f"layers are given for {', '.join(sorted(layers)) or 'no stack'}; the stacks are {', '.join(depths)}")
    for stack, kept in layers.items():
        _check_kept(stack, "layer", kept, depths[stack])


def check_units(what: str, units: object, layers: Mapping[str, Iterable[int]], widths: Mapping[str, int]) -> None:
    """Raise `PlanError` unless every named kept layer keeps at least one of its heads or neurons, each once, in order, in range."""
    if not isinstance(units, Mapping) or not all(isinstance(by_layer, Mapping) for by_layer in units.values()):
        raise PlanError(f"{what} must say, by {'stack.attention' if what == 'heads' else 'stack'} and layer, which are kept")
    for key, by_layer in units.items():
        if key not in widths or key.partition(".")[0] not in layers:
            raise PlanError(f"{what}: no {key!r} whose {what} can be pruned; there is {', '.join(widths) or 'none in this family'}")
        kept_layers = list(layers[key.partition(".")[0]])
        for layer, kept in by_layer.items():
            if _number(layer) not in kept_layers:
                raise PlanError(f"{what}: {key} layer {layer} is not kept; the kept layers are {kept_layers}")
            _check_kept(f"{key} layer {layer}", what[:-1], kept, widths[key])


def _check_kept(where: str, unit: str, kept: object, size: int) -> None:
    if not isinstance(kept, list | tuple) or not all(type(index) is int for index in kept):
        raise PlanError(f"{where} {unit}s must be a list of integers, not {kept!r}")
    if not kept:
        raise PlanError(f"{where} would keep 0 of {size} {unit}s; keep at least one")
    if out := [index for index in kept if not 0 <= index < size]:
        raise PlanError(f"{where} has no {unit} {out[0]}: it has {size}, numbered 0 to {size - 1}")
    if list(kept) != sorted(set(kept)):
        raise PlanError(f"{where} {unit}s {_shorten(kept)} must be ascending and each named once")


def _shorten(kept: list[int] | tuple[int, ...]) -> str:
    return str(list(kept)) if len(kept) <= 32 else f"[{', '.join(map(str, kept[:32]))}, ...]"


def _number(layer: object) -> int | None:
    """A layer's number, as JSON's keys have it; a second way to write one (`01`) is none."""
    return int(layer) if isinstance(layer, int | str) and str(layer).isdecimal() and str(int(layer)) == str(layer) else None


def _is_whole(kept: Any, width: int) -> bool:
    return isinstance(kept, list | tuple) and list(kept) == list(range(width))


def _whole_left_out(units: Any, widths: Mapping[str, int]) -> Any:
    """Leave out layers that keep everything, so that equal plans look equal; what is malformed is left for the check."""
    if not isinstance(units, Mapping) or not all(isinstance(by_layer, Mapping) for by_layer in units.values()):
        return units
    narrowed = {
        key: {layer: kept for layer, kept in by_layer.items() if not _is_whole(kept, widths.get(key, 0))}
        for key, by_layer in units.items()
    }
    return {key: by_layer for key, by_layer in narrowed.items() if by_layer}
