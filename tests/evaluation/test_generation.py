"""What is written for a source does not depend on its neighbours in the batch, and comes back under its own index."""

import pytest
import torch
from conftest import TEXTS, write_all
from transformers import AutoTokenizer

import pareft
from pareft.errors import ModelError
from pareft.evaluation.generation import WINDOW, make_batches
from pareft.settings import EvaluateSettings

SOURCES = [TEXTS[0], "the lung", TEXTS[1] + TEXTS[2], "x", *TEXTS[3:], "a small effusion on the left side, unchanged."]


@pytest.mark.parametrize("beams", [1, 4])
def test_the_same_as_one_at_a_time_by_stock_generate(base, beams):
    """Greedy and with beams, whatever the batches are."""
    model, tokenizer = pareft.load(base, pareft.plan(base)), AutoTokenizer.from_pretrained(base)
    alone = {}
    for index, text in enumerate(SOURCES):
        encoded = tokenizer(text, truncation=True, max_length=32, return_tensors="pt")
        settings = {"num_beams": beams, "max_new_tokens": 8, "no_repeat_ngram_size": 3, "do_sample": False}
        written = model.generate(input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"], **settings)
        alone[index] = tokenizer.batch_decode(written, skip_special_tokens=True)[0].strip()
    for size, tokens in ((1, 10_000), (4, 10_000), (16, 60)):
        how = EvaluateSettings(num_beams=beams, max_new_tokens=8, batch_size=size, batch_tokens=tokens)
        assert write_all(model, tokenizer, SOURCES, how, max_source_tokens=32) == alone


def test_batches_keep_both_limits_and_every_source_once(bases):
    tokenizer = AutoTokenizer.from_pretrained(bases["bart"])
    sources = [f"{TEXTS[i % 8]} " * (1 + i % 7) for i in range(2 * WINDOW + 5)]
    settings = EvaluateSettings(batch_size=6, batch_tokens=200)
    batches = list(make_batches(enumerate(sources), tokenizer, settings, max_source_tokens=64))
    assert sorted(index for batch in batches for index in batch.indices) == list(range(len(sources)))
    for batch in batches:
        longest = max(map(len, batch.tokens))
        assert len(batch.indices) <= 6
        assert len(batch.indices) == 1 or longest * len(batch.indices) <= 200
        assert longest <= 64
        assert len({index // WINDOW for index in batch.indices}) == 1
    padded = sum(max(map(len, batch.tokens)) * len(batch.indices) for batch in batches)
    assert padded < 1.1 * sum(len(tokens) for batch in batches for tokens in batch.tokens)


def test_sources_are_read_as_they_are_needed(bases):
    tokenizer, taken = AutoTokenizer.from_pretrained(bases["bart"]), []

    def endless():
        while True:
            taken.append(1)
            yield len(taken), "the lung is clear"

    next(make_batches(endless(), tokenizer, EvaluateSettings(), max_source_tokens=64))
    assert len(taken) == WINDOW


def test_nan_is_said_and_not_written(base):
    model, tokenizer = pareft.load(base), AutoTokenizer.from_pretrained(base)
    with torch.no_grad():
        model.get_decoder().get_submodule("layers" if hasattr(model.get_decoder(), "layers") else "block")[0].float()
        next(p for p in model.get_decoder().parameters() if p.dim() == 2).fill_(float("nan"))
    with pytest.raises(ModelError, match="computes NaN or infinity for one of the examples with the ids 0"):
        write_all(model, tokenizer, ["the lung"], EvaluateSettings(), max_source_tokens=32)
