"""A batch in parts: the same gradient, less padding, no part larger than it may be."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_model

from pareft.settings import FastSettings
from pareft.tuning.fast.batches import divide, split

LENGTHS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 30)), min_size=1, max_size=9)


def make_batch(lengths, *, left=False):
    """Rows of distinct tokens, padded on the right, or on the left."""
    widths = [-(-max(column) // 8) * 8 for column in zip(*lengths, strict=True)]
    batch = {
        "input_ids": torch.full((len(lengths), widths[0]), 1),
        "attention_mask": torch.zeros(len(lengths), widths[0], dtype=torch.long),
        "labels": torch.full((len(lengths), widths[1]), -100),
        "example": torch.arange(len(lengths)),
    }
    for row, (source, target) in enumerate(lengths):
        of_source = slice(widths[0] - source, None) if left else slice(source)
        batch["input_ids"][row, of_source] = torch.randint(4, 60, (source,))
        batch["attention_mask"][row, of_source] = 1
        batch["labels"][row, :target] = torch.randint(4, 60, (target,))
    return batch


def list_examples(batch):
    """What every example holds, by its number."""
    return {
        int(number): (ids[mask != 0].tolist(), labels[labels != -100].tolist())
        for number, ids, mask, labels in zip(
            batch["example"], batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True
        )
    }


@given(lengths=LENGTHS, left=st.booleans(), tokens=st.one_of(st.none(), st.integers(1, 500)), cost=st.integers(0, 200))
def test_parts_hold_every_example_once_and_whole(lengths, left, tokens, cost):
    batch = make_batch(lengths, left=left)
    parts = split(batch, tokens=tokens, pass_tokens=cost)
    held = [list_examples(part) for part in parts]
    assert sum(map(len, held)) == len(lengths)
    assert {number: example for part in held for number, example in part.items()} == list_examples(batch)
    padded = sum(part["input_ids"].numel() + part["labels"].numel() for part in parts)
    if tokens is None:
        assert padded + cost * len(parts) <= batch["input_ids"].numel() + batch["labels"].numel() + cost
    else:
        assert all(len(part["labels"]) == 1 or part["input_ids"].numel() + part["labels"].numel() <= tokens for part in parts)


@given(lengths=LENGTHS, left=st.booleans(), tokens=st.one_of(st.none(), st.integers(1, 500)))
def test_labels_of_a_decoder_are_cut_as_its_tokens_are(lengths, left, tokens):
    batch = make_batch(lengths, left=left)
    batch["labels"] = batch["input_ids"].where(batch["attention_mask"] != 0, -100)
    held = [list_examples(part) for part in split(batch, tokens=tokens, pass_tokens=0, aligned=True)]
    assert {number: example for part in held for number, example in part.items()} == list_examples(batch)


def test_similar_lengths_stay_together():
    assert len(split(make_batch([(60, 20)] * 4), tokens=None, pass_tokens=50)) == 1
    parts = split(make_batch([(60, 20), (8, 8), (9, 8), (58, 20)]), tokens=None, pass_tokens=10)
    assert [part["example"].tolist() for part in parts] == [[1, 2], [0, 3]]
    assert [tuple(part["input_ids"].shape) for part in parts] == [(2, 16), (2, 64)]


def test_the_gradient_is_that_of_the_batch():
    model = make_model("bart").train()
    batch = make_batch([(60, 20), (8, 3), (9, 8), (30, 20), (1, 1)])
    del batch["example"]
    tokens = int((batch["labels"] != -100).sum())

    def learn(parts):
        model.zero_grad()
        for part in parts:
            (model(**part).loss * (part["labels"] != -100).sum() / tokens).backward()
        return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])

    parts = split(batch, tokens=100, pass_tokens=0)
    assert len(parts) >= 3
    whole = learn([batch])
    assert (learn(parts) - whole).norm() <= 1e-5 * whole.norm()


def test_settings_are_honoured():
    model, batch = make_model("bart"), make_batch([(60, 20)] * 4)
    assert len(divide(batch, model, FastSettings(part_tokens=88))) == 4
    assert len(divide(batch, model, FastSettings(part_tokens=None))) == 1
    assert len(divide(batch, model, FastSettings(part_tokens=88, batches=False))) == 1
    uneven = make_batch([(60, 30), (1, 1)] * 40)
    assert [part["labels"].shape[0] for part in split(uneven, tokens=None, pass_tokens=10)] == [40, 40]
