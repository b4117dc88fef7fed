"""Predictions on disk: written as they are made, so that a killed run goes on where it stopped and ends with the same file."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.evaluation.generation import make_batches, write_batch
from pareft.models.digests import digest_parameters
from pareft.recipe import EvaluateSettings
from pareft.records import fill_file
from pareft.runtime import Processes

Row = dict[str, Any]


def make_key(model: PreTrainedModel, settings: EvaluateSettings, sources: Sequence[Any]) -> str:
    """What predictions depend on: the weights, how is written, and `sources`, whatever tells these from others."""
    content = json.dumps([digest_parameters(model), settings.how_to_write(), *sources], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


class PartialFile:
    """A file that grows by batches, hidden beside the one it becomes. Its first line says what the predictions depend on; what was
    made under anything else is begun again.
    """

    def __init__(self, target: Path, key: str, *, processes: Processes, rank: int) -> None:
        self.path = target.with_name(f".{target.name}.{rank}-of-{processes.count}.partial")
        self.head = json.dumps({"key": key}).encode() + b"\n"

    def resume(self) -> list[int]:
        """The examples that are written, in order; a line that a kill cut short is cut off."""
        done: list[int] = []
        kept = 0
        if self.path.is_file():
            with self.path.open("rb") as file:
                if file.readline() == self.head:
                    kept = len(self.head)
                    for line in file:
                        if (index := _read_index(line)) is None:
                            break
                        kept += len(line)
                        done.append(index)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("rb+" if kept else "wb") as file:
            file.truncate(kept)
            if not kept:
                file.write(self.head)
        return done

    def keep(self, count: int) -> None:
        """Cut the file after so many rows."""
        with self.path.open("rb+") as file:
            for _ in range(count + 1):
                file.readline()
            file.truncate(file.tell())

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows; whatever happens to this process then, they stay."""
        with self.path.open("ab") as file:
            file.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())


def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    sources: Iterable[str],
    target: Path,
    settings: EvaluateSettings,
    *,
    max_source_tokens: int,
    key: str,
    processes: Processes,
    on_progress: Callable[[int], None],
) -> None:
    """Write a target for every source into `.TARGET.….partial`, going on after what is there; `on_progress` gets how many are done.

    Every process writes each so manieth batch into a file of its own; `read_partial` reads them as one.
    """
    part, done, count = PartialFile(target, key, processes=processes, rank=processes.rank), 0, 0
    written = part.resume()
    model.eval()
    for number, batch in enumerate(make_batches(sources, tokenizer, settings, max_source_tokens=max_source_tokens)):
        count += len(batch.indices)
        if number % processes.count != processes.rank:
            continue
        end = done + len(batch.indices)
        if tuple(written[done:end]) != batch.indices:
            if done < len(written):
                part.keep(done)  # the batch was cut short; in another batch its texts might differ by rounding
                written = written[:done]
            texts = write_batch(model, tokenizer, batch, settings)
            part.append({"index": index, "prediction": text} for index, text in zip(batch.indices, texts, strict=True))
        done = end
        on_progress(count)


def read_partial(target: Path, key: str, processes: Processes) -> Iterator[str]:
    """The predictions of all processes in the order of the sources, one line at a time."""
    parts = [PartialFile(target, key, processes=processes, rank=rank) for rank in range(processes.count)]
    places: dict[int, tuple[int, int]] = {}
    with ExitStack() as stack:
        files = [stack.enter_context(part.path.open("rb")) for part in parts]
        for number, file in enumerate(files):
            place = len(file.readline())
            for line in iter(file.readline, b""):
                places[json.loads(line)["index"]] = (number, place)
                place += len(line)
        for index in sorted(places):
            number, place = places[index]
            files[number].seek(place)
            yield json.loads(files[number].readline())["prediction"]


def remove_partial(target: Path) -> None:
    """The file is whole now."""
    for path in target.parent.glob(f".{target.name}.*.partial"):
        path.unlink()


def write_rows(target: Path, rows: Iterable[Mapping[str, Any] | str]) -> None:
    """Rows as JSONL, and texts as plain lines: whole or not at all."""
    with fill_file(target) as file:
        for row in rows:
            file.write((row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)).encode() + b"\n")


def _read_index(line: bytes) -> int | None:
    try:
        row = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return row["index"] if isinstance(row, dict) and isinstance(row.get("index"), int) else None
