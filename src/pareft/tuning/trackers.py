"""Trackers: the numbers of training's log, sent where `train.report_to` says, and nothing else.

transformers' callbacks for these libraries send the model's config and every argument of training, folders among them, whatever is
set, and by environment variables weights, gradients and code. So each tracker is opened here, with all that switched off which
it would collect by itself, and gets one thing: names and numbers. Where it sends them is the library's own configuration
(`WANDB_MODE`, `MLFLOW_TRACKING_URI`, `TRACKIO_SPACE_ID` and the like).
"""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

from pareft.errors import PareftWarning, RecipeError, RunError

PROJECT = "pareft"  # where the library's environment variable names no other
FOLDER = "tensorboard"  # in the folder of a run
Send = Callable[[Mapping[str, float], int], None]  # names and numbers, and the step


@dataclass(frozen=True)
class Tracked:
    """The run that is tracked: its folder, and the steps that were done before this process began."""

    folder: Path
    steps_before: int

    @property
    def name(self) -> str:
        """`mts-dialog/lora` of `runs/mts-dialog/lora`: no more of the path, and no home's name, which is its owner's."""
        above = self.folder.parent
        owned = above.resolve() == Path.home().resolve()  # whatever way leads there
        return "/".join(filter(None, ("" if owned else above.name, self.folder.name)))


def check_trackers(names: Sequence[str]) -> None:
    """Raise `RecipeError` if a library is not installed: before anything is written."""
    for name in names:
        found = find_spec(name)
        if found is None or found.origin is None:  # a folder of that name is no library
            raise RecipeError(f"train.report_to: {name} is not installed: pip install {name}")


@contextmanager
def track(names: Sequence[str], run: Tracked) -> Iterator[Send]:
    """Open the trackers and close them at the end; what is sent that is no number is left out.

    One that fails later, whatever it raises, gets nothing more, with a warning: training goes on.

    Raises:
        RunError: a tracker does not start.
    """
    with ExitStack() as stack:
        opened = {name: _open(stack, name, run) for name in dict.fromkeys(names)}

        def send(values: Mapping[str, float], step: int) -> None:
            numbers = {_name(key): float(value) for key, value in values.items() if isinstance(value, int | float)}
            for name in list(opened) if numbers else ():
                try:
                    opened[name](numbers, step)
                except Exception as error:
                    _warn(name, error)
                    del opened[name]

        yield send


def _open(stack: ExitStack, name: str, run: Tracked) -> Send:
    tracker = TRACKERS[name](run)

    def close(kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            tracker.__exit__(kind, error, trace)
        except Exception as failure:
            _warn(name, failure)

    try:
        send = tracker.__enter__()
    except Exception as error:
        raise RunError(f"{name} does not start: {_first_line(error)}; mend it, or train with train.report_to=[]") from error
    stack.push(close)
    return send


def _warn(name: str, error: Exception) -> None:
    warnings.warn(f"{name} gets nothing more of this run: {_first_line(error)}", PareftWarning, stacklevel=3)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _name(key: str) -> str:
    """`eval_rouge1` → `eval/rouge1`, `loss` → `train/loss`: the names that transformers' callbacks give."""
    return f"eval/{key.removeprefix('eval_')}" if key.startswith("eval_") else f"train/{key}"


@contextmanager
def _tensorboard(run: Tracked) -> Iterator[Send]:
    """A file of events in the run's folder, whose name does not tell the machine's, as that of TensorBoard's own writer does. Of
    an interrupted run's earlier file, the steps that are done again are marked as void.
    """
    from tensorboard.compat.proto.event_pb2 import Event, SessionLog
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder = run.folder / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"events.out.tfevents.{time.time():.6f}").open("xb") as file:
        records = RecordWriter(file)

        def write(event: Event) -> None:
            records.write(event.SerializeToString())
            records.flush()

        write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        write(Event(wall_time=time.time(), step=run.steps_before + 1, session_log=SessionLog(status=SessionLog.START)))

        def send(numbers: Mapping[str, float], step: int) -> None:
            values = [Summary.Value(tag=name, simple_value=number) for name, number in numbers.items()]
            write(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))

        yield send


@contextmanager
def _trackio(run: Tracked) -> Iterator[Send]:
    """A run of trackio's, in a private Space if in any; it asks the Hub who you are, and is not let keep it."""
    import trackio

    with redirect_stdout(None):
        opened = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", PROJECT),
            name=run.name,
            resume="allow" if run.steps_before else "never",
            private=True,
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
    opened.config.clear()
    try:
        yield lambda numbers, step: opened.log(dict(numbers), step=step)
    finally:
        with redirect_stdout(None):
            trackio.finish()


@contextmanager
def _wandb(run: Tracked) -> Iterator[Send]:
    """A run of Weights & Biases, which an interrupted one goes on; its own files are in the run's folder."""
    os.environ["WANDB_ERROR_REPORTING"] = "false"
    import wandb

    settings = wandb.Settings(
        console="off",
        save_code=False,
        disable_code=True,
        disable_git=True,
        disable_job_creation=True,
        host="",
        silent=True,
        x_save_requirements=False,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
    )
    with wandb.init(
        project=os.environ.get("WANDB_PROJECT", PROJECT),
        name=run.name,
        dir=run.folder,
        resume="auto" if run.steps_before else None,
        settings=settings,
    ) as opened:
        yield lambda numbers, step: opened.log(dict(numbers), step=step)


@contextmanager
def _mlflow(run: Tracked) -> Iterator[Send]:
    """A run of MLflow's, by its client: the fluent functions add the user, the script and the commit."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client, project = MlflowClient(), os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
    found = client.get_experiment_by_name(project)
    experiment = found.experiment_id if found else client.create_experiment(project)
    before = _find_mlflow_run(client, experiment, run.name) if run.steps_before else None
    identity, state = before or client.create_run(experiment, run_name=run.name).info.run_id, "FAILED"

    def send(numbers: Mapping[str, float], step: int) -> None:
        now = int(time.time() * 1000)
        client.log_batch(identity, metrics=[Metric(name, number, now, step) for name, number in numbers.items()])

    try:
        yield send
        state = "FINISHED"
    finally:
        client.set_terminated(identity, state)


def _find_mlflow_run(client: Any, experiment: str, name: str) -> str | None:
    """The newest run of a name."""
    where = f'attributes.run_name = "{name}"' if "'" in name else f"attributes.run_name = '{name}'"
    found = client.search_runs([experiment], where, order_by=["attributes.start_time DESC"], max_results=1)
    return found[0].info.run_id if found else None


TRACKERS: dict[str, Callable[[Tracked], AbstractContextManager[Send]]] = {
    "tensorboard": _tensorboard,
    "trackio": _trackio,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
