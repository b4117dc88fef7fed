"""What a run leaves behind, and how files are written: whole or not at all."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel, ConfigDict, ValidationError
from typing_extensions import Self

from pareft.errors import RunError

Identity = str | int | float | bool  # of an example, as JSON has it


class Record(BaseModel):
    """Base of the records: frozen, strict, JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    def to_json(self) -> str:
        """Indented JSON."""
        return self.model_dump_json(indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a record back.

        Raises:
            RunError: the text is no such record of this version.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise RunError(f"this is no {cls.__name__}: {error.errors()[0]['msg']} at {error.errors()[0]['loc']}") from error


class Protocol(Record):
    """What a score depends on besides the model. Runs whose protocols differ are not compared."""

    data: str
    data_digest: str
    source: str
    target: str
    prefix: str
    examples: dict[str, int]
    max_source_tokens: int
    max_target_tokens: int
    metrics: list[str]
    sentence_splitting: str
    scorers: dict[str, dict[str, Any]] = {}
    num_beams: int
    max_new_tokens: int
    no_repeat_ngram_size: int
    seed: int

    def list_differences(self, other: "Protocol", *, but: Collection[str] = ()) -> list[str]:
        """The names of the fields in which two protocols differ, `but` for some."""
        return [name for name in type(self).model_fields if name not in but and getattr(self, name) != getattr(other, name)]


class Parameters(Record):
    """Counts of distinct parameters, of the model as trained and of the unpruned base."""

    base: int
    total: int
    trainable: int
    layers_kept: dict[str, int]
    layers_dropped_ratio: float


class TrainingRecord(Record):
    """What training did: steps taken, the best checkpoint's step, wall time with evaluations, that of the evaluations alone, how
    many were left out for their cost, everything that was logged; parameters in all and trained, and the precision. All of it
    counts what was done before an interruption, too.
    """

    steps: int
    best_step: int | None
    seconds: float
    evaluation_seconds: float
    evaluations_left_out: int
    history: list[dict[str, float]]
    total: int = 0
    trainable: int = 0
    precision: str | None = None


class RunRecord(Record):
    """One finished run. Scores are in percent, times in seconds."""

    arm: str | None
    base: str
    plan_fingerprint: str
    protocol: Protocol
    parameters: Parameters
    precision: str
    seed: int
    versions: dict[str, str]
    hardware: dict[str, Any]
    train_seconds: float
    train_evaluation_seconds: float = 0.0
    evaluations_left_out: int = 0
    evaluate_seconds: float
    steps: int
    best_step: int | None
    scores: dict[str, float]
    history: list[dict[str, float]]


class ScoreRecord(Record):
    """A corpus score, or a difference of two, and its 95 % bootstrap interval; `None` for one of too few examples."""

    value: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether a difference is distinguishable from none."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    def rounded(self) -> "ScoreRecord":
        """As records hold it: to four digits after the point."""
        return ScoreRecord(value=round(self.value, 4), low=_round(self.low), high=_round(self.high))


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


class ArmEfficiency(Record):
    """One arm's training step: the median and the single times, and the peak memory of its own process."""

    step_seconds: list[float]
    median_step_seconds: float
    peak_bytes: int
    trainable: int
    total: int


class EfficiencyRecord(Record):
    """The speed and memory of all arms, measured side by side; `method` says how, `arms_digest` of which arms exactly."""

    method: str
    arms_digest: str
    batch_size: int
    versions: dict[str, str]
    hardware: dict[str, Any]
    arms: dict[str, ArmEfficiency]


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all; parents are made.

    Raises:
        RunError: no space on the disk, or the folder cannot be written.
    """
    with fill_file(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def fill_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write into that is there once all of it is written; parents are made.

    Raises:
        RunError: no space on the disk, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RunError(explain_os_error(error, path)) from error


@contextmanager
def fill_folder(folder: Path, *, replacing: Sequence[str] = ()) -> Iterator[Path]:
    """A temporary folder beside `folder` to write into; what is in it goes there once all of it is written.

    A folder that is there already keeps what is in it but for files of the same names and those that match `replacing`.

    Raises:
        RunError: no space on the disk, or the folder cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".pareft-") as place:
            temporary = Path(place) / "new"
            temporary.mkdir()
            yield temporary
            if folder.exists():
                for stale in {path for pattern in replacing for path in folder.glob(pattern)}:
                    stale.unlink()
                for path in temporary.iterdir():
                    path.replace(folder / path.name)
            else:
                temporary.rename(folder)
    except OSError as error:
        raise RunError(explain_os_error(error, folder)) from error


def explain_os_error(error: OSError, path: Path) -> str:
    """One line about a write that failed."""
    if error.errno == errno.ENOSPC:
        return explain_full_disk(path.parent)
    return f"cannot write {path}: {error.strerror or error}"


def explain_full_disk(folder: Path) -> str:
    """One line about a disk that is full."""
    return f"no space left on the disk of {folder}; free some, or give another folder with --out"


def digest_file(path: Path) -> str:
    """Identify a file's contents, which are not held in memory."""
    with path.open("rb") as file:
        found = hashlib.sha256()
        for block in iter(lambda: file.read(2**20), b""):
            found.update(block)
    return found.hexdigest()[:16]


def write_json(path: Path, value: object) -> None:
    """Write any JSON value, indented."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")
