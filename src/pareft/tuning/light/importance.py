"""How much an adapter's modules and ranks do, as functions of tensors, and what is noted of them while a model learns. r: rank, or
the width of a bottleneck.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from pareft.models.families import find_family
from pareft.models.families.schema import Place
from pareft.runtime import find_processes
from pareft.token_ids import IGNORED
from pareft.tuning.bottleneck import BottleneckLayer

ADAPTER = "default"
MATRICES: dict[Any, tuple[str, str]] = {  # of a kind of layer: down to the ranks, and up from them
    LoraLayer: ("lora_A", "lora_B"),
    BottleneckLayer: ("bottleneck_down", "bottleneck_up"),
}


def rate_module(added: torch.Tensor, frozen: torch.Tensor) -> torch.Tensor:
    """‖what the adapter adds‖₂ / ‖what the frozen layer gives‖₂ of every token: (..., width) each; returns (...)."""
    return torch.linalg.vector_norm(added.float(), dim=-1) / torch.linalg.vector_norm(frozen.float(), dim=-1)


def rate_ranks(down: torch.Tensor, down_gradient: torch.Tensor, up: torch.Tensor, up_gradient: torch.Tensor) -> torch.Tensor:
    """First-order Taylor of every rank: |mean of A · ∂A over inputs| + |mean of B · ∂B over outputs|. A, down: (r, in), B, up:
    (out, r). Returns (r,).
    """
    return (down.float() * down_gradient.float()).mean(1).abs() + (up.float() * up_gradient.float()).mean(0).abs()


@dataclass(frozen=True)
class Importance:
    """By module, named in full: of the whole module, and of every rank, (r,)."""

    modules: dict[str, float]
    ranks: dict[str, torch.Tensor]


@dataclass
class Watch:
    """What is noted, step by step; a mean over the steps from `first` on is kept, and no single step's."""

    layers: Mapping[str, Any]  # with adapters, by their full names
    first: int
    step: int = -1
    steps: int = 0
    sums: dict[str, torch.Tensor] = field(default_factory=dict)  # of this step's tokens, and how many they are: (2,)
    ratios: dict[str, torch.Tensor] = field(default_factory=dict)  # of this step's ranks
    modules: dict[str, torch.Tensor] = field(default_factory=dict)  # summed over steps
    ranks: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def listening(self) -> bool:
        """Whether the step that is going on counts."""
        return self.step >= self.first

    def enter(self, step: int) -> None:
        """A forward pass of this step comes next; if the step is another, the one before is over."""
        if step != self.step:
            self.close()
            self.step = step

    def note(self, name: str, ratios: torch.Tensor) -> None:
        """The ratios of some tokens in a module's forward pass."""
        found = torch.stack([ratios.double().sum(), torch.tensor(ratios.numel(), device=ratios.device).double()])
        self.sums[name] = self.sums[name] + found if name in self.sums else found

    def note_gradients(self, *, scale: float = 1.0) -> None:
        """Note the step's gradients, which all parts of its batch have added to by the last time this is called for it. `scale`: by
        what the loss was multiplied, as fp16 needs it.
        """
        if self.listening:
            for name, layer in self.layers.items():
                down, up = (matrix.weight for matrix in find_matrices(layer))
                if down.grad is not None and up.grad is not None:
                    self.ratios[name] = rate_ranks(down.detach(), down.grad / scale, up.detach(), up.grad / scale)

    def close(self) -> None:
        """Add a step that is over to the sums; all processes have seen a part of its tokens. What is no number counts nothing."""
        if self.ratios:
            together = find_processes().add(torch.stack([self.sums[name] for name in self.ratios]))
            for name, (total, count) in zip(self.ratios, together, strict=True):
                _add(self.modules, name, _clean(total / count))
                _add(self.ranks, name, _clean(self.ratios[name]))
            self.steps += 1
        self.sums, self.ratios = {}, {}

    def find(self) -> Importance:
        """The means over steps."""
        self.close()
        modules = {name: float(value / self.steps) for name, value in self.modules.items()}
        return Importance(modules, {name: (value / self.steps).cpu() for name, value in self.ranks.items()})


@contextmanager
def watch(model: PeftModel, *, first: int) -> Iterator[Watch]:
    """Inside the `with`, a model's adapter is watched while it is trained, from step `first` on; afterwards it is as it was. Tokens
    that are padding do not count.
    """
    base: Any = model.get_base_model()
    layers = {name: module for name, module in base.named_modules() if isinstance(module, tuple(MATRICES))}
    seen: dict[str, Mapping[str, Any]] = {"batch": {}}
    found = Watch(layers, first)
    with ExitStack() as hooks:

        def open_batch(_: Any, __: Any, options: dict[str, Any]) -> None:
            seen["batch"] = options

        hooks.callback(base.register_forward_pre_hook(open_batch, with_kwargs=True).remove)
        for name, layer in layers.items():
            place = find_family(base.config).locate(name)
            for hooked, hook in _make_hooks(found, name, layer, place, seen, two_stacks=base.config.is_encoder_decoder):
                hooks.callback(hooked.register_forward_hook(hook).remove)
        yield found


def _make_hooks(
    found: Watch, name: str, layer: Any, place: Place | None, seen: Mapping[str, Mapping[str, Any]], *, two_stacks: bool
) -> list[tuple[Any, Callable[..., None]]]:
    """What the frozen layer gives is kept until the adapter, which comes after it, adds to it."""
    frozen: list[torch.Tensor] = []

    def keep(_: Any, __: Any, output: torch.Tensor) -> None:
        if layer.training and found.listening:
            frozen[:] = [output.detach()]

    def rate(_: Any, __: Any, output: torch.Tensor) -> None:
        if frozen:
            ratios = rate_module(output.detach() * layer.scaling[ADAPTER], frozen.pop())
            mask = _find_mask(seen["batch"], place, two_stacks=two_stacks)
            if mask is not None:  # of OPT, all tokens come in a row
                ratios = ratios[mask.flatten()] if ratios.dim() == 1 else ratios[:, : mask.shape[1]][mask]
            found.note(name, ratios)

    _, up = find_matrices(layer)
    return [(layer.get_base_layer(), keep), (up, rate)]


def find_matrices(layer: Any) -> tuple[Any, Any]:
    """A layer's linear layers down to the ranks, and up from them."""
    down, up = next(names for kind, names in MATRICES.items() if isinstance(layer, kind))
    return getattr(layer, down)[ADAPTER], getattr(layer, up)[ADAPTER]


def _find_mask(batch: Mapping[str, Any], place: Place | None, *, two_stacks: bool) -> torch.Tensor | None:
    """Which places of what comes into a module are a token's, (B, T): of the source or of the target."""
    if two_stacks and place and place.stack.name == "decoder" and not _reads_encoder(place):
        labels: torch.Tensor = batch["labels"]
        return labels != IGNORED
    mask = batch.get("attention_mask")
    return None if mask is None else mask.flatten(0, -2).bool()


def _reads_encoder(place: Place) -> bool:
    """Whether a decoder's module is given the encoder's states: keys and values of the attention across."""
    crossing = [attention for attention in (place.stack.width.attentions if place.stack.width else ()) if attention.name == "cross"]
    return any(place.tail in (attention.key, attention.value) for attention in crossing)


def _add(sums: dict[str, torch.Tensor], name: str, value: torch.Tensor) -> None:
    sums[name] = sums[name] + value if name in sums else value


def _clean(value: torch.Tensor) -> torch.Tensor:
    return torch.nan_to_num(value, nan=0.0, posinf=0.0, neginf=0.0)
