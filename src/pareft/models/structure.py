"""What a model holds: its shapes on `meta`, counts of its parameters, its layers."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from pareft.models.classes import find_class
from pareft.models.families import find_family
from pareft.models.families.schema import Stack
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
    return build_untrained(config, plan, torch.device("meta"))


def build_untrained(config: PreTrainedConfig, plan: PruningPlan | None, device: torch.device) -> PreTrainedModel:
    """The model of a config, or of what a plan keeps of it, with random weights."""
    build = find_class(config)
    with device:
        return model_class(build, config, plan)(prune_config(config, plan)) if plan else build(config)


def part_head(model: PreTrainedModel, stored: Collection[str] = ()) -> None:
    """Give a model's head weights of its own, in place, where transformers ties what checkpoints do not: T5 1.1 and FLAN-T5.
    `stored`: the names in its checkpoint, if they are known.
    """
    head: Any = model.get_output_embeddings()
    name = next(name for name, module in model.named_modules() if module is head)
    if getattr(model.config, "scale_decoder_outputs", True) or (stored and f"{name}.weight" not in stored):
        return
    head.weight = nn.Parameter(torch.randn_like(head.weight) * model.config.d_model**-0.5)


def classifies(model: Any) -> bool:
    """Whether a model, with adapters or without, gives a label, number, option or part of a text, and writes none."""
    return _ends(model, "ForSequenceClassification") or chooses(model) or extracts(model)


def chooses(model: Any) -> bool:
    """Whether a model says which of some options goes with a text."""
    return _ends(model, "ForMultipleChoice")


def extracts(model: Any) -> bool:
    """Whether a model says which part of a text answers a question."""
    return _ends(model, "ForQuestionAnswering")


def _ends(model: Any, name: str) -> bool:
    """Whether the class of a model, without its adapters, is for this."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return type(inner).__name__.endswith(name)


def find_layers(model: Any, stack: Stack) -> nn.ModuleList:
    """The layers of a model's stack; the model may be on `meta`."""
    body = getattr(model, stack.part) if stack.part else model
    layers: nn.ModuleList = body.base_model.get_submodule(stack.path)
    return layers


def find_states(output: Any) -> torch.Tensor:
    """The states among what a layer gives, which are all of it in some families and the first part in others."""
    found = output[0] if isinstance(output, tuple) else output
    assert isinstance(found, torch.Tensor)
    return found


def count_positions(config: PreTrainedConfig) -> int | None:
    """The longest text that every stack takes; `None` for any length. Stacks may have configs of their own."""
    known = (getattr(part, "max_position_embeddings", None) for part in _list_parts(config))
    return min((count for count in known if count), default=None)


def count_vocabulary(config: PreTrainedConfig) -> int:
    """How many token ids every stack knows."""
    known = (getattr(part.get_text_config(), "vocab_size", None) for part in _list_parts(config))
    return min(count for count in known if count)


def _list_parts(config: PreTrainedConfig) -> list[PreTrainedConfig]:
    return [stack.config_of(config) for stack in find_family(config).stacks]
