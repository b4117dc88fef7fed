"""Repeated n-grams are found in all rows at once, and are those that transformers finds."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import NoRepeatNGramLogitsProcessor

from pareft.evaluation.repeats import NoRepeat

VOCABULARY = 6


@given(
    st.integers(2, 5),
    st.integers(1, 4).flatmap(
        lambda rows: st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=rows, max_size=rows), min_size=1)
    ),
)
def test_the_scores_are_those_of_the_stock_processor(size, columns):
    tokens = torch.tensor(columns).T.contiguous()
    scores = torch.randn(len(tokens), VOCABULARY)
    expected = NoRepeatNGramLogitsProcessor(size)(tokens, scores.clone())
    assert NoRepeat(size)(tokens, scores).equal(expected)


def test_what_is_no_number_stays_for_the_check_to_find():
    tokens, scores = torch.tensor([[1, 2, 1, 2, 1]]), torch.full((1, VOCABULARY), torch.nan)
    assert NoRepeat(3)(tokens, scores).isnan().any()
