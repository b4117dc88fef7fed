"""Tasks whose targets are labels, numbers or options: which there are, and targets as a classifier learns them."""

import math
from collections.abc import Mapping, Sequence

from pareft.errors import DataError
from pareft.frames import pl
from pareft.settings import EITHER, list_answers

Labels = tuple[str, ...]  # a classifier's, in the order of its outputs; none for one number
MOST = 1000  # labels; more are texts
SHOWN, SHORT = 20, 20  # of no more labels, none of which has more characters, one is told: others may be a patient's text


def find_labels(splits: Mapping[str, pl.DataFrame], *, where: str) -> Labels:
    """The labels of the training split, numbers by size and names by the alphabet.

    Raises:
        DataError: one alone, too many, or a label of another split that is not among them.
    """
    found = splits["train"]["target"].unique().to_list()
    if not 2 <= len(found) <= MOST:
        raise DataError(f"{where} has {len(found)} different values in the training split; a task of labels has 2 to {MOST}")
    labels = tuple(
        sorted(
            found, key=lambda label: (not label.lstrip("-").isdecimal(), int(label) if label.lstrip("-").isdecimal() else 0, label)
        )
    )
    known = set(labels)
    for name, frame in splits.items():
        place = next((place for place, target in enumerate(frame["target"]) if target not in known), None)
        if place is not None:
            raise DataError(
                f"{where}: {_describe(frame['target'][place], labels)} of example {place} of the {name} split is none that a "
                f"training example has; there are {len(labels)}{_list(labels)}"
            )
    return labels


def _describe(label: str, labels: Labels) -> str:
    return f"the label {label!r}" if _are_short((*labels, label)) else "the label"


def _list(labels: Labels) -> str:
    return f": {', '.join(labels)}" if _are_short(labels) else ""


def _are_short(labels: Labels) -> bool:
    return len(labels) <= SHOWN + 1 and max(map(len, labels)) <= SHORT


def check_numbers(splits: Mapping[str, pl.DataFrame], *, where: str) -> None:
    """Raise `DataError` if a target is no number."""
    for name, frame in splits.items():
        numbers = frame["target"].str.strip_chars().cast(pl.Float64, strict=False)
        place = (numbers.is_null() | ~numbers.is_finite()).arg_max()
        if place is not None and (numbers[place] is None or not math.isfinite(numbers[place])):
            raise DataError(f"{where}: the target of example {place} of the {name} split is no number, and data.task is regression")


def name_options(splits: Mapping[str, pl.DataFrame], *, where: str) -> dict[str, pl.DataFrame]:
    """The splits with the right option as every target: targets are texts if all of them are among their options, else those that
    are numbers count options from 0. Examples with fewer options than others of their split have empty ones besides, which are
    never right.

    Raises:
        DataError: fewer than two options, or a target that is none of them.
    """
    found, by_text = {}, all(map(_are_texts, splits.values()))
    for name, frame in splits.items():
        most = int(frame["options"].list.len().max() or 0)
        targets, options = [], []
        for place, (target, given) in enumerate(zip(frame["target"], frame["options"].to_list(), strict=True)):
            texts = ["" if option is None else str(option) for option in given or ()]
            told = sum(bool(text.strip()) for text in texts)
            number = find_right(target, texts) if by_text or not target.isdecimal() else int(target)
            if told < 2 or not 0 <= number < len(texts) or not texts[number].strip():
                raise DataError(
                    f"{where}: the target of example {place} of the {name} split is none of its {told} options, of which "
                    "there are to be two at least"
                )
            targets.append(target if EITHER in target else texts[number])
            options.append(texts + [""] * (most - len(texts)))
        found[name] = frame.with_columns(target=pl.Series(targets), options=pl.Series(options, dtype=pl.List(pl.String)))
    return found


def _are_texts(frame: pl.DataFrame) -> bool:
    """Whether every target, or one of several, is an option as it is written."""
    return all(
        any(answer in (given or ()) for answer in list_answers(target))
        for target, given in zip(frame["target"], frame["options"].to_list(), strict=True)
    )


def find_right(target: str, options: Sequence[str]) -> int:
    """The place of the option that is the target, or one of several, given as texts, or as a number from 0; -1 if none is."""
    right = next((answer for answer in list_answers(target) if answer in options), None)
    if right is not None:
        return list(options).index(right)
    return int(target) if target.isdecimal() else -1


def as_learnt(targets: Sequence[str], labels: Labels) -> list[int] | list[float]:
    """The number of every label, or, without labels, the numbers themselves."""
    if not labels:
        return [float(target) for target in targets]
    numbers = {label: number for number, label in enumerate(labels)}
    return [numbers[target] for target in targets]
