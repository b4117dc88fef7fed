"""How much every layer is needed, by stack: what scores more is needed more. Each score is a function of a model and of batches,
or of a cost of the model; none keeps more than a batch's states, and none depends on how examples are batched or ordered.

Batches have `input_ids` and `attention_mask` (B, S) and `labels` (B, T), -100 where there is none, on the model's device; the model
is in eval mode.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn import functional
from transformers import PreTrainedModel

from pareft.models.families import find_family
from pareft.models.families.schema import Stack
from pareft.models.structure import find_layers, find_states
from pareft.pruning.gates import Gates, find_input, gate

Batch = Mapping[str, torch.Tensor]
Batches = Iterable[Batch]
Scores = dict[str, tuple[float, ...]]
Cost = Callable[[], float]  # of the model as it is gated; less is better
IGNORED = -100

STEPS = 30  # of learned gates
LEARNING_RATE = 0.05
SPARSITY = 1e-2  # λ of learned gates


def count_targets(model: PreTrainedModel, batch: Batch) -> int:
    """The tokens that a batch's loss is the mean over."""
    labels = batch["labels"]
    asked = labels if model.config.is_encoder_decoder else labels[:, 1:]
    return int((asked != IGNORED).sum())


def measure_loss(model: PreTrainedModel, batches: Batches) -> float:
    """The mean loss of a target's token."""
    total, tokens = 0.0, 0
    with torch.no_grad():
        for batch in batches:
            count = count_targets(model, batch)
            total += float(model(**batch, use_cache=False).loss) * count
            tokens += count
    return total / tokens


def score_influence(model: PreTrainedModel, batches: Batches) -> Scores:
    """One less the mean cosine of what a token's state is before and behind a layer: block influence of ShortGPT (Men et al. 2024,
    arXiv 2403.03853).
    """
    sums: dict[tuple[str, int], tuple[float, int]] = {}
    with watch(model) as seen, torch.no_grad():
        for batch in batches:
            model(**batch, use_cache=False)
            for stack in find_family(model.config).stacks:
                mask = find_mask(model, stack, batch)
                for number, (before, after) in enumerate(seen.pop(stack.name)):
                    cosines = functional.cosine_similarity(pick(before, mask), pick(after, mask), dim=-1)
                    total, tokens = sums.get((stack.name, number), (0.0, 0))
                    sums[stack.name, number] = (total + float(cosines.sum()), tokens + len(cosines))
    return _by_stack(model, lambda stack, number: 1 - sums[stack, number][0] / sums[stack, number][1])


def score_magnitude(model: PreTrainedModel) -> Scores:
    """The sum of a layer's absolute weights (Kim et al. 2024, arXiv 2402.02834)."""
    return _sum_weights(model, lambda weight: float(weight.detach().double().abs().sum()))


def score_taylor(model: PreTrainedModel, batches: Batches) -> Scores:
    """The sum over a layer's weights of |weight × gradient of the mean loss| (Kim et al. 2024, arXiv 2402.02834)."""
    with _differentiate(model):
        _add_gradients(model, list(batches))
        return _sum_weights(model, lambda weight: 0.0 if weight.grad is None else _sum_sizes(weight.detach(), weight.grad))


def leave_one_out(model: PreTrainedModel, cost: Cost) -> Scores:
    """What a model's cost rises by without each layer alone; `cost` is asked once for the whole model and once a layer."""
    with gate(model) as gates:
        whole = cost()
        return {stack: tuple(cost_without(gates, stack, n, cost) - whole for n in range(len(gates[stack]))) for stack in gates}


def learn_gates(model: PreTrainedModel, batches: Batches, *, steps: int = STEPS) -> Scores:
    """The sizes of gates on all layers, trained on the mean loss + λ · Σ |gate| by Adam with all batches in every step, the weights
    frozen (arXiv 2406.03792: its early masks, with one gate a layer).
    """
    kept = list(batches)
    with _freeze(model), gate(model) as gates:
        trained = [value.requires_grad_() for value in gates.values()]
        optimizer = torch.optim.Adam(trained, lr=LEARNING_RATE)
        for _ in range(steps):
            optimizer.zero_grad()
            _add_gradients(model, kept)
            (SPARSITY * torch.stack([value.abs().sum() for value in trained]).sum()).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        return {stack: tuple(value.detach().abs().tolist()) for stack, value in gates.items()}


