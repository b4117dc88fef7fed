"""The precision that is chosen, and the one that is refused."""

import signal
import subprocess
import sys

import pytest
import torch

from pareft import runtime
from pareft.errors import RecipeError
from pareft.runtime import choose_precision, choose_writing_precision


@pytest.mark.parametrize(
    ("cuda", "bf16", "half", "chosen"),
    [
        (False, True, True, "bf16"),
        (False, False, True, "fp32"),
        (True, True, False, "bf16"),
        (True, False, True, "fp16"),
        (True, False, False, "fp32"),  # T5 on a GPU without bf16: never fp16
    ],
)
def test_auto(monkeypatch, cuda, bf16, half, chosen):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(runtime, "computes_bf16", lambda: bf16)
    assert choose_precision("auto", half_precision=half) == chosen


@pytest.mark.parametrize(
    ("asked", "bf16", "chosen"), [(None, True, None), ("auto", True, "bf16"), ("auto", False, "fp32"), ("bf16", False, "bf16")]
)
def test_what_writes_stays_as_it_is_unless_asked(monkeypatch, asked, bf16, chosen):
    monkeypatch.setattr(runtime, "computes_bf16", lambda: bf16)
    assert choose_writing_precision(asked) == chosen


def test_fp16_is_refused_for_t5_and_on_a_processor(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RecipeError, match="overflows in T5"):
        choose_precision("fp16", half_precision=False)
    with pytest.raises(RecipeError, match="needs CUDA"):
        choose_precision("fp16", half_precision=True)
    assert choose_precision("fp32", half_precision=False) == "fp32"


WAITING = """
import os, signal, threading
import pareft.frames
here, _ = os.pipe()
threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
threading.Timer(20, os._exit, (3,)).start()
try:
    os.read(here, 1)
except KeyboardInterrupt:
    os._exit(0)
"""


@pytest.mark.skipif(not hasattr(signal, "siginterrupt"), reason="signals")
def test_an_interrupt_ends_a_wait():
    """polars' own handler lets the wait go on."""
    assert subprocess.run([sys.executable, "-c", WAITING], check=False).returncode == 0
