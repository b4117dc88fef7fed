"""The paper's rule."""

import pytest

from pareft.pruning.depth import alternating


@pytest.mark.parametrize(
    ("depth", "kept"),
    [
        (12, (0, 1, 2, 4, 6, 8, 10, 11)),
        (24, (0, 1, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 23)),
        (6, (0, 1, 2, 4, 5)),
        (5, (0, 1, 2, 3, 4)),
        (1, (0,)),
    ],
)
def test_alternating(depth, kept):
    assert alternating(depth) == kept


@pytest.mark.parametrize("depth", range(6, 50, 2))
def test_half_of_the_stack_less_two_is_dropped(depth):
    assert depth - len(alternating(depth)) == (depth - 4) // 2
