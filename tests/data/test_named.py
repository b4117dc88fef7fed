"""Tasks by name: rows as they are published become examples, splits are those with labels, and the score is the official one."""

import json

import pytest

from pareft.data.named import NAMED, has_pair
from pareft.data.sources import read_splits
from pareft.errors import DataError, RecipeError
from pareft.frames import pl
from pareft.named_tasks import NAMED_TASKS
from pareft.recipe import resolve
from pareft.settings import EITHER, DataSettings


def write_lines(path, rows):
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")


def read(name, folder=None, **more):
    return read_splits(DataSettings(name=name, path=str(folder) if folder else None, **more), seed=42)


def test_every_name_has_rows_and_a_score():
    assert NAMED.keys() == NAMED_TASKS.keys()
    for name, task in NAMED_TASKS.items():
        assert bool(NAMED[name].labels) == (task.task == "classification")
        assert ("f1" in task.metrics) == (NAMED[name].labels == ("0", "1"))


ROWS = {
    "glue/mrpc": ({"#1 String": "a", "#2 String": "b", "Quality": "1"}, ("a", "b", "1")),
    "glue/stsb": ({"sentence1": "a", "sentence2": "b", "score": "3.2"}, ("a", "b", "3.2")),
    "glue/qqp": ({"question1": "a", "question2": "b", "label": 0}, ("a", "b", "0")),
    "glue/mnli": ({"sentence1": "a", "sentence2": "b", "gold_label": "neutral"}, ("a", "b", "neutral")),
    "glue/mnli-mismatched": ({"premise": "a", "hypothesis": "b", "label": 2}, ("a", "b", "contradiction")),
    "glue/qnli": ({"question": "a", "sentence": "b", "label": 1}, ("a", "b", "not_entailment")),
    "superglue/boolq": ({"question": "a", "passage": "b", "label": True}, ("a", "b", "true")),
    "superglue/cb": ({"premise": "a", "hypothesis": "b", "label": 2}, ("a", "b", "neutral")),
    "superglue/wic": (
        {"word": "w", "sentence1": "a", "sentence2": "b", "label": False},
        ("a b Does w have the same meaning in both sentences?", None, "false"),
    ),
    "superglue/wsc": (
        {"text": "t", "target": {"span1_text": "s", "span2_text": "it"}, "label": True},
        ("it: t", "s", "true"),
    ),
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_becomes_an_example_with_its_label_by_name(tmp_path, name):
    row, expected = ROWS[name]
    for split in ("train", "test"):
        write_lines(tmp_path / f"{split}.jsonl", [row] * 4)
    first = read(name, tmp_path)["test"].row(0, named=True)
    assert (first["source"], first.get("pair"), first["target"]) == expected
    assert has_pair(name) == ("pair" in first)


def test_the_answers_to_a_question_are_scored_together(tmp_path):
    answers = [{"text": "yes", "label": 1}, {"text": "no", "label": 0}]
    questions = [{"question": "q?", "idx": 7, "answers": answers}, {"question": "r?", "idx": 8, "answers": answers}]
    for split in ("train", "val"):
        write_lines(tmp_path / f"{split}.jsonl", [{"idx": 3, "passage": {"text": "p", "questions": questions}}] * 3)
    frame = read("superglue/multirc", tmp_path)["test"]
    assert frame["pair"].to_list()[:4] == ["q? yes", "q? no", "r? yes", "r? no"]
    assert [name.partition("::")[0] for name in frame["id"]][:4] == ["3-7", "3-7", "3-8", "3-8"]
    assert frame["id"].n_unique() == frame.height


def test_a_validation_split_is_held_out_by_passages(tmp_path):
    answers = [{"text": "yes", "label": 1}, {"text": "no", "label": 0}]
    for split, count in (("train", 40), ("val", 1)):
        rows = [
            {"idx": row, "passage": {"text": f"{split} {row}", "questions": [{"question": q, "answers": answers} for q in "ab"]}}
            for row in range(count)
        ]
        write_lines(tmp_path / f"{split}.jsonl", rows)
    splits = read("superglue/multirc", tmp_path)
    assert {name: frame.height for name, frame in splits.items()} == {"train": 144, "validation": 16, "test": 4}
    assert not set(splits["train"]["source"]) & set(splits["validation"]["source"])
    assert splits["validation"]["source"].value_counts()["count"].to_list() == [4, 4, 4, 4]


def test_numbers_of_a_split_without_labels_are_none(tmp_path):
    columns = {"sentence1": ["a"] * 30, "sentence2": ["b"] * 30}
    for split, labels in (("train", [2.5] * 30), ("validation", [3.8] * 30), ("test", [-1.0] * 30)):
        pl.DataFrame(columns | {"label": pl.Series(labels, dtype=pl.Float32)}).write_parquet(tmp_path / f"{split}.parquet")
    splits = read("glue/stsb", tmp_path)
    assert set(splits["train"]["target"]) == {"2.5"}
    assert set(map(float, splits["test"]["target"])) == {3.799999952316284}


def test_quotes_are_letters_and_cola_has_no_first_row_of_names(tmp_path):
    write_lines(tmp_path / "train.tsv", ['gj04\t1\t\tThe "car is red.', "gj04\t0\t*\tA b", *["gj04\t1\t\tc d"] * 18])
    write_lines(tmp_path / "dev.tsv", ["gj04\t1\t\tOne."])
    write_lines(tmp_path / "test.tsv", ["index\tsentence", "0\tNo label."])
    splits = read("glue/cola", tmp_path)
    assert splits["test"]["source"].to_list() == ["One."]  # the published test split has no labels
    assert {name: frame.height for name, frame in splits.items()} == {"train": 18, "validation": 2, "test": 1}
    assert 'The "car is red.' in [*splits["train"]["source"], *splits["validation"]["source"]]
    assert not set(splits["train"]["id"]) & set(splits["validation"]["id"])


@pytest.mark.parametrize(
    ("files", "sizes"),
    [
        ({"train": 20, "dev": 3}, (18, 2, 3)),  # held out of the training split
        ({"train": 20, "dev": 3, "test": 4}, (20, 3, 4)),
        ({"train": 20, "dev": 3, "val": 4}, (20, 4, 3)),
        ({"train": 20, "val": 3, "dev32": 4}, (20, 4, 3)),
    ],
)
def test_splits_are_those_with_labels(tmp_path, files, sizes):
    for split, rows in files.items():
        write_lines(tmp_path / f"{split}.tsv", ["sentence\tlabel", *(f"{split} {row}\t{row % 2}" for row in range(rows))])
    splits = read("glue/sst2", tmp_path)
    assert tuple(splits[name].height for name in ("train", "validation", "test")) == sizes
    assert set(splits["train"]["target"]) == {"negative", "positive"}


def test_a_file_for_each_split_is_read_as_it_is_named(tmp_path):
    for split, rows in (("one", 5), ("two", 3)):
        write_lines(tmp_path / f"{split}.tsv", ["sentence\tlabel", *["a\t1"] * rows])
    splits = read("glue/sst2", tmp_path, train="one.tsv", validation="two.tsv", test="two.tsv", limit={"train": 4})
    assert [frame.height for frame in splits.values()] == [4, 3, 3]
    with pytest.raises(DataError, match="no validation split; name its file"):
        read("glue/sst2", tmp_path, train="one.tsv", test="two.tsv")


def test_a_recipe_is_scored_as_the_task_is(tmp_path):
    recipe = resolve({"base": "x", "data": {"name": "glue/cola"}, "train": {"epochs": 1}})
    assert (recipe.evaluate.metrics, recipe.train.best_metric, recipe.data.task) == (
        ["classification"],
        "matthews",
        "classification",
    )
    assert resolve(recipe.model_dump()) == recipe
    assert resolve({"base": "x", "data": {"name": "glue/stsb"}}).data.task == "regression"
    own = resolve({"base": "x", "data": {"name": "glue/mrpc"}, "train": {"best_metric": "accuracy"}})
    assert (own.train.best_metric, own.evaluate.metrics) == ("accuracy", ["classification", "f1"])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "glue/sst-2"}, "no task 'glue/sst-2'. Did you mean glue/sst2?"),
        ({"name": "glue/sst2", "source": "sentence"}, "leave source, target, pair and options out"),
    ],
)
def test_what_no_task_is_is_refused(data, message):
    with pytest.raises(RecipeError, match=message):
        resolve({"base": "x", "data": data})


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["sentence\tlabel", "a\t1", "b\t2"], "row 2: the label '2' is none of negative, positive"),
        (["sentence\tlabel", "a\t1", "b"], "line 3: 1 cells, and there are 2 columns"),
        (["sentence\tlabel", "a\t1", "b\tJohn Doe"], "row 2: its label is none of negative, positive"),
        (["text\tlabel", "a\t1"], "row 1: no column sentence; the columns are text, label"),
        (["Mr Smith, b. 1950\t1", "a\t1"], "row 1: no column sentence; the first line does not look like a header"),
        (["sentence\tlabel", "a\t-1"], "no train split with labels"),
    ],
)
def test_rows_that_are_not_the_tasks_are_said(tmp_path, lines, message):
    for split in ("train", "dev"):
        write_lines(tmp_path / f"{split}.tsv", lines)
    with pytest.raises(DataError, match=message):
        read("glue/sst2", tmp_path)


