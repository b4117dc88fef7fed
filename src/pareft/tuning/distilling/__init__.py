"""Learning from a teacher: its chances for every token of the targets, and its states behind the layers that both have.

What is learnt is labels · cross entropy + logits · T² KL(teacher, student) + hidden · distance, each the mean over the targets'
tokens of a batch, so that batches in parts, or on several processes, sum to the same.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import PreTrainedModel
from transformers.models.bart.modeling_bart import shift_tokens_right

from pareft.adapter_settings import DistillSettings
from pareft.models.families import find_family
from pareft.models.plan import PruningPlan
from pareft.models.structure import find_layers, find_states
from pareft.token_ids import IGNORED
from pareft.tuning.distilling.soft import SoftTargets, choose_rows, find_likeliest
from pareft.tuning.distilling.soft_store import Soft, SoftStore
from pareft.tuning.fast.loss import Logits, mean_loss
from pareft.tuning.replacing import replace_forward

States = dict[tuple[str, int], torch.Tensor]  # behind a kept layer of a stack, by its number in the pruned model
LEAST = 1e-6  # of a state's mean square


class Distiller:
    """The loss of a model that learns from a teacher, which is opened when it is asked first and asked once for an example of a
    batch at most; with a store, once altogether. The teacher's weights, of which some may be the model's, are only read.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        settings: DistillSettings,
        plan: PruningPlan,
        open_teacher: Callable[[], Any],
        store: SoftStore | None = None,
        *,
        tell: Callable[[int, int], None] | None = None,
    ) -> None:
        """`plan`: what the model keeps of the unpruned base. `tell`: gets, when the teacher is opened, the bytes of its own weights
        and of those that are the model's.
        """
        self._student, self._settings, self._plan = _unwrap(model), settings, plan
        self._open, self._store, self._tell = open_teacher, store, tell
        self._teacher: PreTrainedModel | PeftModel | None = None

    @property
    def teacher(self) -> PreTrainedModel | PeftModel:
        """The teacher, opened if it is not yet. Nothing random of the training is used up for it."""
        if self._teacher is None:
            with torch.random.fork_rng():
                self._teacher = self._open().eval().requires_grad_(False)
            if self._tell:
                self._tell(*_count_bytes(self._teacher, self._student))
        return self._teacher

    def release(self) -> None:
        """Let go of the teacher; asked again, it is opened again."""
        self._teacher = None

    def compute(self, model: Any, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, Any]:
        """The loss of a batch, (), and the model's output; `model` is the student, as it may be wrapped.

        batch: `input_ids` and `attention_mask` (B, S), `labels` (B, T), and what else the model takes
        """
        labels, settings = batch["labels"], self._settings
        given = {name: value for name, value in batch.items() if name != "labels"}
        if given.get("decoder_input_ids") is None:
            given["decoder_input_ids"] = _shift(self._student, labels)
        soft, taught = self._ask(given, labels)
        seen: States = {}
        with _watch(self._student, {kept: kept for kept in taught}, seen):
            output = model(**given, use_cache=False)
        loss = mean_loss(output.logits, labels, weight=settings.labels, also=soft)
        if taught:
            masks = {"encoder": batch["attention_mask"].bool(), "decoder": labels != IGNORED}
            weights = masks["decoder"].sum(1)
            apart = [_measure_distance(seen[place], taught[place], masks[place[0]], weights) for place in taught]
            loss = loss + settings.hidden * torch.stack(apart).mean()
        return loss, output

    def _ask(self, given: Mapping[str, torch.Tensor], labels: torch.Tensor) -> tuple[SoftTargets | None, States]:
        """What the teacher says of a batch."""
        settings, states, soft = self._settings, States(), None
        size = self._student.get_output_embeddings().weight.shape[0]
        if self._store:
            return self._complete(self._fetch(self._store, given, labels), labels.device), states
        if settings.listens:
            logits = self._teach(given, labels, states)
            if settings.logits and settings.top and settings.top < size:
                soft = self._complete(find_likeliest(logits, settings.top, settings.temperature), labels.device)
            elif settings.logits:
                soft = SoftTargets(settings.temperature, settings.logits, logits=logits)
        return soft, states

    def _complete(self, found: Soft, device: torch.device) -> SoftTargets:
        tokens, chances, rest = (part.to(device, non_blocking=True) for part in found)
        return SoftTargets(self._settings.temperature, self._settings.logits, tokens, chances, rest)

    def _fetch(self, store: SoftStore, given: Mapping[str, torch.Tensor], labels: torch.Tensor) -> Soft:
        """What the store has, and for the others what the teacher says now, which is kept."""
        numbers = store.find({**given, "labels": labels})
        found = [store.read(number) for number in numbers]
        if missing := [place for place, kept in enumerate(found) if kept is None]:
            some = {name: value[missing] for name, value in given.items()}
            logits = self._teach(some, labels[missing], {})
            said = find_likeliest(logits, store.top, self._settings.temperature)
            counts = (labels[missing] != IGNORED).sum(1).tolist()
            for place, *soft in zip(missing, *(torch.split(part.cpu(), counts) for part in said), strict=True):
                store.write(numbers[place], (soft[0], soft[1], soft[2]))
                found[place] = soft[0], soft[1].half().float(), soft[2].half().float()  # as it will be read
        if self._teacher is not None and store.whole:
            self.release()
        parts = [kept for kept in found if kept is not None]
        return tuple(torch.cat([part[kind] for part in parts]) for kind in range(3))  # type: ignore[return-value]

    @torch.no_grad()
    def _teach(self, given: Mapping[str, torch.Tensor], labels: torch.Tensor, states: States) -> Any:
        """The teacher's logits for the targets' tokens, (n, V), as a promise; its states, if they are learnt, go into `states`."""
        teacher = self.teacher
        head = _unwrap(teacher).get_output_embeddings()
        places = self._find_places() if self._settings.hidden else {}
        with ExitStack() as stack:
            stack.enter_context(_watch(_unwrap(teacher), places, states))
            if type(head) is nn.Linear:
                stack.enter_context(replace_forward(head, lambda hidden: Logits(hidden, head.weight, head.bias)))
            logits = teacher(**given, use_cache=False).logits
        return choose_rows(logits, labels != IGNORED)

    def _find_places(self) -> dict[tuple[str, int], tuple[str, int]]:
        """For every layer of the student the teacher's behind which it should have the same states: the last before the next one
        that is kept, for what is kept was trained to go on from there.
        """
        places = {}
        for stack, kept in self._plan.layers.items():
            for number, after in enumerate((*kept[1:], self._plan.depths[stack])):
                places[stack, number] = stack, after - 1
        return places


