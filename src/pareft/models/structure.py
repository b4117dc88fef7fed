"""What a model is built by and what it holds: its class, its shapes on `meta`, counts of its parameters."""

from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from pareft.errors import ModelError
from pareft.models.families import find_family
from pareft.models.plan import PruningPlan
from pareft.models.surgery import model_class, prune_config


@dataclass(frozen=True)
class ParameterCount:
    """Distinct parameters: a tied tensor counts once."""

    total: int
    trainable: int

    @property
    def trainable_percent(self) -> float:
        """Trained parameters in percent of all."""
        return 100 * self.trainable / self.total


def count_parameters(model: nn.Module) -> ParameterCount:
    """Count what a model holds and what of it is trained."""
    parameters = list(model.parameters())
    return ParameterCount(sum(p.numel() for p in parameters), sum(p.numel() for p in parameters if p.requires_grad))


def build_on_meta(config: PreTrainedConfig, plan: PruningPlan | None = None) -> PreTrainedModel:
    """The model of a config, or of what a plan keeps of it, without any memory: shapes only."""
    build = find_class(config)
    with torch.device("meta"):
        return model_class(build, config, plan)(prune_config(config, plan)) if plan else build(config)


def _builds(saved: Any, config: PreTrainedConfig) -> bool:
    """Whether a name in `architectures` is a model of this config at all."""
    return isinstance(saved, type) and issubclass(saved, PreTrainedModel) and getattr(saved, "config_class", None) is type(config)


def find_class(config: PreTrainedConfig, head: Any = None) -> type[PreTrainedModel]:
    """The stock class of a base: by `head`, an Auto class; else the one it was saved as, or its family's usual one if that is
    headless or not said.

    Raises:
        ModelError: transformers has no such head for this family.
    """
    auto = head or getattr(transformers, find_family(config).auto_class)
    bare = transformers.AutoModel._model_mapping
    for name in [] if head else config.architectures or []:
        saved: Any = getattr(transformers, name, None) if isinstance(name, str) else None
        headless = type(config) in bare and saved is bare[type(config)]
        if _builds(saved, config) and not headless:
            return saved
    if type(config) not in auto._model_mapping:
        raise ModelError(f"transformers has no {auto.__name__} for family {config.model_type!r}")
    found = auto._model_mapping[type(config)]
    return found[0] if isinstance(found, tuple) else found
