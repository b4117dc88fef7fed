"""Where what a teacher says and writes is kept, and what it depends on."""

from pathlib import Path
from typing import Any

from pareft.adapter_settings import DistillSettings
from pareft.data.prepared import digest_frames
from pareft.evaluation.predictions import digest_tokenizer
from pareft.models.checkpoint import load_generation_config
from pareft.readying import Prepared
from pareft.run_folder import CHECKPOINTS, SOFT, TEACHER
from pareft.settings import EvaluateSettings
from pareft.teaching.finding import Teacher
from pareft.tuning.distilling.soft_store import KEY, NUMBERS, check_key

TARGETS, WRITTEN = "targets.jsonl", "written.json"


def check_caches(teacher: Teacher, prepared: Prepared, folder: Path) -> None:
    """Raise `RunError` if what a cache holds is of something else, as far as that shows before examples are encoded."""
    settings = prepared.recipe.distill
    assert settings
    if settings.targets == "teacher":
        check_key(find_place(settings, folder, TEACHER), WRITTEN, key_texts(teacher, prepared), allowed=(TARGETS,))
    if settings.cache and settings.logits and (place := find_place(settings, folder, SOFT)).is_dir():
        check_key(place, KEY, key_soft(teacher, prepared), allowed=(NUMBERS,))


def find_place(settings: DistillSettings, folder: Path, part: str) -> Path:
    """Where a run in a folder keeps its teacher's texts or chances."""
    return (Path(settings.cache) if isinstance(settings.cache, str) else folder / CHECKPOINTS) / part


def key_soft(teacher: Teacher, prepared: Prepared) -> dict[str, Any]:
    """What chances depend on besides the examples."""
    settings = prepared.recipe.distill
    assert settings
    return {
        "teacher": teacher.digest,
        "tokenizer": digest_tokenizer(prepared.tokenizer),
        "temperature": settings.temperature,
        "precision": prepared.precision,
    }


def key_texts(teacher: Teacher, prepared: Prepared) -> dict[str, Any]:
    """What texts depend on."""
    how = load_generation_config(teacher.base).to_dict()
    return {
        "teacher": teacher.digest,
        "tokenizer": digest_tokenizer(teacher.tokenizer),
        "sources": _list_sources(prepared),
        "writing": [choose_writing(prepared).how_to_write(), {key: how[key] for key in how if key != "transformers_version"}],
    }


def _list_sources(prepared: Prepared) -> list[Any]:
    data = prepared.recipe.data
    return [data.prefix, data.max_source_tokens, digest_frames({"": prepared.splits["train"]})]


def choose_writing(prepared: Prepared) -> EvaluateSettings:
    """How the teacher writes: as the evaluation, in its own beams and as long as targets may be."""
    recipe, settings = prepared.recipe, prepared.recipe.distill
    assert settings
    beams = settings.num_beams or recipe.evaluate.num_beams
    return recipe.evaluate.model_copy(update={"num_beams": beams, "max_new_tokens": recipe.data.max_target_tokens})
