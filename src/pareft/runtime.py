"""The machine: its device, its precision, its memory, its versions."""

import gc
import os
import platform
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
import torch

from pareft.errors import RecipeError, RunError

LONGEST_WAIT = timedelta(days=1)  # of processes for each other: one may score for long
Precision = Literal["bf16", "fp16", "fp32"]
_LIBRARIES = ("pareft", "torch", "transformers", "peft", "accelerate", "datasets", "safetensors", "rouge-score")


def choose_device() -> torch.device:
    """CUDA where there is one, else the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def choose_precision(requested: Literal["auto", "bf16", "fp16", "fp32"], *, half_precision: bool) -> Precision:
    """bf16 where the hardware computes in it, else fp16 on CUDA for families that bear it, else fp32.

    Raises:
        RecipeError: fp16 for a family that overflows in it (T5), or on a processor.
    """
    cuda = torch.cuda.is_available()
    if requested == "fp16" and not half_precision:
        raise RecipeError("train.precision: fp16 overflows in T5; use bf16, fp32 or auto")
    if requested == "fp16" and not cuda:
        raise RecipeError("train.precision: fp16 needs CUDA; use bf16, fp32 or auto")
    if requested != "auto":
        return requested
    if computes_bf16():
        return "bf16"
    return "fp16" if cuda and half_precision else "fp32"


def choose_writing_precision(requested: Literal["auto", "bf16", "fp32"] | None) -> Literal["bf16", "fp32"] | None:
    """bf16 for `auto` where the hardware computes in it, else fp32; `None` leaves a model as it is."""
    if requested == "auto":
        return "bf16" if computes_bf16() else "fp32"
    return requested


def computes_bf16() -> bool:
    """Whether the device multiplies in bf16 natively; emulation does not count."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def autocast(precision: Precision) -> torch.autocast:
    """The mixed-precision context of a training step; for fp32 it does nothing."""
    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(choose_device().type, dtype, enabled=precision != "fp32")


def find_computing_dtype(value: torch.Tensor) -> torch.dtype:
    """What products of a tensor are computed in here: autocast's type, or its own."""
    kind = value.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else value.dtype


@dataclass(frozen=True)
class Processes:
    """The processes that share the work, as `accelerate launch` starts them; one alone without it."""

    rank: int = 0
    count: int = 1
    wait: Callable[[], None] = field(default=lambda: None, compare=False)

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0

    def share(self, value: Any) -> Any:
        """What the first process has, in every one."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value])[0]

    def add(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of all processes' tensors, in every one."""
        if self.count == 1:
            return values
        from accelerate.utils import reduce

        summed: torch.Tensor = reduce(values, "sum")
        return summed


def find_processes() -> Processes:
    """This process among those that were started together.

    Raises:
        RunError: the environment speaks of several, and they do not find each other.
    """
    if int(os.environ.get("WORLD_SIZE") or 1) < 2:
        return Processes()
    from accelerate import PartialState

    try:
        state = PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_WAIT)
    except (ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RunError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the processes do not find each other: {reason}; start them with "
            "torchrun or accelerate launch, or unset it"
        ) from error
    return Processes(state.process_index, state.num_processes, state.wait_for_everyone)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def list_versions() -> dict[str, str]:
    """The versions a record carries."""
    return {"python": platform.python_version()} | {name: version(name) for name in _LIBRARIES}


def describe_hardware() -> dict[str, Any]:
    """Processor, cores, memory and accelerator; no names of the machine or its user."""
    described: dict[str, Any] = {
        "processor": _processor_name(),
        "threads": torch.get_num_threads(),
        "memory_bytes": psutil.virtual_memory().total,
        "bf16": computes_bf16(),
    }
    if torch.cuda.is_available():
        described |= {"gpu": torch.cuda.get_device_name(), "gpu_bytes": torch.cuda.get_device_properties(0).total_memory}
    return described


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def wait_for_device() -> None:
    """Wait for what the GPU still computes; a processor is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def free_memory() -> None:
    """Give back what this process no longer needs of the accelerator's memory."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def resident_bytes() -> int:
    """This process's resident memory now."""
    return psutil.Process().memory_info().rss


def available_bytes() -> int:
    """What can be taken now: of the GPU's memory, or of the machine's."""
    return torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else int(psutil.virtual_memory().available)


def reset_peak_memory() -> int:
    """Start a new peak and return the level it starts from: 0 on CUDA (allocated bytes), the resident bytes on a processor."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return 0
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")
    return resident_bytes()


def peak_memory_bytes() -> int:
    """The peak since the last reset: allocated on CUDA; resident on a processor.

    Linux reads VmHWM, which belongs to this process alone; `ru_maxrss` would begin at the parent's. Elsewhere it is all there is.
    """
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    info = psutil.Process().memory_info()
    return int(getattr(info, "peak_wset", info.rss))
