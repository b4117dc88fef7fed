"""What an adapter begins with where data must say it: shown some examples before it is trained."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from datasets import Dataset
from peft import PeftModel
from peft.tuners.lora import initialize_lora_eva_weights
from peft.utils.incremental_pca import IncrementalPCA
from torch.utils.data import DataLoader
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, PreTrainedTokenizerBase

from pareft.adapter_settings import LoraSettings
from pareft.errors import AdapterError
from pareft.models.checkpoint import Base
from pareft.models.families import find_family
from pareft.models.plan import PruningPlan
from pareft.records import StartRecord
from pareft.runtime import Precision, autocast
from pareft.token_ids import IGNORED
from pareft.tuning.gaps import EVERY, bridge, list_gaps
from pareft.tuning.prefix.entering import evaluating
from pareft.tuning.teacher import open_whole

LEAST = 0.25  # of a start that is kept
AT_ONCE = 8  # examples, however many a step of training has: what is found must not depend on how a batch is cut
PADDED = ("led", "longt5")

Batch = Mapping[str, torch.Tensor]


def begin(
    model: PreTrainedModel | PeftModel,
    settings: LoraSettings,
    examples: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    base: Base,
    plan: PruningPlan,
    precision: Precision,
) -> StartRecord | None:
    """Give a new adapter what its start asks for, from examples that lie evenly in the data. In place; `None` where it asks for no
    data, or no layer was dropped. A start `gap` that makes the model worse on some of the examples, which it was not found on, is
    halved, and given up after the third time.

    Raises:
        AdapterError: too few examples for the rank; a gap that no adapter is before.
    """
    bridging = settings.start == "gap" and bool(list_gaps(plan))
    if not isinstance(model, PeftModel) or not (settings.start == "eva" or bridging):
        return None
    batches: list[Batch] = [
        {key: value.to(model.device) for key, value in batch.items()}
        for batch in draw_batches(examples, tokenizer, count=settings.start_examples, batch_size=AT_ONCE)
    ]
    with evaluating(model):
        if bridging:
            return _start_gap(model, batches, base, plan, precision)
        _check_eva(model, batches)
        try:
            with autocast(precision), _decompose_in_full():
                _start_eva(model, batches)
        except (ValueError, IndexError) as error:
            raise AdapterError(
                f"adapt.start: eva finds no components in {settings.start_examples} examples ({str(error).splitlines()[0][:200]}); "
                "raise adapt.start_examples, lower adapt.rank, or start with zero"
            ) from error
        return None


def _start_gap(model: PeftModel, batches: list[Batch], base: Base, plan: PruningPlan, precision: Precision) -> StartRecord:
    """Bridge the gaps, and make sure that the model is not worse for it."""
    if len(batches) < 2:
        raise AdapterError("adapt.start: gap has one batch of examples, and needs others to check on; raise adapt.start_examples")
    held = batches[::EVERY]
    first = {name: parameter.clone() for name, parameter in model.named_parameters() if parameter.requires_grad}
    whole = open_whole(model, base, plan)
    wanted, before = (_measure_loss(either, held, precision) for either in (whole, model))
    bridged = bridge(model, whole, plan, batches, precision=precision)
    del whole
    found = {name: parameter.clone() for name, parameter in model.named_parameters() if parameter.requires_grad}
    after, share = _measure_loss(model, held, precision), 1.0
    while share and not after <= before:  # or is no number
        share = share / 2 if share > LEAST else 0.0
        for name, parameter in model.named_parameters():
            if name in found and not share:
                parameter.copy_(first[name])
            elif name in found and ".lora_A." not in name:
                parameter.copy_(first[name] + share * (found[name] - first[name]))
        after = _measure_loss(model, held, precision) if share else before
    return StartRecord(
        examples=sum(len(batch["labels"]) for batch in batches),
        share=share,
        loss_of_base=round(wanted, 4),
        loss_before=round(before, 4),
        loss_after=round(after, 4),
        explained={f"{found.gap.stack} {found.gap.before}": round(found.explained, 4) for found in bridged},
    )


def _measure_loss(model: Any, batches: Iterable[Batch], precision: Precision) -> float:
    """The mean loss of a target's token."""
    total, count = 0.0, 0
    for batch in batches:
        tokens = int((batch["labels"] != IGNORED).sum())
        with autocast(precision):
            total += float(model(**batch).loss) * tokens
        count += tokens
    return total / max(1, count)


