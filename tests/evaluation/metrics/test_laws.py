"""Laws of all metrics: neither the order of examples nor the size of batches matters; identical texts score 100."""

import random

import pytest
from conftest import TEXTS, save_base
from sacrebleu import corpus_bleu

from pareft.errors import DataError
from pareft.evaluation.metrics import METRICS, compute
from pareft.evaluation.uncertainty import intervals
from pareft.settings import BertScoreSettings, EvaluateSettings, SummacSettings

OFFLINE = [name for name in METRICS if name not in ("regression", "f1")]  # whose references are no texts
PREDICTIONS = [*TEXTS[:5], "the lung is clear. the heart is normal in size.", "x"]
REFERENCES = [*TEXTS[1:6], "the lungs are clear. the heart is normal.", "x"]
SOURCES = [f"{one} {other}" for one, other in zip(PREDICTIONS, REFERENCES, strict=True)]


@pytest.fixture(scope="session")
def settings(tmp_path_factory):
    """Tiny models for the metrics that need one."""
    folder = save_base("bart", tmp_path_factory.mktemp("encoder"))
    return EvaluateSettings(
        bertscore=BertScoreSettings(model=str(folder), batch_size=3),
        summac=SummacSettings(model=str(save_nli(tmp_path_factory.mktemp("nli"))), batch_size=3),
    )


def save_nli(folder, labels=("contradiction", "neutral", "entailment")):
    """A tiny NLI model with a tokenizer."""
    import torch
    from conftest import VOCABULARY, make_tokenizer
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        initializer_range=0.5, max_position_embeddings=64, pad_token_id=1,
        id2label=dict(enumerate(labels)), label2id={label: i for i, label in enumerate(labels)},
    )  # fmt: skip
    BertForSequenceClassification(config).eval().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", OFFLINE)
def test_the_order_of_examples_changes_no_score(name, settings):
    scores = compute([name], PREDICTIONS, REFERENCES, SOURCES, settings)
    order = list(range(len(PREDICTIONS)))
    random.Random(1).shuffle(order)
    shuffled = compute([name], *([texts[i] for i in order] for texts in (PREDICTIONS, REFERENCES, SOURCES)), settings)
    assert shuffled.corpus == pytest.approx(scores.corpus, abs=1e-4)
    for place, i in enumerate(order):
        assert shuffled.examples[place] == pytest.approx(scores.examples[i], abs=1e-4)


@pytest.mark.parametrize("name", ["bertscore", "summac"])
def test_the_size_of_batches_changes_no_score(name, settings):
    part = {"bertscore": settings.bertscore, "summac": settings.summac}[name].model_copy(update={"batch_size": 1})
    one = compute([name], PREDICTIONS, REFERENCES, SOURCES, settings.model_copy(update={name: part}))
    many = compute([name], PREDICTIONS, REFERENCES, SOURCES, settings)
    assert one.corpus == pytest.approx(many.corpus, abs=1e-3)
    for single, batched in zip(one.examples, many.examples, strict=True):
        assert single == pytest.approx(batched, abs=1e-3)


@pytest.mark.parametrize(
    ("name", "perfect"),
    [
        ("rouge", ["rouge1", "rouge2", "rougeL", "rougeLsum"]),
        ("bleu", ["bleu"]),
        ("bleu_precisions", ["bleu_precision1", "bleu_precision4"]),
        ("bertscore", ["bertscore_precision", "bertscore_recall", "bertscore_f1"]),
        ("classification", ["accuracy", "macro_f1", "matthews"]),
        ("regression", ["pearson", "spearman"]),
    ],
)
def test_identical_texts_score_100(name, perfect, settings):
    texts = ["1", "2.5", "7"] if name == "regression" else TEXTS[:4]
    scores = compute([name], texts, texts, settings=settings)
    assert {key: scores.corpus[key] for key in perfect} == pytest.approx(dict.fromkeys(perfect, 100.0), abs=1e-3)


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_a_function_of_texts_alone(name, settings):
    texts = ["1", "0", "1"]
    scores = METRICS[name](texts, texts, texts, settings)
    assert len(scores.examples) == 3
    if name not in ("bertscore", "summac"):
        assert METRICS[name](texts, texts).examples[0].keys() <= scores.examples[0].keys()


def test_what_no_example_has_a_value_for_is_no_score():
    assert "copied" not in compute(["surface"], ["", ""], ["a", "b"], ["a", "b"]).corpus


def test_corpus_bleu_is_sacrebleus():
    scores = compute(["bleu"], PREDICTIONS, REFERENCES)
    assert scores.corpus["bleu"] == pytest.approx(corpus_bleu(PREDICTIONS, [REFERENCES]).score)


def test_empty_texts_are_scored(settings):
    for name in OFFLINE:
        scores = compute([name], ["", "the lung"], ["the heart", ""], ["a source of words", ""], settings)
        assert len(scores.examples) == 2
    surface = compute(["surface"], ["", "a b"], ["x", ""], ["a", "a c"])
    assert surface.corpus["empty"] == 50
    assert surface.corpus["copied"] == 50
    assert "copied" not in surface.examples[0]


