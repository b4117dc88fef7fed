from hypothesis import given
from hypothesis import strategies as st

from pareft.evaluation.metrics.rouge import list_stems, rouge
from pareft.report.agreement import WORD, find_agreement

TEXTS = st.text(st.sampled_from("aAbsi 9.-é\n\u0130\u212aßnodule"), max_size=40)


@given(TEXTS)
def test_words_are_those_that_rouge_compares(text):
    assert [stem for word in WORD.findall(text) for stem in list_stems(word)] == list_stems(text)


@given(TEXTS, TEXTS)
def test_as_many_words_agree_as_rouge_1_counts(prediction, reference):
    spans = find_agreement(prediction, reference)
    assert "".join(span.text for span in spans) == prediction
    agreeing = sum(len(WORD.findall(span.text)) for span in spans if span.agrees)
    total = len(list_stems(prediction)) + len(list_stems(reference))
    expected = rouge([prediction], [reference]).examples[0]["rouge1"] if total else 0.0
    assert abs((200 * agreeing / total if total else 0) - expected) < 1e-6


def test_a_word_agrees_by_its_stem_and_once():
    spans = find_agreement("The effusions, the effusion.", "the effusion is small")
    assert [span.text for span in spans if span.agrees] == ["The effusions"]
