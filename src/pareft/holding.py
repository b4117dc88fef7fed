"""A run's folder is one process's while it trains there."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pareft.errors import RunError
from pareft.files import open_alone
from pareft.run_folder import CHECKPOINTS, LOCK
from pareft.runtime import find_processes


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """No other process trains in the folder meanwhile, but for those of one run.

    Raises:
        RunError: one does.
    """
    processes, held = find_processes(), None
    if processes.first:
        (folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        held = open_alone(folder / CHECKPOINTS / LOCK)
    if not processes.share(held is not None):
        raise RunError(f"another process is training in {folder}; wait for it, or give another folder with --out")
    try:
        yield
    finally:
        if held:
            held.close()
