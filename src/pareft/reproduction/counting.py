"""What an arm is, known without its weights: layers kept, parameters trained and in all, and how the paper counts them."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from peft.tuners.lora import LoraLayer
from torch import nn
from transformers import AutoConfig

from pareft.models.checkpoint import Base, open_base
from pareft.models.plan import PruningPlan
from pareft.models.structure import build_on_meta, count_parameters
from pareft.readying import check_writes, decide
from pareft.recipe import Recipe
from pareft.tuning.adapters import adapt

SHAPES = {"facebook/bart-large": "bart-large", "google-t5/t5-large": "t5-large"}  # bases whose configs are in the package
RELEASE_VOCABULARY = {"t5": 32_100}  # to which the release cuts the embeddings: the tokenizer's own length
STEP = 100_000  # a tenth of a million: the paper's figures are truncated to it


@dataclass(frozen=True)
class Counted:
    """An arm's base, its model without weights, its plan, and its parameters; `as_paper` are those trained as the paper counts
    them.
    """

    base: Base
    model: nn.Module
    plan: PruningPlan
    trained: int
    total: int
    as_paper: int

    @property
    def millions_as_paper(self) -> float:
        """As the paper prints them: millions, truncated to a tenth."""
        return self.as_paper // STEP / 10

    @property
    def layers(self) -> Mapping[str, int]:
        """How many layers of each stack are kept."""
        return {stack: len(kept) for stack, kept in self.plan.layers.items()}


def open_shape(name: str, *, revision: str | None = None) -> Base:
    """The base of a recipe by its config alone; that of BART-large and T5-large is in the package, and nothing is downloaded."""
    if name not in SHAPES:
        return open_base(name, revision=revision)
    place = str(files("pareft") / "assets" / "paper" / SHAPES[name])
    return Base(name, place, None, AutoConfig.from_pretrained(place))


def count_arm(recipe: Recipe) -> Counted:
    """Build an arm's model on `meta` and count it.

    Raises:
        ModelError: the base is not there, or is no text encoder-decoder.
        PlanError: what the recipe prunes does not fit it.

    Under the paper's convention (facts of its release, found by counting) a LoRA arm also trains a bias for every layer it wraps,
    T5's among them, which have none; and T5 has 32,100 embeddings.
    """
    base = open_shape(recipe.base, revision=recipe.revision)
    check_writes(base, "a recipe trains")
    decided = decide(base, recipe.prune, weights=False)
    model: nn.Module = adapt(build_on_meta(base.config, decided), recipe.adapt)
    counted = count_parameters(model)
    if recipe.adapt:
        as_paper = counted.trainable + sum(_count_missing_bias(module) for module in model.modules())
    else:
        vocabulary = base.config.vocab_size
        spare = max(0, vocabulary - RELEASE_VOCABULARY.get(base.config.model_type, vocabulary))
        as_paper = counted.trainable - spare * base.config.d_model
    return Counted(base, model, decided, counted.trainable, counted.total, as_paper)


def _count_missing_bias(module: nn.Module) -> int:
    if not isinstance(module, LoraLayer) or getattr(module.get_base_layer(), "bias", None) is not None:
        return 0
    return int(module.out_features)
