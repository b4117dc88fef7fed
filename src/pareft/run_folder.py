"""The folder of a run: whose it is, and the adapter or weights in it."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.errors import RunError
from pareft.models.plan import PruningPlan
from pareft.recipe import LoraSettings, Recipe
from pareft.recipe_file import read_recipe
from pareft.records import write_atomic

BESIDE_THE_RUN = ("measure", "evaluate.untouched")  # keys that change what `compare` does around a run, and not the run


def check_folder(folder: Path, recipe: Recipe) -> None:
    """Raise `RunError` if the folder is another recipe's, or holds something that is no run."""
    written = folder / "recipe.yaml"
    if not written.is_file():
        if folder.is_dir() and any(folder.iterdir()):
            raise RunError(f"{folder} is not empty and is no run folder; give another with --out")
        return
    there, here = flatten(read_recipe(written).model_dump(mode="json")), flatten(recipe.model_dump(mode="json"))
    changed = [key for key in sorted(there | here) if there.get(key) != here.get(key) and not key.startswith(BESIDE_THE_RUN)]
    if changed:
        key = changed[0]
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise RunError(
            f"{folder} holds a run of another recipe ({key}: {there.get(key)!r} there, {here.get(key)!r} asked{more}); "
            "give another folder with --out"
        )


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def save_artefact(
    model: PreTrainedModel | PeftModel,
    plan: PruningPlan,
    adapted: LoraSettings | None,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
) -> None:
    """The adapter, or the weights with the tokenizer as a stock checkpoint; in a temporary folder first, so it is whole or not
    there.
    """
    name = "adapter" if isinstance(model, PeftModel) else "weights"
    temporary = folder / f".{name}"
    shutil.rmtree(temporary, ignore_errors=True)
    if isinstance(model, PeftModel) and adapted:
        model.peft_config["default"].base_model_name_or_path = plan.base
        model.save_pretrained(temporary, save_embedding_layers=False)
        write_atomic(temporary / "README.md", _describe_adapter(plan, adapted))  # peft's own is an empty form
    else:
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
    shutil.rmtree(folder / name, ignore_errors=True)
    temporary.rename(folder / name)


def _describe_adapter(plan: PruningPlan, settings: LoraSettings) -> str:
    kept = ", ".join(f"{len(kept)} of {plan.depths[stack]} {stack} layers" for stack, kept in plan.layers.items())
    return f"""---
base_model: {plan.base}
library_name: peft
tags: [lora, pareft]
---

# LoRA adapter for {plan.base}, pruned

It fits one model only: {plan.base} with {kept}, plan {plan.fingerprint} (`plan.json`, in the folder above).

```python
import pareft
from peft import PeftModel

plan = pareft.PruningPlan.from_json(open("plan.json").read())
model = PeftModel.from_pretrained(pareft.load("{plan.base}", plan), "adapter")
```

Rank {settings.rank}, alpha {settings.alpha:g}, target {settings.target}, bias {settings.bias}.
How it was trained is in `recipe.yaml`, how well it does in `record.json`.
"""
