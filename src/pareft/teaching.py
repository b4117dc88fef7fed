"""The teacher of a run that learns from one: who it is, whether it can teach this model, and what it writes in place of targets."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import torch
from datasets import Dataset
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.artefact import check_base, load, load_writer
from pareft.data.prepared import digest_frames
from pareft.errors import ModelError, RecipeError, RunError, suggest
from pareft.evaluation.predictions import Predictions, digest_tokenizer, make_key, predict, write_rows
from pareft.files import digest_file, write_json
from pareft.models.checkpoint import Base, load_tokenizer, open_base
from pareft.models.digests import digest_tensors
from pareft.models.families import find_family
from pareft.models.identity import identify
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.models.weights import list_tensors
from pareft.progress import Progress
from pareft.readying import Prepared, check_writes, decide
from pareft.recipe import Recipe
from pareft.run_folder import ADAPTER, RECIPE, WEIGHTS, is_run
from pareft.runtime import choose_device, choose_writing_precision, find_processes
from pareft.settings import UNPRUNED, DistillSettings
from pareft.tuning.adapters import attach
from pareft.tuning.distilling import Distiller
from pareft.tuning.distilling.soft_store import SoftStore, check_key
from pareft.tuning.storage import WEIGHTS as ADAPTER_WEIGHTS
from pareft.tuning.teacher import open_whole

TARGETS, WRITTEN = "targets.jsonl", "written.json"


@dataclass(frozen=True)
class Teacher:
    """Who teaches, not opened yet: as the recipe names it; the base it is or was trained from, `None` for a run's own weights; the
    plan of that; its folder, `None` for the unpruned base of the run it teaches; its tokenizer.
    """

    name: str
    base: Base
    plan: PruningPlan
    folder: Path | None
    tokenizer: PreTrainedTokenizerBase
    digest: str

    def shares(self, prepared: Prepared) -> bool:
        """Whether it is the unpruned base of a run, with an adapter or without, of which a model can be a part in memory."""
        adapted = self.folder is None or (self.folder / ADAPTER).is_dir()
        known = self.plan.weights_digest
        return adapted and self.plan.keeps_everything and known is not None and known == prepared.plan.weights_digest


def find_teacher(prepared: Prepared, home: Path | None, *, untrained: bool = False) -> Teacher:
    """The teacher that a recipe names. `home`: the folder beside whose runs it may be one. With `untrained`, a run that is not
    there or not finished is replaced by the base, which takes the same time and memory if it is not pruned.

    Raises:
        RecipeError: there is nothing of this name, or it cannot teach this model what the recipe asks for.
        RunError: the run is not finished.
    """
    settings = prepared.recipe.distill
    assert settings
    name, beside = settings.teacher, home / settings.teacher if home else None
    if name == UNPRUNED or (untrained and not (beside and is_run(beside)) and not Path(name).exists()):
        digest = identify(prepared.base, list_tensors(prepared.base)).fingerprint
        return Teacher(name, prepared.base, _keep_all(prepared.base), None, prepared.tokenizer, digest)
    folder = beside if beside and (beside / RECIPE).is_file() else Path(name)
    if is_run(folder):
        found = _open_run(name, folder)
    elif (folder / RECIPE).is_file():
        raise RunError(f"distill.teacher: the run in {folder} is not finished; finish it first, by the command that started it")
    else:
        found = _open_checkpoint(name, home)
    _check(found, settings, prepared)
    return found


def _keep_all(base: Base) -> PruningPlan:
    return identify(base, list_tensors(base))


def _open_run(name: str, folder: Path) -> Teacher:
    plan = PruningPlan.read(folder / PLAN_FILE)
    trained = folder / WEIGHTS
    base = open_base(str(trained)) if trained.is_dir() else open_base(plan.base, revision=plan.revision)
    digest = digest_tensors(list_tensors(base)) if trained.is_dir() else digest_file(folder / ADAPTER / ADAPTER_WEIGHTS)
    return Teacher(name, base, plan, folder, load_tokenizer(base), f"{plan.fingerprint}-{digest}")


def _open_checkpoint(name: str, home: Path | None) -> Teacher:
    try:
        check_base(Path(name))
        base = open_base(name)
    except ModelError as error:
        runs = sorted(path.parent.name for path in home.glob(f"*/{RECIPE}")) if home and home.is_dir() else []
        beside = f" (beside it: {', '.join(runs)})" if runs else ""
        raise RecipeError(
            f"distill.teacher: no {name!r}.{suggest(name, [UNPRUNED, *runs])} Give {UNPRUNED}, the name of an arm or of a run "
            f"beside this one{beside}, the folder of a run, or a checkpoint; as a checkpoint: {error}"
        ) from error
    plan = _keep_all(base)
    return Teacher(name, base, plan, Path(name), load_tokenizer(base), plan.fingerprint)


def _check(teacher: Teacher, settings: DistillSettings, prepared: Prepared) -> None:
    """Raise `RecipeError` if a teacher cannot teach a model what the recipe asks for."""
    check_writes(teacher.base, "distill.teacher")
    if settings.listens and teacher.tokenizer.get_vocab() != prepared.tokenizer.get_vocab():
        sizes = f"{len(teacher.tokenizer)} tokens there, {len(prepared.tokenizer)} here"
        raise RecipeError(
            f"distill.teacher: {teacher.name} has another vocabulary ({sizes}), so that neither its chances nor its states can be "
            "learnt; it can teach by its texts: distill.targets=teacher distill.logits=0 distill.hidden=0"
        )
    if settings.logits and teacher.base.config.vocab_size != prepared.base.config.vocab_size:
        raise RecipeError(f"distill.teacher: {teacher.name} has another number of outputs than {prepared.base.name}")
    if not settings.hidden:
        return
    family, kind = find_family(prepared.base.config), teacher.base.config.model_type
    here, depths = prepared.plan.depths, {stack: len(kept) for stack, kept in teacher.plan.layers.items()}
    same_size = teacher.base.config.hidden_size == prepared.base.config.hidden_size
    if kind != family.model_type or depths != here or not same_size:
        raise RecipeError(
            f"distill.hidden: {teacher.name} is a {kind} with layers {depths}, and the unpruned base a {family.model_type} with "
            f"{here}; states are learnt from a teacher of the same layers and size (distill.hidden=0)"
        )


def check_taught(name: str, arm: Recipe, teacher: str, other: Recipe) -> None:
    """Raise `RecipeError` if an arm cannot learn from another, `teacher`, that may not be trained yet."""
    layers = decide(open_base(other.base, revision=other.revision), other.prune, weights=False)
    if arm.distill and arm.distill.hidden and any(len(kept) != layers.depths[stack] for stack, kept in layers.layers.items()):
        raise RecipeError(
            f"arm {name!r}: distill.hidden: states are learnt from a teacher of all layers, and arm {teacher!r} is pruned "
            "(distill.hidden=0)"
        )


@contextmanager
def teach(
    teacher: Teacher,
    settings: DistillSettings,
    model: PreTrainedModel | PeftModel,
    prepared: Prepared,
    examples: Dataset | None,
    *,
    folder: Path | None,
) -> Iterator[Distiller]:
    """The loss of a model that learns from a teacher. `examples`: those that a cache is for; `folder`: where it is, if the recipe
    does not say it; with none, a temporary one.

    Raises:
        RunError: a cache of another teacher, or of other examples.
    """
    store = None
    if settings.cache and settings.logits and settings.top and examples is not None:
        place = Path(settings.cache) if isinstance(settings.cache, str) else folder
        key = {
            "teacher": teacher.digest,
            "tokenizer": digest_tokenizer(prepared.tokenizer),
            "temperature": settings.temperature,
            "precision": prepared.precision,
        }
        most = int(model.get_output_embeddings().weight.shape[0]) - 1
        store = SoftStore(examples, min(settings.top, most), place, key)
    try:
        yield Distiller(model, settings, prepared.plan, lambda: open_teacher(teacher, model, prepared), store)
    finally:
        if store:
            store.close()


def open_teacher(teacher: Teacher, model: PreTrainedModel | PeftModel, prepared: Prepared) -> PreTrainedModel | PeftModel:
    """A teacher on the model's device. Where it is the unpruned base, what both have and nothing trains is in memory once."""
    if teacher.shares(prepared):
        whole = open_whole(model, prepared.base, prepared.plan)
        return whole if teacher.folder is None else attach(whole, teacher.folder / ADAPTER)
    dtype = torch.bfloat16 if prepared.precision == "bf16" else torch.float32
    if teacher.folder and is_run(teacher.folder):
        return load(teacher.folder, dtype=dtype).to(choose_device())
    return load(teacher.base.name, dtype=dtype).to(choose_device())


