"""The models that metrics score with, by name or folder; the settings of the metric say which."""

from functools import lru_cache
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedTokenizerBase

from pareft.errors import DataError, ModelError
from pareft.models.checkpoint import Base, load_tokenizer, open_base
from pareft.models.digests import digest_tensors
from pareft.models.weights import list_tensors

KINDS: dict[str, tuple[str, Any]] = {
    "bertscore": ("encoder", AutoModel),
    "summac": ("NLI model", AutoModelForSequenceClassification),
}


def open_scorer(metric: str, model: str | None) -> tuple[Base, PreTrainedTokenizerBase, str]:
    """The model a metric scores with, its tokenizer, and the digest of its weights; of these, only samples are read.

    Raises:
        DataError: none is given, or it is not there, has no weights or no tokenizer.
    """
    if model is None:
        raise DataError(f"{metric} needs an {KINDS[metric][0]}: give evaluate.{metric}.model, a name on the Hub or a folder")
    try:
        base = open_base(model)
        return base, load_tokenizer(base), digest_tensors(list_tensors(base))
    except ModelError as error:
        raise _explain(metric, model, error) from error


@lru_cache(maxsize=2)  # evaluations in training, and the arms of a comparison, need the same again
def load_scorer(metric: str, model: str | None, device: torch.device) -> tuple[Any, Any]:
    """The tokenizer and the model of a metric, on the device, in eval mode.

    Raises:
        DataError: none is given, it cannot be loaded, or lacks weights that scores come from.
    """
    base, tokenizer, _ = open_scorer(metric, model)
    try:
        loaded, found = KINDS[metric][1].from_pretrained(base.place, trust_remote_code=False, output_loading_info=True)
    except Exception as error:  # transformers, safetensors and torch each raise their own
        raise _explain(metric, base.name, error) from error
    if missing := sorted(name for name in found["missing_keys"] if "pooler" not in name or metric == "summac"):
        raise _explain(metric, base.name, f"it has no weights for {missing[0]}, which would be random")
    return tokenizer, loaded.eval().to(device)


def find_limit(tokenizer: Any, model: nn.Module, most: int) -> int:
    """How many tokens of a text the model takes, special ones counted; `most` at most."""
    positions = getattr(model.config, "max_position_embeddings", None) or most
    first = (getattr(part, "padding_idx", None) for name, part in model.named_modules() if name.endswith("position_embeddings"))
    taken = next((place + 1 for place in first if place is not None), 0)  # RoBERTa counts positions from after its padding's
    return int(min(most, tokenizer.model_max_length, positions - taken))


def _explain(metric: str, model: str, reason: object) -> DataError:
    line = (str(reason).strip().splitlines() or [type(reason).__name__])[0]
    return DataError(f"{metric}: cannot load the {KINDS[metric][0]} {model!r}: {line}; give evaluate.{metric}.model")