def draw_batches(examples: Dataset, tokenizer: PreTrainedTokenizerBase, *, count: int, batch_size: int) -> Iterable[Batch]:
    """Padded batches of `count` examples that lie evenly in the data, or of all."""
    chosen = examples.select(spread(len(examples), count))
    return DataLoader(chosen, batch_size=batch_size, collate_fn=DataCollatorForSeq2Seq(tokenizer))


def spread(total: int, count: int) -> list[int]:
    """`count` places that lie evenly in so many, or all of them."""
    few = min(count, total)
    return [place * total // few for place in range(few)]


def _start_eva(model: PeftModel, batches: list[Batch]) -> None:
    """First matrices of the principal components of what comes into every module (EVA, arXiv 2410.07170), padding left out."""
    family = find_family(model.config)

    def read(states: Any, masks: tuple[torch.Tensor, torch.Tensor], name: str) -> torch.Tensor:
        values = states[0] if isinstance(states, tuple) else states
        place = family.locate(name.removeprefix("base_model.model."))
        sources, targets = masks
        of_targets = place is not None and place.stack.name == "decoder" and values.shape[1] == targets.shape[1]
        return values[(targets if of_targets else sources).to(values.device)]

    initialize_lora_eva_weights(
        model,
        list(_tell_apart(batches)),
        prepare_model_inputs_fn=lambda batch, _: (batch["attention_mask"].bool(), batch["labels"] != IGNORED),
        prepare_layer_inputs_fn=read,
        adapter_name=model.active_adapter,
        show_progress_bar=False,
    )


@contextmanager
def _decompose_in_full() -> Iterator[None]:
    """Peft finds components within the model's pass, and so within its autocast, in which not every device can decompose."""
    plain = IncrementalPCA.partial_fit

    def fit(self: IncrementalPCA, states: torch.Tensor, *args: Any, **options: Any) -> Any:
        with torch.autocast(states.device.type, enabled=False):
            return plain(self, states, *args, **options)

    IncrementalPCA.partial_fit = fit
    try:
        yield
    finally:
        IncrementalPCA.partial_fit = plain


def _check_eva(model: PeftModel, batches: Iterable[Batch]) -> None:
    """Raise `AdapterError` where peft would wait for a batch of enough tokens for ever, or could not tell padding."""
    kind = model.config.model_type
    if kind in PADDED:
        raise AdapterError(f"adapt.start: eva does not go with a {kind}, which pads its states to windows; start with zero")
    rank = max(rank for layer in model.modules() for rank in getattr(layer, "r", {}).values() if isinstance(rank, int))
    sources = max(int(batch["attention_mask"].sum()) for batch in batches)
    most = min(sources, max(int((batch["labels"] != IGNORED).sum()) for batch in batches))
    if most < rank:
        raise AdapterError(
            f"adapt.start: eva needs a batch of {rank} tokens, the rank, and none has more than {most}; lower adapt.rank, "
            "or start with zero"
        )


def _tell_apart(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Batches whose targets are longer or shorter than their sources, by one token of padding."""
    for batch in batches:
        if batch["input_ids"].shape[1] == batch["labels"].shape[1]:
            added = torch.nn.functional.pad(batch["labels"], (0, 1), value=IGNORED)
            batch = {**{key: value for key, value in batch.items() if key != "decoder_input_ids"}, "labels": added}
        yield batch
