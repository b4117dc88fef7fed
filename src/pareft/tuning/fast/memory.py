"""Freed memory that stays with the process, on a processor with glibc.

By itself glibc gives every large block back to the system when it is freed, and gets it anew, page by page and cleared, for the
next tensor of that size: up to a tenth of a training step goes into that. The peak is what it was.
"""

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # the names of settings in malloc.h
KEPT = {MMAP_THRESHOLD: 2**30, TRIM_THRESHOLD: 2**31 - 1}  # bytes: blocks that are kept, and how much of them in all
OWN = {MMAP_THRESHOLD: 2**25, TRIM_THRESHOLD: 2**26}  # to which glibc's thresholds grow by themselves


@contextmanager
def keep_freed() -> Iterator[None]:
    """Inside the `with`, memory that is freed is used again; afterwards it goes back to the system. Elsewhere than with glibc this
    does nothing.
    """
    library = _find_library()
    if library is None:
        yield
        return
    for name, size in KEPT.items():
        library.mallopt(name, size)
    try:
        yield
    finally:
        for name, size in OWN.items():
            library.mallopt(name, size)
        library.malloc_trim(0)


@cache
def _find_library() -> Any:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
