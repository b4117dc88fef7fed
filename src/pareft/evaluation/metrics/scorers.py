"""The models that metrics score with, by name or folder; the settings of the metric say which."""

from functools import lru_cache
from typing import Any

import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from pareft.errors import DataError

KINDS: dict[str, tuple[str, Any]] = {
    "bertscore": ("encoder", AutoModel),
    "summac": ("NLI model", AutoModelForSequenceClassification),
}


def check_given(metric: str, model: str | None) -> str:
    """The model a metric scores with; `DataError` where none is given."""
    if model is None:
        raise DataError(f"{metric} needs an {KINDS[metric][0]}: give evaluate.{metric}.model, a name on the Hub or a folder")
    return model


@lru_cache(maxsize=2)  # evaluations in training, and the arms of a comparison, need the same again
def load_scorer(metric: str, model: str | None, device: torch.device) -> tuple[Any, Any]:
    """The tokenizer and the model of a metric, on the device, in eval mode.

    Raises:
        DataError: none is given, or it cannot be loaded.
    """
    (kind, auto_class), place = KINDS[metric], check_given(metric, model)
    try:
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        return tokenizer, auto_class.from_pretrained(place, trust_remote_code=False).eval().to(device)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{metric}: cannot load the {kind} {place!r}: {reason}; give evaluate.{metric}.model") from error
