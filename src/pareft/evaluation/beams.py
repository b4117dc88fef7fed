"""Beam search in which the beams of a source share what is theirs together.

Stock `generate` gives every beam a copy of the source: its keys and values for cross-attention are computed, stored and, at every
token, copied for each beam, and so are the keys and values of what the beams have written. Here the beams of a source are the
queries of one row. The source's keys exist once. Those of written tokens are stored once and never move: a mask, which follows the
beams, says which of them each beam's text is made of. Attention reads the same numbers, in another order.

Letters: B sources of S tokens, N beams, T new tokens, K keys, H heads, D the size of a state or head.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from transformers import EncoderDecoderCache, PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from pareft.models.families import find_family
from pareft.models.families.schema import Attention

MASKS = ("attention_mask", "mask")  # as attentions call theirs
ROOM = 16  # tokens for which a store of keys begins with room; it doubles
Arguments = tuple[tuple[Any, ...], dict[str, Any]]  # of a module's call


class _Beams:
    """Which keys the beams see, as they part and as others take their place."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.tokens = 0  # every beam has
        self.seen = torch.empty(0)  # (B, N, K) bool
        self.positions = torch.empty(0)  # (K,), of the keys in their beams' texts
        self.mask = torch.empty(0)  # (B, 1, N·T, K) bool, of the tokens now computed

    def grow(self, sources: int, tokens: int, device: torch.device) -> None:
        """Make room for new tokens of every beam: each sees its own text so far, and of the new ones its own up to itself."""
        causal = torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()
        own = torch.kron(torch.eye(self.count, dtype=torch.bool, device=device), causal)  # (N·T, N·T)
        new = own.expand(sources, -1, -1)
        at = torch.arange(self.tokens, self.tokens + tokens, device=device).repeat(self.count)
        if self.tokens:
            new = torch.cat([self.seen.repeat_interleave(tokens, 1), new], -1)
            at = torch.cat([self.positions, at])
        self.mask, self.positions = new[:, None], at
        self.seen = new.reshape(sources, self.count, tokens, -1)[:, :, -1]
        self.tokens += tokens

    def reorder(self, chosen: torch.Tensor) -> None:
        """Beams go on from others of their source; `chosen`: (B·N,), rows."""
        within = (chosen % self.count).view(-1, self.count, 1).to(self.seen.device)
        self.seen = self.seen.gather(1, within.expand(-1, -1, self.seen.shape[-1]))


class _WrittenLayer(DynamicLayer):
    """A layer's keys and values of all beams' tokens, a row for every source, in a store that grows by doubling."""

    def __init__(self, beams: int) -> None:
        super().__init__()
        self.beams, self.filled = beams, 0
        self.stores: list[torch.Tensor] = []

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add (B, H, N·T, D) each; returns all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.stores = [_make_room(new, ROOM * new.shape[2]) for new in (key_states, value_states)]
        end = self.filled + key_states.shape[2]
        if end > self.stores[0].shape[2]:
            larger = [_make_room(store, 2 * end) for store in self.stores]
            for old, new in zip(self.stores, larger, strict=True):
                new[:, :, : self.filled] = old[:, :, : self.filled]
            self.stores = larger
        for store, new in zip(self.stores, (key_states, value_states), strict=True):
            store[:, :, self.filled : end] = new
        self.filled = end
        self.keys, self.values = (store[:, :, :end] for store in self.stores)
        return self.keys, self.values

    def get_seq_length(self) -> int:
        """Tokens of a beam."""
        return self.filled // self.beams


def _make_room(like: torch.Tensor, length: int) -> torch.Tensor:
    return like.new_empty(*like.shape[:2], length, like.shape[3])


class _Written(Cache):
    """What the beams have written: when they are reordered, the mask is, and no key moves."""

    def __init__(self, beams: _Beams) -> None:
        super().__init__(layer_class_to_replicate=lambda: _WrittenLayer(beams.count))
        self.beams = beams

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Follow the beams, whose number in the batch is `beam_idx`."""
        self.beams.reorder(beam_idx)


class _Sources(Cache):
    """The sources' keys and values, which beams of one source share, whichever goes on."""

    def __init__(self) -> None:
        super().__init__(layer_class_to_replicate=DynamicLayer)

    def reorder_cache(self, beam_idx: torch.Tensor) -> None:
        """Nothing moves."""


