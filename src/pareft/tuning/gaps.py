"""What dropped layers added, as a low-rank update of the layer before them (ours; no paper).

Where a plan drops layers, the next kept one gets what the last kept one gives, and not what came out of those between. The
feed-forward layer before such a gap writes W a into the residual stream; here the update M of at most LoRA's rank is found with
which W a + M a comes nearest to what the unpruned model has behind the gap. Over tokens t of calibration examples, with d_t what
is missing there, it is the ridge regression

    M = (sum_t w_t d_t a_t^T) (sum_t w_t a_t a_t^T + penalty)^-1

and of it what lies in the directions in which it explains most (reduced-rank regression). Only the sums are kept, whatever the
number of examples; the penalty is chosen by sums over other examples, the largest that explains nearly as much as the best. A layer
that ends in a normalisation (BART, BERT) hands on N(u), u = residual + W a: d_t is then what u lacks for N(u) to be what it should,
with the mean and spread of u, w_t one over its variance, and directions count as much as the normalisation makes of them.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import Linear
from torch import nn
from torch.nn import functional

from pareft.errors import AdapterError
from pareft.models.families import Family, find_family
from pareft.models.families.schema import Stack
from pareft.models.plan import PruningPlan
from pareft.models.structure import find_layers, find_states
from pareft.runtime import Precision, autocast
from pareft.token_ids import IGNORED

PENALTIES = tuple(10.0**power for power in range(-6, 3))  # times the mean square of what comes in
SLACK = 0.1  # the part of what is explained that is given up for smaller weights: large ones are hard to train
EVERY = 4  # of so many batches one is for choosing the penalty
LEAST_WEIGHT = 1e-3  # of a normalisation, as a part of its largest

Batch = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Gap:
    """Dropped layers between two kept ones: the stack, the kept layer before them in the pruned model and in the base, and the
    last of those dropped, in the base.
    """

    stack: str
    layer: int
    before: int
    last: int

    @property
    def dropped(self) -> tuple[int, ...]:
        """The dropped layers, in the base."""
        return tuple(range(self.before + 1, self.last + 1))


@dataclass(frozen=True)
class Bridged:
    """How much of what is missing behind a gap the update explains, on examples it was not found on: 1 is all, 0 nothing."""

    gap: Gap
    explained: float


def list_gaps(plan: PruningPlan) -> list[Gap]:
    """Where a plan drops layers after a kept one. Nothing comes before layers that are dropped at the beginning of a stack."""
    gaps = []
    for stack, kept in plan.layers.items():
        for layer, (before, after) in enumerate(zip(kept, (*kept[1:], plan.depths[stack]), strict=True)):
            if after > before + 1:
                gaps.append(Gap(stack, layer, before, after - 1))
    return gaps


def check_bridges(model: PeftModel, plan: PruningPlan) -> list[tuple[Gap, Linear]]:
    """Every gap with the adapted layer that is to bridge it.

    Raises:
        AdapterError: the layer before a gap has no LoRA on its feed-forward output, or nothing says which module that is; a plan
            that drops heads or neurons, too.
    """
    if plan.narrows:
        raise AdapterError("adapt.start: gap bridges dropped layers, and this plan drops heads or neurons, too; start with zero")
    base, name = model.get_base_model(), model.active_adapter
    family, found = find_family(base.config), []
    stacks = {stack.name: stack for stack in family.stacks}
    for gap in list_gaps(plan):
        module = _find_writer(find_layers(base, stacks[gap.stack])[gap.layer], stacks[gap.stack], family)
        if not isinstance(module, Linear) or name not in module.lora_A:
            raise AdapterError(
                "adapt.start: gap bridges dropped layers by the feed-forward output of the layer before them, and "
                f"{gap.stack} layer {gap.layer} has no LoRA there; let adapt.target be ffn or all, and adapt.layers reach it"
            )
        found.append((gap, module))
    return found


@torch.no_grad()
def bridge(
    model: PeftModel, whole: nn.Module, plan: PruningPlan, batches: Iterable[Batch], *, precision: Precision
) -> list[Bridged]:
    """Start LoRA before every gap so that it stands in for the dropped layers. In place; what explains nothing stays zero.

    Args:
        model: of what the plan keeps, with a new LoRA that is zero.
        whole: the unpruned base, in eval mode.
        plan: what was dropped.
        batches: `input_ids` and `attention_mask` (B, S), `labels` (B, T); the first and every fourth after it choose penalties.
        precision: what the base computes in.
    """
    bridges = check_bridges(model, plan)
    observers = [_Observer(gap, whole) for gap, _ in bridges]
    with ExitStack() as watched:
        for observer in observers:
            watched.enter_context(observer.watch())
        for number, batch in enumerate(batches):
            for observer in observers:
                observer.turn_to(batch, choosing=number % EVERY == 0)
            with autocast(precision):
                whole(**batch)
            for observer in observers:
                observer.add()
    return [_start(observer, module, model.active_adapter) for observer, (_, module) in zip(observers, bridges, strict=True)]


@dataclass
class _Sums:
    """The normal equations: of what comes in with itself, of what is missing with that, of what is missing with itself."""

    inner: Any = 0.0
    cross: Any = 0.0
    missing: Any = 0.0

    def add(self, come_in: torch.Tensor, missing: torch.Tensor) -> None:
        """come_in: (tokens, D), missing: (tokens, E), both weighted"""
        self.inner = self.inner + come_in.T @ come_in
        self.cross = self.cross + missing.T @ come_in
        self.missing = self.missing + missing.square().sum(0)


@dataclass
class _Observer:
    """Watches the unpruned base at a gap."""

    gap: Gap
    whole: Any
    fitted: _Sums = field(default_factory=_Sums)
    chosen: _Sums = field(default_factory=_Sums)
    norm: Any = None  # in which the layer ends, if it does
    seen: dict[str, Any] = field(default_factory=dict)
    _mask: Any = None
    _choosing: bool = False

    @contextmanager
    def watch(self) -> Iterator[None]:
        """Inside, what the base computes at the gap is seen."""
        family = find_family(self.whole.config)
        stack = next(stack for stack in family.stacks if stack.name == self.gap.stack)
        layers = find_layers(self.whole, stack)
        layer, last = layers[self.gap.before], layers[self.gap.last]
        writer = _find_writer(layer, stack, family)
        with ExitStack() as hooks:

            def watch(module: nn.Module, take: Any) -> None:
                hooks.callback(module.register_forward_hook(take).remove)

            watch(writer, lambda _, given, made: self.seen.update(come_in=given[0]))
            for norm in (module for module in layer.modules() if type(module).__name__.endswith("Norm")):
                watch(norm, lambda module, given, made: self.seen.setdefault("norms", []).append((module, given[0], made)))
            watch(layer, lambda _, given, made: self.seen.update(out=find_states(made)))
            watch(last, lambda _, given, made: self.seen.update(wanted=find_states(made)))
            yield

    def turn_to(self, batch: Batch, *, choosing: bool) -> None:
        """What is seen next is of this batch."""
        self._choosing = choosing
        targets = self.gap.stack == "decoder" and self.whole.config.is_encoder_decoder
        self._mask = (batch["labels"] != IGNORED) if targets else batch["attention_mask"].bool()

    def add(self) -> None:
        """Count what was seen."""
        seen, self.seen = self.seen, {}
        come_in, out, wanted = (seen[key][self._mask].float() for key in ("come_in", "out", "wanted"))
        ending = next(((module, given) for module, given, made in seen.get("norms", ()) if made is seen["out"]), None)
        if ending is None:
            missing, weight = wanted - out, torch.ones(len(out), 1, device=out.device)
        else:
            self.norm, given = ending
            before = given[self._mask].float()
            mean, spread = before.mean(1, keepdim=True), before.std(1, keepdim=True, correction=0).clamp_min(1e-6)
            missing, weight = (wanted - self._shift()) / self._scale() * spread + mean - before, 1 / spread
        (self.chosen if self._choosing else self.fitted).add(
            torch.cat([come_in, torch.ones_like(weight)], 1) * weight, missing * weight
        )

    def _scale(self) -> Any:
        """What the layer's last normalisation multiplies by; one without it. (E,)"""
        if self.norm is None:
            return 1.0
        scale = self.norm.weight.float()
        least = LEAST_WEIGHT * scale.abs().max()
        return torch.where(scale.abs() < least, least, scale)

    def _shift(self) -> Any:
        bias = getattr(self.norm, "bias", None)
        return 0.0 if bias is None else bias.float()

    @property
    def metric(self) -> torch.Tensor:
        """By how much a direction counts. (E,)"""
        size = self.fitted.cross.shape[0]
        return torch.ones(size, device=self.fitted.cross.device) * self._scale()


