"""What a machine refuses in the middle of a run, as one line: room on the disk, room in memory."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError

from pareft.errors import RunError
from pareft.files import explain_full_disk, explain_os_error

MEMORY_FULL = ("DefaultCPUAllocator", "can't allocate memory", "Cannot allocate memory")  # as torch says it of a processor's
DISK_FULL = ("No space left", "os error 28", "inline_container", "PytorchStreamWriter")  # as safetensors and torch.save say it


SMALLER_STEPS = "lower train.batch_size, raise train.accumulation, or shorten data.max_source_tokens"
SMALLER_BATCHES = "lower evaluate.batch_size, evaluate.batch_tokens or evaluate.num_beams"


@contextmanager
def explain_failures(folder: Path, name: str, *, advice: str = SMALLER_STEPS) -> Iterator[None]:
    """Turn a full disk and too little memory into one line each, with `advice` on the latter."""
    try:
        yield
    except OSError as error:
        raise RunError(explain_os_error(error, folder)) from error
    except torch.OutOfMemoryError as error:
        raise RunError(f"{name} does not fit into the accelerator's memory; {advice}") from error
    except MemoryError as error:
        raise RunError(f"{name} does not fit into memory; {advice}") from error
    except (SafetensorError, RuntimeError) as error:
        if any(sign in str(error) for sign in DISK_FULL):
            raise RunError(explain_full_disk(folder)) from error
        if any(sign in str(error) for sign in MEMORY_FULL):
            raise RunError(f"{name} does not fit into memory; {advice}") from error
        raise
