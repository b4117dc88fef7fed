"""Layers chosen by what a base computes on examples of a training split: the criteria of `pruning` by name."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from pareft.data.encoding import encode
from pareft.data.prepared import digest_frames, list_sources
from pareft.errors import ModelError
from pareft.evaluation.generation import make_batches, write_batch
from pareft.evaluation.metrics import compute
from pareft.frames import pl
from pareft.models.checkpoint import Base
from pareft.models.families import find_family
from pareft.models.loading import load
from pareft.models.plan import PruningPlan
from pareft.models.surgery import check_plan
from pareft.progress import SILENT, Progress
from pareft.pruning.choosing import Keep, Kept, Limits, choose, read_limits
from pareft.pruning.scores import (
    Batch,
    Scores,
    learn_gates,
    leave_one_out,
    measure_loss,
    score_influence,
    score_magnitude,
    score_taylor,
)
from pareft.pruning.searching import check_blocks, drop_blocks, drop_greedily
from pareft.recipe import Recipe
from pareft.records import DroppedRecord, PlanningRecord
from pareft.runtime import Precision, choose_device
from pareft.settings import AUTO, CriterionName, PruneSettings
from pareft.tuning.starting import draw_batches, spread

Found = tuple[Kept, Scores, list[DroppedRecord]]  # what stays, the scores, the path of a search


@dataclass
class Calibration:
    """What criteria look at: a base, by `whole`, the plan that keeps all of it; and examples of a recipe's training split, if there
    is one, its tokenizer, lengths and ways to write. Each part is there once it is asked for.
    """

    base: Base
    whole: PruningPlan
    limits: Limits
    examples: int
    recipe: Recipe | None = None
    tokenizer: PreTrainedTokenizerBase | None = None
    split: pl.DataFrame | None = None
    precision: Precision = "fp32"

    @cached_property
    def model(self) -> Any:
        """The whole base, in eval mode, in bf16 where that is computed with."""
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        return load(self.base, dtype=dtype).eval().to(choose_device())

    @cached_property
    def rows(self) -> pl.DataFrame:
        """The examples, evenly from the training split."""
        assert self.split is not None
        return self.split[spread(self.split.height, self.examples)]

    @cached_property
    def batches(self) -> list[Batch]:
        """The examples encoded, on the model's device."""
        assert self.recipe
        assert self.tokenizer
        data = self.recipe.data
        encoded = encode(
            self.rows,
            self.tokenizer,
            prefix=data.prefix,
            max_source_tokens=data.max_source_tokens,
            max_target_tokens=data.max_target_tokens,
        )
        drawn = draw_batches(encoded, self.tokenizer, count=len(encoded), batch_size=self.recipe.train.batch_size)
        return [{name: tensor.to(self.model.device) for name, tensor in batch.items()} for batch in drawn]

    def measure_loss(self) -> float:
        """The mean loss of a target's token, as the model's layers are gated."""
        return measure_loss(self.model, self.batches)

    def measure_texts(self) -> float:
        """By how much ROUGE-1 of what the model writes, greedily, is less than 100."""
        assert self.recipe
        assert self.tokenizer
        data, settings = self.recipe.data, self.recipe.evaluate.model_copy(update={"num_beams": 1})
        numbered = enumerate(list_sources(self.rows, prefix=data.prefix))
        written: dict[Any, str] = {}
        for batch in make_batches(numbered, self.tokenizer, settings, max_source_tokens=data.max_source_tokens):
            written |= zip(batch.ids, write_batch(self.model, self.tokenizer, batch, settings), strict=True)
        texts = [written[number] for number in range(self.rows.height)]
        return 100 - compute(["rouge"], texts, self.rows["target"].to_list()).corpus["rouge1"]


def _by_scores(score: Callable[[Calibration], Scores]) -> Callable[[Calibration], Found]:
    def find(given: Calibration) -> Found:
        scores = score(given)
        return choose(scores, given.limits), scores, []

    return find


def _by_blocks(given: Calibration) -> Found:
    kept, scores = drop_blocks(given.model, given.batches, given.limits)
    return kept, scores, []


def _by_greed(given: Calibration) -> Found:
    kept, path = drop_greedily(given.model, given.measure_loss, given.limits)
    return kept, {}, path


