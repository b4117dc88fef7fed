"""The arms of a bench and the ways they are trained, as recipes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pareft.bench.batches import Lengths
from pareft.errors import RunError, suggest
from pareft.recipe import Recipe, resolve

LORA = {"rank": 16, "alpha": 32, "dropout": 0.1, "bias": "wrapped"}
PRUNED = {"layers": "alternating"}
ARMS: dict[str, dict[str, Any]] = {
    "full": {},
    "l-prun": {"prune": PRUNED},
    "lora-qv": {"adapt": LORA | {"target": "qv"}},
    "lora-ffn": {"adapt": LORA | {"target": "ffn"}},
    "lora-qv+l-prun": {"prune": PRUNED, "adapt": LORA | {"target": "qv"}},
    "lora-ffn+l-prun": {"prune": PRUNED, "adapt": LORA | {"target": "ffn"}},
}
WAYS = {
    "pareft": "as `pareft run` trains, in the machine's own precision, and `pareft evaluate` writes: merged, float32",
    "stock": "transformers and peft on the same pruned checkpoint: float32 weights, bf16 autocast, padded to the longest; "
    "written by generate() of the model as it is, float32 and unmerged",
    "stock-fp32": "the same without autocast",
}


def make_recipe(base: Path, arm: str, lengths: Lengths, *, batch_size: int, seed: int) -> Recipe:
    """An arm as a recipe; its data is never read."""
    data = {"max_source_tokens": lengths.source, "max_target_tokens": lengths.target}
    return resolve({"base": str(base), "seed": seed, "data": data, "train": {"batch_size": batch_size}, **ARMS[arm]})


def choose(option: str, text: str, known: Sequence[str]) -> list[str]:
    """Names with commas, or `all`, each once and in the order of `known`.

    Raises:
        RunError: a name that is not known, or none.
    """
    names = list(known) if text.strip() == "all" else [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise RunError(f"{option}: no {name!r}.{suggest(name, known)} There is {', '.join(known)}, and all")
    if not names:
        raise RunError(f"{option}: name at least one of {', '.join(known)}, or all")
    return [name for name in known if name in names]
