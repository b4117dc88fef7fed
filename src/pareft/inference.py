"""Write and score with what runs have made: what `pareft evaluate` and `pareft generate` do."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pareft.artefact import check_base, load_writer
from pareft.data.encoding import check_lengths
from pareft.data.inputs import Format, open_inputs
from pareft.data.named import has_pair
from pareft.data.prepared import digest_frames
from pareft.data.rows import LONGEST_ROW, READERS, find_format
from pareft.errors import DataError, ModelError, RecipeError, RunError
from pareft.evaluation.generation import Reading
from pareft.evaluation.metrics import METRICS
from pareft.evaluation.predictions import Predictions, make_key, predict, write_rows
from pareft.evaluation.uncertainty import intervals
from pareft.failures import SMALLER_BATCHES, explain_failures
from pareft.files import check_file_place, write_atomic
from pareft.models.checkpoint import Base, load_tokenizer, open_base
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.models.structure import count_positions
from pareft.progress import SILENT, Progress
from pareft.readying import Prepared, check_writes, describe_protocol, prepare
from pareft.recipe import Recipe
from pareft.recipe_file import change_recipe, read_recipe
from pareft.records import Protocol, Record, ScoreRecord
from pareft.run_folder import PREDICTIONS, RECIPE, SCORES, check_no_export, check_same_data, is_run, read_record, read_task
from pareft.runtime import choose_writing_precision, find_processes
from pareft.scoring import evaluate_split
from pareft.tasking import digest_examples, list_metrics, read_examples

TABLES = {*READERS} - {".jsonl", ".ndjson"}  # formats that predictions are not written in


class EvaluationRecord(Record):
    """A run on a split: the scores, what they depend on, and what they took."""

    run: str
    split: str
    protocol: Protocol
    scores: dict[str, ScoreRecord]
    examples: int
    seconds: float
    processes: int


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
    check_no_export(folder)
    if not is_run(folder):
        if (folder / RECIPE).is_file():
            raise RunError(f"{folder} is not finished; the command that started it goes on where it stopped")
        raise RunError(f"{folder} is no run that has trained; give a folder that `pareft run` or `pareft compare` has written")
    _check_lines(changes or {})
    recipe = read_recipe(folder / RECIPE)
    if metrics is not None and not metrics:
        raise RecipeError(f"no metrics are named; there is {', '.join(METRICS)}")
    asked = {
        **(changes or {}),
        **({"evaluate.metrics": list(metrics)} if metrics else {}),
        "prune": {"plan": str(folder / PLAN_FILE)},
        "train.report_to": [],
    }
    recipe = change_recipe(recipe.model_dump(), asked)
    prepared = prepare(recipe)
    if split not in prepared.splits:
        raise RecipeError(f"no split {split!r}; there is {', '.join(prepared.splits)}")
    protocol = describe_protocol(prepared)
    _check_data(folder, prepared)
    target, started, processes = Path(out) if out else folder / "evaluation" / split, time.perf_counter(), find_processes()
    if (target / RECIPE).is_file():
        raise RunError(f"{target} is a run, whose predictions stay; give another folder with --out")
    with explain_failures(target, folder.name, advice=SMALLER_BATCHES):
        model = load_writer(folder, merged=merged, precision=choose_writing_precision(recipe.evaluate.precision))
        frame = prepared.splits[split]
        scored = evaluate_split(model, prepared.tokenizer, frame, target / PREDICTIONS, recipe, progress=progress)
    if scored is None:
        return EvaluationRecord.from_json(processes.share(None))
    evaluation = EvaluationRecord(
        run=str(folder),
        split=split,
        protocol=protocol,
        scores={name: found.rounded() for name, found in intervals(scored).items()},
        examples=frame.height,
        seconds=round(time.perf_counter() - started, 2),
        processes=processes.count,
    )
    write_atomic(target / SCORES, evaluation.to_json())
    processes.share(evaluation.to_json())
    return evaluation


def _check_data(folder: Path, prepared: Prepared) -> None:
    """Raise `RunError` if a run's data are not its own any more: of one table, it may have been trained on what is the test now."""
    own, record = read_recipe(folder / RECIPE), read_record(folder)
    if record is None:
        check_same_data(folder, digest_examples(prepared.splits))
        return
    same = list_metrics(own) == list_metrics(prepared.recipe)  # which say what is learnt of several right targets
    splits = prepared.splits if same else read_examples(own, prepared.task)
    if record.protocol.data_digest != digest_frames(splits):
        raise RunError(
            f"{record.protocol.data} no longer holds the examples of {folder}, or this version of pareft splits them otherwise; "
            "what it was trained on may be in another split now. Put the data back, or write for others with pareft generate"
        )


