"""Which class builds a base: the one it was saved as, its family's usual one, or one with another head."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
import transformers
from transformers import PreTrainedConfig, PreTrainedModel

from pareft.errors import ModelError
from pareft.models.families import find_family

CLASSIFIER = "AutoModelForSequenceClassification"  # the head that gives a label, or a number, for a text
EXTRACTOR = "AutoModelForQuestionAnswering"  # the head that says where in a text an answer starts and ends
CHOOSER = "AutoModelForMultipleChoice"  # the head that says which of some options goes with a text


def find_class(config: PreTrainedConfig, head: Any = None) -> type[PreTrainedModel]:
    """The stock class of a base: by `head`, an Auto class or its name; else the one it was saved as, or its family's usual one if
    that is headless or not said.

    Raises:
        ModelError: no Auto class, or one that has no such head for this family.
    """
    auto = _find_auto(find_family(config).auto_class if head is None else head)
    for name in config.architectures or [] if head is None else []:
        saved: Any = getattr(transformers, name, None) if isinstance(name, str) else None
        if _builds(saved, config) and saved is not _headless(config):
            return saved
    if type(config) not in auto._model_mapping:
        raise ModelError(f"transformers has no {auto.__name__} for family {config.model_type!r}")
    found = auto._model_mapping[type(config)]
    return found[0] if isinstance(found, tuple) else found


def with_labels(config: PreTrainedConfig, labels: int | Sequence[str]) -> PreTrainedConfig:
    """A copy of the config for a head of so many labels, or of these."""
    changed = copy.deepcopy(config)
    if isinstance(labels, int):
        changed.num_labels = labels
    else:
        changed.id2label = dict(enumerate(labels))
        changed.label2id = {label: number for number, label in enumerate(labels)}
    return changed


def find_body(config: PreTrainedConfig) -> type[PreTrainedModel]:
    """The class of a base without a head, where there is one."""
    return _headless(config) or find_class(config)


def build_body(config: PreTrainedConfig) -> PreTrainedModel:
    """The model of a config without a head, where there is one, on `meta`: what copies with different heads have in common.

    Raises:
        ModelError: a config that transformers cannot build.
    """
    try:
        with torch.device("meta"):
            return find_body(config)(config)
    except (RuntimeError, ValueError, IndexError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        raise ModelError(
            f"transformers cannot build this {config.model_type} by its config: {' '.join(str(error).split())}"
        ) from error


def _headless(config: PreTrainedConfig) -> type[PreTrainedModel] | None:
    found = transformers.AutoModel._model_mapping.get(type(config), None)
    return found[0] if isinstance(found, tuple) else found


def _builds(saved: Any, config: PreTrainedConfig) -> bool:
    """Whether a name in `architectures` is a model of this config at all."""
    return isinstance(saved, type) and issubclass(saved, PreTrainedModel) and getattr(saved, "config_class", None) is type(config)


def _find_auto(head: Any) -> Any:
    found = getattr(transformers, head, None) if isinstance(head, str) else head
    if not hasattr(found, "_model_mapping"):
        said = getattr(head, "__name__", head)
        raise ModelError(f"head: {said!r} is no Auto class of transformers; give one, such as AutoModelForSequenceClassification")
    return found
