"""The part of a text that answers a question, for every one, by an encoder that says where answers start and end."""

from collections.abc import Mapping

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from pareft.evaluation.classifying import check_finite, part_texts
from pareft.evaluation.generation import MULTIPLE, Batch, group_by_length
from pareft.token_ids import cut_windows


@torch.inference_mode()
def answer_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    batch: Batch,
    *,
    max_source_tokens: int,
    max_answer_tokens: int,
    unanswerable: bool,
    batch_tokens: int,
) -> list[str]:
    """The likeliest span of every question's text over all its windows, by the sum of the logits of its start and its end, of no
    more than so many tokens. Where questions may have no answer, there is none if the first token of every window is likelier. No
    more than `batch_tokens` are computed together, unless one window alone has more.

    Raises:
        ModelError: the model computes NaN.
    """
    parted = part_texts(batch)
    questions, texts = [question for question, _ in parted], [text for _, (text, *_) in parted]
    windows = cut_windows(questions, texts, tokenizer, max_tokens=max_source_tokens)
    best: list[tuple[float, str]] = [(-float("inf"), "")] * len(parted)
    none = [float("inf")] * len(parted)
    for together in group_by_length(list(map(len, windows.inputs["input_ids"])), tokens=batch_tokens):
        some = {name: [rows[number] for number in together] for name, rows in windows.inputs.items()}
        padded = tokenizer.pad(some, pad_to_multiple_of=MULTIPLE, return_tensors="pt").to(model.device)
        for number, starts, ends in zip(together, *_compute(model, padded), strict=True):
            owner = windows.owners[number]
            none[owner] = min(none[owner], float(starts[0] + ends[0]))
            within = {place: span for place, span in enumerate(windows.letters[number]) if span}  # the tokens of the text
            if within:
                places, spans = list(within), list(within.values())
                value, start, end = _find_best(starts[places], ends[places], most=max_answer_tokens)
                if value > best[owner][0]:
                    best[owner] = value, texts[owner][spans[start][0] : spans[end][1]].strip()
    return ["" if unanswerable and none[owner] > value else text for owner, (value, text) in enumerate(best)]


def _compute(model: PreTrainedModel, inputs: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """The logits of starts and of ends, (windows, tokens) each."""
    outputs = model(**inputs)
    starts, ends = outputs.start_logits.float().cpu(), outputs.end_logits.float().cpu()
    return check_finite(starts), check_finite(ends)


def _find_best(starts: torch.Tensor, ends: torch.Tensor, *, most: int) -> tuple[float, int, int]:
    """The value, the first and the last place of the best span of at most `most` tokens; (T,) each."""
    values = starts[:, None] + ends[None, :]
    allowed = torch.ones_like(values, dtype=torch.bool).triu().tril(most - 1)
    place = int(values.masked_fill(~allowed, -float("inf")).argmax())
    start, end = divmod(place, len(ends))
    return float(values[start, end]), start, end