def find_mask(model: PreTrainedModel, stack: Stack, batch: Batch) -> torch.Tensor:
    """Which places of a stack's states are a token's, (B, S) or (B, T)."""
    targets = stack.name == "decoder" and model.config.is_encoder_decoder
    return batch["labels"] != IGNORED if targets else batch["attention_mask"].bool()


def pick(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The states of tokens, (tokens, width), of (B, S, width) or more, where a family pads them further (LED, LongT5)."""
    return states[:, : mask.shape[1]][mask].double()


@contextmanager
def watch(model: PreTrainedModel) -> Iterator[dict[str, list[tuple[torch.Tensor, torch.Tensor]]]]:
    """Inside the `with`, what comes into and out of every layer, (B, S, width) each, is noted by stack, in order."""
    seen: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}

    def make_hook(stack: str) -> Callable[..., None]:
        def note(_: Any, given: tuple[Any, ...], options: dict[str, Any], output: Any) -> None:
            seen.setdefault(stack, []).append((find_input(given, options), find_states(output)))

        return note

    with ExitStack() as hooks:
        for stack in find_family(model.config).stacks:
            for layer in find_layers(model, stack):
                hooks.callback(layer.register_forward_hook(make_hook(stack.name), with_kwargs=True).remove)
        yield seen


def cost_without(gates: Gates, stack: str, number: int, cost: Cost) -> float:
    """The cost of what is gated, without one layer more."""
    gates[stack][number] = 0.0
    found = cost()
    gates[stack][number] = 1.0
    return found


def _add_gradients(model: PreTrainedModel, batches: list[Batch]) -> None:
    """Those of the mean loss of all batches."""
    tokens = sum(count_targets(model, batch) for batch in batches)
    for batch in batches:
        (model(**batch, use_cache=False).loss * count_targets(model, batch) / tokens).backward()


def _sum_sizes(weight: torch.Tensor, gradient: torch.Tensor) -> float:
    return float((weight.double() * gradient.double()).abs().sum())


def _sum_weights(model: PreTrainedModel, take: Callable[[torch.Tensor], float]) -> Scores:
    """A sum over each layer's own weights; what only the first owns for all is no layer's."""
    carried = {stack.name: stack.carried for stack in find_family(model.config).stacks}
    layers = {stack.name: find_layers(model, stack) for stack in find_family(model.config).stacks}

    def add(stack: str, number: int) -> float:
        named = layers[stack][number].named_parameters()
        return sum(take(weight) for name, weight in named if not name.endswith(tuple(carried[stack]) or ("\0",)))

    return _by_stack(model, add)


def _by_stack(model: PreTrainedModel, find: Callable[[str, int], float]) -> Scores:
    stacks = find_family(model.config).stacks
    return {stack.name: tuple(find(stack.name, n) for n in range(len(find_layers(model, stack)))) for stack in stacks}


@contextmanager
def _freeze(model: PreTrainedModel) -> Iterator[None]:
    """Inside the `with`, nothing of a model asks for a gradient."""
    asked = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        model.requires_grad_(False)
        yield
    finally:
        for parameter in asked:
            parameter.requires_grad_()


@contextmanager
def _differentiate(model: PreTrainedModel) -> Iterator[None]:
    """Inside the `with`, the layers' weights, and nothing else, have gradients, which are gone afterwards."""
    with _freeze(model):
        layers = [layer for stack in find_family(model.config).stacks for layer in find_layers(model, stack)]
        try:
            for layer in layers:
                layer.requires_grad_()
            yield
        finally:
            for layer in layers:
                layer.requires_grad_(False)
                layer.zero_grad()