def test_surface_by_hand():
    example = compute(["surface"], ["The a b a b a b x"], ["a b c d"], ["a b x the"]).examples[0]
    assert example == pytest.approx(
        {
            "words": 8,
            "empty": 0,
            "length_ratio": 2,
            "repeated_trigrams": 100 * 2 / 6,  # the-a-b a-b-a b-a-b a-b-a b-a-b a-b-x
            "copied": 100,
            "novel_1grams": 0,
            "novel_2grams": 100 * 3 / 7,  # the-a, b-a twice
        }
    )


def test_labels_by_hand():
    scores = compute(["classification"], ["Yes", "no", "no", "maybe"], ["yes", "no", "yes", "no"]).corpus
    assert scores["accuracy"] == 50
    assert scores["macro_f1"] == pytest.approx(100 * (2 / 3 + 1 / 2) / 2)
    assert compute(["regression"], ["1", "2", "none"], ["1", "2", "3"]).examples[2]["no_number"] == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((["rogue"], ["a"], ["b"]), "no metric 'rogue'; there is rouge, bleu"),
        ((["rouge"], [], []), "no predictions to score"),
        ((["rouge"], ["a", "b"], ["c"]), "2 predictions, 1 references: not as many"),
        ((["rouge"], ["a"], ["c"], ["d", "e"]), "1 predictions, 1 references, 2 sources: not as many"),
        ((["summac"], ["a"], ["c"]), "have no sources; leave it out"),
        ((["summac"], ["a"], ["c"], ["d"]), "give evaluate.summac.model"),
        ((["bertscore"], ["a"], ["c"]), "give evaluate.bertscore.model"),
        ((["regression"], ["1"], ["one"]), "the reference of example 0 is no number"),
        ((["rouge"], ["a", None], ["b", "c"]), "prediction 1 is NoneType, and no text"),
        ((["bleu"], ["a"], [3.0]), "reference 0 is float, and no text"),
        ((["rouge"], "ab", ["a", "b"]), "predictions: give a list of texts, not str"),
        ((["rouge"], ["a"], None), "references: give a list of texts, not NoneType"),
    ],
)
def test_bad_input_is_one_line(arguments, message):
    with pytest.raises(DataError, match=message) as raised:
        compute(*arguments)
    assert "\n" not in str(raised.value)


def test_models_that_cannot_be_used_say_what_to_give(settings, tmp_path):
    def score(name, **changed):
        part = {"bertscore": settings.bertscore, "summac": settings.summac}[name].model_copy(update=changed)
        compute(
            [name], ["the lung is clear"], ["the heart is clear"], ["the lung is clear"], settings.model_copy(update={name: part})
        )

    (tmp_path / "empty").mkdir()
    (tmp_path / "weights.bin").write_text("no weights")
    with pytest.raises(DataError, match=r"cannot load the encoder .*give evaluate.bertscore.model"):
        score("bertscore", model=str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"evaluate.bertscore.layer is 99"):
        score("bertscore", layer=99)
    with pytest.raises(DataError, match=r"evaluate.bertscore.baseline: cannot read"):
        score("bertscore", baseline=str(tmp_path / "none.tsv"))
    with pytest.raises(DataError, match=r"cannot load the NLI model"):
        score("summac", model=str(tmp_path / "empty"))
    with pytest.raises(DataError, match=r"labels are 0 a, 1 b, 2 c; which are entailment .* evaluate.summac.labels"):
        score("summac", model=str(save_nli(tmp_path / "abc", labels="abc")))
    with pytest.raises(DataError, match=r"evaluate.summac.convolution: cannot read weights"):
        score("summac", convolution=str(tmp_path / "weights.bin"))


def test_an_interval_of_groups_holds_its_value():
    """Groups are drawn whole: of answers drawn one by one, most wrong ones would leave a group that looks right."""
    draw = random.Random(0)
    right = [draw.random() < 0.75 for _ in range(600)]
    ids = [f"{number // 6}::{number}" for number in range(600)]
    scores = compute(["f1"], ["1" if one else "0" for one in right], ["1"] * 600, ids=ids)
    found = intervals(scores)["group_exact_match"]
    assert found.low < found.value < found.high


def test_f1_is_of_the_label_1_and_groups_count_as_a_whole():
    scores = compute(["f1"], ["1", "0", "1", "1"], ["1", "1", "0", "1"], ids=["a::0", "a::1", "b::2", "c::3"])
    assert scores.corpus["f1"] == pytest.approx(100 * 2 * 2 / (2 * 2 + 1 + 1))
    assert scores.corpus["group_exact_match"] == pytest.approx(100 / 3)
    assert scores.totals["group_exact_match"].score([0, 0, 1, 2]) == pytest.approx(100 * 2 / 3)  # groups b, c and c
    assert scores.totals["group_exact_match"].score([1, 0, 1, 0]) == pytest.approx(0)  # a stays wrong as a whole
    assert "group_exact_match" not in compute(["f1"], ["1"], ["1"], ids=["a"]).corpus
    with pytest.raises(DataError, match="neither 0 nor 1"):
        compute(["f1"], ["yes"], ["yes"])
