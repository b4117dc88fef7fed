"""GLUE, SuperGLUE and questions with options by name: where the rows of a task lie, in files or on the Hub, and what a row becomes.

Splits are those that have labels. Where the published test split has none, the published validation split is the test; a validation
split is then one that a folder has besides, or is held out of the training split, so that nothing is chosen by what is reported.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from pareft.data.batches import Flaw
from pareft.data.blocks import Blocks
from pareft.data.prepared import SPLIT_NAMES, split_keys
from pareft.data.rows import LONGEST_ROW, find_format, read_rows
from pareft.errors import DataError
from pareft.settings import GROUPED

Row = Mapping[str, Any]
Example = dict[str, Any]  # source, target, of two texts pair, of a choice options, of answers scored together their group
HELD_OUT = 1000  # validation examples at most, where they are taken from the training split
OFFICIAL = ("dev", "validation", "val", "dev_matched", "validation_matched")  # names of a published validation split, best first
BESIDE = ("val", "dev32", "valid")  # of one that a folder has besides
YES_NO, BINARY = ("false", "true"), ("0", "1")
ENTAILMENT = ("entailment", "not_entailment")


@dataclass(frozen=True)
class Rows:
    """A task's rows. `labels`: by the numbers that the Hub has for them; `make`: the examples of a row, with the label as it is
    there; `columns`: of files without a first row of names; `official`: names of its published validation split;
    `from_one`: its labels count options from 1.
    """

    hub: tuple[str, str]
    make: Callable[[Row], Iterable[dict[str, Any]]]
    labels: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    official: tuple[str, ...] = OFFICIAL
    from_one: bool = False


def _texts(*names: str, target: tuple[str, ...] = ("label",)) -> Callable[[Row], Iterator[dict[str, Any]]]:
    """An example of one or two columns, each under the first of its names that the row has."""

    def make(row: Row) -> Iterator[dict[str, Any]]:
        texts = {kind: _pick(row, *name.split("|")) for kind, name in zip(("source", "pair"), names, strict=False)}
        yield texts | {"target": _pick(row, *target, optional=True)}

    return make


def _pick(row: Row, *names: str, optional: bool = False) -> Any:
    found = next((name for name in names if name in row), None)
    if found is None and not optional:
        raise DataError(f"no column {' or '.join(names)}; the columns are {', '.join(map(str, row))}")
    return None if found is None else row[found]


def _ask_for_sense(row: Row) -> Iterator[dict[str, Any]]:
    word, one, two = (_pick(row, name) for name in ("word", "sentence1", "sentence2"))
    yield {"source": f"{one} {two} Does {word} have the same meaning in both sentences?", "target": row.get("label")}


def _name_reference(row: Row) -> Iterator[dict[str, Any]]:
    spans = row.get("target", row)  # nested in the published files, beside the text on the Hub
    yield {
        "source": f"{_pick(spans, 'span2_text')}: {_pick(row, 'text')}",
        "pair": _pick(spans, "span1_text"),
        "target": row.get("label"),
    }


def _list_answers(row: Row) -> Iterator[dict[str, Any]]:
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


def _choose_cause(row: Row) -> Iterator[dict[str, Any]]:
    asked = {"cause": "because", "effect": "so"}[_pick(row, "question")]
    options = [_pick(row, "choice1"), _pick(row, "choice2")]
    yield {"source": f"{_pick(row, 'premise')} {asked}", "options": options, "target": row.get("label")}


def _answer(question: str, *options: str, keys: str = "label|answerKey") -> Callable[[Row], Iterator[dict[str, Any]]]:
    """A question whose options are in columns, or in one, as a list, or as texts with their letters; or all of it in one text."""

    def make(row: Row) -> Iterator[dict[str, Any]]:
        if "instruction" in row:
            yield _part_instruction(row)
            return
        found: Any = [_pick(row, name) for name in options]
        asked = " ".join(str(_pick(row, name)) for name in question.split("|"))
        key = str(_pick(row, *keys.split("|")))
        if len(options) == 1:
            found = found[0]
        if isinstance(found, Mapping):
            letters, found = list(found["label"]), list(found["text"])
            key = str(letters.index(key)) if key in letters else key
        yield {"source": asked, "options": list(found), "target": key}

    return make


def _part_instruction(row: Row) -> dict[str, Any]:
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
    "superglue/boolq": Rows((_SUPERGLUE, "boolq"), _texts("question", "passage"), YES_NO),
    "superglue/cb": Rows((_SUPERGLUE, "cb"), _texts("premise", "hypothesis"), ("entailment", "contradiction", "neutral")),
    "superglue/copa": Rows((_SUPERGLUE, "copa"), _choose_cause),
    "superglue/multirc": Rows((_SUPERGLUE, "multirc"), _list_answers, BINARY),
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
}


def read_named(name: str, tables: Mapping[str, tuple[Iterable[Row], str]], *, seed: int) -> dict[str, pl.DataFrame]:
    """The splits of a task as frames with the columns `id`, `source`, `target`, and `pair` where it has two texts. Of examples that
    are scored together the id is `GROUP::number`.

    Args:
        name: of `NAMED`.
        tables: the rows of published splits by their names, and where they are from.
        seed: by which a validation split is held out.

    Raises:
        DataError: no training or labelled test split; rows that are not the task's, or a label that it does not have.
    """
    rows = NAMED[name]
    frames = {split: frame for split, (table, where) in tables.items() if (frame := _make_frame(rows, table, where)) is not None}
    official = next((split for split in rows.official if split in frames), None)
    test = "test" if "test" in frames else official
    if "train" not in frames or test is None:
        raise DataError(f"{name}: there is no {'train' if 'train' not in frames else 'test or validation'} split with labels")
    others = [official] if official and test != official else [split for split in BESIDE if split != test]
    beside = next((split for split in others if split in frames), None)
    if beside:
        return {"train": frames["train"], "validation": frames[beside], "test": frames[test]}
    train, held = _hold_out(frames["train"], seed=seed)
    return {"train": train, "validation": held, "test": frames[test]}


def _hold_out(frame: pl.DataFrame, *, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The training split without a tenth of it, and that tenth, or so much of it as there may be."""
    held = split_keys(frame.height, seed=seed)["validation"][:HELD_OUT]
    places = pl.int_range(pl.len()).is_in(pl.Series(held.tolist()).implode())
    return frame.filter(~places), frame.filter(places)


