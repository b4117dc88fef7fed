"""GLUE, SuperGLUE and questions with options by name: where the rows of a task lie on the Hub, and what a row becomes."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pareft.data.blocks import name_missing
from pareft.errors import DataError

Row = Mapping[str, Any]
Example = dict[str, Any]  # source, target, of two texts pair, of a choice options, of answers scored together their group
OFFICIAL = ("dev", "validation", "val", "dev_matched", "validation_matched")  # names of a published validation split, best first
YES_NO, BINARY = ("false", "true"), ("0", "1")
ENTAILMENT = ("entailment", "not_entailment")


@dataclass(frozen=True)
class Rows:
    """A task's rows. `labels`: by the numbers that the Hub has for them; `make`: the examples of a row, with the label as it is
    there; `columns`: of files without a first row of names; `official`: names of its published validation split;
    `from_one`: its labels count options from 1; `most_options`: of a training example; `field`: of a file that is one object, where
    its rows are; `passage`: a column that is equal where examples are about one passage, so that a validation split is held out
    by passages.
    """

    hub: tuple[str, str]
    make: Callable[[Row], Iterable[Example]]
    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    official: tuple[str, ...] = OFFICIAL
    from_one: bool = False
    most_options: int | None = None
    field: str = ""
    passage: str = ""


def _texts(*names: str, target: tuple[str, ...] = ("label",)) -> Callable[[Row], Iterator[Example]]:
    """An example of one or two columns, each under the first of its names that the row has."""

    def make(row: Row) -> Iterator[Example]:
        texts = {kind: _pick(row, *name.split("|")) for kind, name in zip(("source", "pair"), names, strict=False)}
        yield texts | {"target": _pick(row, *target, optional=True)}

    return make


def _pick(row: Row, *names: str, optional: bool = False) -> Any:
    found = next((name for name in names if name in row), None)
    if found is None and not optional:
        raise DataError(name_missing([" or ".join(names)], [str(name) for name in row], wanted=names))
    return None if found is None else row[found]


def _ask_for_sense(row: Row) -> Iterator[Example]:
    word, one, two = (_pick(row, name) for name in ("word", "sentence1", "sentence2"))
    yield {"source": f"{one} {two} Does {word} have the same meaning in both sentences?", "target": row.get("label")}


def _name_reference(row: Row) -> Iterator[Example]:
    spans = row.get("target", row)  # nested in the published files, beside the text on the Hub
    yield {
        "source": f"{_pick(spans, 'span2_text')}: {_pick(row, 'text')}",
        "pair": _pick(spans, "span1_text"),
        "target": row.get("label"),
    }


def _list_answers(row: Row) -> Iterator[Example]:
    """All answers to all questions about a passage in the published files; one answer a row on the Hub."""
    if "paragraph" in row:
        place = row.get("idx") or {}
        group = f"{place.get('paragraph')}-{place.get('question')}" if place else f"{row['paragraph']} {row['question']}"
        pair = f"{_pick(row, 'question')} {_pick(row, 'answer')}"
        yield {"source": row["paragraph"], "pair": pair, "target": row.get("label"), "group": group}
        return
    passage = _pick(row, "passage")
    for number, question in enumerate(passage["questions"]):
        for answer in question["answers"]:
            yield {
                "source": passage["text"],
                "pair": f"{question['question']} {answer['text']}",
                "target": answer.get("label"),
                "group": f"{row.get('idx')}-{question.get('idx', number)}",
            }


def _choose_cause(row: Row) -> Iterator[Example]:
    asked = {"cause": "because", "effect": "so"}[_pick(row, "question")]
    options = [_pick(row, "choice1"), _pick(row, "choice2")]
    yield {"source": f"{_pick(row, 'premise')} {asked}", "options": options, "target": row.get("label")}


def _answer(question: str, *options: str, keys: str = "label|answerKey") -> Callable[[Row], Iterator[Example]]:
    """A question whose options are in columns, or in one, as a list, or as texts with their letters; or all of it in one text."""

    def make(row: Row) -> Iterator[Example]:
        if "instruction" in row:
            yield _part_instruction(row)
            return
        found: Any = [_pick(row, name) for name in options]
        asked = " ".join(str(_pick(row, name)) for name in question.split("|"))
        key = _pick(row, *keys.split("|"))
        if len(options) == 1:
            found = found[0]
        if isinstance(found, Mapping):
            letters, found = list(found["label"]), list(found["text"])
            key = letters.index(key) if key in letters else key
        yield {"source": asked, "options": list(found), "target": key}

    return make


def _part_instruction(row: Row) -> Example:
    """A question and its answers as LLM-Adapters (Hu et al. 2023) writes them."""
    text = str(row["instruction"]).partition("\n\nAnswer format:")[0]
    asked, _, answers = text.partition("\n\n")
    options = [option.strip() for option in re.split(r"\b(?:Answer|Solution)\d+:", answers)[1:]]
    number = re.search(r"\d+$", str(row.get("answer") or ""))
    return {
        "source": asked.partition(": ")[2] or asked,
        "options": options,
        "target": str(int(number[0]) - 1) if number else None,
    }


def _fill_gap(row: Row) -> Iterator[Example]:
    """A sentence with a gap about a passage, and the passage's names, one of which is to be there; all sentences in the published
    files, one on the Hub.
    """
    passage = _pick(row, "passage")
    if isinstance(passage, str):
        yield _gap(row["query"], passage, _pick(row, "entities"), row.get("answers"))
        return
    text = passage["text"]
    names = [text[place["start"] : place["end"] + 1] for place in passage["entities"]]
    for asked in row["qas"]:
        answers = asked.get("answers")
        yield _gap(asked["query"], text, names, None if answers is None else [answer["text"] for answer in answers])


def _gap(query: str, passage: str, names: Iterable[str], answers: Iterable[str] | None) -> Example:
    told = passage.replace("\n@highlight\n", " ")
    return {"source": f"{query} {told}", "options": list(dict.fromkeys(names)), "target": answers}


def _ask_passages(row: Row) -> Iterator[Example]:
    """All questions about an article in the published files, one on the Hub."""
    if "paragraphs" not in row:
        answers = row.get("answers")
        found = None if answers is None else list(zip(answers["text"], answers["answer_start"], strict=True))
        yield _question(_pick(row, "question"), _pick(row, "context"), found)
        return
    for paragraph in row["paragraphs"]:
        for asked in paragraph["qas"]:
            answers = asked.get("answers")
            found = None if answers is None else [(answer["text"], answer["answer_start"]) for answer in answers]
            yield _question(asked["question"], paragraph["context"], found)


def _question(question: str, text: str, answers: Sequence[tuple[str, int]] | None) -> Example:
    start = answers[0][1] if answers else -1
    target = None if answers is None else [answer for answer, _ in answers]
    return {"source": question.strip(), "pair": text, "target": target, "start": start}


_GLUE, _SUPERGLUE = "nyu-mll/glue", "aps/super_glue"
_NLI = ("entailment", "neutral", "contradiction")
NAMED: dict[str, Rows] = {
    "glue/cola": Rows((_GLUE, "cola"), _texts("sentence"), ("unacceptable", "acceptable"), ("by", "label", "mark", "sentence")),
    "glue/sst2": Rows((_GLUE, "sst2"), _texts("sentence"), ("negative", "positive")),
    "glue/mrpc": Rows((_GLUE, "mrpc"), _texts("sentence1|#1 String", "sentence2|#2 String", target=("label", "Quality")), BINARY),
    "glue/stsb": Rows((_GLUE, "stsb"), _texts("sentence1", "sentence2", target=("score", "label"))),
    "glue/qqp": Rows((_GLUE, "qqp"), _texts("question1", "question2", target=("is_duplicate", "label")), BINARY),
    "glue/mnli": Rows((_GLUE, "mnli"), _texts("sentence1|premise", "sentence2|hypothesis", target=("gold_label", "label")), _NLI),
    "glue/mnli-mismatched": Rows(
        (_GLUE, "mnli"),
        _texts("sentence1|premise", "sentence2|hypothesis", target=("gold_label", "label")),
        _NLI,
        official=("dev_mismatched", "validation_mismatched"),
    ),
    "glue/qnli": Rows((_GLUE, "qnli"), _texts("question", "sentence"), ENTAILMENT),
    "glue/rte": Rows((_GLUE, "rte"), _texts("sentence1", "sentence2"), ENTAILMENT),
    "glue/wnli": Rows(
        (_GLUE, "wnli"),
        _texts("sentence1", "sentence2"),
        ("not_entailment", "entailment"),
        ("index", "sentence1", "sentence2", "label"),
    ),
    "superglue/boolq": Rows((_SUPERGLUE, "boolq"), _texts("question", "passage"), YES_NO, passage="pair"),
    "superglue/cb": Rows((_SUPERGLUE, "cb"), _texts("premise", "hypothesis"), ("entailment", "contradiction", "neutral")),
    "superglue/copa": Rows((_SUPERGLUE, "copa"), _choose_cause),
    "superglue/multirc": Rows((_SUPERGLUE, "multirc"), _list_answers, BINARY, passage="source"),
    "superglue/record": Rows((_SUPERGLUE, "record"), _fill_gap, most_options=10, passage="options"),
    "superglue/rte": Rows((_SUPERGLUE, "rte"), _texts("premise", "hypothesis"), ENTAILMENT),
    "superglue/wic": Rows((_SUPERGLUE, "wic"), _ask_for_sense, YES_NO),
    "superglue/wsc": Rows((_SUPERGLUE, "wsc.fixed"), _name_reference, YES_NO),
    "qa/arc-challenge": Rows(("allenai/ai2_arc", "ARC-Challenge"), _answer("question", "choices")),
    "qa/arc-easy": Rows(("allenai/ai2_arc", "ARC-Easy"), _answer("question", "choices")),
    "qa/hellaswag": Rows(("Rowan/hellaswag", "default"), _answer("ctx", "endings")),
    "qa/openbookqa": Rows(("allenai/openbookqa", "main"), _answer("question_stem", "choices")),
    "qa/piqa": Rows(("ybisk/piqa", "plain_text"), _answer("goal", "sol1", "sol2")),
    "qa/siqa": Rows(
        ("allenai/social_i_qa", "default"), _answer("context|question", "answerA", "answerB", "answerC"), from_one=True
    ),
    "qa/squad": Rows(("rajpurkar/squad", "plain_text"), _ask_passages, field="data", passage="pair"),
    "qa/squad2": Rows(("rajpurkar/squad_v2", "squad_v2"), _ask_passages, field="data", passage="pair"),
}
_ONE_TEXT = ("glue/cola", "glue/sst2", "superglue/wic", "superglue/copa", "superglue/record")


def has_pair(name: str) -> bool:
    """Whether an example of a task is two texts. Of questions with options it is one."""
    return name not in _ONE_TEXT and (name.partition("/")[0] != "qa" or NAMED[name].make is _ask_passages)
