"""What an adapter begins with where data must say it: shown some examples before it is trained."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel
from peft.tuners.lora import initialize_lora_eva_weights
from torch.utils.data import DataLoader
from transformers import DataCollatorForSeq2Seq, PreTrainedModel, PreTrainedTokenizerBase

from pareft.errors import AdapterError
from pareft.models.families import find_family
from pareft.runtime import Precision, autocast
from pareft.tuning.fast.batches import IGNORED

Batch = Mapping[str, torch.Tensor]


def begin(
    model: PreTrainedModel | PeftModel,
    examples: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    *,
    count: int,
    batch_size: int,
    precision: Precision,
) -> None:
    """Give a new adapter what its start asks for, from `count` examples that lie evenly in the data. In place; a model whose
    adapter starts without data stays as it is.

    Raises:
        AdapterError: too few examples for the rank.
    """
    if not isinstance(model, PeftModel):
        return
    config = model.peft_config[model.active_adapter]
    if not isinstance(config, LoraConfig) or config.init_lora_weights != "eva":
        return
    batches = draw_batches(examples, tokenizer, count=count, batch_size=batch_size)
    was = model.training
    try:
        with autocast(precision):
            _start_eva(model.eval(), [{key: value.to(model.device) for key, value in batch.items()} for batch in batches])
    except ValueError as error:
        raise AdapterError(
            f"adapt.start: eva finds no components in {count} examples ({str(error).splitlines()[0][:200]}); raise "
            "adapt.start_examples, lower adapt.rank, or start with zero"
        ) from error
    finally:
        model.train(was)


def draw_batches(examples: Dataset, tokenizer: PreTrainedTokenizerBase, *, count: int, batch_size: int) -> Iterable[Batch]:
    """Padded batches of `count` examples that lie evenly in the data, or of all."""
    few = min(count, len(examples))
    chosen = examples.select([place * len(examples) // few for place in range(few)])
    return DataLoader(chosen, batch_size=batch_size, collate_fn=DataCollatorForSeq2Seq(tokenizer))


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


def _tell_apart(batches: Iterable[Batch]) -> Iterator[Batch]:
    """Batches whose targets are longer or shorter than their sources, by one token of padding."""
    for batch in batches:
        if batch["input_ids"].shape[1] == batch["labels"].shape[1]:
            added = torch.nn.functional.pad(batch["labels"], (0, 1), value=IGNORED)
            batch = {**{key: value for key, value in batch.items() if key != "decoder_input_ids"}, "labels": added}
        yield batch
