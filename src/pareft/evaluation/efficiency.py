"""Speed and memory as a measurement of their own: interleaved steps, medians, ratios. How the steps run is the caller's."""

from collections.abc import Callable, Mapping
from statistics import median

METHOD = (
    "every arm in a process of its own, all alive at once; one training step (forward, backward, clip, AdamW) of each arm in turn "
    "on the same batches, {warmup} rounds uncounted, then {steps} counted; speed = the first arm's median / the arm's, "
    "times the examples of the arm's batch / the first's; "
    "memory = {memory}"
)
NEW_TOKENS = 16  # that inference writes for every source of a batch
INFERENCE = (
    "; inference: {passes} passes of each arm in turn over one batch, adapters merged, after one uncounted: written for, {tokens} "
    "new tokens each, or classified"
)
APART = "one arm after the other, as they did not fit onto the machine together; of each"
CPU_MEMORY = "peak resident bytes of the arm's process above what it held before the model was built"
CUDA_MEMORY = "peak bytes allocated on the GPU by the arm's process (torch.cuda.max_memory_allocated)"


def interleave(steppers: Mapping[str, Callable[[int], float]], *, warmup: int, steps: int) -> dict[str, list[float]]:
    """Call every arm's stepper for round 0, then for round 1, …: whatever slows the machine slows all arms.

    A stepper takes the round's number and returns seconds. Returns the seconds of the counted rounds by arm.
    """
    seconds: dict[str, list[float]] = {arm: [] for arm in steppers}
    for number in range(warmup + steps):
        for arm, step in steppers.items():
            taken = step(number)
            if number >= warmup:
                seconds[arm].append(taken)
    return seconds


def relative_speed(reference: list[float], arm: list[float], *, sizes: tuple[int | None, int | None] = (None, None)) -> float:
    """How many examples the arm takes in the time of one of the reference, in percent: the ratio of the medians, times that of the
    `sizes` of their batches, where both are known.
    """
    first, own = sizes
    return 100 * (median(reference) / median(arm)) * (own / first if first and own else 1.0)
