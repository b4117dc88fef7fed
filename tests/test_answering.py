"""Encoders that say which part of a text answers a question: windows, spans, runs."""

import json

import polars as pl
import pytest
import torch
from conftest import TEXTS, learn_briefly, make_tokenizer, save_tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForQuestionAnswering

import pareft
from pareft.budgets import share_out
from pareft.data.spans import encode_spans, locate_answers
from pareft.errors import DataError, PareftError
from pareft.evaluation.answering import _find_best, answer_batch
from pareft.evaluation.generation import Batch
from pareft.evaluation.metrics import compute
from pareft.readying import encode_split, prepare
from pareft.recipe import override, resolve
from pareft.settings import EITHER, PAIRED
from pareft.token_ids import cut_windows

TOKENIZER = make_tokenizer()
WORDS = ["red", "green", "blue", "white", "black", "yellow", "brown"]


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return save_tiny("bert", tmp_path_factory.mktemp("bert"))


@pytest.fixture
def task(encoder, tmp_path):
    """Which colour is it? The one behind `is`."""
    rows = []
    for number in range(60):
        word = WORDS[number % 7]
        text = f"{TEXTS[number % 3][: 10 + number % 5]} it is {word} {TEXTS[number % 2][:12]}"
        rows.append({"question": "colour?", "text": text, "answer": word})
    pl.DataFrame(rows).write_csv(tmp_path / "table.csv")
    return {
        "base": str(encoder),
        "data": {
            "path": str(tmp_path / "table.csv"),
            "source": "question",
            "pair": "text",
            "target": "answer",
            "task": "span",
            "max_source_tokens": 40,
            "max_target_tokens": 8,
        },
        **learn_briefly("answer_f1"),
        "evaluate": {"metrics": ["answers"]},
    }


@settings(max_examples=40, deadline=None)
@given(question=st.sampled_from(TEXTS), text=st.text("ab cd.ef", max_size=300), longest=st.integers(24, 80))
def test_windows_hold_every_letter_and_no_more_tokens_than_there_may_be(question, text, longest):
    windows = cut_windows([question, "?"], [text, text], TOKENIZER, max_tokens=longest)
    assert all(len(ids) <= longest for ids in windows.inputs["input_ids"])
    assert windows.owners == sorted(windows.owners)
    for owner in (0, 1):
        held = {
            letter
            for number, found in enumerate(windows.letters)
            if windows.owners[number] == owner
            for span in found
            if span
            for letter in range(*span)
        }
        assert held >= {letter for letter, character in enumerate(text) if character != " "}


@settings(max_examples=40, deadline=None)
@given(start=st.integers(0, 40), count=st.integers(1, 3), longest=st.integers(30, 60))
def test_an_answer_is_learnt_where_it_is(start, count, longest):
    words = [f"{WORDS[(number * 5) % 7]}{number}" for number in range(44)]
    text, answer = " ".join(words), " ".join(words[start : start + count])
    frame = locate_answers(pl.DataFrame({"pair": [text], "target": [answer + EITHER + "x"]}), where="here")
    rows = {"pair": [text], "target": frame["target"].to_list(), "start": frame["start"].to_list()}
    windows = cut_windows(["where?"], [text], TOKENIZER, max_tokens=longest)
    found = encode_spans(rows, ["where?"], TOKENIZER, max_tokens=longest)
    held = 0
    for number, letters in enumerate(windows.letters):
        begin, end = found["start_positions"][number], found["end_positions"][number]
        if (begin, end) != (0, 0):
            held += 1
            assert text[letters[begin][0] : letters[end][1]].strip() == answer
        else:
            first, last = text.index(answer), text.index(answer) + len(answer) - 1
            assert not (windows.reaches(number, first) and windows.reaches(number, last))
    assert held or count > 1  # windows overlap, so that what is short is in one as a whole


def test_the_text_must_hold_its_answer():
    frame = pl.DataFrame({"pair": ["it is red", "it is blue"], "target": ["red", "green"]})
    with pytest.raises(DataError, match="training example 1 does not hold its answer"):
        locate_answers(frame, where="here")
    said = pl.DataFrame({"pair": ["red or red"], "target": ["red"], "start": [7]})
    assert locate_answers(said, where="here")["start"].to_list() == [7]
    none = pl.DataFrame({"pair": ["it is red"], "target": [""]})
    assert locate_answers(none, where="here")["start"].to_list() == [-1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=12), st.integers(1, 5))
def test_the_best_span_is_the_best_of_all(values, most):
    starts, ends = (torch.tensor(side) for side in zip(*values, strict=True))
    value, start, end = _find_best(starts, ends, most=most)
    every = [float(starts[i] + ends[j]) for i in range(len(values)) for j in range(i, min(i + most, len(values)))]
    assert value == pytest.approx(max(every))
    assert 0 <= end - start < most
    assert float(starts[start] + ends[end]) == pytest.approx(value)


def test_an_answer_does_not_depend_on_its_batch_and_long_texts_are_looked_through(encoder):
    model = AutoModelForQuestionAnswering.from_pretrained(encoder).eval()
    texts = [f"colour?{PAIRED}{' '.join(TEXTS[number : number + 3])}" for number in range(5)]
    asked = {"max_source_tokens": 40, "max_answer_tokens": 6, "unanswerable": False, "batch_tokens": 640}

    def answer(chosen):
        numbers = tuple(range(len(chosen)))
        return answer_batch(model, TOKENIZER, Batch(numbers, numbers, (), texts=tuple(chosen)), **asked)

    together = answer(texts)
    assert together == [answer([text])[0] for text in texts]
    assert all(found and found in text for found, text in zip(together, texts, strict=True))
    with torch.no_grad():
        model.qa_outputs.weight.zero_()  # all places are alike: nothing is likelier than no answer
        model.qa_outputs.bias.zero_()
    numbers = tuple(range(5))
    alike = answer_batch(model, TOKENIZER, Batch(numbers, numbers, (), texts=tuple(texts)), **asked | {"unanswerable": True})
    assert all(alike)  # of equals, the answer