@contextmanager
def _watch(model: Any, places: Mapping[tuple[str, int], tuple[str, int]], states: States) -> Iterator[None]:
    """Inside, the states behind layers go into `states`: for every place there, those behind the model's layer that it names."""
    stacks = {stack.name: stack for stack in find_family(model.config).stacks} if places else {}
    with ExitStack() as hooks:
        for place, (stack, number) in places.items():

            def take(module: nn.Module, _: Any, output: Any, place: tuple[str, int] = place) -> None:
                states[place] = find_states(output)

            hooks.callback(find_layers(model, stacks[stack])[number].register_forward_hook(take).remove)
        yield


def _measure_distance(states: torch.Tensor, wanted: torch.Tensor, mask: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The square of the distance of states, as a part of the wanted ones' square: the mean over an example's tokens, and that over
    the examples, which count by their targets' tokens. states, wanted: (B, T, D), mask: (B, T), weights: (B,)
    """
    tokens = mask.shape[1]  # LED pads its states to windows
    own, aim = states[:, :tokens].float(), wanted[:, :tokens].float()
    far = (own - aim).square().mean(-1) / aim.square().mean(-1).clamp_min(LEAST)
    of_example = (far * mask).sum(1) / mask.sum(1).clamp_min(1)
    return (of_example * weights).sum() / weights.sum()


def _shift(model: Any, labels: torch.Tensor) -> torch.Tensor:
    """What the decoder is given for the targets; some families have no way of their own."""
    own = getattr(model, "prepare_decoder_input_ids_from_labels", None)
    config = model.config
    return own(labels=labels) if own else shift_tokens_right(labels, config.pad_token_id, config.decoder_start_token_id)


def _unwrap(model: Any) -> Any:
    return model.get_base_model() if isinstance(model, PeftModel) else model


def _count_bytes(teacher: PreTrainedModel | PeftModel, model: PreTrainedModel | PeftModel) -> tuple[int, int]:
    """The bytes of a teacher's weights that are not the model's, and of those that are."""
    own = {parameter.data_ptr() for parameter in model.parameters()}
    added = shared = 0
    for parameter in teacher.parameters():
        if parameter.data_ptr() in own:
            shared += parameter.nbytes
        else:
            added += parameter.nbytes
    return added, shared