def generate(
    model: str | Path,
    source: str,
    target: str | Path,
    changes: Mapping[str, Any] | None = None,
    *,
    column: str = "source",
    pair: str | None = None,
    format: Format = "auto",
    prefix: str | None = None,
    max_source_tokens: int | None = None,
    merged: bool = True,
    overwrite: bool = False,
    progress: Progress = SILENT,
) -> int:
    """Write a target for every text of a file; returns how many. A killed call goes on where it stopped.

    Args:
        model: a run, a base, or a checkpoint: a folder or a name on the Hub.
        source: CSV, TSV, JSON or JSONL (each also gzipped), Parquet, Excel, or plain lines; `-` is standard input.
        target: JSONL with `id` and `prediction`; with the suffix `.txt` plain lines; in the order of the source.
        changes: how to write, as lines of a recipe, such as `{"evaluate.num_beams": 4}`; else as the run does, or as a recipe's
            defaults say.
        column: which column holds the text.
        pair: which one holds the second text, of a run that reads two; by default the one that it was trained on.
        format: of the source; by its suffix, else by its first line.
        prefix: put before every text; by default the run's.
        max_source_tokens: longer texts are cut; by default the run's, else as many as the model takes, 1024 at most.
        merged: add a run's adapter into the weights first, which is faster.
        overwrite: write over a file that something else has written; what was written here before is always written anew.
        progress: is told what happens.

    Raises:
        DataError: no such file, or a row of it that has no text.
        ModelError: no such model, or one that does not write.
        RunError: a run that reads one text, and a second is given; a target that is something else, or cannot be written.
    """
    _check_lines(changes or {})
    place, processes = _find_place(Path(target), source, overwrite=overwrite), find_processes()
    if source == "-" and processes.count > 1:
        raise DataError("several processes cannot share standard input; give a file with --input")
    base, own = _find_base(Path(model))
    check_writes(base, "pareft writes with")
    with open_inputs(source, column=column, pair=_choose_pair(own, pair), format=format) as inputs:
        total = inputs.check()
        chosen = change_recipe(own.model_dump() if own else {"base": base.name, "data": {}}, changes or {}).evaluate
        before = (own.data.prefix if own else "") if prefix is None else prefix
        longest = max_source_tokens or (own.data.max_source_tokens if own else _longest(base))
        tokenizer = load_tokenizer(base)
        lengths = {"--max-source-tokens": longest, "evaluate.max_new_tokens": chosen.max_new_tokens}
        check_lengths(lengths, count_positions(base.config), least=tokenizer.num_special_tokens_to_add())
        writer = load_writer(model, merged=merged, precision=choose_writing_precision(chosen.precision))
        key = make_key(writer, tokenizer, chosen, [before, longest, inputs.digest(), inputs.format, inputs.column, inputs.pair])
        with explain_failures(place.parent, "generate", advice=SMALLER_BATCHES), Predictions(place, key, processes) as written:
            progress.start("generate", total, done=written.count)
            predict(
                writer,
                tokenizer,
                ((identity, before + text) for identity, text in inputs.rows()),
                written,
                chosen,
                reading=Reading(longest),
                on_progress=lambda done: progress.advance(done, total, {}),
            )
            if processes.first:
                _finish(place, written.rows(total))
                written.remove()
    return total


def _find_place(target: Path, source: str, *, overwrite: bool) -> Path:
    """Where to write, behind links.

    Raises:
        RunError: a folder, a device, or the input itself: nothing is written over that, nor, unless it is asked for, over a file
            that was not written so.
    """
    if target.suffix.lower() == ".gz" or find_format(target) in TABLES:
        raise RunError(f"{target}: JSONL is written, or with .txt plain lines; give a file with --output, such as written.jsonl")
    place = target.resolve()
    if place.exists() and not place.is_file():
        raise RunError(
            f"{target} is {'a folder' if place.is_dir() else 'no file'}; give a file with --output, such as written.jsonl"
        )
    if source != "-" and place.is_file() and Path(source).is_file() and place.samefile(source):
        raise RunError(f"{target} is the input; give another file with --output")
    if place.is_file() and not overwrite and not _is_written(place):
        raise RunError(f"{target} is there, and was not written by pareft generate; give another file, or --overwrite")
    check_file_place(place)
    return place


def _is_written(place: Path) -> bool:
    """Whether a file begins as those do that are written here; plain lines could be anyone's."""
    with place.open("rb") as file:
        line = file.readline(LONGEST_ROW)
    try:
        return not line or set(json.loads(line)) == {"id", "prediction"}
    except (ValueError, TypeError):
        return False


def _check_lines(changes: Mapping[str, Any]) -> None:
    for line in changes:
        if line.partition(".")[0] != "evaluate":
            raise RecipeError(f"{line} cannot be changed here, where nothing is trained; lines of evaluate can")


def _finish(target: Path, rows: Iterator[dict[str, Any]]) -> None:
    if target.suffix == ".txt":
        write_rows(target, (" ".join(row["prediction"].split()) for row in rows))
    else:
        write_rows(target, ({"id": row["id"], "prediction": row["prediction"]} for row in rows))


def _find_base(place: Path) -> tuple[Base, Recipe | None]:
    """A run's base and recipe; else the base itself.

    Raises:
        ModelError: a run that tells labels, options or parts of texts apart, and does not write.
    """
    if not is_run(place):
        check_base(place)
        return open_base(str(place)), None
    if (task := read_task(place)) != "generation":
        raise ModelError(f"{place} was trained for data.task {task} and writes no texts; pareft evaluate scores it")
    plan = PruningPlan.read(place / PLAN_FILE)
    return open_base(plan.base, revision=plan.revision), read_recipe(place / RECIPE)


def _choose_pair(own: Recipe | None, pair: str | None) -> str | None:
    """The column of the second text: the one that is given, or that of the run."""
    if own is None:
        return pair
    known = own.data.pair or ("pair" if own.data.name and has_pair(own.data.name) else None)
    if pair is not None and known is None:
        raise RunError(f"--pair {pair}: this run was trained on one text; leave it out")
    return pair or known


def _longest(base: Base) -> int:
    return min(1024, count_positions(base.config) or 1024)