@contextmanager
def share_sources(model: PreTrainedModel, beams: int) -> Iterator[dict[str, Any]]:
    """Inside the `with`, the model's decoder takes the beams of a source as one row; yields what one call of `generate` needs to be
    told for it. Nothing, where there are no beams, the family's row does not say where its attentions are, or the base asks for a
    cache of its own; that call is stock.
    """
    own = getattr(model.generation_config, "cache_implementation", None)
    attentions = list(_find_attentions(model)) if beams > 1 and not own and model.config._attn_implementation == "sdpa" else []
    if not attentions:
        yield {}
        return
    state, first = _Beams(beams), next(module for attention, module in attentions if attention.name == "self")
    with ExitStack() as stack:
        for attention, module in attentions:
            hook = _FoldSource(beams) if attention.name == "cross" else _FoldWritten(state, attention, leads=module is first)
            stack.callback(module.register_forward_pre_hook(hook, with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(_Unfold(beams)).remove)
        yield {"past_key_values": EncoderDecoderCache(_Written(state), _Sources())}


def _find_attentions(model: PreTrainedModel) -> Iterator[tuple[Attention, nn.Module]]:
    family = find_family(model.config)
    for name, module in model.named_modules():
        place = family.locate(name)
        if place and place.stack.name == "decoder" and place.stack.width:
            yield from ((one, module) for one in place.stack.width.attentions if one.module == place.tail)


def _find_states(args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor:
    """An attention's states, which families pass by place or by name."""
    return args[0] if args else kwargs["hidden_states"]


def _replace_states(args: Sequence[Any], kwargs: dict[str, Any], states: torch.Tensor) -> Arguments:
    return ((states, *args[1:]), kwargs) if args else ((), kwargs | {"hidden_states": states})


def _fold(states: torch.Tensor, beams: int) -> torch.Tensor:
    """(B·N, T, D) → (B, N·T, D)."""
    return states.reshape(states.shape[0] // beams, -1, states.shape[-1])


class _FoldSource:
    """Before cross-attention: the beams' tokens are the queries of their source, whose states and mask are taken once."""

    def __init__(self, beams: int) -> None:
        self.beams = beams

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        taken = {"key_value_states": kwargs["key_value_states"][:: self.beams]}  # (B, S, D)
        for name in MASKS:
            if kwargs.get(name) is not None:
                taken[name] = kwargs[name][:: self.beams, :, :1]  # (B, 1, 1, S): all tokens see the same of a source
        return _replace_states(args, kwargs | taken, _fold(_find_states(args, kwargs), self.beams))


class _FoldWritten:
    """Before self-attention: the tokens of all beams are in one row, under the mask that tells them apart. The first layer's hook
    `leads`: it makes the mask. T5's position bias is made for the keys as they lie.
    """

    def __init__(self, state: _Beams, attention: Attention, *, leads: bool) -> None:
        self.state, self.attention, self.leads = state, attention, leads

    def __call__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
        states, state = _find_states(args, kwargs), self.state
        rows, tokens = states.shape[:2]
        if self.leads:
            state.grow(rows // state.count, tokens, states.device)
        changed: dict[str, Any] = dict.fromkeys(set(MASKS) & set(kwargs), state.mask)
        passed = self.attention.passed
        if passed and kwargs.get(passed) is None:
            before = state.tokens - tokens
            bias = module.compute_bias(tokens, state.tokens, device=states.device, past_seen_tokens=before)  # (1, H, T, K / N)
            changed[passed] = bias[..., state.positions].repeat(1, 1, state.count, 1)  # (1, H, N·T, K)
        return _replace_states(args, kwargs | changed, _fold(states, state.count))


class _Unfold:
    """After an attention: (B, N·T, D) → (B·N, T, D)."""

    def __init__(self, beams: int) -> None:
        self.beams = beams

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: tuple[Any, ...]) -> tuple[Any, ...]:
        states = output[0]
        return (states.reshape(states.shape[0] * self.beams, -1, states.shape[-1]), *output[1:])
