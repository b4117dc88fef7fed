"""Processes that begin with everything imported: forked from one that has it, where that can be done; with a GPU each is fresh."""

import os
import tempfile
from multiprocessing import forkserver, get_all_start_methods, get_context
from pathlib import Path
from typing import Any

import torch

LONGEST_PLACE = 70  # bytes of a temporary folder's name: a socket's has at most 108, 33 of them below it


def open_context(module: str) -> Any:
    """A multiprocessing context whose processes have a module imported, or import it themselves."""
    forks = "forkserver" in get_all_start_methods() and not torch.cuda.is_available() and _has_room_for_a_socket()
    context: Any = get_context("forkserver" if forks else "spawn")
    if forks:
        _start_forkserver(context, module)
    return context


def _has_room_for_a_socket() -> bool:
    """Whether the temporary folder's name leaves room for that of a socket in it, of which a fork server needs one."""
    return len(os.fsencode(tempfile.gettempdir())) <= LONGEST_PLACE


def _start_forkserver(context: Any, module: str) -> None:
    """Start the process that others are forked from; what libraries print on being imported is not shown."""
    context.set_forkserver_preload([module])
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        forkserver.ensure_running()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
