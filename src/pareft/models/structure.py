"""What a model holds: counts of its parameters, on real or on `meta` tensors."""

from dataclasses import dataclass

import torch
from torch import nn
from transformers import AutoModelForSeq2SeqLM, PreTrainedConfig, PreTrainedModel


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


def build_on_meta(config: PreTrainedConfig) -> PreTrainedModel:
    """The model of a config without any memory: shapes only."""
    with torch.device("meta"):
        return AutoModelForSeq2SeqLM.from_config(config)
