"""Predictions on disk: written as they are made, so that a killed run goes on where it stopped and ends with the same file."""

import hashlib
import json
import os
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import tokenizers
import torch
import transformers
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.errors import RunError
from pareft.evaluation.answering import answer_batch
from pareft.evaluation.classifying import choose_batch, classify_batch
from pareft.evaluation.generation import Batch, Reading, make_batches, write_batch
from pareft.evaluation.likelihood import choose_by_likelihood
from pareft.files import fill_file, open_alone, open_private
from pareft.models.digests import LAYERS_KEY, PLAN_KEY, digest_state
from pareft.models.structure import chooses, classifies, extracts
from pareft.records import Identity
from pareft.runtime import Processes
from pareft.settings import EvaluateSettings

Row = dict[str, Any]
TEXTS = ("prediction", "reference")  # of every row
_NOT_HOW = {"_name_or_path", "transformers_version", PLAN_KEY, LAYERS_KEY}  # what a config says besides how the model computes
_NOT_WHICH = {"truncation", "padding"}  # what a tokenizer remembers of its last call


def digest_tokenizer(tokenizer: PreTrainedTokenizerBase) -> str:
    """Identify how a tokenizer cuts texts, whatever it was asked last."""
    return hashlib.sha256(json.dumps(_describe(tokenizer), sort_keys=True, default=str).encode()).hexdigest()[:16]


def _describe(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    pieces = json.loads(backend.to_str()) if backend else tokenizer.get_vocab()
    return {key: value for key, value in pieces.items() if key not in _NOT_WHICH}


def make_key(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: EvaluateSettings, sources: Sequence[Any]) -> str:
    """What predictions depend on: weights, config, tokenizer, how is written, versions, and `sources`, whatever tells these from
    others.
    """
    configs = (
        [model.config.to_dict(), model.generation_config.to_dict()]
        if getattr(model, "generation_config", None)
        else [model.config.to_dict()]
    )
    content = [
        digest_state(model),
        [{key: value for key, value in config.items() if key not in _NOT_HOW} for config in configs],
        _describe(tokenizer),
        settings.how_to_write(),
        [library.__version__ for library in (torch, transformers, tokenizers)],
        *sources,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:16]


class Predictions:
    """What is written so far for the file `target`: a hidden file for each process beside it, each beginning with the `key` that
    says what its rows depend on; what was made under another key is begun again, what any process has made is not. Within the
    context nobody else writes them.
    """

    def __init__(self, target: Path, key: str, processes: Processes) -> None:
        self.target, self.processes = target, processes
        self._head = json.dumps({"key": processes.share(key)}).encode() + b"\n"
        self._done = bytearray()  # 1 for every example that is written
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Predictions":
        self.target.parent.mkdir(parents=True, exist_ok=True)
        own = self.target.with_name(f".{self.target.name}.{self.processes.rank}.partial")
        self._file = open_private(own) if self.processes.rank else open_alone(own)  # the first one's is the lock of all
        if not self.processes.share(self._file is not None):
            raise RunError(f"another process is writing {self.target}; wait for it, or give another place with --out or --output")
        assert self._file
        self._cut(self._file)
        for path in self._list_files():
            with path.open("rb") as file:
                for _, index in self._read(file):
                    self._done.extend(bytes(max(0, index + 1 - len(self._done))))
                    self._done[index] = 1
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._file:
            self._file.close()

    @property
    def count(self) -> int:
        """How many examples are written."""
        return sum(self._done)

    def holds(self, batch: Batch) -> bool:
        """Whether all of a batch is written; in another batch, texts might differ by rounding."""
        return all(index < len(self._done) and self._done[index] for index in batch.indices)

    def append(self, batch: Batch, texts: Sequence[str]) -> None:
        """Add a batch; whatever happens to this process then, it stays."""
        assert self._file
        rows = zip(batch.indices, batch.ids, texts, strict=True)
        lines = [json.dumps({"index": index, "id": name, "prediction": text}, ensure_ascii=False) for index, name, text in rows]
        self._file.write("".join(f"{line}\n" for line in lines).encode())
        self._file.flush()

    def rows(self, count: int) -> Iterator[Row]:
        """All `count` rows, of all processes, in the order of the examples, one at a time.

        Raises:
            RunError: one is missing.
        """
        places, numbers = array("q", bytes(8 * count)), array("H", bytes(2 * count))
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("rb")) for path in self._list_files()]
            for number, file in enumerate(files):
                for place, index in self._read(file):
                    if index < count:
                        places[index], numbers[index] = place, number
            for index, place in enumerate(places):
                if not place:  # there is a head before every row
                    raise RunError(f"the prediction for example {index} of {self.target} is lost; the same command writes it again")
                files[numbers[index]].seek(place)
                yield json.loads(files[numbers[index]].readline())

    def remove(self) -> None:
        """The file is whole now."""
        for path in self._list_files():
            path.unlink(missing_ok=True)

    def _list_files(self) -> list[Path]:
        name = re.compile(rf"\.{re.escape(self.target.name)}\.\d+\.partial")
        return sorted(path for path in self.target.parent.iterdir() if name.fullmatch(path.name))

    def _cut(self, file: BinaryIO) -> None:
        """Leave the rows of this key alone: a line that a kill cut short goes, too."""
        file.seek(0)
        kept = len(self._head) if file.readline() == self._head else 0
        file.seek(0)
        for place, _ in self._read(file):
            file.seek(place)
            kept = place + len(file.readline())
        file.truncate(kept)
        file.seek(0, os.SEEK_END)
        if not kept:
            file.write(self._head)
            file.flush()

    def _read(self, file: BinaryIO) -> Iterator[tuple[int, int]]:
        """(place, index) of every row of this key, up to one that is cut short."""
        if file.readline() != self._head:
            return
        place = len(self._head)
        while line := file.readline():
            index = _read_index(line)
            if index is None:
                return
            yield place, index
            place += len(line)
            file.seek(place)


