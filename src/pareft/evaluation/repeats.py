"""No n-gram twice, for all rows at once: stock `generate` walks through every row in Python at every token."""

from typing import Any

import torch
from transformers import LogitsProcessor


class NoRepeat(LogitsProcessor):
    """As transformers' `NoRepeatNGramLogitsProcessor`, the same scores. `generate` calls it after its own processors, and that one
    among them: for n-grams of two tokens or more the order makes no difference, as a token that is forced ends none that was there.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, input_ids: Any, scores: torch.Tensor) -> torch.Tensor:
        """The scores without repetitions, in place: they are a copy that `generate` makes of the model's."""
        return ban_repeats(input_ids, scores, self.size)


def ban_repeats(tokens: torch.Tensor, scores: torch.Tensor, size: int) -> torch.Tensor:
    """Set the scores of tokens that would end an n-gram that is there already to -inf, in place.

    tokens: (R, T); scores: (R, V). Returns `scores`.
    """
    if tokens.shape[1] < size:
        return scores
    begun = tokens.unfold(1, size - 1, 1)  # (R, T - size + 2, size - 1), the last one is what the next token goes on from
    repeated = (begun[:, :-1] == begun[:, -1:]).all(-1)  # (R, T - size + 1)
    if not repeated.any():
        return scores
    rows, places = repeated.nonzero(as_tuple=True)
    scores[rows, tokens[rows, places + size - 1]] = -torch.inf
    return scores