@pytest.mark.parametrize("adapter", [True, False])
def test_a_run_answers_and_is_read_back(task, tmp_path, adapter):
    record = pareft.run(resolve(override(task, {} if adapter else {"adapt": None, "prune": None})), out=tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert all(row["prediction"] for row in rows)
    texts = pl.read_csv(tmp_path / "table.csv")["text"].to_list()
    assert all(row["prediction"] in texts[int(row["id"])] for row in rows)
    again = compute(["answers"], *([row[kind] for row in rows] for kind in ("prediction", "reference")))
    assert record.scores == pytest.approx(again.corpus, abs=1e-3)
    assert json.loads((tmp_path / "run" / "labels.json").read_text()) == "span"
    model = pareft.load(tmp_path / "run")
    inner = model.get_base_model() if adapter else model
    assert type(inner).__name__ == "BertForQuestionAnswering"
    again = pareft.evaluate(tmp_path / "run")
    assert again.scores["answer_f1"].value == pytest.approx(record.scores["answer_f1"], abs=0.01)


def test_spans_are_learnt_and_that_there_may_be_none(task, tmp_path):
    """All weights, long enough: it finds most, and says nothing where there is nothing."""
    table = pl.read_csv(tmp_path / "table.csv")
    none = table.with_columns(text=pl.lit(TEXTS[0][:20]), answer=pl.lit("")).head(20)
    pl.concat([table, none]).sample(fraction=1.0, shuffle=True, seed=1).write_csv(tmp_path / "table.csv")
    changes = {"adapt": None, "prune": None, "data.unanswerable": True, "train.max_steps": 150, "train.evaluate_every": 100}
    record = pareft.run(resolve(override(task, changes | {"train.learning_rate": 1e-2})), out=tmp_path / "run")
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert {row["prediction"] == "" for row in rows if row["reference"] == ""} == {True}
    assert record.scores["answer_f1"] > 60


def test_early_pruning_export_and_a_comparison(task, tmp_path):
    light = {"steps": 4, "heads": 0.5, "neurons": 0.5, "modules": 0.5, "ranks": 0.5}
    arms = {"lora": {}, "light": {"light": light}}
    measure = {"steps": 1, "warmup_steps": 0, "inference": 1}
    compared = pareft.compare(resolve(override(task, {"arms": arms, "measure": measure})), out=tmp_path / "runs")
    assert compared.headlines == ["answer_f1", "answer_match"]
    assert all(row.inference_percent > 0 for row in compared.rows)
    assert pareft.export(tmp_path / "runs" / "lora", tmp_path / "out", "merged").by_stock


def test_an_encoder_decoder_writes_the_answer(task, bases, tmp_path):
    """Rows of a named task, of which it is told neither where answers are nor that several are right."""

    def told(answer):
        return {"text": [answer, "it"], "answer_start": [0, 0]}

    rows = pl.read_csv(tmp_path / "table.csv").to_dicts()
    for split in ("train", "dev"):
        asked = [{"question": row["question"], "context": row["text"], "answers": told(row["answer"])} for row in rows]
        (tmp_path / f"{split}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in asked))
    data = {"name": "qa/squad", "path": str(tmp_path), "task": "generation", "max_source_tokens": 40, "max_target_tokens": 8}
    evaluate = {"metrics": ["answers"], "max_new_tokens": 8, "num_beams": 1}
    recipe = resolve(task | {"base": str(bases["bart"]), "data": data, "evaluate": evaluate})
    prepared = prepare(recipe)
    assert set(prepared.splits["train"]["target"]) == set(WORDS)
    assert prepared.splits["test"]["target"][0].endswith(f"{EITHER}it")
    assert "answer_f1" in pareft.run(recipe, out=tmp_path / "run").scores


def test_steps_are_those_of_windows(task):
    changes = {"train.max_steps": None, "train.epochs": 1, "data.prefix": "please say of what ", "data.max_source_tokens": 24}
    prepared = prepare(resolve(override(task, changes)))
    assert prepared.steps == -(-len(encode_split(prepared, "train")) // 8)
    assert len(encode_split(prepared, "train")) > prepared.splits["train"].height


@pytest.mark.parametrize("kind", ["span", "classification"])
def test_equal_operations_count_encoders(task, kind):
    arms = {"full": {"adapt": None, "prune": None}, "half": {"adapt": None, "prune": {"by": "even", "keep": 3}}}
    changes = {} if kind == "span" else {"data.task": kind, "evaluate.metrics": ["classification"], "train.best_metric": "accuracy"}
    shared = share_out(resolve(override(task, changes | {"arms": arms})), "flops", None)
    assert 0.4 * shared.costs["full"] < shared.costs["half"] < shared.costs["full"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.pair": None}, "task span is a part of a second text"),
        ({"data.max_source_tokens": 20}, "24 at least"),
        ({"data.task": "classification", "data.unanswerable": True}, "unanswerable is for task span"),
        ({"evaluate.metrics": ["rouge"]}, r"let evaluate.metrics be \[answers\]"),
        ({"data.target": "question", "data.source": "answer"}, "does not hold its answer"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(task, tmp_path, changes, message):
    with pytest.raises(PareftError, match=message):
        pareft.run(resolve(override(task, changes)), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
