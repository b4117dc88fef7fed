"""Write and score with what runs have made: what `pareft evaluate` and `pareft generate` do."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.artefact import load
from pareft.data.inputs import Format, open_inputs
from pareft.errors import ModelError, RecipeError, RunError
from pareft.evaluation.predictions import predict, read_partial, remove_partial, write_rows
from pareft.evaluation.uncertainty import intervals
from pareft.models.checkpoint import load_tokenizer, open_base
from pareft.models.digests import digest_parameters
from pareft.models.families import find_family
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.pipeline import describe_protocol, evaluate_split, explain_failures, prepare
from pareft.progress import SILENT, Progress
from pareft.recipe import DataSettings, EvaluateSettings, Recipe
from pareft.recipe_file import change_recipe, read_recipe
from pareft.records import Protocol, Record, ScoreRecord, write_atomic
from pareft.run_folder import RECIPE, is_run
from pareft.runtime import choose_device, find_processes
from pareft.tuning.adapters import merge

SCORES = "scores.json"


class EvaluationRecord(Record):
    """A run on a split: the scores, what they depend on, and what they took."""

    run: str
    split: str
    protocol: Protocol
    scores: dict[str, ScoreRecord]
    examples: int
    seconds: float


@dataclass(frozen=True)
class Writer:
    """A model that writes, with its tokenizer and how it was to write where it was trained."""

    model: PreTrainedModel | PeftModel
    tokenizer: PreTrainedTokenizerBase
    recipe: Recipe | None


def evaluate(
    run: str | Path,
    changes: Mapping[str, Any] | None = None,
    *,
    split: str = "test",
    metrics: Sequence[str] | None = None,
    out: str | Path | None = None,
    merged: bool = True,
    progress: Progress = SILENT,
) -> EvaluationRecord:
    """Write a target for every source of a split and score them. A killed evaluation goes on where it stopped.

    Args:
        run: the folder of a run.
        changes: lines of its recipe's `evaluate` to change, such as `{"evaluate.num_beams": 4}`.
        split: `test`, `validation` or `train`.
        metrics: in place of the recipe's.
        out: the folder for `predictions.jsonl` and `scores.json`, by default `evaluation/<split>` in the run.
        merged: add the adapter into the weights first, which is faster.
        progress: is told what happens.

    Raises:
        RunError: no run.
        RecipeError: a change of anything but how is evaluated.
        DataError: the data is not there any more, no such split, or what a metric cannot do without.
    """
    folder = Path(run)
    if not is_run(folder):
        raise RunError(f"{folder} is no run that has trained; give a folder that `pareft run` or `pareft compare` has written")
    _check_lines(changes or {})
    recipe = read_recipe(folder / RECIPE)
    asked = {
        **(changes or {}),
        **({"evaluate.metrics": list(metrics)} if metrics else {}),
        "prune": {"plan": str(folder / PLAN_FILE)},
    }
    recipe = change_recipe(recipe.model_dump(), asked)
    prepared = prepare(recipe)
    if split not in prepared.splits:
        raise RecipeError(f"no split {split!r}; there is {', '.join(prepared.splits)}")
    target, started = Path(out) if out else folder / "evaluation" / split, time.perf_counter()
    with explain_failures(target, folder.name):
        writer = load_writer(folder, merged=merged)
        scored = evaluate_split(prepared, writer.model, target / "predictions.jsonl", progress, split=split)
    record = EvaluationRecord(
        run=str(folder),
        split=split,
        protocol=describe_protocol(prepared),
        scores={name: found.rounded() for name, found in intervals(scored).items()},
        examples=len(scored.examples),
        seconds=round(time.perf_counter() - started, 2),
    )
    if find_processes().rank == 0:
        write_atomic(target / SCORES, record.to_json())
    return record


def generate(
    model: str | Path,
    source: str,
    target: str | Path,
    changes: Mapping[str, Any] | None = None,
    *,
    column: str = "source",
    format: Format = "auto",
    prefix: str | None = None,
    max_source_tokens: int | None = None,
    merged: bool = True,
    progress: Progress = SILENT,
) -> int:
    """Write a target for every text of a file; returns how many. A killed call goes on where it stopped.

    Args:
        model: a run, a base, or a checkpoint: a folder or a name on the Hub.
        source: JSONL, CSV, TSV or plain lines; `-` is standard input.
        target: JSONL with `id` and `prediction`; with the suffix `.txt` plain lines; in the order of the source.
        changes: how to write, as lines of a recipe, such as `{"evaluate.num_beams": 4}`; else as the run does, or as a recipe's
            defaults say.
        column: which column holds the text.
        format: of the source; by its suffix, else by its first line.
        prefix: put before every text; by default the run's.
        max_source_tokens: longer texts are cut; by default the run's, else as many as the model takes, 1024 at most.
        merged: add a run's adapter into the weights first, which is faster.
        progress: is told what happens.

    Raises:
        DataError: no such file, or a row of it that has no text.
        ModelError: no such model, or one that does not write.
    """
    place, processes = Path(target), find_processes()
    with open_inputs(source, column=column, format=format) as inputs:
        total = inputs.check()
        writer = load_writer(model, merged=merged)
        own = writer.recipe
        chosen = _choose_settings(own, changes or {})
        before = (own.data.prefix if own else "") if prefix is None else prefix
        longest = max_source_tokens or (own.data.max_source_tokens if own else _longest(writer.model))
        how = chosen.model_dump(exclude={"metrics", "bertscore", "summac", "untouched"})
        content = [digest_parameters(writer.model), how, before, longest, inputs.digest(), inputs.format, inputs.column]
        key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
        progress.start("generate", total)
        with explain_failures(place.parent, "generate"):
            predict(
                writer.model,
                writer.tokenizer,
                (before + text for _, text in inputs.rows()),
                place,
                chosen,
                max_source_tokens=longest,
                key=key,
                processes=processes,
                on_progress=lambda done: progress.advance(done, total, {}),
            )
        processes.wait()
        if processes.rank == 0:
            _finish(place, inputs.rows(), read_partial(place, key, processes))
            remove_partial(place)
    return total


def _check_lines(changes: Mapping[str, Any]) -> None:
    for line in changes:
        if line.partition(".")[0] != "evaluate":
            raise RecipeError(f"{line} cannot be changed here, where nothing is trained; lines of evaluate can")


def _choose_settings(own: Recipe | None, changes: Mapping[str, Any]) -> EvaluateSettings:
    _check_lines(changes)
    start = own or Recipe(base="", seed=0, data=DataSettings())
    return change_recipe(start.model_dump(), changes).evaluate


def _finish(target: Path, rows: Iterator[tuple[str, str]], predictions: Iterator[str]) -> None:
    if target.suffix == ".txt":
        write_rows(target, (" ".join(text.split()) for text in predictions))
    else:
        write_rows(target, ({"id": identity, "prediction": text} for (identity, _), text in zip(rows, predictions, strict=True)))


def load_writer(place: str | Path, *, merged: bool = True) -> Writer:
    """A run, a base or a checkpoint, ready to write on the device.

    Raises:
        ModelError: nothing there, or a model that does not write, such as an encoder.
    """
    folder = Path(place)
    run = is_run(folder)
    source = PruningPlan.read(folder / PLAN_FILE) if run else None
    base = open_base(source.base, revision=source.revision) if source else open_base(str(place))
    if find_family(base.config).auto_class != "AutoModelForSeq2SeqLM":
        raise ModelError(f"{place} is a {base.config.model_type}; pareft writes with text encoder-decoders, such as BART and T5")
    model: Any = load(place)
    if merged and isinstance(model, PeftModel):
        model = merge(model)
    return Writer(model.to(choose_device()).eval(), load_tokenizer(base), read_recipe(folder / RECIPE) if run else None)


def _longest(model: Any) -> int:
    return min(1024, getattr(model.config, "max_position_embeddings", None) or 1024)
