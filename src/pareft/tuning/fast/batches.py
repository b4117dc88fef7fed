"""A batch in parts of similar length: the same gradient, with less padding and never more than some tokens in memory at a time."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from pareft.settings import FastSettings
from pareft.token_ids import IGNORED

Batch = Mapping[str, torch.Tensor]
MULTIPLE = 8  # to which the lengths of a batch, and of its parts, are padded
SOURCES = ("input_ids", "attention_mask", "token_type_ids")  # whose columns are the source's; those of all else are the target's
PASS_OPERATIONS = {"cpu": 1e10, "cuda": 2e13}  # what could be computed in the time that one more pass costs by itself
TOKENS = 4096  # of a part on a processor: matrices this large are multiplied as fast as any


def count_targets(batch: Batch) -> torch.Tensor:
    """How many numbers a batch's loss is the mean of: labels, or tokens of targets; of spans, windows."""
    return (batch["labels"] != IGNORED).sum() if "labels" in batch else torch.tensor(len(batch["input_ids"]))


def divide(batch: Batch, model: nn.Module, settings: FastSettings) -> list[dict[str, torch.Tensor]]:
    """The parts in which a model is to be trained with a batch, as the settings and the device say; one of options, or of windows,
    stays whole.
    """
    if not settings.batches or len(batch["input_ids"]) == 1 or batch["input_ids"].dim() > 2 or "labels" not in batch:
        return [dict(batch)]
    device, parameters = next(model.parameters()).device.type, sum(parameter.numel() for parameter in model.parameters())
    passing = round(PASS_OPERATIONS.get(device, 0) / (4 * parameters))
    aligned = batch["labels"].shape == batch["input_ids"].shape and not model.config.is_encoder_decoder  # type: ignore[union-attr]
    return split(batch, tokens=find_part_tokens(settings, device), pass_tokens=passing, aligned=aligned)


def find_part_tokens(settings: FastSettings, device: str) -> int | None:
    """The most tokens of a part, sources and targets together, on a kind of device; `None`: any number."""
    return (TOKENS if device == "cpu" else None) if settings.part_tokens == "auto" else settings.part_tokens


def split(batch: Batch, *, tokens: int | None, pass_tokens: int, aligned: bool = False) -> list[dict[str, torch.Tensor]]:
    """Cut a padded batch of sources and labels into parts of similar length, each without the padding it does not need.

    The parts are those with the fewest padded tokens, where a part costs `pass_tokens` more, and none has more than `tokens` unless
    a single example does. Sums over all parts are sums over the batch.

    Args:
        batch: `input_ids` and `attention_mask` (examples, sources), `labels` (examples, targets) or (examples).
        tokens: of a part, sources and targets together; `None`: any number.
        pass_tokens: how many tokens could be computed in the time that one more part takes by itself.
        aligned: labels are of the sources' own tokens, as a decoder learns them.
    """
    sources, targets = batch["attention_mask"] != 0, batch["labels"] != IGNORED
    if targets.dim() == 1 or aligned:  # a label, and no text; or no other text
        targets = torch.zeros_like(sources[:, :0])
    counts = zip(sources.sum(1).tolist(), targets.sum(1).tolist(), strict=True)
    lengths = [(_round_up(source), _round_up(target) if targets.shape[1] else 0) for source, target in counts]
    order = sorted(range(len(lengths)), key=lambda row: (sum(lengths[row]), lengths[row]))
    parts = _choose([lengths[row] for row in order], tokens, pass_tokens)
    if len(parts) == 1:
        return [dict(batch)]
    return [_take(batch, sources, sources if aligned else targets, order[start:end]) for start, end in parts]


def _choose(lengths: Sequence[tuple[int, int]], tokens: int | None, pass_tokens: int) -> list[tuple[int, int]]:
    """The cheapest cuts of a sequence, as the first and the place after the last of every part."""
    cheapest: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(lengths) + 1):
        found = []
        source = target = 0
        for start in range(end - 1, -1, -1):
            source, target = max(source, lengths[start][0]), max(target, lengths[start][1])
            padded = (end - start) * (source + target)
            if tokens is not None and padded > tokens and start < end - 1:
                break
            found.append((cheapest[start][0] + padded + pass_tokens, start))
        cheapest.append(min(found))
    cuts, end = [], len(lengths)
    while end:
        cuts.append((cheapest[end][1], end))
        end = cheapest[end][1]
    return cuts[::-1]


def _take(batch: Batch, sources: torch.Tensor, targets: torch.Tensor, rows: list[int]) -> dict[str, torch.Tensor]:
    """Some rows, without the columns that are padding in all of them."""
    of_source, of_target = _find_columns(sources[rows]), _find_columns(targets[rows])
    taken = {}
    for key, value in batch.items():
        columns = of_source if key in SOURCES else of_target
        taken[key] = value[rows] if value.dim() == 1 else value[rows][:, columns].contiguous()
    return taken


def _find_columns(used: torch.Tensor) -> slice:
    """The columns that any row uses, rounded up to a multiple on the side where the padding is."""
    found = used.any(0).nonzero().flatten().tolist()
    first, last = (found[0], found[-1] + 1) if found else (0, 1)
    width = min(_round_up(last - first), used.shape[1])
    return slice(first, first + width) if first + width <= used.shape[1] else slice(last - width, last)


def _round_up(length: int) -> int:
    return -(-max(1, length) // MULTIPLE) * MULTIPLE
