"""The paper's tables run small, on any machine and offline: the same recipes and code, with small bases and synthetic data."""

from collections.abc import Collection, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from pareft.data.tables import Columns
from pareft.errors import RunError
from pareft.models.checkpoint import EMBEDDED
from pareft.preparation import find_finished, prepare_notes, prepare_table
from pareft.preparation.synthetic import write_synthetic
from pareft.preparation.writing import DESCRIPTION, Handling
from pareft.progress import SILENT, Progress
from pareft.reproduction.experiments import Side, split_name

SIBLING = "pareft-mini-t5"
COUNT, SEED = 4_000, 20_230_515  # of notes or consultations
FULL_RATE, LORA_RATE = 1e-3, 4e-3  # small bases learn at larger steps than large ones
SETTINGS: Mapping[str, Any] = {
    "train.max_steps": 300,
    "train.batch_size": 8,
    "train.accumulation": 1,
    "train.warmup_steps": 30,
    "train.learning_rate": LORA_RATE,
    "train.evaluate_every": 0.4,
    "train.evaluate_examples": 48,
    "train.evaluate_max_new_tokens": 64,
    "train.precision": "fp32",  # for matrices this small, converting to bf16 and back costs more than it saves
    "data.limit": {"test": 150},
    "evaluate.num_beams": 2,
    "evaluate.batch_size": 32,
}
LENGTHS = {"discharge": (192, 64), "radiology": (192, 64), "healthcaremagic": (192, 128), "icliniq": (192, 128)}  # source, target


def find_small_bases(given: Mapping[Side, str | None], sides: Collection[Side]) -> dict[Side, str | None]:
    """`pareft-mini` for BART, and its T5 sibling, which lies in the repository beside the package, where `sides` want one.

    Raises:
        RunError: the sibling is not there, as where the package was installed without its repository.
    """
    sibling = Path(str(files("pareft"))).parents[1] / "benchmarks" / "models" / SIBLING
    if "t5" in sides and not given.get("t5") and not sibling.is_dir():
        raise RunError(
            f"the T5 half of the small tables needs {SIBLING}, which is in the repository and not in the package: work in a "
            "clone, or name another T5 with --t5"
        )
    return {"bart": given.get("bart") or EMBEDDED, "t5": given.get("t5") or str(sibling)}


def list_small_changes(name: str) -> dict[str, Any]:
    """The lines of a recipe that are other where it is run small."""
    kind, _ = split_name(name)
    source, target = LENGTHS[kind]
    lengths = {"data.max_source_tokens": source, "data.max_target_tokens": target, "evaluate.max_new_tokens": target}
    metrics = ["rouge", "bleu_precisions"] if kind in ("healthcaremagic", "icliniq") else ["rouge"]
    rates = {f"arms.{arm}.train.learning_rate": FULL_RATE for arm in ("full", "l-prun")}
    return {**SETTINGS, **lengths, **rates, "evaluate.metrics": metrics}


def prepare_small(kind: str, home: Path, *, progress: Progress = SILENT) -> None:
    """Synthetic texts, through the builder of the real ones, into a folder of `home`; what is there is kept."""
    raw, out, handling = home / "raw", home / kind, Handling(overwrite=True, progress=progress)
    notes = kind in ("discharge", "radiology")
    place = raw / f"{kind}.{'csv' if notes else 'json'}"
    if not place.is_file():
        write_synthetic(kind, COUNT, raw, seed=SEED, progress=progress)  # type: ignore[arg-type]
    if notes and not find_finished(kind, place, out):  # type: ignore[arg-type]
        prepare_notes(kind, place, out, handling=handling)  # type: ignore[arg-type]
    if not notes and not (out / DESCRIPTION).is_file():
        prepare_table(str(place), out, Columns("input", "output"), builder="dialogue", seed=SEED, handling=handling)
