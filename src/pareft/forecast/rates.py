"""How fast this machine multiplies matrices."""

import time
from statistics import median

import torch

from pareft.runtime import Precision, choose_device

UTILISATION = 0.35  # of this rate, that a training step reaches: benchmarks/measure_shape.py prints it
SIDE = 2048  # of the matrices whose product tells how fast the machine is
ROUNDS = 5
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def measure_rate(precision: Precision, side: int = SIDE) -> float:
    """Floating-point operations a second of this machine's products of square matrices: the median, after one uncounted."""
    device, dtype = choose_device(), DTYPES[precision]
    one, other = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    seconds = []
    for _ in range(ROUNDS + 1):
        started = time.perf_counter()
        float((one @ other)[0, 0])  # waits for it
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / median(seconds[1:])
