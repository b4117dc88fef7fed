"""Kinds of processes in which the script that starts them is not run once more, so that it needs no `if __name__ == "__main__"`."""

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_all_start_methods
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any


@contextmanager
def _hide_script() -> Iterator[None]:
    """A process that is started meanwhile does not find which script it comes from."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


class _WithoutScript(BaseProcess):
    def start(self) -> None:
        with _hide_script():
            super().start()


class _Spawned(_WithoutScript, SpawnProcess):
    pass


class _SpawnContext(SpawnContext):
    Process = _Spawned


SPAWN: Any = _SpawnContext()  # fresh processes
FORKSERVER: Any = None  # processes forked from one that has everything imported; `None` where there are none

if "forkserver" in get_all_start_methods():
    from multiprocessing.context import ForkServerContext, ForkServerProcess

    class _Forked(_WithoutScript, ForkServerProcess):
        pass

    class _ForkServerContext(ForkServerContext):
        Process = _Forked

    FORKSERVER = _ForkServerContext()


def watch_parent() -> None:
    """End when the parent is killed: what a process of a pool begins with, which would wait for orders for ever."""
    threading.Thread(target=_end_with_parent, daemon=True).start()


def follow_parent() -> None:
    """Leave interrupts to the parent, and end when it is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch_parent()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
