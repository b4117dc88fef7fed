"""Synthetic consultations: the shape and the lengths of ChatDoctor's files, and a task to learn."""

import re
from collections import Counter
from itertools import chain
from statistics import fmean

import pytest

from pareft.data.statistics import describe_pairs
from pareft.data.synthetic import generate_consultations
from pareft.data.synthetic.consultations.query import CONDITIONS
from pareft.data.synthetic.consultations.remarks import CATCHING, HISTORY, QUESTIONS, SERIOUS, TRIED
from pareft.evaluation.metrics import rouge

FORUMS = ("healthcaremagic", "icliniq")
ROWS = {forum: list(generate_consultations(2000, seed=1, forum=forum)) for forum in FORUMS}
TABLE_1 = {"healthcaremagic": (4.9, 89.9, 6.6, 90.7), "icliniq": (7.2, 111.3, 9.4, 126.8)}  # of arXiv 2305.08285
NAMES = sorted((condition.name for condition in CONDITIONS), key=len, reverse=True)


def find_condition(row):
    """The condition that the answer names with its cause."""
    return next(
        condition for condition in CONDITIONS if any(f"{condition.name}, {cause}." in row["output"] for cause in condition.causes)
    )


def write_lay(row):
    """A letter without its hurry."""
    return row["input"].lower().replace(" u ", " you ").replace(" n ", " and ")


@pytest.mark.parametrize("forum", FORUMS)
def test_same_seed_same_rows(forum):
    assert list(generate_consultations(40, seed=1, forum=forum)) == ROWS[forum][:40]
    assert list(generate_consultations(40, seed=2, forum=forum)) != ROWS[forum][:40]


@pytest.mark.parametrize("forum", FORUMS)
def test_rows_have_the_shape_of_chatdoctors_files(forum):
    for row in ROWS[forum]:
        assert tuple(row) == ("instruction", "input", "output")
        assert row["instruction"].startswith("If you are a doctor, ")
        for text in (row["input"], row["output"]):
            assert not re.search(r"[{}\n]|  |\.\.|\bNone\b|\s$|^\s|,\.", text), text
            assert text[-1] in ".?"


@pytest.mark.parametrize("forum", FORUMS)
def test_lengths_and_novelty_are_those_of_the_real_sets(forum):
    found = describe_pairs((row["input"], row["output"]) for row in ROWS[forum])
    means = (found.source_sentences, found.source_words, found.target_sentences, found.target_words)
    assert means == pytest.approx(TABLE_1[forum], rel=0.1)
    assert found.novel_unigrams > 68
    assert found.novel_bigrams > 96
    for texts in zip(*((row["input"], row["output"]) for row in ROWS[forum]), strict=True):
        lengths = [len(text.split()) for text in texts]
        assert min(lengths) > 30
        assert max(lengths) > 1.3 * fmean(lengths)


def test_no_text_is_there_twice():
    rows = list(chain(*ROWS.values()))
    assert len({row["input"] for row in rows}) > 0.999 * len(rows)
    assert len({row["output"] for row in rows}) > 0.99 * len(rows)
    for forum in FORUMS:  # so no pair of train is in test, however they are split
        assert len({(row["input"], row["output"]) for row in ROWS[forum]}) == len(ROWS[forum])


def test_the_conditions_are_many_and_told_in_many_words():
    assert len(CONDITIONS) == len(set(NAMES)) > 40
    for condition in CONDITIONS:
        assert set(condition.unless) <= set(HISTORY), condition.name
        assert len(condition.complaints) >= 3, condition.name
        assert len(condition.details) >= 6, condition.name
        assert min(map(len, (condition.measures, condition.avoid, condition.warnings))) >= 3, condition.name
        assert min(map(len, (condition.causes, condition.medicines, condition.tests))) >= 2, condition.name
    for forum in FORUMS:
        named = Counter(find_condition(row).name for row in ROWS[forum])
        assert set(named) == set(NAMES)
        assert max(named.values()) < 0.05 * len(ROWS[forum])


def test_copying_does_badly():
    for rows in ROWS.values():
        assert rouge([row["input"] for row in rows[:300]], [row["output"] for row in rows[:300]]).corpus["rouge2"] < 4


@pytest.mark.parametrize("forum", FORUMS)
def test_the_question_tells_what_the_answer_names(forum):
    """The row whose question has most rare words in common has the same condition: there is something to learn."""
    words = [set(re.findall(r"\w+", write_lay(row))) for row in ROWS[forum]]
    counts = Counter(chain(*words))
    words = [{word for word in own if counts[word] < 0.1 * len(words)} for own in words]
    known = range(400, 2000)
    nearest = [max(known, key=lambda other: len(words[row] & words[other])) for row in range(200)]
    hits = [find_condition(ROWS[forum][row]) == find_condition(ROWS[forum][other]) for row, other in enumerate(nearest)]
    assert fmean(hits) > 0.9


@pytest.mark.parametrize("forum", FORUMS)
def test_the_answer_follows_from_what_was_asked_and_tried(forum):
    answers = {False: TRIED["antibiotic"].answered, True: TRIED["antibiotic"].if_bacterial}
    seen = set()
    for row in ROWS[forum]:
        condition, asked, answer = find_condition(row), row["input"].lower(), row["output"].lower()
        for topic, by_trait, trait in (("serious", SERIOUS, condition.attention), ("catching", CATCHING, condition.contagious)):
            if any(question in asked for question in QUESTIONS[topic]):
                assert any(one.lower() in answer for one in by_trait[trait])
                seen.add((topic, trait))
        if any(clause.lower() in asked for clause in TRIED["antibiotic"].said):
            assert any(one in answer for one in answers[condition.bacterial])
            seen.add(("antibiotic", condition.bacterial))
    assert len(seen) == 6
