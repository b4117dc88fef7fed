"""Tasks of labels, numbers and options: what is wrong is named by its place, as a target may be a patient's text."""

import pytest

from pareft.data.tasks import check_numbers, find_labels, name_options
from pareft.errors import DataError
from pareft.frames import pl


def make(**targets):
    return {name: pl.DataFrame({"target": values}) for name, values in targets.items()}


def test_labels_are_told_where_they_are_short():
    with pytest.raises(DataError, match=r"the label 'maybe' of example 1 of the test split .* there are 2: no, yes"):
        find_labels(make(train=["yes", "no"], test=["no", "maybe"]), where="answer")


@pytest.mark.parametrize("texts", [["Mr Smith, 67M: acute MI", "Ms Doe: sepsis"], [f"Smith {number}" for number in range(30)]])
def test_no_text_of_a_patient_is_told(texts):
    with pytest.raises(DataError, match="example 0 of the test split") as error:
        find_labels(make(train=texts, test=["John Roe dx HIV"]), where="note")
    assert not any(name in str(error.value) for name in ("Smith", "Doe", "Roe"))
    with pytest.raises(DataError, match="the target of example 1 of the train split is no number") as error:
        check_numbers(make(train=["1.5", "John Roe"]), where="note")
    assert "Roe" not in str(error.value)
    frame = pl.DataFrame({"target": ["a", "John Roe"], "options": [["a", "b"], ["a", "b"]]})
    with pytest.raises(DataError, match="example 1 of the test split is none of its 2 options") as error:
        name_options({"test": frame}, where="note")
    assert "Roe" not in str(error.value)


@pytest.mark.parametrize("wrong", ["", "nan", "inf"])
def test_numbers_are_finite(wrong):
    check_numbers(make(train=["1", " -2.5 ", "1e3"]), where="score")
    with pytest.raises(DataError, match="example 2 of the train split"):
        check_numbers(make(train=["1", "2", wrong]), where="score")


@pytest.mark.parametrize(
    ("targets", "options", "right"),
    [
        (["0", "1", "2"], [["2", "4", "0"]] * 3, ["2", "4", "0"]),
        (["4", "0", "2"], [["2", "4", "0"]] * 3, ["4", "0", "2"]),
        (["1", "no"], [["yes", None, "no"], ["yes", "no"]], None),
        (["1", "1"], [["yes", ""], ["yes", "no"]], None),
        (["", "yes"], [["", ""], ["yes", "no"]], None),
    ],
)
def test_targets_are_texts_or_numbers_of_options_and_none_is_blank(targets, options, right):
    frame = pl.DataFrame({"target": targets, "options": pl.Series(options, dtype=pl.List(pl.String))})
    if right is None:
        with pytest.raises(DataError, match="example 0 of the test split is none of its"):
            name_options({"test": frame}, where="answer")
        return
    assert name_options({"test": frame}, where="answer")["test"]["target"].to_list() == right


def test_an_example_without_options_is_refused():
    frame = pl.DataFrame({"target": ["a", "b"], "options": [["a", "b"], None]})
    with pytest.raises(DataError, match="example 1 of the test split is none of its 0 options"):
        name_options({"test": frame}, where="answer")