def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sources: Iterable[tuple[Identity, str]],
    written: Predictions,
    settings: EvaluateSettings,
    *,
    reading: Reading,
    on_progress: Callable[[int], None],
) -> None:
    """Write a target for every (id, source) that has none yet, or what the model's head says of it: a label, an option, a part of
    its second text; of options a model that writes says which it would likeliest write. `on_progress` gets how many are done.

    Every process takes each so manieth batch; then all wait for each other.
    """
    processes, done = written.processes, 0
    answer, as_texts = _choose_way(model, tokenizer, settings, reading)
    model.eval()
    batches = make_batches(sources, tokenizer, settings, max_source_tokens=reading.max_source_tokens, as_texts=as_texts)
    for number, batch in enumerate(batches):
        done += len(batch.indices)
        if number % processes.count == processes.rank and not written.holds(batch):
            written.append(batch, answer(batch))
        on_progress(done)
    processes.wait()


def _choose_way(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: EvaluateSettings, reading: Reading
) -> tuple[Callable[[Batch], list[str]], bool]:
    """What gives a batch its predictions, and whether it takes texts."""
    longest, most, together = reading.max_source_tokens, reading.max_target_tokens, settings.batch_tokens
    if extracts(model):
        return lambda batch: answer_batch(
            model,
            tokenizer,
            batch,
            max_source_tokens=longest,
            max_answer_tokens=most,
            unanswerable=reading.unanswerable,
            batch_tokens=together,
        ), True
    if chooses(model):
        return lambda batch: choose_batch(model, tokenizer, batch, max_source_tokens=longest, batch_tokens=together), True
    if classifies(model):
        return lambda batch: classify_batch(model, tokenizer, batch), False
    if reading.options:
        return lambda batch: choose_by_likelihood(
            model, tokenizer, batch, max_source_tokens=longest, max_target_tokens=most, batch_tokens=together
        ), True
    return lambda batch: write_batch(model, tokenizer, batch, settings), False


def write_rows(target: Path, rows: Iterable[Mapping[str, Any] | str]) -> None:
    """Rows as JSONL, and texts as plain lines, for their owner alone: whole or not at all."""
    with fill_file(target, private=True) as file:
        for row in rows:
            file.write((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)).encode() + b"\n")


def read_rows(path: Path) -> list[Row]:
    """The rows of a file of predictions; only a line feed ends a line, whatever else is in the texts.

    Raises:
        RunError: the file is not there, or is damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            rows = [json.loads(line) for line in file]
        if all(isinstance(row, dict) and "id" in row and all(isinstance(row.get(key), str) for key in TEXTS) for row in rows):
            return rows
        reason = "a row without id, prediction or reference"
    except (OSError, ValueError) as error:
        reason = str(error)
    raise RunError(f"cannot read the predictions in {path}: {reason}; delete the arm's folder to run it again")


def list_values(row: Mapping[str, Any]) -> dict[str, float]:
    """The scores of a row by name."""
    return {name: value for name, value in row.items() if name != "id" and isinstance(value, int | float)}


def list_examples(rows: Iterable[Row]) -> list[tuple[Identity, str]]:
    """Which examples rows are of: the id and the reference of each, in their order."""
    return [(row["id"], row["reference"]) for row in rows]


def _read_index(line: bytes) -> int | None:
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row["index"] if isinstance(row, dict) and isinstance(row.get("index"), int) else None
