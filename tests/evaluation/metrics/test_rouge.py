"""ROUGE as the paper's: stemmed, F1, percent; by hand, and the same as rouge-score's own tokenizer."""

import random
from itertools import pairwise

import pytest
from conftest import TEXTS
from rouge_score.rouge_scorer import RougeScorer

from pareft.errors import PareftWarning
from pareft.evaluation.metrics.rouge import ROUGE_TYPES, rouge
from pareft.sentences import join_sentences, split_sentences


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
    assert split_sentences("Dr. Smith saw the pt. today. Better vs. last visit, i.e. well.\nPt. left.") == [
        "Dr. Smith saw the pt. today.",
        "Better vs. last visit, i.e. well.",
        "Pt. left.",
    ]
    assert split_sentences("肺野清晰。心影正常！ 无积液。") == ["肺野清晰。", "心影正常！", "无积液。"]
    assert split_sentences(" \n ") == []


def test_what_is_done_faster_changes_nothing():
    scorer = RougeScorer(list(ROUGE_TYPES), use_stemmer=True)
    generator = random.Random(0)
    words = " ".join(TEXTS).split()
    long = [". ".join(" ".join(generator.choices(words, k=15)) for _ in range(12)) for _ in range(6)]
    for prediction, reference in [*pairwise(TEXTS), *pairwise(long), ("", "a"), ("a", "")]:
        plain = scorer.score(join_sentences(reference), join_sentences(prediction))
        assert rouge([prediction], [reference]).examples[0] == {name: 100 * plain[name].fmeasure for name in ROUGE_TYPES}


def test_letters_that_rouge_does_not_know_are_told():
    with pytest.warns(PareftWarning, match="2 of 3 references have none of them and score 0"):
        scores = rouge(["肺野清晰", "Лёгкие чистые", "clear"], ["肺野清晰", "Лёгкие чистые", "clear"])
    assert [example["rouge1"] for example in scores.examples] == [0, 0, 100]
