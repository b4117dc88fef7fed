"""SummaC of matrices computed by hand, and the cells of a matrix against the model asked one pair at a time."""

import math
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from test_laws import save_nli
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from pareft.errors import DataError
from pareft.evaluation.metrics.summac import BINS, convolve, load_nli, read_convolution, summac, zero_shot
from pareft.settings import SummacSettings

module = sys.modules["pareft.evaluation.metrics.summac"]  # the package has a function of this name

# entailment and contradiction: 3 source sentences x 2 summary sentences
MATRIX = np.array([[[0.9, 0.1], [0.2, 0.3], [0.8, 0.2]], [[0.05, 0.2], [0.1, 0.6], [0.0, 0.1]]])


def test_zero_shot_by_hand():
    assert zero_shot(MATRIX) == pytest.approx((max(0.85, 0.1, 0.8) + max(-0.1, -0.3, 0.1)) / 2)
    assert zero_shot(np.zeros((2, 1, 1))) == 0


def test_convolution_by_hand():
    bins = np.zeros((1, 50))
    bins[0, [45, 10, 40, 5, 15]] = [1.0, 0.25, 0.5, -1.0, -0.5]  # 0.9, 0.2, 0.8; 0.1, 0.3, 0.2
    weights = {
        "mlp.weight": bins,
        "mlp.bias": np.array([0.1]),
        "layer_final.weight": np.array([[0.2, 0.0, 0.0], [0.5, 0.5, 0.0]]),
        "layer_final.bias": np.array([0.0, 0.3]),
    }
    first, second = 1.0 + 0.25 + 0.5 + 0.1, -1.0 - 0.5 + 0.25 + 0.1
    mean = (first + second) / 2
    assert convolve(MATRIX, weights) == pytest.approx(1 / (1 + math.exp(0.2 * mean - (mean + 0.3))))


def test_both_kinds_of_published_weights_are_known_by_their_size(tmp_path):
    for bins, edges in BINS.items():
        assert len(edges) == bins + 1
        tensors = {
            "mlp.weight": torch.randn(1, bins),
            "mlp.bias": torch.randn(1),
            "layer_final.weight": torch.randn(2, 3),
            "layer_final.bias": torch.randn(2),
        }
        torch.save(tensors, tmp_path / "weights.bin")
        save_file(tensors, tmp_path / "weights.safetensors")
        one, other = read_convolution(tmp_path / "weights.bin"), read_convolution(tmp_path / "weights.safetensors")
        assert convolve(MATRIX, one) == convolve(MATRIX, other)
        save_file(tensors | {"mlp.bias": torch.randn(2)}, tmp_path / "other.safetensors")
        with pytest.raises(DataError, match="holds no SummaC-Conv of 23 or 50 bins"):
            read_convolution(tmp_path / "other.safetensors")


@pytest.mark.parametrize("labels", [("contradiction", "neutral", "entailment"), ("ENTAILMENT", "CONTRADICTION", "NEUTRAL")])
def test_the_whole_is_what_the_model_says_of_every_pair(tmp_path, labels):
    folder = save_nli(tmp_path, labels=labels)
    source = ["the lung is clear on both sides.", "there is a small effusion.", "the heart is normal."]
    summary = ["the lungs are all clear.", "a heart of normal size."]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSequenceClassification.from_pretrained(folder).eval()
    named = {label.lower(): i for i, label in enumerate(labels)}
    best = []
    for hypothesis in summary:
        gaps = []
        for premise in source:
            with torch.no_grad():
                chances = model(**tokenizer(premise, hypothesis, return_tensors="pt")).logits.softmax(-1)[0]
            gaps.append(float(chances[named["entailment"]] - chances[named["contradiction"]]))
        best.append(max(gaps))
    settings = SummacSettings(model=str(folder), batch_size=4)
    scores = summac([" ".join(summary)], [" ".join(source)], settings, device=torch.device("cpu"))
    assert scores.corpus["summac_zs"] == pytest.approx(100 * sum(best) / 2, abs=1e-3)
    assert abs(scores.corpus["summac_zs"]) > 0.1


def test_the_model_that_the_published_weights_belong_to_is_understood(tmp_path):
    """tals/albert-xlarge-vitaminc-mnli names its outputs SUPPORTS, REFUTES, NOT ENOUGH INFO."""
    settings = SummacSettings(model=str(save_nli(tmp_path, labels=("SUPPORTS", "REFUTES", "NOT ENOUGH INFO"))))
    assert load_nli(settings, torch.device("cpu")).labels == (0, 1)


def test_outputs_without_names_are_given_by_number(tmp_path):
    folder = str(save_nli(tmp_path, labels=("LABEL_0", "LABEL_1", "LABEL_2")))
    assert load_nli(SummacSettings(model=folder, labels=(2, 0)), torch.device("cpu")).labels == (2, 0)
    for wrong in ((2, 3), (1, 1)):
        with pytest.raises(DataError, match=r"evaluate\.summac\.labels"):
            load_nli(SummacSettings(model=folder, labels=wrong), torch.device("cpu"))


@pytest.mark.parametrize("limit", [64, 10**30])
def test_sentences_longer_than_the_model_are_cut(tmp_path, limit):
    folder = save_nli(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.model_max_length = limit
    tokenizer.save_pretrained(folder)
    endless = "the lung and " * 60
    scores = summac([endless], [endless], SummacSettings(model=str(folder)), device=torch.device("cpu"))
    assert abs(scores.corpus["summac_zs"]) > 0


def test_a_model_without_its_head_is_refused(tmp_path):
    folder = save_nli(tmp_path)
    config = AutoConfig.from_pretrained(folder)
    AutoModel.from_pretrained(folder).save_pretrained(folder)
    config.save_pretrained(folder)
    with pytest.raises(DataError, match=r"no weights for classifier\.bias, which would be random"):
        load_nli(SummacSettings(model=str(folder)), torch.device("cpu"))


def test_what_is_remembered_is_bounded_and_changes_no_score(tmp_path, monkeypatch):
    settings = SummacSettings(model=str(save_nli(tmp_path)))
    texts = [f"the lung number {i} is clear. the heart number {i} is not." for i in range(7)]
    device = torch.device("cpu")
    whole = summac(texts, texts[::-1], settings, device=device)
    monkeypatch.setattr(module, "WINDOW", 2)
    monkeypatch.setattr(module, "KEPT_PAIRS", 3)
    module._load_nli.cache_clear()
    assert summac(texts, texts[::-1], settings, device=device).corpus == pytest.approx(whole.corpus, abs=1e-4)
    assert len(load_nli(settings, device).known) == 3


def test_a_pair_is_asked_once(tmp_path, monkeypatch):
    nli = load_nli(SummacSettings(model=str(save_nli(tmp_path))), torch.device("cpu"))
    asked = []
    plain = nli.model.forward
    monkeypatch.setattr(nli.model, "forward", lambda **inputs: asked.append(len(inputs["input_ids"])) or plain(**inputs))
    pairs = [("the lung is clear.", "clear lung."), ("the heart.", "clear lung."), ("the lung is clear.", "clear lung.")]
    nli.ask(pairs)
    nli.ask(pairs[:1])
    load_nli(SummacSettings(model=str(tmp_path)), torch.device("cpu")).ask(pairs)
    assert sum(asked) == 2