def test_a_broken_line_among_many_is_left_out(tmp_path):
    write_lines(tmp_path / "train.tsv", ["sentence\tlabel", *["a\t1"] * 200, "b"])
    write_lines(tmp_path / "dev.tsv", ["sentence\tlabel", "c\t0"])
    splits = read("glue/sst2", tmp_path)
    assert splits["train"].height + splits["validation"].height == 200


def test_a_folder_without_the_files_and_no_folder(tmp_path):
    with pytest.raises(DataError, match="has no file glue/rte is trained on"):
        read("glue/rte", tmp_path)
    with pytest.raises(DataError, match="is no folder; it is where the files of glue/rte are"):
        read("glue/rte", tmp_path / "nowhere")


def test_the_hub_is_asked_for_the_tasks_configuration(monkeypatch):
    import datasets

    def load(repository, configuration):
        assert (repository, configuration) == ("nyu-mll/glue", "rte")
        rows = [{"sentence1": "a", "sentence2": "b", "label": number % 2, "idx": number} for number in range(20)]
        return {"train": rows, "validation": rows[:3], "test": [row | {"label": -1} for row in rows]}

    monkeypatch.setattr(datasets, "load_dataset", load)
    splits = read("glue/rte")
    assert [splits[name].height for name in ("train", "validation", "test")] == [18, 2, 3]
    assert splits["test"]["target"].to_list() == ["entailment", "not_entailment", "entailment"]


