"""An arm by its config alone: its base, what is kept of it, its precision, and its model without weights."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from pareft.errors import ModelError
from pareft.models.checkpoint import Base
from pareft.models.families import find_family
from pareft.models.plan import PruningPlan
from pareft.models.structure import build_untrained, part_head
from pareft.models.weights import find_tensors
from pareft.readying import decide
from pareft.recipe import Recipe
from pareft.reproduction.counting import open_shape
from pareft.runtime import Precision, choose_precision
from pareft.tuning.adapters import adapt

KINDS = ("AutoModelForSeq2SeqLM", "AutoModelForCausalLM")  # of which a step can be forecast


@dataclass(frozen=True)
class Arm:
    """What a forecast needs to know of a recipe without arms."""

    name: str
    recipe: Recipe
    base: Base
    plan: PruningPlan
    precision: Precision

    def build(self) -> Any:
        """The model as it is trained, on `meta`."""
        return self.adapt(self.build_plain(torch.device("meta")))

    def adapt(self, model: PreTrainedModel) -> Any:
        """A model with the recipe's adapters."""
        steps = self.recipe.train.max_steps or 1000  # AdaLoRA asks; how many does not matter here
        return adapt(model, self.recipe.adapt, seed=self.recipe.seed, steps=steps)

    def build_plain(self, device: torch.device) -> PreTrainedModel:
        """The model without adapters, on `meta` or with random weights; its head is tied as in the checkpoint, where that is at
        hand.
        """
        model = build_untrained(self.base.config, self.plan, device)
        part_head(model, find_tensors(self.base) if Path(self.base.place).is_dir() else ())
        return model

    def keep(self, layers: Mapping[str, int]) -> "Arm":
        """The arm with so many layers of each stack, the first ones. Of adapted layers that are named by their numbers, those that
        are left stay, or else the last.
        """
        kept = {stack: tuple(range(count)) for stack, count in layers.items()}
        adapted, recipe = self.recipe.adapt, self.recipe
        if adapted and adapted.layers:
            named = {stack: _clip(numbers, layers.get(stack, 0)) for stack, numbers in adapted.layers.items()}
            recipe = recipe.model_copy(update={"adapt": adapted.model_copy(update={"layers": named})})
        return replace(self, recipe=recipe, plan=self.plan.whole().model_copy(update={"layers": kept, "by": "explicit"}))


def _clip(numbers: Any, count: int) -> Any:
    """Layers of a stack that has so many; `all` and `upper` are of any."""
    return numbers if isinstance(numbers, str) else [number for number in numbers if number < count] or [max(0, count - 1)]


def open_arm(name: str, recipe: Recipe) -> Arm:
    """Read an arm's config; where a criterion is to choose its layers, it is that many of them.

    Raises:
        ModelError: the base is not there, or writes no text.
        PlanError: what the recipe prunes does not fit it.
        RecipeError: a precision that it or this machine cannot train in.
    """
    base = open_shape(recipe.base, revision=recipe.revision)
    family = find_family(base.config)
    if family.auto_class not in KINDS:
        raise ModelError(
            f"{base.name} is a {base.config.model_type}; a forecast is of models that write text, such as BART or Llama"
        )
    decided = decide(base, recipe.prune, weights=False)
    precision = choose_precision(recipe.train.precision, half_precision=family.half_precision)
    return Arm(name, recipe, base, decided, precision)
