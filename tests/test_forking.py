"""Processes for measuring: from scripts as users write them, and what becomes of one that fails."""

import subprocess
import sys

import pytest

from pareft.errors import MeasurementError
from pareft.forking import Worker, answer_orders

SCRIPT = """
import sys
from pareft.forking import open_context
from pareft.processes import SPAWN

print("a line of the script")
for context in (open_context("pareft.forking"), SPAWN):
    process = context.Process(target=sys.exit, args=(7,))
    process.start()
    process.join()
    assert process.exitcode == 7, process.exitcode
"""


def serve(orders, factor):
    def answer(what, number):
        if what == "fail":
            print("beside the answer")
            raise ValueError("no such order\nand more")
        return {"product": factor * number}

    answer_orders(orders, lambda _: answer)


def test_a_script_needs_no_guard(tmp_path):
    """It is not run again in the processes it starts."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["a line of the script"]


def test_a_worker_answers_until_it_fails_and_says_why(capfd):
    with Worker(serve, 6, hint="take less") as worker:
        assert worker.ask("multiply", 7) == {"product": 42}
        with pytest.raises(MeasurementError, match=r"^ValueError: no such order$"):
            worker.ask("fail")
        with pytest.raises(MeasurementError, match=r"the process ended with code 0.*; take less"):
            worker.ask("multiply", 1)
    assert capfd.readouterr().out == ""


def test_a_worker_that_is_killed_is_told_from_one_that_fails():
    with Worker(serve, 6, hint="take less") as worker:
        worker._process.kill()
        with pytest.raises(MeasurementError, match="the process ended with code -9: too little memory, probably; take less"):
            worker.ask("multiply", 1)
