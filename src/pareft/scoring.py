"""A model on a split: written for, scored and stored; in training, before the record, and whenever it is asked for again."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.data.prepared import digest_frames, list_sources, list_texts
from pareft.errors import RunError
from pareft.evaluation.generation import Reading
from pareft.evaluation.metrics import compute
from pareft.evaluation.metrics.scores import Scores
from pareft.evaluation.predictions import Predictions, list_examples, make_key, predict, read_rows, write_rows
from pareft.frames import pl
from pareft.models.structure import classifies
from pareft.progress import SILENT, Progress
from pareft.recipe import Recipe
from pareft.records import Protocol
from pareft.runtime import find_processes
from pareft.settings import METRIC_OF, EvaluateSettings


def evaluate_split(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    frame: pl.DataFrame,
    target: Path,
    recipe: Recipe,
    *,
    settings: EvaluateSettings | None = None,
    progress: Progress = SILENT,
    label: str = "evaluate",
) -> Scores | None:
    """Write a target for every source of a split, score them, store both as JSONL in the order of the split.

    What a killed process has written is gone on with. Several processes share the batches; the first one scores and stores, and the
    others return `None`.
    """
    settings, processes = settings or recipe.evaluate, find_processes()
    data = recipe.data
    reading = Reading(data.max_source_tokens, data.max_target_tokens, "options" in frame.columns, data.unanswerable)
    sources = [data.prefix, astuple(reading), digest_frames({"": frame})]
    with Predictions(target, make_key(model, tokenizer, settings, sources), processes) as written:
        progress.start(label, frame.height, done=written.count)
        predict(
            model,
            tokenizer,
            zip(frame["id"], list_sources(frame, prefix=recipe.data.prefix), strict=True),
            written,
            settings,
            reading=reading,
            on_progress=lambda done: progress.advance(done, frame.height, {}),
        )
        if not processes.first:
            return None
        texts = [row["prediction"] for row in written.rows(frame.height)]
        scored = _compute(frame, texts, settings)
        write_rows(target, make_rows(frame, texts, scored))
        written.remove()
    return scored


def score_validation(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    validation: pl.DataFrame,
    target: Path,
    recipe: Recipe,
) -> dict[str, float]:
    """How a model that is being trained stands: greedy and short, on the first validation examples or a fraction of them, by ROUGE
    and what the best checkpoint is chosen by.
    """
    train, asked = recipe.train, recipe.train.evaluate_examples
    frame = validation.head(
        math.ceil(round(asked * validation.height, 6)) if isinstance(asked, float) else asked or validation.height
    )
    chosen = classifies(model) or "options" in frame.columns
    settings = recipe.evaluate.model_copy(
        update={
            "num_beams": 1,
            "max_new_tokens": min(train.evaluate_max_new_tokens, recipe.evaluate.max_new_tokens),
            "metrics": list(dict.fromkeys([*(() if chosen else ("rouge",)), METRIC_OF[train.best_metric]])),
        }
    )
    scored = evaluate_split(model, tokenizer, frame, target, recipe, settings=settings)
    found: dict[str, float] = find_processes().share(scored.corpus if scored else None)
    return found


def score_again(frame: pl.DataFrame, target: Path, recipe: Recipe, *, there: Protocol, here: Protocol) -> Scores:
    """Score what is stored by the recipe's metrics, and store these scores; nothing is written for again.

    Raises:
        RunError: what is stored is not of these examples, or the protocol it was written by (`there`) differs in more than metrics.
    """
    if differing := there.list_differences(here, but=("metrics", "scorers", "sentence_splitting")):
        name = differing[0]
        raise RunError(
            f"{target} was written by another protocol ({name}: {getattr(there, name)!r} there, {getattr(here, name)!r} now), so "
            "that it cannot be scored again; give another folder with --out"
        )
    rows = read_rows(target)
    if list_examples(rows) != list(zip(frame["id"], frame["target"], strict=True)):
        raise RunError(
            f"{target} is not of the examples that the recipe names: the data have changed; give another folder with --out"
        )
    texts = [row["prediction"] for row in rows]
    scored = _compute(frame, texts, recipe.evaluate)
    write_rows(target, make_rows(frame, texts, scored))
    return scored


def _compute(frame: pl.DataFrame, texts: Sequence[str], settings: EvaluateSettings) -> Scores:
    """The scores of what was written for a frame."""
    target, ids = (frame[column].to_list() for column in ("target", "id"))
    return compute(settings.metrics, texts, target, list_texts(frame), settings, ids)


def make_rows(frame: pl.DataFrame, texts: Sequence[str], scored: Scores) -> Iterator[dict[str, Any]]:
    """A line of `predictions.jsonl` for every example: id, prediction, reference, scores."""
    for identity, reference, text, values in zip(frame["id"], frame["target"], texts, scored.examples, strict=True):
        yield {"id": identity, "prediction": text, "reference": reference} | {k: round(value, 4) for k, value in values.items()}


def round_scores(scored: Scores) -> dict[str, float]:
    """The corpus scores as records hold them."""
    return {key: round(value, 4) for key, value in scored.corpus.items()}