def write_targets(
    teacher: Teacher, settings: DistillSettings, prepared: Prepared, folder: Path, progress: Progress, label: str
) -> tuple[pl.DataFrame, float]:
    """The training split with the teacher's texts as targets, and the seconds that writing took. The texts go into `targets.jsonl`
    in the folder; there they are read again, and a killed call goes on where it stopped.

    Raises:
        RunError: what is in the folder is of another teacher, of other sources, or written otherwise.
    """
    recipe, frame, processes = prepared.recipe, prepared.splits["train"], find_processes()
    how = recipe.evaluate.model_copy(
        update={
            "num_beams": settings.num_beams or recipe.evaluate.num_beams,
            "max_new_tokens": recipe.data.max_target_tokens,
        }
    )
    sources = [recipe.data.prefix, recipe.data.max_source_tokens, digest_frames({"": frame})]
    key = {
        "teacher": teacher.digest,
        "tokenizer": digest_tokenizer(teacher.tokenizer),
        "sources": sources,
        "writing": how.how_to_write(),
    }
    if processes.first:
        check_key(folder, WRITTEN, key)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_json(folder / WRITTEN, key)
    target = folder / TARGETS
    started = time.perf_counter()
    if not processes.share(target.is_file()):
        model = _open_writer(teacher, choose_writing_precision(how.precision))
        with Predictions(target, make_key(model, teacher.tokenizer, how, sources), processes) as written:
            progress.start(label, frame.height, done=written.count)
            predict(
                model,
                teacher.tokenizer,
                zip(frame["id"], (recipe.data.prefix + text for text in frame["source"]), strict=True),
                written,
                how,
                max_source_tokens=recipe.data.max_source_tokens,
                on_progress=lambda count: progress.advance(count, frame.height, {}),
            )
            if processes.first:
                write_rows(target, ({"id": row["id"], "target": row["prediction"]} for row in written.rows(frame.height)))
                written.remove()
        processes.wait()
    with target.open(encoding="utf-8", newline="\n") as file:
        texts = [json.loads(line)["target"] for line in file]
    return frame.with_columns(pl.Series("target", texts, dtype=pl.String)), round(time.perf_counter() - started, 2)


def _open_writer(teacher: Teacher, precision: Any) -> PreTrainedModel | PeftModel:
    place = teacher.folder if teacher.folder and is_run(teacher.folder) else teacher.base.name
    return load_writer(place, precision=precision)
