"""Steps are taken in turn: A B C A B C."""

import pytest

from pareft.evaluation.efficiency import interleave, relative_speed


def test_interleaved_and_warm_up_uncounted():
    taken = []

    def make(arm):
        def step(number):
            taken.append((arm, number))
            return float(number)

        return step

    seconds = interleave({arm: make(arm) for arm in "ABC"}, warmup=1, steps=2)
    assert taken == [(arm, number) for number in range(3) for arm in "ABC"]
    assert seconds == {arm: [1.0, 2.0] for arm in "ABC"}


def test_speed_is_the_ratio_of_medians():
    assert relative_speed([2.0, 2.0, 9.0], [1.0, 1.0, 1.0]) == pytest.approx(200)


def test_of_smaller_batches_as_many_are_needed():
    assert relative_speed([2.0], [1.0], sizes=(8, 4)) == pytest.approx(100)
    assert relative_speed([2.0], [1.0], sizes=(None, 4)) == pytest.approx(200), "an old measurement says nothing of them"
