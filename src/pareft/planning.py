"""Layers chosen by what a base computes, on examples of a recipe's training split: the criteria of `pruning` by name."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import torch
from datasets import Dataset

from pareft.data.prepared import digest_frames
from pareft.errors import PlanError, suggest
from pareft.evaluation.generation import make_batches, write_batch
from pareft.evaluation.metrics import compute
from pareft.models.checkpoint import Base, open_base
from pareft.models.families import find_family
from pareft.models.loading import load
from pareft.models.plan import PruningPlan
from pareft.progress import SILENT, Progress
from pareft.pruning import Layers, Rule, Units
from pareft.pruning import plan as plan_by_rule
from pareft.pruning.choosing import Keep, Limits, choose, read_limits
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
from pareft.pruning.searching import Dropped, drop_blocks, drop_greedily
from pareft.readying import Prepared, encode_split, prepare
from pareft.recipe import Recipe
from pareft.recipe_file import take_recipe
from pareft.records import DroppedRecord, PlanningRecord
from pareft.runtime import choose_device
from pareft.tuning.starting import draw_batches

EXAMPLES = 128

Found = tuple[dict[str, tuple[int, ...]], Scores, list[Dropped]]  # what stays, the scores, the path of a search


def plan(
    base: str | Path | Base,
    *,
    by: str = "alternating",
    keep: Keep | None = None,
    layers: Layers | None = None,
    heads: Units | None = None,
    neurons: Units | None = None,
    never_drop: Mapping[str, Sequence[int]] | None = None,
    least: int = 1,
    symmetric: bool = False,
    data: Recipe | str | Path | None = None,
    examples: int = EXAMPLES,
    revision: str | None = None,
    weights: bool = True,
) -> PruningPlan:
    """Plan what of a base stays; all numbers are 0-based and the base's own.

    Args:
        base: `pareft-mini`, a folder, or a name on the Hub.
        by: a rule for the layers, `alternating` being the paper's, or a criterion. Where `layers`, `heads` or `neurons` are given
            none is asked, and what is not named is kept whole.
        keep: how many layers of every stack stay, for a rule or criterion that does not say so itself: a number, a part below 1, or
            one of these for each stack, others staying whole; for a criterion also `{"total": n}` of all stacks together.
        layers: the kept layers of each stack; for a model with one stack, a list does.
        heads: the kept heads (key-value groups under GQA) by `stack.attention` and layer: `{"decoder.cross": {3: [0, 2]}}`.
        neurons: the kept feed-forward neurons by stack and layer: `{"encoder": {0: range(1024)}}`.
        never_drop: layers that a criterion leaves, by stack; -1 is the last.
        least: of a total, how many layers of each stack stay at least.
        symmetric: of a total, as many layers of each stack.
        data: a recipe, or the file of one, of whose training split a criterion sees `examples`.
        examples: how many, evenly from the split.
        revision: the Hub's.
        weights: whether the plan is to know the base's weights, and fit no others; without, only its config is read. A criterion
            looks at weights.

    Raises:
        PlanError: a layer, head or neuron out of range, nothing left of a stack, no such stack, layers that could not run; a
            criterion without the data that it needs.
        ModelError: the base is not there, is damaged, or of no family that can be pruned.
    """
    if by in CRITERIA and layers is None and heads is None and neurons is None:
        return choose_layers(
            base,
            by=by,
            keep=keep,
            data=data,
            examples=examples,
            never_drop=never_drop,
            least=least,
            symmetric=symmetric,
            revision=revision,
        )[0]
    if by not in get_args(Rule):
        known = [*get_args(Rule), *CRITERIA]
        raise PlanError(f"no rule or criterion {by!r}.{suggest(by, known)} There is {', '.join(known)}")
    if never_drop or least != 1 or symmetric or data is not None:
        raise PlanError(f"never_drop, least, symmetric and data are for criteria ({', '.join(CRITERIA)}), and {by} is none")
    rule: Any = by
    return plan_by_rule(base, by=rule, keep=keep, layers=layers, heads=heads, neurons=neurons, revision=revision, weights=weights)


def choose_layers(
    base: str | Path | Base,
    *,
    by: str,
    keep: Keep | None,
    data: Recipe | str | Path | None = None,
    examples: int = EXAMPLES,
    never_drop: Mapping[str, Sequence[int]] | None = None,
    least: int = 1,
    symmetric: bool = False,
    revision: str | None = None,
    progress: Progress = SILENT,
) -> tuple[PruningPlan, PlanningRecord]:
    """The plan of a criterion, and what it found. The arguments are those of `plan`.

    Raises:
        PlanError, ModelError, RecipeError, DataError: as `plan`, and what is wrong with the recipe or its data; before anything is
            loaded.
    """
    source = base if isinstance(base, Base) else open_base(str(base), revision=revision)
    whole = plan_by_rule(source, by="everything")
    if keep is None:
        raise PlanError(f"{by} keeps as many layers as it is told to: keep=8, {{'encoder': 10, 'decoder': 6}} or {{'total': 16}}")
    limits = read_limits(
        whole.depths,
        keep,
        never_drop=_protect(source, never_drop),
        least=least,
        symmetric=symmetric,
        encoder_leads=find_family(source.config).cache_by_encoder,
    )
    if by == "angular" and limits.counts is None:
        raise PlanError("angular drops a block of every stack: say how many layers of each are to stay, and not a total")
    if data is None and by not in NEED_NOTHING:
        raise PlanError(f"{by} looks at examples: give a recipe whose training split they are of (data=, or --data RECIPE)")
    if examples < 1:
        raise PlanError(f"examples is {examples}; a criterion looks at one at least")
    prepared = None if data is None else _prepare(data, source)
    given = _Given(source, limits, prepared, examples, progress)
    started = time.perf_counter()
    progress.start(f"choose layers by {by}", None)
    kept, scores, path = CRITERIA[by](given)
    decided = plan_by_rule(source, layers=kept).model_copy(update={"by": by})
    return decided, PlanningRecord(
        by=by,
        fingerprint=decided.fingerprint,
        data=None if prepared is None else prepared.recipe.data.path or prepared.recipe.data.train,
        data_digest=None if prepared is None else digest_frames({"train": prepared.splits["train"]}),
        examples=None if prepared is None else len(given.rows),
        scores={stack: list(values) for stack, values in scores.items()},
        path=[DroppedRecord(stack=step.stack, layer=step.layer, cost=step.cost) for step in path],
        seconds=round(time.perf_counter() - started, 2),
    )


def _protect(source: Base, never_drop: Mapping[str, Sequence[int]] | None) -> dict[str, list[int]]:
    """What must stay: as asked, and the first layers of stacks that cannot be without."""
    staying = {stack: list(numbers) for stack, numbers in (never_drop or {}).items()}
    for stack in find_family(source.config).stacks:
        if stack.first_stays:
            staying[stack.name] = [0, *staying.get(stack.name, [])]
    return staying


def _prepare(data: Recipe | str | Path, source: Base) -> Prepared:
    """A recipe's data for another base, as it is."""
    plain: dict[str, Any] = {"prune": None, "adapt": None, "distill": None, "arms": {}}
    return prepare(take_recipe(data).model_copy(update={"base": source.name, "revision": source.revision, **plain}))


