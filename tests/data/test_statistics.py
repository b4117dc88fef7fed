import csv
import json
import math
import warnings
from itertools import chain

import numpy as np
import pytest
from conftest import make_tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize import NLTKWordTokenizer, PunktSentenceTokenizer

from pareft.data.statistics import (
    SplitStatistics,
    describe_lengths,
    describe_pairs,
    measure_lengths,
    pool,
    split_words,
)
from pareft.sentences import count_sentences, cut_at_ends

ANY = st.text(st.characters(codec="utf-8") | st.sampled_from(" \n.?!,:;'\"()-`…aT1"))
COUNTS = {"examples", "with_unigrams", "with_bigrams"}


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", 0),
        (" \n ", 0),
        ("no mark at all", 1),
        ("One. Two? Three!", 3),
        ("a line that was\nwrapped by hand\n\nends here. Another\nline.", 2),
        ("Seen by Dr. Smith (pt. of Mrs. Jones) vs. last week, i.e. better. Home.", 2),
        ("She slept... then woke. Really?! Yes.", 3),
        ('He said "it hurts." (It did.) Then he left.', 3),
        ("It isn't. That is John's. J. Doe takes it b.i.d. at home.", 3),
        ("Na 3.5, on 1.2.2020 at 10:30. ok", 2),
        ("1. aspirin 81 mg 2. metoprolol", 1),
        ("1. Aspirin 81 mg. 2. Metoprolol", 4),
    ],
)
def test_sentences_end_where_the_rule_says(text, sentences):
    assert count_sentences(text) == sentences


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("I don't, she can't; we couldn't.", "I do n't , she ca n't ; we could n't ."),
        ("It's John's, they're sure he'll say I've won.", "It 's John 's , they 're sure he 'll say I 've won ."),
        ("You cannot. Gonna see?", "You can not . Gon na see ?"),
        ("canned wannabe", "canned wannabe"),
        ("BP 120/80 at 10:30 on 01/10/09: 3.5 mg, 1,000 units", "BP 120/80 at 10:30 on 01/10/09 : 3.5 mg , 1,000 units"),
        ("Follow-up (ECG) [new] 50% @ $5 & #2 *", "Follow-up ( ECG ) [ new ] 50 % @ $ 5 & # 2 *"),
        ("Wait... what--now?! ok", "Wait ... what -- now ? ! ok"),
        ("Seen by Dr. Smith. Then home.", "Seen by Dr. Smith . Then home ."),
        ('(He left.) "Good," she said.', '( He left . ) " Good , " she said .'),
        ("the patients' 'good' arms", "the patients ' ' good ' arms"),
        ("don’t “quote”", "don ’ t “ quote ”"),
    ],
)
def test_words_are_the_treebanks(text, words):
    assert split_words(text) == words.split()


@given(ANY)
def test_any_text_is_split_and_nothing_is_lost(text):
    assert "".join(split_words(text)) == "".join(text.split())
    assert "".join(cut_at_ends(text)) == text.strip()
    assert bool(count_sentences(text)) == bool(text.strip()) == bool(split_words(text))


@given(ANY)
def test_a_longer_text_has_as_many_sentences_or_more(text):
    assert count_sentences(f"{text} And more.") >= count_sentences(text)


@given(st.lists(st.tuples(ANY, ANY)), st.integers(0, 5))
@settings(deadline=None)
def test_pooled_parts_are_the_whole(pairs, cut):
    whole = describe_pairs(pairs).model_dump(exclude_none=True)
    pooled = pool([describe_pairs(pairs[:cut]), describe_pairs(pairs[cut:])]).model_dump(exclude_none=True)
    assert {name: pooled[name] for name in COUNTS} == {name: whole[name] for name in COUNTS}
    assert pooled == pytest.approx(whole, rel=1e-12)


def test_novelty_counts_occurrences_in_lower_case():
    found = describe_pairs([("The lung is clear.", "the LUNG is is new .")])
    assert found.novel_unigrams == pytest.approx(100 / 6)
    assert found.novel_bigrams == pytest.approx(100 * 3 / 5)  # "is is", "is new", "new ."
    assert (found.source_words, found.target_words, found.source_sentences, found.target_sentences) == (5, 6, 1, 1)


@given(ANY.filter(lambda text: len(split_words(text)) > 1), ANY)
def test_a_copied_target_has_nothing_novel(text, more):
    copied = describe_pairs([(text, text)])
    assert (copied.novel_unigrams, copied.novel_bigrams) == (0, 0)
    swapped = describe_pairs([("", text)])
    assert (swapped.novel_unigrams, swapped.novel_bigrams) == (100, 100)


def test_what_has_no_ngram_has_no_weight():
    """A mean over examples leaves those out that have no value, and parts of them pool as if they were not there."""
    nothing = describe_pairs([("a text", ""), ("", "")])
    assert (nothing.examples, nothing.novel_unigrams, nothing.novel_bigrams, nothing.target_words) == (2, None, None, 0)
    one = describe_pairs([("a text", "new")])
    assert (one.novel_unigrams, one.novel_bigrams, one.with_bigrams) == (100, None, 0)
    assert pool([one, nothing]).novel_unigrams == 100
    assert pool([]) == describe_pairs([]) == SplitStatistics()


def test_statistics_are_read_back():
    found = describe_pairs([("One. Two.", "Two."), ("a", "")])
    assert SplitStatistics.from_json(found.to_json()) == found


def test_lengths_are_those_of_single_texts_whatever_the_batch():
    tokenizer, texts = make_tokenizer(), ["", "the lung", "the small nodule is seen " * 50]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lengths = measure_lengths(iter(texts), tokenizer, batch=2)
    assert lengths.dtype == np.int32
    assert lengths.tolist() == [len(tokenizer(text)["input_ids"]) for text in texts]
    assert lengths[0] == 2
    assert lengths[2] > tokenizer.model_max_length


def test_lengths_at_the_limit_are_not_truncated():
    found = describe_lengths(np.array([1, 4, 5, 10], dtype=np.int32), 5)
    assert (found.examples, found.mean, found.median, found.longest, found.truncated_percent) == (4, 5, 4.5, 10, 25)
    assert describe_lengths(np.array([], dtype=np.int32), 5).examples == 0


def read_texts(folder, name):
    if name == "mts-dialog":
        with (folder / "data/mts-dialog/MTS-Dialog-TrainingSet.csv").open(newline="") as file:
            pairs = [(row["dialogue"], row["section_text"]) for row in csv.DictReader(file)][::4]
    else:
        with (folder / f"data/{name}/all.jsonl").open() as file:
            pairs = [(row["source"], row["target"]) for row in map(json.loads, file)][:: 40 if name == "medquad" else 4]
    return zip(*pairs, strict=True)


@pytest.mark.parametrize("name", ["mts-dialog", "meqsum", "medquad"])
def test_counts_come_close_to_nltk(shared, name):
    """Of sources and of targets: words within 1 %, sentences within 10 %; untrained punkt takes every Dr. for an end."""
    splitter, tokenizer = PunktSentenceTokenizer(), NLTKWordTokenizer()
    for texts in read_texts(shared, name):
        sentences = [splitter.tokenize(text) for text in texts]
        words = sum(len(tokenizer.tokenize(sentence)) for sentence in chain.from_iterable(sentences))
        assert math.isclose(sum(len(split_words(text)) for text in texts), words, rel_tol=0.01)
        assert math.isclose(sum(map(count_sentences, texts)), sum(map(len, sentences)), rel_tol=0.1)