def _start(observer: _Observer, module: Linear, name: str) -> Bridged:
    """Write the update into a layer's LoRA, and into its bias where that is trained."""
    down, up, bias = module.lora_A[name].weight, module.lora_B[name].weight, module.get_base_layer().bias
    shifts = bias is not None and bias.requires_grad
    update, explained = _regress(observer, rank=len(down), shifts=shifts)
    if update is not None:
        first, second, shift = update
        size = down.norm() / first.norm().clamp_min(1e-12)  # the size it has without this start
        down.copy_(first * size)
        up.copy_(second / size / module.scaling[name])
        if shifts:
            bias.add_(shift.to(bias.dtype))
    return Bridged(observer.gap, explained)


def _regress(
    observer: _Observer, *, rank: int, shifts: bool
) -> tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None, float]:
    """The update as A (rank, D), B (E, rank) and a shift (E,), and what part of what is missing it explains; none if none does."""
    fitted, chosen, metric = observer.fitted, observer.chosen, observer.metric
    if isinstance(fitted.inner, float):  # a batch or less: nothing was left to fit on
        return None, 0.0
    if not all(bool(torch.isfinite(sums).all()) for sums in (fitted.inner, fitted.cross, chosen.inner, chosen.cross)):
        return None, 0.0
    used = fitted.inner.shape[0] if shifts else fitted.inner.shape[0] - 1  # the last is the constant
    inner, cross = fitted.inner[:used, :used].double(), fitted.cross[:, :used].double() * metric[:, None]
    size = inner.diagonal().mean()
    most, kept, found = 0.0, 0.0, None
    total = float((chosen.missing.double() * metric.double().square()).sum())
    eye = torch.eye(used, dtype=inner.dtype, device=inner.device)
    for penalty in PENALTIES:
        slope = torch.linalg.solve(inner + penalty * size * eye, cross.T).T
        weights = slope[:, :-1] if shifts else slope
        fixed = slope[:, -1] if shifts else torch.zeros(len(slope), dtype=slope.dtype, device=slope.device)
        matrix = inner[: weights.shape[1], : weights.shape[1]]
        directions = torch.linalg.eigh(weights @ matrix @ weights.T).eigenvectors[:, -rank:]
        low = directions @ (directions.T @ weights)
        whole = torch.cat([low, fixed[:, None]], 1) if shifts else low
        left = _measure(whole, chosen, metric, used)
        explained = 1 - left / total if total > 0 else 0.0
        most = max(most, explained)
        if explained > 0 and explained >= (1 - SLACK) * most:
            kept, found = explained, (directions.T @ weights, directions, fixed)
    if found is None:
        return None, 0.0
    first, second, fixed = found
    if spare := rank - len(first):  # a layer has fewer outputs than that
        first, second = functional.pad(first, (0, 0, 0, spare)), functional.pad(second, (0, spare))
    scale = metric.double()
    return (first.float(), (second / scale[:, None]).float(), (fixed / scale).float()), kept


def _measure(update: torch.Tensor, sums: _Sums, metric: torch.Tensor, used: int) -> float:
    """What an update, (E, used), leaves of what is missing, squared and summed."""
    inner, cross = sums.inner[:used, :used].double(), sums.cross[:, :used].double() * metric[:, None]
    total = (sums.missing.double() * metric.double().square()).sum()
    return float(total - 2 * (update * cross).sum() + ((update @ inner) * update).sum())


def _find_writer(layer: Any, stack: Stack, family: Family) -> Any:
    """The feed-forward output of a layer."""
    if stack.width is None:
        raise AdapterError(
            f"adapt.start: nothing says what writes into the residual stream of a {family.model_type}; start with zero"
        )
    return layer.get_submodule(stack.width.feed_forward.output)
