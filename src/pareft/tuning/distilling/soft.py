"""Soft targets: what a teacher takes every token of a target for, as its likeliest tokens and all others together.

At a temperature T the teacher's chances are p = softmax(z / T), the student's q. Of the likeliest k tokens each counts by itself,
the others as one outcome, so that the divergence KL(p, q) is of k + 1 outcomes; with all tokens it is that of arXiv 1503.02531, of
which it is never more. It is multiplied by T², which keeps its gradients as large as those of the targets themselves.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from pareft.runtime import find_computing_dtype
from pareft.tuning.fast.loss import AT_A_TIME, Logits


@dataclass(frozen=True)
class SoftTargets:
    """Of n targets' tokens: the likeliest ones (n, k), the logarithms of their chances (n, k) and of that of all others (n,); or
    the teacher's logits (n, V), also as a promise, for all. `weight`: of the divergence in the loss.
    """

    temperature: float
    weight: float
    tokens: torch.Tensor | None = None
    chances: torch.Tensor | None = None
    rest: torch.Tensor | None = None
    logits: Any = None

    def measure(self, logits: torch.Tensor, some: slice) -> torch.Tensor:
        """As `Also.measure`: by autograd."""
        student = functional.log_softmax(logits / self.temperature, -1)
        factor = self.weight * self.temperature**2
        if self.tokens is None:
            teacher = self._find_all(some)
            return factor * (teacher.exp() * (teacher - student)).sum()
        tokens, teacher, rest = self._take(some)
        of_tokens = (teacher.exp() * (teacher - student.gather(1, tokens))).sum()
        return factor * (of_tokens + (rest.exp() * (rest - sum_others(student, tokens))).sum())

    @torch.no_grad()
    def grade(self, logits: torch.Tensor, some: slice) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Also.grade`: by hand, q - p for the likeliest tokens, and for others q less their share in what p leaves them."""
        student = functional.log_softmax(logits / self.temperature, -1)
        factor = self.weight * self.temperature**2
        if self.tokens is None:
            teacher = self._find_all(some)
            chances = teacher.exp()
            gradient = student.exp().sub_(chances)
            return factor * (chances * teacher.sub_(student)).sum(), gradient.mul_(factor / self.temperature)
        tokens, teacher, rest = self._take(some)
        chances, own = teacher.exp(), student.gather(1, tokens)
        others = sum_others(student, tokens)
        total = (chances * (teacher - own)).sum() + (rest.exp() * (rest - others)).sum()
        left = (student + (rest - others)[:, None]).exp_()  # of what p leaves to the others, each one's share
        gradient = student.exp_().sub_(left).scatter_(1, tokens, own.exp() - chances)
        return factor * total, gradient.mul_(factor / self.temperature)

    def _take(self, some: slice) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        assert self.tokens is not None
        assert self.chances is not None
        assert self.rest is not None
        return self.tokens[some], self.chances[some], self.rest[some]

    def _find_all(self, some: slice) -> torch.Tensor:
        """The logarithms of all of the teacher's chances."""
        with torch.no_grad():
            return functional.log_softmax(self.logits[some].float() / self.temperature, -1)


def sum_others(logarithms: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """The logarithm of the chance of all but some tokens. logarithms: (n, V), tokens: (n, k); returns (n,)"""
    return logarithms.scatter(1, tokens, -torch.inf).logsumexp(1)


@torch.no_grad()
def find_likeliest(logits: Any, count: int, temperature: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The likeliest tokens (n, k), the logarithms of their chances (n, k) and of that of all others (n,), at a temperature.

    logits: (n, V), or their promise, of which no more than some rows are held at a time; count: k, less than V
    """
    found = []
    for first in range(0, logits.shape[0], together := max(1, AT_A_TIME // logits.shape[1])):
        all_of = functional.log_softmax(logits[first : first + together].float() / temperature, -1)
        chances, tokens = all_of.topk(count, sorted=False)
        found.append((tokens, chances, sum_others(all_of, tokens)))
    tokens, chances, rest = (torch.cat(parts) for parts in zip(*found, strict=True))
    return tokens, chances, rest


def choose_rows(logits: Any, there: torch.Tensor) -> Any:
    """The logits of some targets' tokens, as a promise where they are one. logits: (B, T, V), there: (B, T) bool"""
    if not isinstance(logits, Logits):
        return logits[there]
    dtype = find_computing_dtype(logits.hidden)
    bias = None if logits.bias is None else logits.bias.to(dtype)
    return Logits(logits.hidden[there].to(dtype), logits.weight.to(dtype), bias)