def _make_frame(rows: Rows, table: Iterable[Row], where: str) -> pl.DataFrame | None:
    """A split's examples; `None` where none has a label."""
    examples: list[Example] = []
    for number, row in enumerate(table):
        try:
            made = list(rows.make(row))
        except (DataError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{where} row {number + 1}: {error}") from error
        for example in made:
            place, value = f"{where} row {number + 1}", example.pop("target")
            options = example.get("options")
            label = (
                _name_label(value, rows.labels, place) if options is None else _name_option(value, options, rows.from_one, place)
            )
            if label is not None:
                texts = {key: value if key == "options" else str(value) for key, value in example.items()}
                examples.append(texts | {"target": label})
    if not examples:
        return None
    numbers = pl.int_range(pl.len()).cast(pl.String)
    frame = pl.DataFrame(examples)
    named = frame.with_columns(id=pl.concat_str(pl.col("group"), pl.lit(GROUPED), numbers) if "group" in frame.columns else numbers)
    return named.select("id", *(column for column in ("source", "target", "pair", "options") if column in frame.columns))


def _name_label(value: Any, labels: tuple[str, ...], where: str) -> str | None:
    """A label by its name, from a name, a number or a truth; `None` where there is none."""
    text = str(int(value)) if isinstance(value, bool) else "" if value is None else str(value).strip()
    if text in ("", "-1", "-"):
        return None
    if not labels or text in labels:
        return text
    if text.isdecimal() and int(text) < len(labels):
        return labels[int(text)]
    raise DataError(f"{where}: the label {text!r} is none of {', '.join(labels)}")


def _name_option(value: Any, options: Sequence[str], from_one: bool, where: str) -> str | None:
    """The right option, from its number; `None` where there is none."""
    text = "" if value is None else str(value).strip()
    if text in ("", "-1"):
        return None
    number = int(text) - from_one if text.isdecimal() else -1
    if not 0 <= number < len(options):
        raise DataError(f"{where}: the label {text!r} is none of {len(options)} options")
    return str(options[number])


def find_tables(name: str, folder: Path) -> dict[str, tuple[Iterable[Row], str]]:
    """The files of a task's published splits in a folder, by split.

    Raises:
        DataError: there is no such file.
    """
    rows = NAMED[name]
    wanted = ("train", "test", *dict.fromkeys((*rows.official, *BESIDE)))
    found = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix in (".tsv", ".json", ".jsonl", ".parquet")}
    if "train" not in found:
        raise DataError(f"{folder} has no file {name} is trained on: train.tsv, train.json, train.jsonl or train.parquet")
    return {split: (read_table(name, found[split]), str(found[split])) for split in wanted if split in found}


def read_table(name: str, path: Path) -> Iterator[Row]:
    """The rows of a file. Tabs part the cells of a .tsv, and quotes are letters, as GLUE has it."""
    if find_format(path) == ".tsv":
        yield from _read_tabs(path, NAMED[name].columns)
        return
    for row in read_rows(path):
        if isinstance(row, Flaw):
            raise DataError(f"{path} line {row.line}: {row.reason}")
        yield row[1]


def _read_tabs(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    if not path.is_file():
        raise DataError(f"no file {path}")
    with Blocks(path) as blocks:
        names: tuple[str, ...] = ()
        for number, line in enumerate(blocks.lines(longest=LONGEST_ROW), 1):
            cells = (line or "").removeprefix("\ufeff").rstrip("\r\n").split("\t")
            if not names:
                headed = not columns or {"sentence", "sentence1", "question"} & set(cells)
                names = tuple(cells) if headed else columns
                if headed:
                    continue
            if len(cells) != len(names):
                raise DataError(f"{path} line {number}: {len(cells)} cells, and there are {len(names)} columns")
            yield dict(zip(names, cells, strict=True))


def read_hub(name: str) -> dict[str, tuple[Iterable[Row], str]]:
    """A task's published splits from the Hub.

    Raises:
        DataError: it cannot be read from there.
    """
    import datasets

    repository, configuration = NAMED[name].hub
    try:
        loaded = datasets.load_dataset(repository, configuration)
    except Exception as error:  # the Hub's client raises anything from ConnectionError to its own classes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{name} cannot be read from the Hub ({repository}, {configuration}): {reason}") from error
    return {split: (table, f"{repository}/{configuration}[{split}]") for split, table in loaded.items()}


def read_files(name: str, files: Mapping[str, Path]) -> dict[str, pl.DataFrame]:
    """The splits of a task from a file for each.

    Raises:
        DataError: a split without a file, or a file without labels.
    """
    if missing := [split for split in SPLIT_NAMES if split not in files]:
        raise DataError(f"no {missing[0]} split; name its file in data.{missing[0]}, or only the folder, in data.path")
    frames = {split: _make_frame(NAMED[name], read_table(name, path), str(path)) for split, path in files.items()}
    if empty := [split for split, frame in frames.items() if frame is None]:
        raise DataError(f"{files[empty[0]]}: no row has a label")
    return {split: frame for split, frame in frames.items() if frame is not None}
