"""Synthetic notes: the shape of MIMIC-IV-Note, and a task that copying does not solve."""

import re
from statistics import fmean

from pareft.data.sections import Pair, pair_sections
from pareft.data.synthetic import COLUMNS, generate_radiology_notes
from pareft.evaluation.metrics import rouge

NOTES = list(generate_radiology_notes(600, seed=1))
PAIRS = [pair for note in NOTES if isinstance(pair := pair_sections(note["text"], "radiology", "clean"), Pair)]


def test_same_seed_same_notes():
    assert list(generate_radiology_notes(50, seed=3)) == list(generate_radiology_notes(50, seed=3))
    assert list(generate_radiology_notes(50, seed=3)) != list(generate_radiology_notes(50, seed=4))


def test_rows_have_the_shape_of_radiology_csv():
    assert COLUMNS == ("note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text")
    for note in NOTES:
        assert tuple(note) == COLUMNS
        assert note["note_id"] == f"{note['subject_id']}-RR-{note['note_seq']}"
        assert re.fullmatch(r"9\d{7}", note["subject_id"])
        assert re.fullmatch(r"(9\d{7})?", note["hadm_id"])
        assert re.fullmatch(r"2[12]\d\d-\d\d-\d\d \d\d:\d\d:00", note["charttime"])
        assert note["charttime"] < note["storetime"]
    assert len({note["note_id"] for note in NOTES}) == len(NOTES)
    assert len({note["subject_id"] for note in NOTES}) < len(NOTES)


def test_some_notes_give_no_pair_as_real_ones_do():
    assert 0.9 < len(PAIRS) / len(NOTES) < 1


def test_copying_does_badly():
    findings = [pair.source.split("findings:")[1] for pair in PAIRS]
    references = [pair.target for pair in PAIRS]
    first_sentences = [text.strip().split(". ")[0] for text in findings]
    assert rouge(first_sentences, references).corpus["rouge1"] < 25
    assert rouge(findings, references).corpus["rouge1"] < 35


def test_impressions_normalise_negate_rank_and_merge():
    targets = [pair.target for pair in PAIRS]
    assert fmean(target.startswith("1. ") for target in targets) > 0.3
    assert any("bilateral" in target for target in targets)
    assert any(re.search(r"\bno \w+", target) for target in targets)
    sources_of_one = {}
    for pair in PAIRS:
        sources_of_one.setdefault(pair.target, set()).add(pair.source.split("findings:")[1])
    assert max(map(len, sources_of_one.values())) >= 5  # many wordings, one impression
