"""Write and score with what runs have made: what `pareft evaluate` and `pareft generate` do."""

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel

from pareft.artefact import load
from pareft.data.inputs import Format, open_inputs
from pareft.errors import RecipeError, RunError
from pareft.evaluation.predictions import make_key, predict, read_partial, remove_partial, write_rows
from pareft.evaluation.uncertainty import intervals
from pareft.models.checkpoint import Base, load_tokenizer, open_base
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.pipeline import check_writes, describe_protocol, evaluate_split, explain_failures, prepare
from pareft.progress import SILENT, Progress
from pareft.recipe import Recipe
from pareft.recipe_file import change_recipe, read_recipe
from pareft.records import Protocol, Record, ScoreRecord, write_atomic
from pareft.run_folder import PREDICTIONS, RECIPE, SCORES, is_run
from pareft.runtime import choose_device, find_processes
from pareft.tuning.adapters import merge


class EvaluationRecord(Record):
    """A run on a split: the scores, what they depend on, and what they took."""

    run: str
    split: str
    protocol: Protocol
    scores: dict[str, ScoreRecord]
    examples: int
    seconds: float


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
        model = load_writer(folder, merged=merged)
        scored = evaluate_split(prepared, model, target / PREDICTIONS, progress, split=split)
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
    _check_lines(changes or {})
    place, processes = Path(target), find_processes()
    with open_inputs(source, column=column, format=format) as inputs:
        total = inputs.check()
        base, own = _find_base(Path(model))
        check_writes(base, "pareft writes with")
        chosen = change_recipe(own.model_dump() if own else {"base": base.name, "data": {}}, changes or {}).evaluate
        before = (own.data.prefix if own else "") if prefix is None else prefix
        longest = max_source_tokens or (own.data.max_source_tokens if own else _longest(base))
        writer, tokenizer = load_writer(model, merged=merged), load_tokenizer(base)
        key = make_key(writer, chosen, [before, longest, inputs.digest(), inputs.format, inputs.column])
        progress.start("generate", total)
        with explain_failures(place.parent, "generate"):
            predict(
                writer,
                tokenizer,
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


def _finish(target: Path, rows: Iterator[tuple[str, str]], predictions: Iterator[str]) -> None:
    if target.suffix == ".txt":
        write_rows(target, (" ".join(text.split()) for text in predictions))
    else:
        write_rows(target, ({"id": identity, "prediction": text} for (identity, _), text in zip(rows, predictions, strict=True)))


def _find_base(place: Path) -> tuple[Base, Recipe | None]:
    """A run's base and recipe; else the base itself."""
    if not is_run(place):
        return open_base(str(place)), None
    plan = PruningPlan.read(place / PLAN_FILE)
    return open_base(plan.base, revision=plan.revision), read_recipe(place / RECIPE)


def load_writer(place: str | Path, *, merged: bool = True) -> PreTrainedModel | PeftModel:
    """A run, a base or a checkpoint on the device, its adapter added into the weights if there is one and `merged`."""
    model: Any = load(place)
    if merged and isinstance(model, PeftModel):
        model = merge(model)
    return model.to(choose_device()).eval()


def _longest(base: Base) -> int:
    return min(1024, getattr(base.config, "max_position_embeddings", None) or 1024)
