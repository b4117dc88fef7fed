"""Laws of a step that is measured: it holds no more than training does."""

import weakref
from types import SimpleNamespace

import torch
from torch import nn
from transformers.modeling_outputs import Seq2SeqLMOutput

from pareft.settings import FastSettings
from pareft.stepping import learn


def test_what_a_part_of_a_batch_held_is_gone_before_the_next_is_computed():
    held, alive = [], []

    class Holding(torch.autograd.Function):
        @staticmethod
        def forward(ctx, weight):
            ctx.kept = torch.zeros(3)
            held.append(weakref.ref(ctx.kept))
            return weight.sum()

        @staticmethod
        def backward(ctx, gradient):
            return gradient.expand(2)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2))
            self.config = SimpleNamespace(is_encoder_decoder=True)

        def forward(self, **_):
            alive.append(sum(reference() is not None for reference in held))
            return Seq2SeqLMOutput(loss=Holding.apply(self.weight))

    ids = torch.ones(4, 8, dtype=torch.long)
    learn(Model(), {"input_ids": ids, "attention_mask": ids, "labels": ids}, "fp32", FastSettings(part_tokens=16))
    assert alive == [0, 0, 0, 0]