SHARED = {
    "glue/cola": ("glue/CoLA", 1043),
    "glue/sst2": ("glue/SST-2", 872),
    "glue/rte": ("glue/RTE", 277),
    "glue/wnli": ("glue/WNLI", 71),
    "superglue/boolq": ("superglue/BoolQ", 3270),
    "superglue/cb": ("superglue/CB", 56),
    "superglue/multirc": ("superglue/MultiRC", 4848),
    "superglue/rte": ("superglue/RTE", 277),
    "superglue/wic": ("superglue/WiC", 638),
    "superglue/wsc": ("superglue/WSC", 104),
}


@pytest.mark.parametrize("name", SHARED)
def test_published_files_are_read_whole(shared, name):
    folder, rows = SHARED[name]
    splits = read(name, shared / "data" / folder)
    assert splits["test"].height == rows
    for frame in splits.values():
        assert set(frame["target"]) <= set(NAMED[name].labels)
        assert not frame.null_count().sum_horizontal().item()


CHOICES = {
    "superglue/copa": (
        {"premise": "p", "choice1": "a", "choice2": "b", "question": "effect", "label": 1},
        ("p so", ["a", "b"], "b"),
    ),
    "qa/arc-easy": (
        {"question": "q", "choices": {"text": ["x", "y", "z"], "label": ["A", "B", "C"]}, "answerKey": "C"},
        ("q", ["x", "y", "z"], "z"),
    ),
    "qa/openbookqa": (
        {
            "instruction": "Please choose the correct answer to the question: Where: there?\n\n"
            "Answer1: a marsh Answer2: a desert\n\nAnswer format: answer1/answer2",
            "answer": "answer2",
        },
        ("Where: there?", ["a marsh", "a desert"], "a desert"),
    ),
    "qa/piqa": ({"goal": "g", "sol1": "s", "sol2": "t", "label": 0}, ("g", ["s", "t"], "s")),
    "qa/siqa": (
        {"context": "c.", "question": "q?", "answerA": "a", "answerB": "b", "answerC": "d", "label": "3"},
        ("c. q?", ["a", "b", "d"], "d"),
    ),
    "qa/hellaswag": ({"ctx": "c", "endings": ["e", "f"], "label": "1"}, ("c", ["e", "f"], "f")),
}


