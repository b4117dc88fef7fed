"""How files are written: whole or not at all, by one process at a time."""

import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pareft.errors import RunError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def write_atomic(path: Path, content: str | bytes, *, private: bool = False) -> None:
    """Write a file so that it is there whole or not at all; parents are made. Only its owner reads a `private` one.

    Raises:
        RunError: no space on the disk, or the folder cannot be written.
    """
    with fill_file(path, private=private) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextmanager
def fill_file(path: Path, *, private: bool = False) -> Iterator[BinaryIO]:
    """A file to write into that is there once all of it is written; parents are made. Only its owner reads a `private` one.

    Raises:
        RunError: no space on the disk, or the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            with open_new(temporary, private=private) as file:
                yield file
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
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


@contextmanager
def fill_private_folder(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """A folder to write into, for its owner alone, that takes its place once all of it is written; parents are made.

    What a call that was killed left of it is removed first. With `replace`, a folder that is there makes way at the end.

    Raises:
        RunError: the folder is there and not to be replaced, another process writes it, or it cannot be written.
    """
    try:
        folder = folder.resolve()  # a link stays, and leads to what is written
        partial, aside = (folder.with_name(f".{folder.name}.{state}") for state in ("partial", "old"))
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock_folder(partial, folder):
            try:
                _finish_replacing(folder, aside)
                if folder.exists() and not replace:
                    raise RunError(f"{folder} exists; give another folder, or --overwrite to replace it")
                _empty(partial)
                yield partial
                if folder.exists():
                    folder.rename(aside)
                partial.rename(folder)
            except BaseException:
                shutil.rmtree(partial, ignore_errors=True)
                _finish_replacing(folder, aside)
                raise
            _finish_replacing(folder, aside)
    except OSError as error:
        raise RunError(explain_os_error(error, folder)) from error


@contextmanager
def _lock_folder(partial: Path, folder: Path) -> Iterator[None]:
    """Make `partial`, the owner's alone, and keep other processes out of it; `folder` is made there."""
    while True:
        if partial.is_symlink():
            raise RunError(f"{partial} is a link, and would be written to; remove it")
        partial.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(partial, os.O_RDONLY)
        try:
            if not _lock(handle):
                raise RunError(f"another process is writing {folder}; wait for it")
            if _is_there(handle, partial):
                partial.chmod(0o700)
                yield
                return
        finally:
            os.close(handle)


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _finish_replacing(folder: Path, aside: Path) -> None:
    """Remove what was put aside, or put it back where nothing took its place."""
    if aside.exists():
        shutil.rmtree(aside) if folder.exists() else aside.rename(folder)


@contextmanager
def open_new(path: Path, *, private: bool) -> Iterator[BinaryIO]:
    """A new file to write, on the disk when it is closed. Only its owner reads a `private` one; of others the umask says who."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if private else 0o666), "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def explain_os_error(error: OSError, path: Path) -> str:
    """One line about a write that failed."""
    if error.errno == errno.ENOSPC:
        return explain_full_disk(path.parent)
    return f"cannot write {path}: {error.strerror or error}"


def explain_full_disk(folder: Path) -> str:
    """One line about a disk that is full."""
    return f"no space left on the disk of {folder}; free some, or give another folder with --out"


def check_file_place(path: Path) -> None:
    """Raise `RunError` if no file can be written there, before anything is done whose result would go there."""
    if path.is_dir():
        raise RunError(f"{path} is a folder; give a file")
    check_folder_place(path.parent)


def check_folder_place(folder: Path) -> None:
    """Raise `RunError` if there can be no such folder, or no file in it."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists() or place.is_symlink())
    if not there.is_dir():
        raise RunError(f"{there} is a file, so that there is no folder {folder}; give another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise RunError(f"nothing can be written in {there}: permission denied; give another place")


def name_folder(folder: Path) -> str:
    """What a folder is called, `.` and `..` too."""
    return folder.resolve().name if folder.name in ("", "..") else folder.name


def make_printable(name: str) -> str:
    """A name on one line and in UTF-8, neither of which names of files need be."""
    return "".join(sign if sign.isprintable() else "�" for sign in name)


def hash_file(path: Path) -> str:
    """The SHA-256 of a file, which is not held in memory."""
    with path.open("rb") as file:
        found = hashlib.sha256()
        for block in iter(lambda: file.read(2**20), b""):
            found.update(block)
    return found.hexdigest()


def digest_file(path: Path) -> str:
    """Identify a file's contents, in short."""
    return hash_file(path)[:16]


def write_json(path: Path, value: object) -> None:
    """Write any JSON value, indented."""
    write_atomic(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def open_private(path: Path) -> BinaryIO:
    """A file to read and to append to, which nobody but its owner reads if it is new."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "ab+")


def open_alone(path: Path) -> BinaryIO | None:
    """A file to read and to append to that is this process's until it is closed; `None` if it is another's. Where files cannot be
    locked, it always is.
    """
    while True:
        file = open_private(path)
        if not _lock(file.fileno()):
            file.close()
            return None
        if _is_there(file.fileno(), path):
            return file
        file.close()


def _lock(handle: int) -> bool:
    """Keep what is open to this process until it is closed; whether it was free. Where files cannot be locked, it always is."""
    if fcntl is not None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return error.errno not in (errno.EAGAIN, errno.EACCES)
    return True


def _is_there(handle: int, path: Path) -> bool:
    """Whether what is open is what is at the path: who had the lock before may have moved or removed it."""
    return path.exists() and os.path.samestat(os.fstat(handle), path.stat())
