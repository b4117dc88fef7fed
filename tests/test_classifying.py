"""Encoders that classify: labels, numbers and pairs of texts by the same path, and what does not go."""

import json
import shutil

import polars as pl
import pytest
import torch
from conftest import TEXTS, learn_briefly, make_tokenizer, save_tiny
from transformers import AutoModelForMultipleChoice, AutoModelForSequenceClassification

import pareft
from pareft.errors import PareftError
from pareft.evaluation.classifying import choose_batch, part_options, pick_options
from pareft.evaluation.generation import Batch
from pareft.exporting.checking import compute_logits, make_inputs
from pareft.lightening import lighten
from pareft.readying import prepare
from pareft.recipe import override, resolve
from pareft.reporting import collect_report
from pareft.settings import PAIRED, MeasureSettings


@pytest.fixture(scope="session")
def encoders(tmp_path_factory):
    """Tiny encoders with a tokenizer, by family; their vocabularies are the tokenizer's."""
    return {name: save_tiny(name, tmp_path_factory.mktemp(name)) for name in ("bert", "roberta")}


@pytest.fixture
def task(encoders, tmp_path):
    """A recipe of two labels, and its table: the label is whether two texts are the same."""
    rows = [
        {"one": TEXTS[i % 8][:24], "two": TEXTS[(i + (i // 8) % 2) % 8][:24], "same": str(1 - (i // 8) % 2), "how much": str(i % 8)}
        for i in range(64)
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "table.csv")
    return {
        "base": str(encoders["bert"]),
        "data": {"path": str(tmp_path / "table.csv"), "source": "one", "pair": "two", "target": "same", "max_source_tokens": 40},
        **learn_briefly("accuracy"),
        "evaluate": {"metrics": ["classification"]},
    }


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("adapter", [True, False])
def test_a_run_classifies_and_is_read_back(task, encoders, tmp_path, family, adapter):
    changes = {"base": str(encoders[family])} | ({} if adapter else {"adapt": None, "prune": None})
    record = pareft.run(resolve(override(task, changes)), out=tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert {row["prediction"] for row in rows} <= {"0", "1"}
    share = 100 * sum(row["prediction"] == row["reference"] for row in rows) / len(rows)
    assert record.scores["accuracy"] == pytest.approx(share, abs=1e-3)
    assert {"accuracy", "macro_f1", "matthews"} <= record.scores.keys()
    assert json.loads((tmp_path / "run" / "labels.json").read_text()) == ["0", "1"]
    model = pareft.load(tmp_path / "run")
    assert list(model.config.id2label.values()) == ["0", "1"]
    again = pareft.evaluate(tmp_path / "run")
    assert again.scores["accuracy"].value == pytest.approx(record.scores["accuracy"], abs=0.01)
    if not adapter:
        stock, report = AutoModelForSequenceClassification.from_pretrained(tmp_path / "run" / "weights", output_loading_info=True)
        assert not any(report.values())
        assert stock.config.label2id == {"0": 0, "1": 1}


@pytest.mark.parametrize("form", ["merged", "adapter", "base"])
def test_a_classifier_is_exported(task, tmp_path, monkeypatch, form):
    """What stock libraries compute by it is compared with what the run does before it is there; and what its card says, goes."""
    pareft.run(resolve(task), out=tmp_path / "run")
    done = pareft.export(tmp_path / "run", tmp_path / "out", form)
    assert done.by_stock
    card = (tmp_path / "out" / "README.md").read_text()
    assert "new tokens" not in card
    if form != "adapter":
        model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
        assert list(model.config.id2label.values()) == ["0", "1"]
        return
    monkeypatch.chdir(tmp_path / "out")
    said: dict = {}
    exec(card.split("```python")[1].split("```")[0], said)
    own = pareft.load(tmp_path / "run", dtype=torch.float32)
    inputs = make_inputs(own.get_base_model())
    torch.testing.assert_close(compute_logits(said["model"].float(), inputs), compute_logits(own, inputs))
    assert json.loads((tmp_path / "out" / "labels.json").read_text()) == ["0", "1"]


def test_numbers_are_learnt_and_correlated(task, tmp_path):
    changes = {
        "data.target": "how much",
        "data.task": "regression",
        "evaluate.metrics": ["regression"],
        "train.best_metric": "pearson",
    }
    record = pareft.run(resolve(override(task, changes)), out=tmp_path / "run")
    assert {"pearson", "spearman"} <= record.scores.keys()
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert len({float(row["prediction"]) for row in rows}) > 1
    assert pareft.load(tmp_path / "run").config.num_labels == 1


def test_early_pruning_of_an_encoder(task, tmp_path):
    light = {"steps": 4, "heads": 0.5, "neurons": 0.5, "modules": 0.5, "ranks": 0.5}
    record = pareft.run(resolve(override(task, {"light": light})), out=tmp_path / "run")
    assert record.light.heads == {"encoder.self": [2] * len(record.light.heads["encoder.self"])}
    assert 0.4 < record.light.removed_ratio < 0.6
    again = pareft.evaluate(tmp_path / "run")
    assert again.scores["accuracy"].value == pytest.approx(record.scores["accuracy"], abs=0.01)
    found = lighten(prepare(resolve(override(task, {"light": light}))), tmp_path / "run" / "light")
    assert any("classifier" in name for name in found.trimmed.tensors)  # the head goes on from the estimation, too


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"evaluate.metrics": ["rouge"]}, r"let evaluate.metrics be \[classification\]"),
        ({"train.best_metric": "rouge1"}, "train.best_metric accuracy"),
        ({"distill": {}}, "let it be null"),
        ({"data.task": "generation"}, "encoders that classify"),
        (
            {"data.task": "regression", "evaluate.metrics": ["regression"], "train.best_metric": "pearson", "data.target": "one"},
            "is no number",
        ),
        ({"data.target": "one", "data.limit": {"train": 3}}, "none that a training example has|different values"),
        ({"data.pair": "three"}, "three"),
        ({"prune": {"by": "influence", "keep": 3}}, "magnitude and rules do not"),
        ({"adapt.start": "gap"}, "data.task is classification"),
        ({"evaluate.untouched": True}, "no head for the task yet"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(task, tmp_path, changes, message):
    with pytest.raises(PareftError, match=message):
        pareft.run(resolve(override(task, changes)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_text_may_be_as_long_as_the_tokenizer_says(task, encoders, tmp_path):
    """RoBERTa's config counts two positions that no text has."""
    folder = tmp_path / "roberta"
    shutil.copytree(encoders["roberta"], folder)
    said = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(said | {"model_max_length": 30}))
    with pytest.raises(PareftError, match="max_source_tokens is 40; the base has 30 positions"):
        pareft.run(resolve(override(task, {"base": str(folder)})), out=tmp_path / "run")


def test_a_base_that_writes_does_not_classify(task, bases, tmp_path):
    with pytest.raises(PareftError, match="writes labels as texts"):
        pareft.run(resolve(override(task, {"base": str(bases["bart"]), "data.task": "classification"})), out=tmp_path / "run")


@pytest.fixture
def choice(task, tmp_path):
    """A recipe of three options, and its table: the right one is the text itself."""
    rows = []
    for number in range(60):
        options = [TEXTS[(number + step) % 8][:24] for step in range(3)]
        rows.append({"text": options[number % 3], "options": options, "right": str(number % 3), "b": options[1], "c": options[2]})
    rows[0]["options"] = rows[0]["options"][:2]  # one has fewer
    pl.DataFrame(rows).write_parquet(tmp_path / "choices.parquet")
    data = {
        "path": str(tmp_path / "choices.parquet"),
        "source": "text",
        "target": "right",
        "options": "options",
        "max_source_tokens": 40,
    }
    return {**task, "data": data} | {
        "train": task["train"] | {"best_metric": "exact_match"},
        "evaluate": {"metrics": ["exact_match"]},
    }


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_options_are_chosen_among_and_the_run_is_read_back(choice, encoders, tmp_path, family):
    record = pareft.run(resolve(choice | {"base": str(encoders[family])}), out=tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    share = 100 * sum(row["prediction"] == row["reference"] for row in rows) / len(rows)
    assert record.scores["exact_match"] == pytest.approx(share, abs=1e-3)
    assert {row["prediction"] for row in rows} <= {text[:24] for text in TEXTS}
    model = pareft.load(tmp_path / "run")
    assert type(model.get_base_model()).__name__.endswith("ForMultipleChoice")
    again = pareft.evaluate(tmp_path / "run")
    assert again.scores["exact_match"].value == pytest.approx(record.scores["exact_match"], abs=0.01)


def test_of_every_source_the_best_option_is_chosen_and_none_that_only_fills_up():
    texts = tuple(PAIRED.join(found) for found in (["one", "a", "b", ""], ["two", "c", "d", "e"]))
    parted = part_options(Batch((0, 1), (0, 1), (), texts=texts))
    assert parted == [("one", ["a", "b"]), ("two", ["c", "d", "e"])]
    assert pick_options(parted, [0.1, 0.3, 0.2, 0.5, 0.5]) == ["b", "d"]


@pytest.mark.parametrize("together", [1, 64, 10_000])
def test_what_is_chosen_does_not_depend_on_what_is_computed_together(encoders, together):
    model = AutoModelForMultipleChoice.from_pretrained(encoders["bert"]).eval()
    tokenizer = make_tokenizer()
    texts = tuple(PAIRED.join([TEXTS[n], *(TEXTS[(n + k) % 8][: 9 + 9 * k] for k in range(1, 4)), ""]) for n in range(5))
    batch = Batch(tuple(range(5)), tuple(range(5)), (), texts=texts)
    chosen = choose_batch(model, tokenizer, batch, max_source_tokens=40, batch_tokens=together)
    asked = {"max_source_tokens": 40, "batch_tokens": 10_000}
    alone = [choose_batch(model, tokenizer, Batch((0,), (0,), (), texts=(text,)), **asked)[0] for text in texts]
    assert chosen == alone


@pytest.mark.parametrize("form", ["merged", "adapter", "onnx"])
def test_what_chooses_is_exported(choice, tmp_path, form):
    """As ONNX it takes other numbers of options and tokens than it was written with."""
    if form == "onnx":
        pytest.importorskip("onnxscript")
    pareft.run(resolve(choice), out=tmp_path / "run")
    assert pareft.export(tmp_path / "run", tmp_path / "out", form).by_stock
    if form == "onnx":
        from onnxruntime import InferenceSession

        model = pareft.load(tmp_path / "run", dtype=torch.float32)
        inputs = make_inputs(model.get_base_model())
        longer = {
            name: torch.cat([value, value[..., :9], value[..., :9]], dim=-1)[:, :1].repeat(1, 3, 1)
            for name, value in inputs.items()
        }
        session = InferenceSession(tmp_path / "out" / "model.onnx")
        found = session.run(["logits"], {name: value.numpy() for name, value in longer.items()})[0]
        torch.testing.assert_close(torch.tensor(found), compute_logits(model, longer), rtol=1e-3, atol=1e-4)


def test_early_pruning_of_what_chooses(choice, tmp_path):
    light = {"steps": 4, "heads": 0.5, "neurons": 0.5, "modules": 0.5, "ranks": 0.5}
    record = pareft.run(resolve(choice | {"light": light, "adapt": {"method": "bottleneck", "rank": 4}}), out=tmp_path / "run")
    assert 0.4 < record.light.removed_ratio < 0.6
    assert all(value > 0 for value in record.light.importance.values()) or record.light.steps == 4


def test_options_may_be_columns_and_arms_are_compared(choice, tmp_path):
    arms = {"full": {"adapt": None, "prune": None}, "lora": {}}
    columns = resolve(override(choice, {"data.options": ["text", "b", "c"], "data.target": "text", "arms": arms}))
    measured = columns.model_copy(update={"measure": MeasureSettings(steps=1, warmup_steps=0, inference=1)})
    compared = pareft.compare(measured, out=tmp_path / "runs")
    assert [row.arm for row in compared.rows] == ["full", "lora"]
    assert compared.headlines == ["exact_match"]
    assert all(row.inference_percent > 0 for row in compared.rows)
    again = pareft.compare_runs([tmp_path / "runs" / arm for arm in arms])
    assert [row.inference_percent for row in again.rows] == [row.inference_percent for row in compared.rows]


def test_a_report_of_options_given_as_numbers_shows_their_texts(choice, tmp_path):
    """The data are known again as the run has learnt them, which is with the right option's text as the target."""
    compared = pareft.compare(resolve(choice | {"arms": {"lora": {}}, "measure": None}), out=tmp_path / "runs")
    report = collect_report(compared, {"lora": tmp_path / "runs" / "lora"}, examples=3, show_text=True)
    assert {example.source for example in report.examples} <= set(pl.read_parquet(tmp_path / "choices.parquet")["text"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.target": "b", "data.options": ["text", "c"]}, "is none of its 2 options"),
        ({"data.options": "text"}, "holds no lists of options"),
        ({"data.options": ["text", "d"]}, "d"),
        ({"data.pair": "b"}, "options are the second texts"),
        ({"data.options": None, "data.task": "choice"}, "name their columns"),
        ({"data.task": "classification"}, "data.options are for data.task choice"),
        ({"evaluate.metrics": ["classification"]}, r"let evaluate.metrics be \[exact_match\]"),
    ],
)
def test_options_that_cannot_be_are_refused(choice, tmp_path, changes, message):
    with pytest.raises(PareftError, match=message):
        pareft.run(resolve(override(choice, changes)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
