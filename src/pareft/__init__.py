"""pareft: prune a pretrained Transformer, then recover it with parameter-efficient fine-tuning."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pareft.adapter_settings import BottleneckSettings as BottleneckSettings
    from pareft.adapter_settings import Ia3Settings as Ia3Settings
    from pareft.adapter_settings import LoraSettings as LoraSettings
    from pareft.arms import compare as compare
    from pareft.arms import compare_runs as compare_runs
    from pareft.artefact import load as load
    from pareft.artefact import save as save
    from pareft.errors import PareftError as PareftError
    from pareft.exporting import export as export
    from pareft.inference import evaluate as evaluate
    from pareft.inference import generate as generate
    from pareft.models.plan import PruningPlan as PruningPlan
    from pareft.models.surgery import cut as cut
    from pareft.pipeline import run as run
    from pareft.planning import plan as plan
    from pareft.preparation import prepare_notes as prepare_notes
    from pareft.preparation import prepare_table as prepare_table
    from pareft.recipe import Recipe as Recipe
    from pareft.tuning.adapters import attach as attach
    from pareft.tuning.remapping import remap as remap

_HOMES = {
    "BottleneckSettings": "pareft.adapter_settings",
    "Ia3Settings": "pareft.adapter_settings",
    "LoraSettings": "pareft.adapter_settings",
    "PareftError": "pareft.errors",
    "PruningPlan": "pareft.models.plan",
    "Recipe": "pareft.recipe",
    "attach": "pareft.tuning.adapters",
    "compare": "pareft.arms",
    "compare_runs": "pareft.arms",
    "evaluate": "pareft.inference",
    "generate": "pareft.inference",
    "cut": "pareft.models.surgery",
    "export": "pareft.exporting",
    "load": "pareft.artefact",
    "plan": "pareft.planning",
    "prepare_notes": "pareft.preparation",
    "prepare_table": "pareft.preparation",
    "remap": "pareft.tuning.remapping",
    "run": "pareft.pipeline",
    "save": "pareft.artefact",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Import what is asked for, when it is asked for: `import pareft` alone does not import torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'pareft' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
