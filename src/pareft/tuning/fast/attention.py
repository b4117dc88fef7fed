"""Scaled dot-product attention by matrix products, for a processor.

torch's own kernel there runs at a fraction of the speed of matrix products, and with dropout it falls back to a slower one that
keeps every attention weight. Here some heads are computed at a time, so that their weights stay in the processor's cache. The
backward pass computes them again, unless they are no more than the queries, keys and values that it needs anyway.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn import functional

from pareft.tuning.fast.dropout import apply_mask, draw_mask

AT_A_TIME = 2**20  # attention weights that are computed together


def can_attend(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, dropout: float) -> bool:
    """Whether `attend` can stand in for torch's `scaled_dot_product_attention`, and pays: on a processor, as many heads of keys
    as of queries, a mask that is not trained, in bf16 or with dropout.
    """
    trained = mask is not None and mask.requires_grad
    pays = query.dtype == torch.bfloat16 or dropout > 0
    return query.device.type == "cpu" and pays and query.dim() == 4 and query.shape[:2] == key.shape[:2] and not trained


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None = None,
    dropout: float = 0.0,
    causal: bool = False,
    scale: float | None = None,
) -> torch.Tensor:
    """softmax(query key^T scale + mask) value, with dropout between softmax and values.

    Args:
        query: (batch, heads, targets, width).
        key: (batch, heads, sources, width).
        value: as key.
        mask: what is added, or `False` where nothing is looked at; broadcast to (batch, heads, targets, sources).
        dropout: the probability with which an attention weight is zero.
        causal: whether a target sees no source after its own place.
        scale: by default width ** -0.5.
    """
    if causal:
        mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool).tril()
    if mask is not None and mask.dtype == torch.bool:
        unseen = torch.finfo(query.dtype).min  # and not infinity: what sees nothing is padding, and must not become NaN
        mask = torch.zeros(mask.shape, dtype=query.dtype).masked_fill_(~mask, unseen)
    scale = query.shape[3] ** -0.5 if scale is None else scale
    attended: torch.Tensor = _Attend.apply(query, key, value, mask, dropout, scale)  # type: ignore[no-untyped-call]
    return attended


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None,
        dropout: float,
        scale: float,
    ) -> torch.Tensor:
        batch, heads, targets, _ = query.shape
        shape = (batch, heads, targets, key.shape[2])
        dropped, ctx.rescale = query.new_empty(shape, dtype=torch.int8) if dropout else None, 1.0
        query, key, value = (query * scale).contiguous(), key.contiguous(), value.contiguous()  # once, not for every product
        out = value.new_empty(batch, targets, heads, value.shape[3]).transpose(1, 2)
        few = targets * shape[3] <= query.shape[3] * (targets + 2 * shape[3])
        known = query.new_empty(shape) if few else None
        ctx.scale = scale
        for row, some in _share(query, shape):
            weights = _weigh(query, key, mask, row, some)
            if known is not None:
                known[row, some] = weights
            if dropped is not None:
                kept, ctx.rescale = draw_mask(weights, dropout)
                dropped[row, some] = kept
                weights = apply_mask(weights, kept).mul_(ctx.rescale)
            out[row, some] = torch.bmm(weights, value[row, some])
        ctx.save_for_backward(query, key, value, mask, dropped, known)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        query, key, value, mask, dropped, known = ctx.saved_tensors
        gradient = gradients[0].contiguous()
        found = [
            torch.empty_like(tensor) if needed else None
            for tensor, needed in zip((query, key, value), ctx.needs_input_grad[:3], strict=True)
        ]
        of_query, of_key, of_value = found
        for row, some in _share(query, (*query.shape[:3], key.shape[2])):
            weights = _weigh(query, key, mask, row, some) if known is None else known[row, some]
            kept = None if dropped is None else dropped[row, some]
            if of_value is not None:
                used = weights if kept is None else apply_mask(weights, kept).mul_(ctx.rescale)
                of_value[row, some] = torch.bmm(used.transpose(1, 2), gradient[row, some])
            if of_query is None and of_key is None:
                continue
            of_weights = torch.bmm(gradient[row, some], value[row, some].transpose(1, 2))
            if kept is not None:
                of_weights = apply_mask(of_weights, kept).mul_(ctx.rescale)
            of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
            if of_query is not None:
                of_query[row, some] = torch.bmm(of_scores, key[row, some]).mul_(ctx.scale)
            if of_key is not None:
                of_key[row, some] = torch.bmm(of_scores.transpose(1, 2), query[row, some])
        return (*found, None, None, None)


def _weigh(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None, row: int, some: slice) -> torch.Tensor:
    """The attention weights of some heads of a row of the batch, before dropout."""
    scores = torch.bmm(query[row, some], key[row, some].transpose(1, 2))
    if mask is not None:
        scores += mask.expand(*query.shape[:3], key.shape[2])[row, some]
    return functional.softmax(scores, -1)


def _share(query: torch.Tensor, shape: tuple[int, ...]) -> Iterator[tuple[int, slice]]:
    """Rows of a batch and heads that are computed together."""
    batch, heads, targets, sources = shape
    together = heads if isinstance(query, FakeTensor) else max(1, AT_A_TIME // (targets * sources))  # which has no content
    for row in range(batch):
        for start in range(0, heads, together):
            yield row, slice(start, start + together)