@pytest.mark.parametrize("name", CHOICES)
def test_a_question_becomes_its_options_and_the_right_one(tmp_path, name):
    row, expected = CHOICES[name]
    for split in ("train", "test"):
        write_lines(tmp_path / f"{split}.jsonl", [row] * 12)
    first = read(name, tmp_path)["test"].row(0, named=True)
    assert (first["source"], first["options"], first["target"]) == expected
    assert resolve({"base": "x", "data": {"name": name}}).train.best_metric == "exact_match"


def test_a_label_without_its_option_is_said(tmp_path):
    row = CHOICES["superglue/copa"][0] | {"label": 2}
    write_lines(tmp_path / "train.jsonl", [row])
    with pytest.raises(DataError, match="the label '2' is none of 2 options"):
        read("superglue/copa", tmp_path)
    write_lines(tmp_path / "train.jsonl", [row | {"question": "why did Mr Smith fall"}])
    with pytest.raises(DataError, match="row 1: it is not of the shape that rows of this task have") as error:
        read("superglue/copa", tmp_path)
    assert "Smith" not in str(error.value)
    write_lines(tmp_path / "train.jsonl", [row | {"label": 1, "premise": "\ud800"}])
    with pytest.raises(DataError, match="hold what is no UTF-8"):
        read("superglue/copa", tmp_path)


@pytest.mark.parametrize(
    ("name", "folder", "rows"),
    [
        ("superglue/copa", "superglue/COPA", 100),
        ("qa/arc-challenge", "qa/ARC-Challenge", 1172),
        ("qa/arc-easy", "qa/ARC-Easy", 2376),
        ("qa/openbookqa", "qa/openbookqa", 500),
    ],
)
def test_published_questions_are_read_whole(shared, name, folder, rows):
    frame = read(name, shared / "data" / folder)["test"]
    assert frame.height == rows
    assert frame["options"].list.len().min() >= 2
    assert all(target in options for target, options in zip(frame["target"], frame["options"], strict=True))


SQUAD = {
    "version": "2.0",
    "data": [
        {
            "title": "t",
            "paragraphs": [
                {
                    "context": "Normandy is in France.",
                    "qas": [
                        {
                            "id": "1",
                            "question": " Where? ",
                            "answers": [{"text": "France", "answer_start": 15}, {"text": "in France", "answer_start": 12}],
                        },
                        {"id": "2", "question": "When?", "answers": [], "is_impossible": True},
                    ],
                }
            ],
        }
    ],
}


