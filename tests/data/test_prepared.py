"""Splits: the paper's rule, no patient on both sides, and digests that do not depend on how examples are held."""

import random
from collections import Counter
from itertools import chain

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pareft.data.batches import digest_pair
from pareft.data.prepared import assign_splits, digest_frames, digest_splits, find_first, split_keys
from pareft.errors import DataError


def split_as_the_release(*sizes, seed=42):
    """Its second script, told plainly: one stream of random numbers for all sets, the last tenth test, the one before it eval."""
    random.seed(seed)
    for size in sizes:
        order = list(range(size))
        random.shuffle(order)
        tenth = round(size * 0.1)
        yield sorted(order[: -2 * tenth]), sorted(order[-2 * tenth : -tenth]), sorted(order[-tenth:])


@pytest.mark.parametrize(("discharge", "radiology"), [(25, 95), (1004, 333), (6, 5000)])
def test_splits_are_the_papers_and_radiology_continues_the_stream(discharge, radiology):
    first, second = split_as_the_release(discharge, radiology)
    assert list_parts(discharge) == first
    assert list_parts(radiology, shuffled_before=discharge) == second
    assert list_parts(radiology) != second


def list_parts(count, **options):
    return tuple(part.tolist() for part in split_keys(count, seed=42, **options).values())


def test_sizes_are_those_of_table_1():
    """254K / 31K / 31K discharge pairs and 1.2M / 0.15M / 0.15M radiology pairs are eight, one and one tenths."""
    sizes = [len(part) for part in split_keys(317_000, seed=42).values()]
    assert [size // 1000 for size in sizes] == [253, 31, 31]


def test_too_few_for_three_splits():
    with pytest.raises(DataError, match="3 is the least"):
        split_keys(2, seed=0)


@pytest.mark.parametrize("count", [3, 10, 99, 1000])
def test_every_row_is_in_one_split(count):
    parts = split_keys(count, seed=0)
    assert sorted(chain(*parts.values())) == list(range(count))
    assert all(len(part) for part in parts.values())


@given(st.lists(st.integers(0, 12), min_size=1), st.integers(0, 5))
def test_no_patient_is_in_two_splits(groups, seed):
    if len(set(groups)) < 3:
        return
    codes = assign_splits(np.array(groups), by="patient", seed=seed)
    assert len(set(zip(groups, codes.tolist(), strict=True))) == len(set(groups))
    first_seen = list(dict.fromkeys(groups))
    for code, keys in enumerate(split_keys(len(first_seen), seed=seed).values()):
        assert {group for group, own in zip(groups, codes.tolist(), strict=True) if own == code} == {
            first_seen[key] for key in keys
        }


def test_by_report_a_patient_is_in_several():
    groups = np.array([number // 3 for number in range(300)])
    codes = assign_splits(groups, by="report", seed=1)
    assert max(Counter(group for group, _ in set(zip(groups.tolist(), codes.tolist(), strict=True))).values()) > 1


@given(st.lists(st.integers(0, 9)))
def test_the_first_of_equal_pairs_is_found(numbers):
    digests = np.frombuffer(b"".join(digest_pair(str(number), "") for number in numbers), dtype=np.uint8).reshape(-1, 16)
    assert find_first(digests).tolist() == [number not in numbers[:place] for place, number in enumerate(numbers)]


def test_a_digest_is_of_the_examples_and_their_splits():
    rows = {"train": [("a", "b"), ("c", "d")], "test": [("e", "f")]}
    frames = {name: pl.DataFrame(pairs, schema=["source", "target"], orient="row") for name, pairs in rows.items()}
    assert digest_frames(frames) == digest_splits({name: b"".join(digest_pair(*pair) for pair in rows[name]) for name in rows})
    assert digest_frames(frames) == digest_frames(dict(reversed(frames.items())))
    moved = {"train": frames["train"].head(1), "test": pl.concat([frames["train"].tail(1), frames["test"]])}
    assert digest_frames(moved) != digest_frames(frames)
    assert digest_pair("ab", "c") != digest_pair("a", "bc")
