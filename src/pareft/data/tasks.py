"""Tasks whose targets are labels or numbers: what labels there are, and targets as a classifier learns them."""

from collections.abc import Mapping, Sequence

import polars as pl

from pareft.errors import DataError

Labels = tuple[str, ...]  # a classifier's, in the order of its outputs; none for one number
MOST = 1000  # labels; more are texts


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
    for name, frame in splits.items():
        if unknown := sorted(set(frame["target"]) - set(labels)):
            raise DataError(
                f"{where}: the {name} split has the label {unknown[0]!r}, which no training example has ({', '.join(labels[:20])})"
            )
    return labels


def check_numbers(splits: Mapping[str, pl.DataFrame], *, where: str) -> None:
    """Raise `DataError` if a target is no number."""
    for name, frame in splits.items():
        numbers = frame["target"].str.strip_chars().cast(pl.Float64, strict=False)
        if (missing := frame.filter(numbers.is_null() | ~numbers.is_finite())).height:
            raise DataError(f"{where}: {missing['target'][0]!r} of the {name} split is no number, and data.task is regression")


def as_learnt(targets: Sequence[str], labels: Labels) -> list[int] | list[float]:
    """The number of every label, or, without labels, the numbers themselves."""
    if not labels:
        return [float(target) for target in targets]
    numbers = {label: number for number, label in enumerate(labels)}
    return [numbers[target] for target in targets]
