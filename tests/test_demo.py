"""The demo and what the package carries for it."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from rich.console import Console
from test_budgets import make_efficiency

import pareft
from pareft import arms, demo
from pareft.models.checkpoint import load_tokenizer, open_base
from pareft.recipe_file import read_recipe

ASSETS = Path(str(files("pareft") / "assets"))


def test_the_embedded_base_is_deep_thin_and_small():
    base = open_base("pareft-mini")
    assert (base.config.encoder_layers, base.config.decoder_layers) == (12, 12)
    weights = ASSETS / "pareft-mini" / "model.safetensors"
    assert weights.stat().st_size <= 14e6
    assert not [path for path in (ASSETS / "pareft-mini").iterdir() if path.suffix in (".bin", ".pt", ".pkl", ".py")]
    card = (ASSETS / "pareft-mini" / "README.md").read_text()
    for word in ("CC BY 4.0", "pretrain_mini.py", "MedQuAD", "MTS-Dialog"):
        assert word in card


def test_the_embedded_base_knows_the_notes_words():
    tokenizer = load_tokenizer(open_base("pareft-mini"))
    text = "small right pleural effusion, 4 mm nodule; follow-up radiograph recommended."
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert len(ids) < 30
    assert pareft.plan("pareft-mini").ratio == pytest.approx(1 / 3)


def test_the_committed_measurement_says_how_it_was_made():
    measured = json.loads((ASSETS / "bart-large-shape.json").read_text())
    assert measured["command"].startswith("python benchmarks/measure_shape.py")
    assert [row["arm"] for row in measured["rows"]] == ["full", "l-prun", "lora", "lora+l-prun"]
    assert [row["total"] for row in measured["rows"]] == [406_291_456, 288_719_872, 410_223_616, 291_341_312]
    assert measured["rows"][0]["speed_percent"] == measured["rows"][0]["memory_percent"] == 100


def test_the_demo_from_notes_to_table_in_small(tmp_path, monkeypatch, capsys):
    """The demo itself, with fewer notes and steps than it takes to learn."""
    small = {
        "train.max_steps": 2,
        "train.evaluate_examples": 4,
        "data.limit": {"test": 4},
        "measure.steps": 1,
        "train.evaluate_max_new_tokens": 8,
        "evaluate.max_new_tokens": 8,
        "evaluate.num_beams": 1,
    }
    monkeypatch.setattr(demo, "NOTES", 60)
    measured = make_efficiency(read_recipe(ASSETS / "demo.yaml"), **dict.fromkeys(("full", "l-prun", "lora", "lora+l-prun"), 1.0))
    monkeypatch.setattr(arms, "measure", lambda *_, **__: measured)  # in processes that take longer than all else here
    monkeypatch.setattr(demo, "read_recipe", lambda path, changes: read_recipe(path, changes | small))
    monkeypatch.setattr(demo, "Console", lambda: Console(width=100))
    demo.run_demo(tmp_path / "out")
    said = capsys.readouterr().out
    for word in ("lora+l-prun", "reference", "BART-large", "report.html", "Quality"):
        assert word in said
    rows = json.loads((tmp_path / "out/runs/comparison.json").read_text())["rows"]
    assert [row["arm"] for row in rows] == ["untouched", "full", "l-prun", "lora", "lora+l-prun"]
    pruned = rows[-1]
    assert pruned["layers_dropped_ratio"] == pytest.approx(1 / 3)
    assert pruned["trainable_percent"] < 12
    assert "<h1>pareft demo" in (tmp_path / "out/report/report.html").read_text()
    assert (tmp_path / "out/runs/comparison.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out/notes/radiology.csv").is_file()