@pytest.mark.parametrize("name", ["qa/squad", "qa/squad2"])
def test_questions_about_articles_are_read(tmp_path, name):
    for split in ("train-v2.0", "dev-v2.0"):
        (tmp_path / f"{split}.json").write_text(json.dumps({**SQUAD, "data": SQUAD["data"] * 6}))
    frame = read(name, tmp_path)["test"]
    first, second = frame.row(0, named=True), frame.row(1, named=True)
    assert (first["source"], first["pair"], first["target"]) == ("Where?", "Normandy is in France.", f"France{EITHER}in France")
    assert first["start"] == 15
    assert (second["target"], second["start"]) == ("", -1)
    recipe = resolve({"base": "x", "data": {"name": name}})
    assert (recipe.data.task, recipe.data.unanswerable) == ("span", name == "qa/squad2")
    assert recipe.train.best_metric == "answer_f1"
    written = resolve({"base": "x", "data": {"name": name, "task": "generation"}})  # an encoder-decoder writes the answer
    assert not written.data.unanswerable


def test_a_row_of_the_hub_is_a_question(tmp_path):
    row = {"question": "Where?", "context": "In France.", "answers": {"text": ["France"], "answer_start": [3]}}
    for split in ("train", "dev"):
        write_lines(tmp_path / f"{split}.jsonl", [row] * 12)
    assert read("qa/squad", tmp_path)["test"].row(0, named=True)["start"] == 3


def test_two_versions_in_a_folder_are_not_mixed(tmp_path):
    for split in ("train-v1.1", "train-v2.0", "dev-v2.0"):
        (tmp_path / f"{split}.json").write_text(json.dumps(SQUAD))
    with pytest.raises(DataError, match=r"train-v1.1.json and train-v2.0.json; name the files in data.train"):
        read("qa/squad", tmp_path)


@pytest.mark.parametrize("content", ["{", "[1]", '{"data": 3}', "{}"])
def test_a_file_that_is_no_squad_is_said(tmp_path, content):
    (tmp_path / "train.json").write_text(content)
    with pytest.raises(DataError, match=r"cannot be read as JSON|no list of objects called 'data'"):
        read("qa/squad", tmp_path)


RECORD = {
    "passage": {
        "text": "Ann met Bob in Rome.\n@highlight\nAnn is a nurse.",
        "entities": [{"start": 0, "end": 2}, {"start": 8, "end": 10}, {"start": 15, "end": 18}, {"start": 32, "end": 34}],
    },
    "qas": [{"query": "@placeholder is a doctor.", "answers": [{"text": "Bob"}, {"text": "Ann"}, {"text": "Bob"}]}],
}


def test_a_gap_is_filled_by_a_name_of_the_passage(tmp_path):
    many = [{"start": number, "end": number + 2} for number in range(40)]
    longer = {**RECORD, "passage": {"text": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ", "entities": many}}
    longer["qas"] = [{"query": "@placeholder?", "answers": [{"text": "fgh"}]}]
    write_lines(tmp_path / "train.jsonl", [longer] * 20)
    write_lines(tmp_path / "val.jsonl", [RECORD, longer])
    splits = read("superglue/record", tmp_path)
    first, second = splits["test"].row(0, named=True), splits["test"].row(1, named=True)
    assert first["source"] == "@placeholder is a doctor. Ann met Bob in Rome. Ann is a nurse."
    assert (first["options"], first["target"]) == (["Ann", "Bob", "Rome"], f"Bob{EITHER}Ann")
    assert len(second["options"]) == 40  # all count where it is scored
    for options in splits["train"]["options"].to_list():
        assert len(set(options)) == 10
        assert "fgh" in options
    assert len({tuple(options) for options in splits["train"]["options"].to_list()}) > 1
    assert splits["train"].equals(read("superglue/record", tmp_path)["train"])
    assert resolve({"base": "x", "data": {"name": "superglue/record"}}).evaluate.metrics == ["answers"]
    flat = {"passage": "Ann. Bob.", "query": "@placeholder?", "entities": ["Ann", "Bob"], "answers": ["Bob"]}
    write_lines(tmp_path / "val.jsonl", [flat])
    write_lines(tmp_path / "test.jsonl", [flat | {"answers": []}])  # nobody is told
    assert read("superglue/record", tmp_path)["test"].row(0, named=True)["target"] == "Bob"
