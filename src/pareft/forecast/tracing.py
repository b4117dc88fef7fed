"""A training step on tensors that have shapes and no content: its memory at every moment, its operations, and its calls.

The step is computed with the library's own modelling code; nothing is guessed of an architecture.
"""

import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from pareft.forecast.calls import Call, describe_call
from pareft.models.structure import count_vocabulary
from pareft.recipe import Recipe
from pareft.runtime import Precision, autocast, choose_device
from pareft.settings import FastSettings
from pareft.tuning.fast import quicken
from pareft.tuning.fast.batches import find_part_tokens

GRADIENT, MOMENTS = 4, 8  # bytes of a trained parameter besides its own: its gradient, and AdamW's two moments in float32
PLAIN = FastSettings(lora=False, dropout=False, loss=False, attention=False, memory=False, batches=False)


@dataclass(frozen=True)
class Step:
    """One optimizer step with every text as long as the recipe allows.

    `activation_bytes`: what the forward pass of a part of the batch holds for its backward pass. `peak_bytes`: the most that
    tensors take at any moment of a step that is not the first. `operations`: of forward and backward. `calls`: how often what is
    computed.
    """

    weight_bytes: int
    gradient_bytes: int
    moment_bytes: int
    activation_bytes: int
    peak_bytes: int
    operations: int
    calls: Mapping[Call, float] = field(default_factory=dict)


def trace_step(
    model: Any,
    recipe: Recipe,
    precision: Precision,
    *,
    frozen: torch.dtype | None = None,
    fast: FastSettings = PLAIN,
    recomputing: bool = False,
    listing: bool = False,
) -> Step:
    """Trace forward and backward of one batch of a model on `meta`, which must not be used afterwards.

    A frozen base is in `frozen`, by default in bf16 where that is computed with, as in a run. Where the fast ways cut a batch, or
    gradients are accumulated, a part is traced beside the gradients of others. `recomputing`: layers are computed again in the
    backward pass; `listing`: the calls are listed, which takes longer.
    """
    frozen = frozen or (torch.bfloat16 if recipe.adapt and precision == "bf16" else torch.float32)
    device, size = choose_device().type, count_rows(recipe, fast)
    ways = fast if device == "cpu" else fast.model_copy(update={"dropout": False, "attention": False})
    several = recipe.train.accumulation > 1 or size < recipe.train.batch_size
    with quicken(model, ways.model_copy(update={"memory": False})), FakeTensorMode(), Watch(listing=listing) as watch:
        fake(model.train(), frozen, device)
        if recomputing:
            model.gradient_checkpointing_enable({"use_reentrant": False, "preserve_rng_state": False})
        parameters = list(model.parameters())
        for parameter in parameters:
            watch.hold(parameter)
        weights, trained = watch.held, sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        for _ in range(1 + several):
            batch = make_batch(model, recipe, size, device)
            before = watch.begin()
            with autocast(precision):
                loss = model(**batch).loss
            activations = watch.held - before
            loss.backward()
            del loss
    parts = recipe.train.batch_size / size * recipe.train.accumulation
    return Step(
        weight_bytes=weights,
        gradient_bytes=GRADIENT * trained,
        moment_bytes=MOMENTS * trained,
        activation_bytes=activations,
        peak_bytes=watch.peak + MOMENTS * trained,
        operations=round(watch.operations * parts),
        calls={call: count * parts for call, count in watch.calls.items()},
    )


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sees every tensor that is made and goes: the bytes held now, and the most that were; the operations of matrix products and
    attention; with `listing`, every call.
    """

    def __init__(self, *, listing: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = self.peak = self.operations = 0
        self.calls: Counter[Call] = Counter()
        self._listing, self._known = listing, set[int]()

    def begin(self) -> int:
        """Count anew, from what is held now; returns that."""
        self.peak, self.operations = self.held, 0
        self.calls.clear()
        return self.held

    def hold(self, tensor: torch.Tensor) -> None:
        """Count a tensor's storage, once and until it goes."""
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.held += size
        self.peak = max(self.peak, self.held)
        weakref.finalize(storage, self._release, key, size)

    def _release(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.held -= size

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for found in tree_leaves(result):
            if isinstance(found, torch.Tensor):
                self.hold(found)
        if count := flop_registry.get(function._overloadpacket):
            self.operations += count(*args, **(kwargs or {}), out_val=result)
        if self._listing and (call := describe_call(function, args, kwargs or {})):
            self.calls[call] += 1
        return result


def count_rows(recipe: Recipe, fast: FastSettings) -> int:
    """How many of a batch's examples are computed at a time, if all are as long as they may be."""
    size, data = recipe.train.batch_size, recipe.data
    tokens = find_part_tokens(fast, choose_device().type) if fast.batches else None
    return min(size, max(1, tokens // (data.max_source_tokens + data.max_target_tokens))) if tokens else size


def make_batch(model: Any, recipe: Recipe, size: int, device: str) -> dict[str, torch.Tensor]:
    """Random texts as long as they may be; for a model of one stack, source and target are one text."""
    source, target = recipe.data.max_source_tokens, recipe.data.max_target_tokens
    if not model.config.is_encoder_decoder:
        source = target = source + target
    high = count_vocabulary(model.config)
    ids, labels = (torch.randint(high // 2, high, (size, tokens), device=device) for tokens in (source, target))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}


def fake(model: nn.Module, frozen: torch.dtype, device: str, *, trained: torch.dtype = torch.float32) -> None:
    """Put tensors without content in the place of those on `meta`; a shared one stays shared."""
    made: dict[int, nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and id(parameter) not in made:
                dtype = trained if parameter.requires_grad else frozen
                made[id(parameter)] = nn.Parameter(
                    torch.empty(parameter.shape, dtype=dtype, device=device), parameter.requires_grad
                )
            module._parameters[name] = None if parameter is None else made[id(parameter)]
        for name, buffer in module._buffers.items():
            module._buffers[name] = None if buffer is None else torch.empty(buffer.shape, dtype=buffer.dtype, device=device)
