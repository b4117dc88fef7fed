"""ROUGE as the paper's: stemmed, F1, percent; by hand, and the same as rouge-score's own tokenizer."""

from itertools import pairwise

import pytest
from conftest import TEXTS
from rouge_score.rouge_scorer import RougeScorer

from pareft.evaluation.metrics.rouge import ROUGE_TYPES, join_sentences, rouge, split_sentences


def test_equal_texts_score_100_and_foreign_ones_0():
    scores = rouge(["no acute process.", "cat"], ["no acute process.", "dog"])
    assert scores.examples[0] == pytest.approx({"rouge1": 100, "rouge2": 100, "rougeL": 100, "rougeLsum": 100})
    assert scores.examples[1]["rouge1"] == 0
    assert scores.corpus["rouge1"] == pytest.approx(50)


def test_stemming_and_counts_by_hand():
    example = rouge(["the effusions are small"], ["the effusion is small"]).examples[0]
    assert example["rouge1"] == pytest.approx(75)  # the, effusion, small of four
    assert example["rouge2"] == pytest.approx(100 / 3)  # "the effusion" of three


def test_lsum_takes_one_sentence_per_line():
    example = rouge(["b b. a a."], ["a a. b b."]).examples[0]
    assert example["rougeLsum"] == pytest.approx(100)
    assert example["rougeL"] == pytest.approx(50)
    assert split_sentences("One. Two?\nThree") == ["One.", "Two?", "Three"]


def test_remembered_stems_change_nothing():
    scorer = RougeScorer(list(ROUGE_TYPES), use_stemmer=True)
    for prediction, reference in pairwise(TEXTS):
        plain = scorer.score(join_sentences(reference), join_sentences(prediction))
        assert rouge([prediction], [reference]).examples[0] == {name: 100 * plain[name].fmeasure for name in ROUGE_TYPES}
