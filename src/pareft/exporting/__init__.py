"""Leave pareft: a run as a stock checkpoint, as a peft adapter, or as ONNX, each verified by a process that has no pareft.

A folder is written beside its place, read back by a fresh process with stock libraries, and moved into place only if that process
computes the same logits.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from pareft.errors import RunError
from pareft.exporting.forms import WRITERS, Form
from pareft.files import explain_os_error
from pareft.records import RunRecord
from pareft.run_folder import ADAPTER, RECIPE, check_no_export, is_run, read_record


@dataclass(frozen=True)
class Export:
    """What was written and how it was verified: `difference` is the largest between its logits and the run's, `largest` the largest
    logit, `by_stock` whether a process without pareft computed them, or pareft because no stock library can; `notes` say what a
    user should know.
    """

    form: Form
    folder: Path
    bytes: int
    difference: float
    largest: float
    by_stock: bool
    notes: tuple[str, ...] = ()


def export(run: str | Path, folder: str | Path, form: Form = "merged") -> Export:
    """Write what a run has made for users of stock libraries.

    Args:
        run: the folder of a finished run.
        folder: where to write; it must not be there yet.
        form: `merged`, a stock checkpoint with tokenizer and model card, padded with zeros where layers differ in width; `adapter`,
            a peft folder with its plan; `base`, the pruned base that adapters of this plan sit on; `onnx`, the forward pass.

    Raises:
        RunError: no finished run, a folder that is there already, a form the run does not have, or an export that does not compute
            what the run does; nothing is left behind then.
    """
    source, target = Path(run), Path(folder)
    if form not in WRITERS:
        raise RunError(f"no form {form!r} of export; there is {', '.join(WRITERS)}")
    record = read_finished(source)
    if target.exists():
        raise RunError(f"{target} is there already; give another folder")
    if form == "adapter" and not (source / ADAPTER).is_dir():
        raise RunError(f"{source} trained no adapter but all weights; export it merged")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".pareft-") as place:
            checked = WRITERS[form](source, record, Path(place))
            (Path(place) / "result").rename(target)
    except OSError as error:
        raise RunError(explain_os_error(error, target)) from error
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    return Export(form, target, size, checked.difference, checked.largest, checked.by_stock, checked.notes)


def read_finished(run: Path) -> RunRecord:
    """The record of a finished run.

    Raises:
        RunError: no run, or an unfinished one.
    """
    if not is_run(run) and not (run / RECIPE).is_file():
        raise RunError(
            f"{run} is no run folder: it has no {RECIPE}. Give a folder that `pareft run` or `pareft compare` has written."
        )
    check_no_export(run)
    record = read_record(run)
    if record is None or not is_run(run):
        raise RunError(f"{run} is not finished; the command that started it goes on where it stopped")
    return record
