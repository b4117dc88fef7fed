"""Where a model's frozen prefix ends: found from what is trained in it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel

from pareft.errors import RecipeError
from pareft.models.families import find_family
from pareft.models.families.schema import Family, Stack
from pareft.models.structure import find_layers

KEY = "train.cache_frozen_prefix"
MEND = "Give adapters to the decoder alone (adapt.layers: {decoder: all}) or to upper layers, or switch it off."


@dataclass(frozen=True)
class Entry:
    """Where a stack is entered behind its frozen layers: `first` is the first layer that is still computed. `root` is the module
    that runs `layers`; `passed` says that these pass a position bias on (T5).
    """

    root: Any
    layers: nn.ModuleList
    first: int
    passed: bool

    @property
    def whole(self) -> bool:
        """Whether no layer is left to compute."""
        return self.first == len(self.layers)


@dataclass(frozen=True)
class Prefix:
    """What is frozen before all that is trained: the encoder or its lower layers; with the whole of it the decoder's lower ones,
    and the projections by which the others make keys and values of the encoder's states.
    """

    encoder: Entry
    decoder: Entry | None
    projections: tuple[nn.Linear, ...] = ()

    def describe(self) -> dict[str, int]:
        """By stack, how many layers are left out."""
        return {"encoder": self.encoder.first} | ({"decoder": self.decoder.first} if self.decoder else {})


def find_prefix(model: PreTrainedModel | PeftModel) -> Prefix:
    """The frozen prefix of an encoder-decoder, which may be on `meta`.

    Raises:
        RecipeError: there is none, because its beginning is trained; or its layers cannot be entered half way.
    """
    base: Any = model.get_base_model() if isinstance(model, PeftModel) else model
    family = find_family(base.config)
    stacks = {stack.name: stack for stack in family.stacks}
    trained: dict[str, list[int]] = {name: [] for name in stacks}
    outside: dict[int, str] = {}
    for name, parameter in base.named_parameters():
        if parameter.requires_grad:
            place = family.locate(name)
            if place:
                trained[place.stack.name].append(place.layer)
            else:
                outside[id(parameter)] = name
    encoder = _make_entry(base, stacks["encoder"], trained["encoder"], last=1)
    if loose := _find_loose(encoder, outside):
        raise RecipeError(f"{KEY}: {loose} is trained, so that nothing before it is frozen. {MEND}")
    if encoder.first == 0:
        raise RecipeError(f"{KEY}: the first layer of the encoder is trained, so that nothing before it is frozen. {MEND}")
    if not encoder.whole:
        if reason := _why_not(encoder, stacks["encoder"], family):
            raise RecipeError(
                f"{KEY}: the encoder is trained from layer {encoder.first} on, and cannot be entered there: {reason}. {MEND}"
            )
        return Prefix(encoder, None)
    decoder = _make_entry(base, stacks["decoder"], trained["decoder"], last=0)
    refused = _find_loose(decoder, outside) or _why_not(decoder, stacks["decoder"], family)
    enterable = decoder.first and not refused and hasattr(base, "prepare_decoder_input_ids_from_labels")
    entry = decoder if enterable else None
    left = decoder.layers[entry.first if entry else 0 :]
    return Prefix(encoder, entry, tuple(_list_projections(left, stacks["decoder"])))


def _make_entry(base: Any, stack: Stack, trained: list[int], *, last: int) -> Entry:
    """The entry below the lowest trained layer; with none, behind all layers, or, with `last` 0, at the last one."""
    layers = find_layers(base, stack)
    root = base.get_encoder() if stack.name == "encoder" else base.get_decoder()
    passed = bool(stack.width and any(attention.passed for attention in stack.width.attentions))
    return Entry(root, layers, min(trained, default=len(layers) - 1 + last), passed)


def _list_projections(layers: Iterable[nn.Module], stack: Stack) -> Iterator[nn.Linear]:
    """The frozen projections of keys and values in the layers' cross-attention."""
    attentions = [attention for attention in stack.width.attentions if attention.name == "cross"] if stack.width else []
    for layer in layers:
        for path in (path for attention in attentions for path in (attention.key, attention.value)):
            module = layer.get_submodule(path)
            if type(module) is nn.Linear and not any(parameter.requires_grad for parameter in module.parameters()):
                yield module


def _find_loose(entry: Entry, outside: dict[int, str]) -> str:
    """A parameter of a stack that is trained and in none of its layers."""
    return next((outside[id(parameter)] for parameter in entry.root.parameters() if id(parameter) in outside), "")


def _why_not(entry: Entry, stack: Stack, family: Family) -> str:
    """Why a stack cannot be entered half way."""
    if stack.width is None:
        return f"nothing says what the layers of a {family.model_type} pass on to each other"
    if getattr(entry.root, "layerdrop", 0):
        return f"its layers are left out at random (layerdrop {entry.root.layerdrop})"
    return ""
