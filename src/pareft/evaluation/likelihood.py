"""One of a source's options for every source, by a model that writes: the one that it would most likely write."""

from collections.abc import Mapping, Sequence

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.evaluation.classifying import compute_logits, part_options, pick_options
from pareft.evaluation.generation import Batch, group_by_length
from pareft.token_ids import IGNORED, answer_sources, continue_sources

AT_A_TIME = 2**26  # logits that are held together


@torch.inference_mode()
def choose_by_likelihood(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Batch,
    *,
    max_source_tokens: int,
    max_target_tokens: int,
    batch_tokens: int,
) -> list[str]:
    """The likeliest option of every source, by the sum of its tokens' log-probabilities, its end among them; of equals the first.
    Empty options only fill up. No more than `batch_tokens` are computed together, unless one source with an option alone has more.

    Raises:
        ModelError: the model computes NaN.
    """
    parted = part_options(batch)
    sources = [source for source, options in parted for _ in options]
    texts = [option for _, options in parted for option in options]
    encode = answer_sources if model.config.is_encoder_decoder else continue_sources
    rows = encode(sources, texts, tokenizer, max_source_tokens=max_source_tokens, max_target_tokens=max_target_tokens)
    return pick_options(parted, _measure(model, rows, batch_tokens))


def _measure(model: PreTrainedModel, rows: Mapping[str, Sequence[Sequence[int]]], batch_tokens: int) -> list[float]:
    """The log-probability of every row's labels, rows of similar length together."""
    lengths = [len(ids) + len(labels) for ids, labels in zip(rows["input_ids"], rows["labels"], strict=True)]
    logits = max(map(len, rows["labels"])) * model.config.get_text_config().vocab_size  # of a row at most
    values = [0.0] * len(lengths)
    for together in group_by_length(lengths, tokens=batch_tokens, most=max(1, AT_A_TIME // logits)):
        batch = {
            name: pad_sequence([torch.tensor(found[row]) for row in together], batch_first=True, padding_value=_PADDING[name])
            for name, found in rows.items()
        }
        for row, value in zip(together, _sum_labels(model, batch), strict=True):
            values[row] = value
    return values


_PADDING = {"input_ids": 0, "attention_mask": 0, "labels": IGNORED}


def _sum_labels(model: PreTrainedModel, batch: Mapping[str, torch.Tensor]) -> list[float]:
    """The log-probability of the labels of every row. A decoder's logits are of the token that comes next."""
    inputs = {name: value.to(model.device) for name, value in batch.items()}
    labels = inputs["labels"]
    if model.config.is_encoder_decoder:
        logits = compute_logits(model, inputs)  # (B, T, V)
    else:
        del inputs["labels"]
        logits, labels = compute_logits(model, inputs)[:, :-1], labels[:, 1:]
    there = labels != IGNORED
    chances = logits.log_softmax(-1).gather(-1, labels.where(there, 0)[..., None])[..., 0]
    return (chances * there).sum(1).tolist()
