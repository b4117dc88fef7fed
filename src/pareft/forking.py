"""Processes that begin with everything imported: forked from one that has it, where that can be done; with a GPU each is fresh."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from pareft.errors import MeasurementError
from pareft.processes import FORKSERVER, SPAWN, watch_parent

LONGEST_PLACE = 70  # bytes of a temporary folder's name: a socket's has at most 108, 33 of them below it
Answer = Callable[[str, int], dict[str, Any]]


class Worker:
    """A process that does what it is asked to, as who asks sees it; it ends with the `with`. `serve`, a function of a module, is
    called there with a connection and with what is `given`, and answers by `answer_orders`. `hint`: what helps if it is lost.
    """

    def __init__(self, serve: Callable[..., None], *given: Any, hint: str) -> None:
        self._hint = hint
        context = open_context(serve.__module__)
        self._here, there = context.Pipe()
        self._process = context.Process(target=serve, args=(there, *given), daemon=True)
        self._process.start()
        there.close()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()

    def end(self) -> None:
        """Whatever it is doing."""
        self._process.kill()
        self._process.join()
        self._here.close()

    def ask(self, what: str, number: int = 0) -> dict[str, Any]:
        """Have it do something, for the time of this number.

        Raises:
            MeasurementError: it failed, or is gone.
        """
        try:
            self._here.send((what, number))
            answer: dict[str, Any] = self._here.recv()
        except (EOFError, OSError) as error:
            self._process.join()
            raise MeasurementError(
                f"the process ended with code {self._process.exitcode}: too little memory, probably; {self._hint}"
            ) from error
        if "failed" in answer:
            raise MeasurementError(answer["failed"])
        return answer


def answer_orders(orders: Connection, open_answers: Callable[[ExitStack], Answer]) -> None:
    """A worker's life: what is opened answers until nobody asks any more; what fails is said, and is the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who gives the orders ends it
    try:
        with _silence(), ExitStack() as stack:
            answer = open_answers(stack)
            while True:
                orders.send(answer(*orders.recv()))
    except EOFError:
        return
    except Exception as error:
        said = str(error).strip().splitlines() or [""]
        orders.send({"failed": f"{type(error).__name__}: {said[0]}"})


def open_context(module: str) -> Any:
    """A multiprocessing context whose processes have a module imported, or import it themselves."""
    if FORKSERVER is None or torch.cuda.is_available() or not _has_room_for_a_socket():
        return SPAWN
    FORKSERVER.set_forkserver_preload([module])
    with _silence():
        forkserver.ensure_running()
    return FORKSERVER


def open_apart(module: str) -> ProcessPoolExecutor:
    """A process that has a module imported, for functions of it that must not share this one's memory; an interrupt ends it."""
    return ProcessPoolExecutor(1, mp_context=open_context(module), initializer=watch_parent)


def _has_room_for_a_socket() -> bool:
    """Whether the temporary folder's name leaves room for that of a socket in it, of which a fork server needs one."""
    return len(os.fsencode(tempfile.gettempdir())) <= LONGEST_PLACE


@contextmanager
def _silence() -> Iterator[None]:
    """What libraries print, here or in a process that is started meanwhile, is not shown."""
    kept = {stream: os.dup(stream) for stream in (1, 2)}
    try:
        with Path(os.devnull).open("w") as nowhere:
            for stream in kept:
                os.dup2(nowhere.fileno(), stream)
        yield
    finally:
        for stream, real in kept.items():
            os.dup2(real, stream)
            os.close(real)
