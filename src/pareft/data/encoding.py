"""Text to token ids, as `datasets` tables that the trainer takes."""

import shutil
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from pareft.data.spans import encode_spans
from pareft.data.tasks import Labels, as_learnt, find_right
from pareft.errors import DataError
from pareft.frames import pl
from pareft.runtime import find_processes
from pareft.token_ids import answer_sources, continue_sources, pair_options

AT_A_TIME = 256  # rows that are encoded, and held in memory, together


def encode(
    frame: pl.DataFrame,
    tokenizer: PreTrainedTokenizerBase,
    *,
    prefix: str,
    max_source_tokens: int,
    max_target_tokens: int,
    labels: Labels | None = None,
    continues: bool = False,
    file: Path | None = None,
) -> Dataset:
    """`input_ids`, `attention_mask` and `labels` of every row, truncated, not padded: in a file, mapped into memory, or without
    one, in memory. Of several processes, the first writes. With `labels`, targets are what a classifier learns; where a source is
    two texts and the tokenizer tells them apart, `token_type_ids` do. Of a source with options there is a list for each, and the
    target is the right one's number. `continues`: targets go on from their sources, for a decoder. Where `start` says at which
    character of its second text a target is, there is a row for every window of that (`encode_spans`).
    """
    columns = [column for column in ("source", "pair", "options", "target", "start") if column in frame.columns]

    def encode_rows(rows: Mapping[str, list[Any]]) -> Mapping[str, Any]:
        if "options" in rows:
            right = [find_right(target, options) for options, target in zip(rows["options"], rows["target"], strict=True)]
            return encode_options([prefix + text for text in rows["source"]], rows["options"], tokenizer, max_source_tokens) | {
                "labels": right
            }
        pairs, sources = rows.get("pair"), [prefix + text for text in rows["source"]]
        if "start" in rows:
            return encode_spans(rows, sources, tokenizer, max_tokens=max_source_tokens)
        if labels is None:
            lengths = {"max_source_tokens": max_source_tokens, "max_target_tokens": max_target_tokens}
            if continues:
                return continue_sources(sources, rows["target"], tokenizer, **lengths)
            return answer_sources(sources, rows["target"], tokenizer, **lengths, pairs=pairs)
        read = tokenizer(sources, pairs, truncation=True, max_length=max_source_tokens)
        types = {"token_type_ids": read["token_type_ids"]} if pairs and "token_type_ids" in read else {}
        learnt = as_learnt(rows["target"], labels)
        return {"input_ids": read["input_ids"], "attention_mask": read["attention_mask"], **types, "labels": learnt}

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
    flat = pair_options(sources, options, tokenizer, max_tokens=max_tokens)
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
