"""What is written for a source does not depend on its neighbours in the batch, and comes back under its own index."""

from conftest import TEXTS
from transformers import AutoTokenizer

import pareft
from pareft.evaluation.generation import generate
from pareft.recipe import EvaluateSettings


def test_batches_do_not_change_what_is_written(base):
    model, tokenizer = pareft.load(base, pareft.plan(base)), AutoTokenizer.from_pretrained(base)
    sources = [TEXTS[0], "the lung", TEXTS[1] + TEXTS[2], "x"]
    one, many = (
        dict(
            generate(
                model, tokenizer, sources, EvaluateSettings(num_beams=2, max_new_tokens=5, batch_size=size), max_source_tokens=32
            )
        )
        for size in (1, 3)
    )
    assert one == many
    assert sorted(one) == [0, 1, 2, 3]
