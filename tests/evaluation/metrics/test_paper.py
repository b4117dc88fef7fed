"""The examples that the paper prints (arXiv 2305.08285, Tables 7 to 10), scored again: its numbers, which it truncates."""

import math
import re

import pytest

from pareft.evaluation.metrics import compute


@pytest.fixture(scope="session")
def paper(shared):
    """Of every table the reference, and by model's name what it wrote and its printed scores."""
    lines = (shared / "papers" / "2305.08285-lora-layer-pruning.txt").read_text(encoding="utf-8").splitlines()
    tables = {}
    for number in (7, 8, 9, 10):
        end = next(i for i, line in enumerate(lines) if line.startswith(f"Table {number}:"))
        start = max(i for i in range(end) if lines[i].startswith("Reference: "))
        rows = {}
        for written, printed in zip(lines[start + 1 : end : 2], lines[start + 2 : end : 2], strict=True):
            name, _, text = written.partition(": ")
            rows[name] = (text, [float(score) for score in re.findall(r": ([\d.]+)", printed)])
        tables[number] = (lines[start].removeprefix("Reference: "), rows)
    return tables


def truncate(value):
    return math.floor(100 * value + 1e-6) / 100


@pytest.mark.parametrize("number", [7, 8])
def test_all_sixteen_pairs_of_the_reports(paper, number):
    reference, rows = paper[number]
    assert len(rows) == 8
    for name, (text, printed) in rows.items():
        scores = compute(["rouge"], [f"impression: {text}" if number == 8 else text], [reference]).corpus
        assert [truncate(scores["rouge1"]), truncate(scores["rouge2"])] == printed[:2], name


REPRODUCIBLE = ["BART-large ++ LoRAFF", "BART-large ++ LoRAFF ++ L-Prun", "T5-large", "T5-large ++ LoRAFF ++ L-Prun"]


def test_the_four_reproducible_rows_of_the_dialogues(paper):
    reference, rows = paper[9]
    for name in REPRODUCIBLE:
        text, printed = rows[name]
        scores = compute(["rouge"], [text], [reference]).corpus
        assert [truncate(scores["rouge1"]), truncate(scores["rouge2"])] == printed[:2], name


@pytest.mark.parametrize(("number", "name"), [(9, REPRODUCIBLE[0]), (9, REPRODUCIBLE[1]), (9, REPRODUCIBLE[3]), (10, "BART-large")])
def test_what_it_prints_as_bleu_is_plain_precision(paper, number, name):
    reference, rows = paper[number]
    text, printed = rows[name]
    scores = compute(["bleu_precisions"], [text], [reference]).corpus
    assert [truncate(scores["bleu_precision1"]), truncate(scores["bleu_precision4"])] == printed[2:]
