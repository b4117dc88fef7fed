"""Who teaches, by the name that a recipe gives, and whether it can teach this model."""

from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from pareft.adapter_settings import UNPRUNED, AdapterSettings, DistillSettings, LoraSettings
from pareft.artefact import check_base
from pareft.data.encoding import check_lengths
from pareft.errors import ModelError, RecipeError, RunError, suggest
from pareft.files import digest_file
from pareft.models.checkpoint import Base, load_tokenizer, open_base
from pareft.models.digests import digest_tensors
from pareft.models.families import find_family
from pareft.models.identity import identify
from pareft.models.plan import PLAN_FILE, PruningPlan
from pareft.models.structure import count_positions, count_vocabulary
from pareft.models.weights import list_tensors
from pareft.readying import Prepared, check_writes, decide
from pareft.recipe import Recipe
from pareft.run_folder import ADAPTER, RECIPE, WEIGHTS, is_run
from pareft.tuning.plain import MOVING
from pareft.tuning.storage import WEIGHTS as ADAPTER_WEIGHTS
from pareft.tuning.storage import read_adapter


@dataclass(frozen=True)
class Teacher:
    """Who teaches, not opened yet: as the recipe names it; its base or checkpoint, and the plan of it; the folder of the run that
    it is, `None` where it is none; its tokenizer; what tells its weights from others. `stand_in`: the arm that it stands in
    for, untrained.
    """

    name: str
    base: Base
    plan: PruningPlan
    folder: Path | None
    tokenizer: PreTrainedTokenizerBase
    digest: str
    stand_in: Recipe | None = None

    @property
    def trained(self) -> bool:
        """Whether its base's own weights were trained, or would be."""
        return bool(self.folder and (self.folder / WEIGHTS).is_dir()) or bool(self.stand_in and self.stand_in.adapt is None)

    @property
    def adapter(self) -> AdapterSettings | None:
        """That of an arm which is stood in for."""
        return self.stand_in.adapt if self.stand_in else None

    def shares(self, prepared: Prepared) -> bool:
        """Whether it is the unpruned base of a run, with an adapter or without, of which the run's model can be a part in
        memory.
        """
        adapt, known = prepared.recipe.adapt, self.plan.weights_digest
        keeps = adapt is not None and not (isinstance(adapt, LoraSettings) and adapt.start in MOVING)
        same = known is not None and known == prepared.plan.weights_digest and self.plan.keeps_everything
        other = self.folder is None and self.stand_in is None and self.base.place != prepared.base.place  # its head may differ
        return keeps and same and not self.trained and not other


def find_teacher(prepared: Prepared, home: Path | None, *, stand_in: Recipe | None = None) -> Teacher:
    """The teacher that a recipe names, and that it can teach this model what the recipe asks for.

    Args:
        prepared: the run that learns.
        home: the folder beside whose runs the teacher may be one.
        stand_in: the arm that the teacher is, for a run of it that is not there yet: untrained, it takes the same time and memory.

    Raises:
        RecipeError: there is nothing of this name, or it cannot teach this.
        RunError: the run is not finished.
    """
    settings = prepared.recipe.distill
    assert settings
    name = settings.teacher
    beside = home / name if home else None
    if name == UNPRUNED:
        return _open_base(name, prepared.base, prepared.tokenizer)
    if stand_in and not (beside and is_run(beside)):
        found = _open_base(name, prepared.base, prepared.tokenizer)
        return replace(found, plan=decide(prepared.base, stand_in.prune), stand_in=stand_in, digest="untrained")
    folder = beside if beside and (beside / RECIPE).is_file() else Path(name)
    if is_run(folder):
        found = _open_run(name, folder)
    elif (folder / RECIPE).is_file():
        raise RunError(
            f"distill.teacher: the run in {folder} is not finished; finish it first, by the command that started it "
            f"({UNPRUNED} names the base as it is)"
        )
    else:
        found = _open_checkpoint(name, home)
    _check(found, settings, prepared)
    return found


def _open_base(name: str, base: Base, tokenizer: PreTrainedTokenizerBase) -> Teacher:
    tensors = list_tensors(base)
    plan = identify(base, tensors)
    return Teacher(name, base, plan, None, tokenizer, f"{plan.fingerprint}-{digest_tensors(tensors)}")


def _open_run(name: str, folder: Path) -> Teacher:
    plan, trained = PruningPlan.read(folder / PLAN_FILE), folder / WEIGHTS
    base = open_base(str(trained)) if trained.is_dir() else open_base(plan.base, revision=plan.revision)
    if trained.is_dir():
        digest = digest_tensors(list_tensors(base))
    else:
        read_adapter(folder / ADAPTER)  # says what is wrong with it
        digest = digest_file(folder / ADAPTER / ADAPTER_WEIGHTS)
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
    return _open_base(name, base, load_tokenizer(base))


def _check(teacher: Teacher, settings: DistillSettings, prepared: Prepared) -> None:
    """Raise `RecipeError` if a teacher cannot teach a model what the recipe asks for."""
    config, own = teacher.base.config, prepared.base.config
    check_writes(teacher.base, "distill.teacher")
    data = prepared.recipe.data
    lengths = {"data.max_source_tokens": data.max_source_tokens, "data.max_target_tokens": data.max_target_tokens}
    check_lengths(lengths, count_positions(config))
    if settings.listens and teacher.tokenizer.get_vocab() != prepared.tokenizer.get_vocab():
        sizes = f"{len(teacher.tokenizer)} tokens there, {len(prepared.tokenizer)} here"
        raise RecipeError(
            f"distill.teacher: {teacher.name} has another vocabulary ({sizes}), so that neither its chances nor its states can be "
            "learnt; it can teach by its texts: distill.targets=teacher distill.logits=0 distill.hidden=0"
        )
    if settings.logits and count_vocabulary(config) != count_vocabulary(own):
        raise RecipeError(f"distill.teacher: {teacher.name} has another number of outputs than {prepared.base.name}")
    if not settings.hidden:
        return
    if dropping := [name for name in ("encoder_layerdrop", "decoder_layerdrop") if getattr(own, name, 0)]:
        raise RecipeError(f"distill.hidden: the base leaves layers out at random ({dropping[0]}), whose states are learnt")
    family, here = find_family(own), prepared.plan.depths
    there = {stack: len(kept) for stack, kept in teacher.plan.layers.items()}
    if config.model_type != family.model_type or there != here or config.hidden_size != own.hidden_size:
        raise RecipeError(
            f"distill.hidden: {teacher.name} is a {config.model_type} with layers {there}, and the unpruned base a "
            f"{family.model_type} with {here}; states are learnt from a teacher of the same layers and size (distill.hidden=0)"
        )


def check_taught(name: str, arm: Recipe, teacher: str, other: Recipe) -> None:
    """Raise `RecipeError` if an arm cannot learn from another, `teacher`, that may not be trained yet."""
    plan = decide(open_base(other.base, revision=other.revision), other.prune, weights=False)
    if arm.distill and arm.distill.hidden and any(len(kept) != plan.depths[stack] for stack, kept in plan.layers.items()):
        raise RecipeError(
            f"arm {name!r}: distill.hidden: states are learnt from a teacher of all layers, and arm {teacher!r} is pruned "
            "(distill.hidden=0)"
        )
