"""Which layers stay, by the rule of arXiv 2305.08285."""


def alternating(depth: int) -> tuple[int, ...]:
    """The kept layers of a stack, 0-based: of n layers counted from 1, the even ones from 4 to n - 2 are dropped.

    12 keeps 0, 1, 2, 4, 6, 8, 10, 11; 24 keeps 0, 1, 2, 4, 6, ..., 22, 23. A stack of fewer than 6 layers is kept whole.
    Source: Zhu et al. 2023, section 3.2, as the release does it (the paper's count of dropped layers, 2(n - 4), is of neither).
    """
    dropped = set(range(4, depth - 1, 2))
    return tuple(number - 1 for number in range(1, depth + 1) if number not in dropped)
