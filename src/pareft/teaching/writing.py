"""The texts that a teacher writes in place of a training split's targets."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel

from pareft.artefact import load_writer, make_writer
from pareft.data.prepared import list_sources
from pareft.errors import RunError
from pareft.evaluation.generation import Reading
from pareft.evaluation.predictions import Predictions, make_key, predict, write_rows
from pareft.files import write_json
from pareft.frames import pl
from pareft.models.loading import load
from pareft.progress import Progress
from pareft.readying import Prepared
from pareft.runtime import choose_writing_precision, find_processes, free_memory
from pareft.teaching.caching import TARGETS, WRITTEN, choose_writing, key_texts
from pareft.teaching.finding import Teacher
from pareft.tuning.distilling.soft_store import check_key


def write_targets(teacher: Teacher, prepared: Prepared, folder: Path, progress: Progress, label: str) -> tuple[pl.DataFrame, float]:
    """The training split with the teacher's texts as targets, and the seconds that this call wrote for. The texts go into
    `targets.jsonl` in the folder; there they are read again, and a killed call goes on where it stopped.

    Raises:
        RunError: what is in the folder is of another teacher, of other sources, written otherwise, or damaged.
    """
    recipe, frame, processes, how = prepared.recipe, prepared.splits["train"], find_processes(), choose_writing(prepared)
    key = key_texts(teacher, prepared)
    if processes.first:
        check_key(folder, WRITTEN, key, allowed=(TARGETS,))
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(folder / WRITTEN, key)
    target, started = folder / TARGETS, time.perf_counter()
    if not processes.share(target.is_file()):
        model = _open_writer(teacher, choose_writing_precision(how.precision))
        with Predictions(target, make_key(model, teacher.tokenizer, how, key["sources"]), processes) as written:
            progress.start(label, frame.height, done=written.count)
            predict(
                model,
                teacher.tokenizer,
                zip(frame["id"], list_sources(frame, prefix=recipe.data.prefix), strict=True),
                written,
                how,
                reading=Reading(recipe.data.max_source_tokens),
                on_progress=lambda count: progress.advance(count, frame.height, {}),
            )
            if processes.first:
                write_rows(target, ({"id": row["id"], "target": row["prediction"]} for row in written.rows(frame.height)))
                written.remove()
        processes.wait()
        del model
        free_memory()
    texts = _read_texts(target, frame)
    return frame.with_columns(pl.Series("target", texts, dtype=pl.String)), round(time.perf_counter() - started, 2)


def _read_texts(path: Path, frame: pl.DataFrame) -> list[str]:
    """The texts in the order of the examples, whose ids lie beside them."""
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            rows: list[Mapping[str, Any]] = [json.loads(line) for line in file]
        if [row["id"] for row in rows] == frame["id"].to_list() and all(isinstance(row["target"], str) for row in rows):
            return [row["target"] for row in rows]
        reason = "they are not of these examples, in their order"
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error)
    raise RunError(f"cannot read the teacher's texts in {path}: {reason}; delete the file to have them written again")


def _open_writer(teacher: Teacher, precision: Any) -> PreTrainedModel | PeftModel:
    if teacher.folder:
        return load_writer(teacher.folder, precision=precision)
    return make_writer(load(teacher.base), precision=precision)
