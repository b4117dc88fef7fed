"""The teacher of a run that learns from one: asked when the run begins, opened when it is needed, noted in the run's folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel

from pareft.errors import RunError
from pareft.files import write_atomic
from pareft.progress import Progress
from pareft.readying import Prepared
from pareft.records import DistillRecord
from pareft.run_folder import CHECKPOINTS, SOFT, TAUGHT, TEACHER
from pareft.runtime import find_processes
from pareft.teaching.caching import find_place, key_soft
from pareft.teaching.finding import Teacher
from pareft.teaching.opening import open_teacher
from pareft.teaching.writing import write_targets
from pareft.tuning.distilling import Distiller
from pareft.tuning.distilling.soft_store import SoftStore


def ask_teacher(teacher: Teacher, prepared: Prepared, folder: Path, progress: Progress, label: str) -> None:
    """Begin to learn from a teacher. Where the run learns from its texts, they are the training split's targets afterwards.

    Raises:
        RunError: the training was begun with another teacher.
    """
    settings, taught = prepared.recipe.distill, read_teacher(folder)
    assert settings
    if taught and taught.digest != teacher.digest:
        raise RunError(
            f"{folder} holds a run that began to learn from {taught.teacher} as it was, and this is another now "
            f"({taught.digest} there, {teacher.digest} here); give another folder with --out, or delete this one"
        )
    if not taught and find_processes().first:
        write_atomic(folder / CHECKPOINTS / TAUGHT, DistillRecord(teacher=teacher.name, digest=teacher.digest).to_json())
    find_processes().wait()
    if settings.targets == "teacher":
        place = find_place(settings, folder, TEACHER)
        prepared.splits["train"], seconds = write_targets(teacher, prepared, place, progress, label)
        if not taught or taught.writing_seconds is None:
            _note_teacher(folder, writing_seconds=seconds)


def read_teacher(folder: Path) -> DistillRecord | None:
    """What was written down of the teacher so far."""
    stored = folder / CHECKPOINTS / TAUGHT
    return DistillRecord.from_json(stored.read_text(encoding="utf-8")) if stored.is_file() else None


def _note_teacher(folder: Path, **values: float) -> None:
    """Write something more of the teacher down, so that it is there after an interruption."""
    taught = read_teacher(folder)
    if taught and find_processes().first:
        write_atomic(folder / CHECKPOINTS / TAUGHT, taught.model_copy(update=values).to_json())


@contextmanager
def teach(
    teacher: Teacher,
    model: PreTrainedModel | PeftModel,
    prepared: Prepared,
    examples: Dataset | None,
    *,
    folder: Path | None,
) -> Iterator[Distiller]:
    """The loss of a model that learns from a teacher. `examples`: those that a cache is for; `folder`: of the run, without which a
    cache is temporary; the teacher's bytes are noted there.

    Raises:
        RunError: a cache of another teacher, or of other examples.
    """
    settings, store = prepared.recipe.distill, None
    assert settings
    if settings.cache and settings.logits and settings.top and examples is not None:
        place = find_place(settings, folder, SOFT) if folder else None
        most = int(model.get_output_embeddings().weight.shape[0]) - 1
        store = SoftStore(examples, min(settings.top, most), place, key_soft(teacher, prepared))

    def note(added: int, shared: int) -> None:
        if folder:
            _note_teacher(folder, added_bytes=added, shared_bytes=shared)

    distiller = Distiller(model, settings, prepared.plan, lambda: open_teacher(teacher, model, prepared), store, tell=note)
    try:
        yield distiller
    finally:
        distiller.release()
        if store:
            store.close()
