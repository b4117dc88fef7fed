"""A function over a stream by several processes, in the stream's order and with no more of it in memory than they have in hand."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

from pareft.errors import RunError
from pareft.processes import SPAWN, follow_parent

SMALL_BYTES = 2**27  # for which starting processes does not pay
MOST_WORKERS = 8
Item = TypeVar("Item")
Result = TypeVar("Result")


def choose_count(size: int) -> int:
    """How many processes so many bytes are worth: one a core, none if they are few."""
    return 0 if size < SMALL_BYTES else min(os.cpu_count() or 1, MOST_WORKERS)


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """`map`, by so many processes; by this one alone if there are none.

    Raises:
        RunError: one of them was killed.
    """
    if not workers:
        yield from map(function, items)
        return
    under_way: deque[Future[Result]] = deque()
    with ProcessPoolExecutor(workers, mp_context=SPAWN, initializer=follow_parent) as pool:
        try:
            for item in items:
                with _hold_interrupts():
                    under_way.append(pool.submit(function, item))
                if len(under_way) > workers + 1:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        except BrokenProcessPool as error:
            raise RunError("a process that helped was killed, maybe for want of memory; take fewer with --workers") from error
        finally:
            for future in under_way:
                future.cancel()


@contextmanager
def _hold_interrupts() -> Iterator[None]:
    """Processes that are started meanwhile never hear of an interrupt; this one does afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
