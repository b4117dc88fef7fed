"""BERTScore against the greedy matching of token states, written out; encoders with and without special tokens."""

import random

import pytest
import torch
from conftest import VOCABULARY, make_tokenizer, save_base
from test_laws import save_nli
from tokenizers import processors
from transformers import AutoModel, AutoTokenizer, GPT2Config, GPT2Model

from pareft.errors import DataError
from pareft.evaluation.metrics.bertscore import bertscore
from pareft.settings import BertScoreSettings

CPU = torch.device("cpu")
PREDICTIONS = ["the small nodule is seen", "a mass", "lung"]
REFERENCES = ["the large nodule is seen in the lung", "the small mass", "the lung"]


def save_encoder(kind, folder):
    """Tiny encoders by the special tokens that their tokenizer sets: at both ends, at the end alone, none."""
    if kind == "bert":
        return save_nli(folder)
    tokenizer = make_tokenizer()
    if kind == "t5":
        save_base("t5", folder)
        ending = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
        tokenizer.backend_tokenizer.post_processor = ending
    else:
        torch.manual_seed(0)
        GPT2Model(GPT2Config(vocab_size=VOCABULARY, n_positions=64, n_embd=16, n_layer=2, n_head=2)).save_pretrained(folder)
        tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()
        tokenizer.pad_token = None
    tokenizer.save_pretrained(folder)
    return folder


def match(folder, prediction, reference, layer):
    """Precision, recall and F1 of two texts, from the states of the tokens that are not special."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    model = model.get_encoder() if model.config.is_encoder_decoder else model
    states = []
    for text in (prediction, reference):
        ids = tokenizer(" " + text)["input_ids"]
        with torch.no_grad():
            found = model(torch.tensor([ids]), output_hidden_states=True).hidden_states[layer][0]
        kept = [place for place, token in enumerate(ids) if token not in tokenizer.all_special_ids]
        states.append(torch.nn.functional.normalize(found[kept], dim=-1))
    similar = (states[0] @ states[1].T).clamp(min=0)  # the places of special tokens count as unlike, and not as the opposite
    precision, recall = float(similar.max(1).values.mean()), float(similar.max(0).values.mean())
    return 100 * precision, 100 * recall, 100 * 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("kind", ["bert", "t5", "gpt2"])
def test_every_token_takes_part_and_no_special_one(tmp_path, kind, layer):
    folder = save_encoder(kind, tmp_path)
    scores = bertscore(PREDICTIONS, REFERENCES, BertScoreSettings(model=str(folder), layer=layer), device=CPU)
    for prediction, reference, example in zip(PREDICTIONS, REFERENCES, scores.examples, strict=True):
        assert list(example.values()) == pytest.approx(match(folder, prediction, reference, layer), abs=1e-3)


def test_texts_of_all_lengths_go_with_their_own(tmp_path):
    """However many a batch has: of a dozen pairs, orders by length of both sides are no longer each other's inverse."""
    folder, draw = save_encoder("bert", tmp_path), random.Random(0)
    words = ["the", "small", "large", "nodule", "is", "seen", "in", "left", "lung", "a", "mass"]
    sides = [[" ".join(draw.choices(words, k=draw.randint(1, 12))) for _ in range(12)] for _ in range(2)]
    many, one = (bertscore(*sides, BertScoreSettings(model=str(folder), batch_size=size), device=CPU) for size in (12, 1))
    for place, (prediction, reference) in enumerate(zip(*sides, strict=True)):
        expected = match(folder, prediction, reference, 2)
        assert list(many.examples[place].values()) == pytest.approx(expected, abs=1e-3)
        assert list(one.examples[place].values()) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", ["bert", "t5", "gpt2"])
def test_identical_texts_score_100_however_short(tmp_path, kind):
    folder = save_encoder(kind, tmp_path)
    texts = ["x", "the lung", "the small nodule is seen in the left lung"]
    scores = bertscore(texts, texts, BertScoreSettings(model=str(folder)), device=CPU)
    assert [example["bertscore_f1"] for example in scores.examples] == pytest.approx([100] * 3, abs=1e-3)


def test_texts_longer_than_the_encoder_are_cut_though_the_tokenizer_knows_no_limit(tmp_path):
    folder = save_encoder("bert", tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = 10**30
    tokenizer.save_pretrained(folder)
    long = "the lung " * 200
    assert bertscore([long], [long], BertScoreSettings(model=str(folder)), device=CPU).corpus["bertscore_f1"] > 99


@pytest.mark.parametrize(
    ("line", "message"), [("2,1,1,1", "a baseline is below 1"), ("2,nan,0,0", "below 1"), ("1,0,0,0", "no layer 2")]
)
def test_baselines_that_cannot_be_rescaled_by_are_refused(tmp_path, line, message):
    folder = save_encoder("bert", tmp_path)
    (tmp_path / "baseline.tsv").write_text(f"LAYER,P,R,F\n{line}\n")
    settings = BertScoreSettings(model=str(folder), layer=2, baseline=str(tmp_path / "baseline.tsv"))
    with pytest.raises(DataError, match=message):
        bertscore(["a"], ["a"], settings, device=CPU)


def test_a_model_that_computes_nan_is_an_error_and_no_score(tmp_path):
    from pareft.evaluation.metrics import compute
    from pareft.settings import EvaluateSettings

    folder = save_encoder("bert", tmp_path)
    model = AutoModel.from_pretrained(folder)
    model.encoder.layer[0].output.dense.weight.data.fill_(float("nan"))
    model.save_pretrained(folder)
    with pytest.raises(DataError, match="bertscore_precision of example 0 is nan"):
        compute(["bertscore"], ["a"], ["b"], settings=EvaluateSettings(bertscore=BertScoreSettings(model=str(folder))))
