"""What chance decides in a note, in the words that its writers use."""

import random
from bisect import bisect
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Dice:
    """Draws from one seeded generator. `random()`: in [0, 1)."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.random = rng.random

    def chance(self, probability: float) -> bool:
        """True so often."""
        return self.random() < probability

    def below(self, bound: int) -> int:
        """A whole number in [0, bound)."""
        return int(self.random() * bound)

    def pick(self, options: Sequence[T]) -> T:
        """One of the options, all as likely."""
        return options[int(self.random() * len(options))]

    def pick_weighted(self, options: tuple[Sequence[T], Sequence[int]]) -> T:
        """One of the options, by cumulative weights."""
        values, cumulative = options
        return values[bisect(cumulative, self.random() * cumulative[-1])]

    def some(self, options: Sequence[T], mean: float) -> list[T]:
        """`mean` different options in any order; a fraction is one more, that often."""
        return self.rng.sample(options, min(len(options), int(mean + self.random())))
