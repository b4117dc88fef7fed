"""Text to token ids, as `datasets` tables that the trainer takes."""

from collections.abc import Mapping

import polars as pl
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from pareft.errors import DataError


def encode(
    frame: pl.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    *,
    prefix: str,
    max_source_tokens: int,
    max_target_tokens: int,
) -> Dataset:
    """`input_ids`, `attention_mask` and `labels` of every row, truncated, not padded."""

    def encode_rows(rows: Mapping[str, list[str]]) -> Mapping[str, list[list[int]]]:
        sources = tokenizer([prefix + text for text in rows["source"]], truncation=True, max_length=max_source_tokens)
        targets = tokenizer(text_target=rows["target"], truncation=True, max_length=max_target_tokens)
        return {
            "input_ids": sources["input_ids"],
            "attention_mask": sources["attention_mask"],
            "labels": targets["input_ids"],
        }

    table = Dataset.from_dict(frame.select("source", "target").to_dict(as_series=False))
    return table.map(encode_rows, batched=True, remove_columns=["source", "target"])


def check_lengths(max_source_tokens: int, positions: int | None) -> None:
    """Raise `DataError` when sources may be longer than the base has positions (T5 has no limit: `None`)."""
    if positions is not None and max_source_tokens > positions:
        raise DataError(
            f"data.max_source_tokens is {max_source_tokens}; the base has {positions} positions. Lower it to {positions}."
        )
