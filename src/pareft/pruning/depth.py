"""Which layers stay, by rules that look at nothing but numbers. `RULES` lists those that keep as many as they are told to."""

from collections.abc import Callable


def alternating(depth: int) -> tuple[int, ...]:
    """The kept layers of a stack, 0-based: of n layers counted from 1, the even ones from 4 to n - 2 are dropped.

    12 keeps 0, 1, 2, 4, 6, 8, 10, 11; 24 keeps 0, 1, 2, 4, 6, ..., 22, 23. A stack of fewer than 6 layers is kept whole.
    Source: Zhu et al. 2023, section 3.2, as the release does it (the paper's count of dropped layers, 2(n - 4), is of neither).
    """
    dropped = set(range(4, depth - 1, 2))
    return tuple(number - 1 for number in range(1, depth + 1) if number not in dropped)


def keep_evenly(depth: int, count: int) -> tuple[int, ...]:
    """The first, the last, and what lies evenly between them; one alone is the first."""
    if count == 1:
        return (0,)
    return tuple((2 * number * (depth - 1) + count - 1) // (2 * (count - 1)) for number in range(count))


def drop_top(depth: int, count: int) -> tuple[int, ...]:
    """The first layers stay (Sajjad et al. 2023, arXiv 2004.03844, top-layer dropping)."""
    return tuple(range(count))


def drop_bottom(depth: int, count: int) -> tuple[int, ...]:
    """The last layers stay (Sajjad et al. 2023, bottom-layer dropping)."""
    return tuple(range(depth - count, depth))


def drop_middle(depth: int, count: int) -> tuple[int, ...]:
    """Both ends stay, of an odd number one more at the beginning (Sajjad et al. 2023, symmetric dropping)."""
    first = (count + 1) // 2
    return (*range(first), *range(depth - count + first, depth))


RULES: dict[str, Callable[[int, int], tuple[int, ...]]] = {
    "even": keep_evenly,
    "drop-top": drop_top,
    "drop-bottom": drop_bottom,
    "drop-middle": drop_middle,
}