CRITERIA: dict[CriterionName, Callable[[Calibration], Found]] = {
    "influence": _by_scores(lambda given: score_influence(given.model, given.batches)),
    "angular": _by_blocks,
    "magnitude": _by_scores(lambda given: score_magnitude(given.model)),
    "taylor": _by_scores(lambda given: score_taylor(given.model, given.batches)),
    "leave-one-out": _by_scores(lambda given: leave_one_out(given.model, given.measure_loss)),
    "greedy": _by_greed,
    "rouge": _by_scores(lambda given: leave_one_out(given.model, given.measure_texts)),
    "gates": _by_scores(lambda given: learn_gates(given.model, given.batches)),
}
NEED_NOTHING = ("magnitude",)


def name_how(by: str | None, *, budgeted: bool = False) -> str:
    """The rule or criterion that is meant: `auto` is `AUTO`, and so is none at all of a plan within budgets; of any
    other plan it is the paper's rule.
    """
    named = by or ("auto" if budgeted else "alternating")
    return AUTO if named == "auto" else named


def limit(base: Base, settings: PruneSettings) -> Limits:
    """How many layers a criterion leaves of a base, and which it must.

    Raises:
        PlanError: more than there are, none, or what a stack or family cannot be without.
    """
    assert settings.keep is not None
    limits = limit_family(base, settings.keep, never_drop=settings.never_drop, least=settings.least, symmetric=settings.symmetric)
    if settings.by == "angular":
        check_blocks(limits)
    return limits


def limit_family(base: Base, keep: Keep, *, never_drop: Mapping[str, Sequence[int]], least: int, symmetric: bool) -> Limits:
    """Limits as they are said, and what the family adds to them.

    Raises:
        PlanError: as `read_limits`.
    """
    family = find_family(base.config)
    staying = {stack: list(numbers) for stack, numbers in never_drop.items()}
    for stack in family.stacks:
        if stack.first_stays:
            staying[stack.name] = [0, *staying.get(stack.name, [])]
    return read_limits(
        family.depths(base.config),
        keep,
        never_drop=staying,
        least=least,
        symmetric=symmetric,
        encoder_leads=family.cache_by_encoder,
    )


def choose_by(by: CriterionName, given: Calibration, progress: Progress = SILENT) -> tuple[PruningPlan, PlanningRecord]:
    """The plan of a criterion, and what it found.

    Raises:
        ModelError: the base computes NaN.
    """
    started = time.perf_counter()
    progress.start(f"choose layers by {by}", None)
    kept, scores, path = CRITERIA[by](given)
    check_numbers(by, given, [*(value for values in scores.values() for value in values), *(step.cost for step in path)])
    decided = given.whole.model_copy(update={"layers": kept, "by": by})
    check_plan(given.base.config, decided)
    return decided, record_choice(by, given, decided, scores, path, seconds=time.perf_counter() - started)


def check_numbers(by: str, given: Calibration, values: Sequence[float]) -> None:
    """Raise `ModelError` if what layers or plans are compared by is NaN or infinite."""
    if not all(map(math.isfinite, values)):
        raise ModelError(
            f"{given.base.name} computes numbers that are none (NaN or infinite) in {given.precision}, so {by} cannot choose"
        )


def record_choice(
    by: str, given: Calibration, decided: PruningPlan, scores: Scores, path: list[DroppedRecord], *, seconds: float
) -> PlanningRecord:
    """How a plan was chosen."""
    data = given.recipe.data if given.recipe and by not in NEED_NOTHING else None
    return PlanningRecord(
        by=by,
        fingerprint=decided.fingerprint,
        data=(data.path or data.train) if data else None,
        data_digest=digest_frames({"train": given.rows}) if data else None,
        examples=given.rows.height if data else None,
        scores={stack: list(values) for stack, values in scores.items()},
        path=path,
        seconds=round(seconds, 2),
    )


def key_of(settings: PruneSettings, given: Calibration) -> str:
    """Equal where a criterion would find the same: of the same weights, examples, lengths and settings."""
    content: list[Any] = [given.whole.fingerprint, settings.model_dump(mode="json")]
    if settings.by not in NEED_NOTHING:
        assert given.recipe
        data, texts = given.recipe.data, given.recipe.evaluate.how_to_write() if settings.by == "rouge" else None
        lengths = [data.prefix, data.max_source_tokens, data.max_target_tokens]
        content += [digest_frames({"train": given.rows}), lengths, given.precision, texts]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
