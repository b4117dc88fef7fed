"""Answers that are spans of a text: where they are, and every window of the text as an encoder learns it."""

from collections.abc import Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from pareft.errors import DataError
from pareft.frames import pl
from pareft.settings import list_answers
from pareft.token_ids import Windows, cut_windows

AT_A_TIME = 256  # texts that are cut, and held in memory, together
NOWHERE = -1  # where an answer starts that there is none of


def locate_answers(frame: pl.DataFrame, *, where: str) -> pl.DataFrame:
    """The frame with the column `start`: at which character of its text (`pair`) the first answer is, as the data say or else where
    it is first found; `NOWHERE` of an empty one.

    Raises:
        DataError: a text does not hold its answer.
    """
    said = frame["start"] if "start" in frame.columns else [NOWHERE] * frame.height
    starts = []
    for place, (text, target, start) in enumerate(zip(frame["pair"], frame["target"], said, strict=True)):
        answer = list_answers(target)[0]
        found = start if start >= 0 and text.startswith(answer, start) else text.find(answer)
        if found < 0:
            raise DataError(f"{where}: the text of training example {place} does not hold its answer, letter by letter")
        starts.append(found if answer else NOWHERE)
    return frame.with_columns(start=pl.Series(starts, dtype=pl.Int64))


def count_windows(frame: pl.DataFrame, tokenizer: PreTrainedTokenizerBase, *, prefix: str, max_tokens: int) -> int:
    """How many windows the texts of a frame have."""
    count = 0
    for part in frame.iter_slices(AT_A_TIME):
        asked = [prefix + question for question in part["source"]]
        count += len(cut_windows(asked, part["pair"].to_list(), tokenizer, max_tokens=max_tokens).owners)
    return count


def encode_spans(
    rows: Mapping[str, Sequence[Any]], questions: Sequence[str], tokenizer: PreTrainedTokenizerBase, *, max_tokens: int
) -> dict[str, list[Any]]:
    """Every window of every row's text behind its question, with `start_positions` and `end_positions`: of the answer's first and
    last token, or of the window's first token where the answer is not in it as a whole, or there is none.
    """
    windows = cut_windows(questions, rows["pair"], tokenizer, max_tokens=max_tokens)
    found = [
        _find_tokens(windows, number, rows["start"][owner], len(list_answers(rows["target"][owner])[0]))
        for number, owner in enumerate(windows.owners)
    ]
    return windows.inputs | {"start_positions": [start for start, _ in found], "end_positions": [end for _, end in found]}


def _find_tokens(windows: Windows, number: int, start: int, length: int) -> tuple[int, int]:
    tokens = [
        place
        for place, letters in enumerate(windows.letters[number])
        if letters and letters[0] < start + length and letters[1] > start
    ]
    whole = tokens and windows.reaches(number, start) and windows.reaches(number, start + length - 1)
    return (tokens[0], tokens[-1]) if start >= 0 and whole else (0, 0)