@dataclass
class _Given:
    """What criteria look at; each part is there once it is asked for."""

    base: Base
    limits: Limits
    prepared: Prepared | None
    examples: int
    progress: Progress

    @cached_property
    def model(self) -> Any:
        half = self.prepared is not None and self.prepared.precision == "bf16"
        return load(self.base, dtype=torch.bfloat16 if half else torch.float32).eval().to(choose_device())

    @cached_property
    def rows(self) -> Dataset:
        """The examples, evenly from the training split."""
        assert self.prepared
        rows = encode_split(self.prepared, "train")
        count = min(self.examples, len(rows))
        return rows.select([place * len(rows) // count for place in range(count)])

    @cached_property
    def batches(self) -> list[Batch]:
        assert self.prepared
        size = self.prepared.recipe.train.batch_size
        drawn = draw_batches(self.rows, self.prepared.tokenizer, count=len(self.rows), batch_size=size)
        return [{name: tensor.to(self.model.device) for name, tensor in batch.items()} for batch in drawn]

    def measure_loss(self) -> float:
        """The mean loss of a target's token, as the model's layers are gated."""
        return measure_loss(self.model, self.batches)

    def measure_texts(self) -> float:
        """By how much ROUGE-1 of what the model writes, greedily, is less than 100."""
        assert self.prepared
        recipe, frame = self.prepared.recipe, self.prepared.splits["train"]
        count = len(self.rows)
        frame = frame[[place * frame.height // count for place in range(count)]]
        settings = recipe.evaluate.model_copy(update={"num_beams": 1})
        numbered = enumerate(recipe.data.prefix + text for text in frame["source"])
        batches = make_batches(numbered, self.prepared.tokenizer, settings, max_source_tokens=recipe.data.max_source_tokens)
        written: dict[Any, str] = {}
        for batch in batches:
            written |= zip(batch.ids, write_batch(self.model, self.prepared.tokenizer, batch, settings), strict=True)
        texts = [written[number] for number in range(count)]
        return 100 - compute(["rouge"], texts, frame["target"].to_list()).corpus["rouge1"]


def _by_scores(score: Callable[[_Given], Scores]) -> Callable[[_Given], Found]:
    def find(given: _Given) -> Found:
        scores = score(given)
        return choose(scores, given.limits), scores, []

    return find


def _by_blocks(given: _Given) -> Found:
    kept, scores = drop_blocks(given.model, given.batches, given.limits)
    return kept, scores, []


def _by_greed(given: _Given) -> Found:
    kept, path = drop_greedily(given.model, given.measure_loss, given.limits)
    return kept, {}, path


CRITERIA: dict[str, Callable[[_Given], Found]] = {
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
