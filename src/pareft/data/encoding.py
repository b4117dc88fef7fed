"""Text to token ids, as `datasets` tables that the trainer takes."""

import shutil
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import polars as pl
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from pareft.data.tasks import Labels, as_learnt
from pareft.errors import DataError
from pareft.runtime import find_processes

AT_A_TIME = 256  # rows that are encoded, and held in memory, together


def encode(
    frame: pl.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    *,
    prefix: str,
    max_source_tokens: int,
    max_target_tokens: int,
    labels: Labels | None = None,
    file: Path | None = None,
) -> Dataset:
    """`input_ids`, `attention_mask` and `labels` of every row, truncated, not padded: in a file, mapped into memory, or without
    one, in memory. Of several processes, the first writes. With `labels`, targets are what a classifier learns; where a source is
    two texts and the tokenizer tells them apart, `token_type_ids` do. Of a source with options there is a list for each, and the
    target is the right one's number.
    """
    columns = [column for column in ("source", "pair", "options", "target") if column in frame.columns]

    def encode_rows(rows: Mapping[str, list[Any]]) -> Mapping[str, Any]:
        if "options" in rows:
            learnt = [options.index(target) for options, target in zip(rows["options"], rows["target"], strict=True)]
            return encode_options([prefix + text for text in rows["source"]], rows["options"], tokenizer, max_source_tokens) | {
                "labels": learnt
            }
        pairs = rows.get("pair")
        sources = tokenizer([prefix + text for text in rows["source"]], pairs, truncation=True, max_length=max_source_tokens)
        if labels is None:
            learnt = tokenizer(text_target=rows["target"], truncation=True, max_length=max_target_tokens)["input_ids"]
        else:
            learnt = as_learnt(rows["target"], labels)
        types = {"token_type_ids": sources["token_type_ids"]} if pairs and "token_type_ids" in sources else {}
        return {"input_ids": sources["input_ids"], "attention_mask": sources["attention_mask"], **types, "labels": learnt}

    def encode_all(**where: Any) -> Dataset:
        table = Dataset.from_polars(frame.select(columns))
        return table.map(
            encode_rows, batched=True, batch_size=AT_A_TIME, remove_columns=columns, new_fingerprint="encoded", **where
        )

    if file is None:
        return encode_all(keep_in_memory=True)
    processes = find_processes()
    if processes.first:
        shutil.rmtree(file.parent, ignore_errors=True)
        file.parent.mkdir(parents=True, mode=0o700)  # from ids, text can be read
        encode_all(cache_file_name=str(file))
    processes.wait()
    return Dataset.from_file(str(file))


def encode_options(
    sources: Sequence[str], options: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase, max_tokens: int
) -> dict[str, list[list[list[int]]]]:
    """Every source with each of its options, as two texts: a list of lists of ids, masks and, where there are such, types."""
    firsts = [source for source, found in zip(sources, options, strict=True) for _ in found]
    seconds = [option for found in options for option in found]
    flat = tokenizer(firsts, seconds, truncation=True, max_length=max_tokens)
    ends = list(accumulate(len(found) for found in options))
    return {
        name: [flat[name][start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]
        for name in ("input_ids", "attention_mask", "token_type_ids")
        if name in flat
    }


def check_lengths(lengths: Mapping[str, int], positions: int | None, *, least: int = 0) -> None:
    """Raise `DataError` when one of the named lengths is more tokens than the base has positions (T5 has no limit: `None`), or one
    of a source not more than the special tokens it has, `least`.
    """
    for key, tokens in lengths.items():
        if "source" in key and tokens <= least:
            raise DataError(f"{key} is {tokens}; a source has {least} special tokens, so that {least + 1} is the least")
        if positions is not None and tokens > positions:
            raise DataError(f"{key} is {tokens}; the base has {positions} positions. Lower it to {positions}.")
