"""Answers as SQuAD's evaluation compares them."""

import pytest

from pareft.evaluation.metrics import compute
from pareft.settings import EITHER


@pytest.mark.parametrize(
    ("prediction", "reference", "f1", "match"),
    [
        ("The Normans.", "Normans", 100.0, 100.0),
        ("in France", f"France{EITHER}in  France", 100.0, 100.0),
        ("in the north of France", "France", 100 * 2 * 1 / (4 + 1), 0.0),
        ("10th and 11th", f"10th{EITHER}11th centuries", 100 * 2 / 4, 0.0),
        ("", "", 100.0, 100.0),
        ("something", "", 0.0, 0.0),
        ("", "something", 0.0, 0.0),
        ("red red blue", "red blue blue", 100 * 2 * 2 / 6, 0.0),  # words count as often as they are in both
    ],
)
def test_words_without_case_articles_and_punctuation(prediction, reference, f1, match):
    scores = compute(["answers"], [prediction], [reference])
    assert scores.corpus == {"answer_f1": pytest.approx(f1), "answer_match": match}


def test_exact_match_is_of_any_answer():
    scores = compute(["exact_match"], ["b", "c", "a ||| b"], [f"a{EITHER}B", "d", "a ||| b"])
    assert [example["exact_match"] for example in scores.examples] == [100.0, 0.0, 100.0]
