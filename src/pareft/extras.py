"""Optional libraries: imported where they are used, with an error that names the extra to install."""

from collections.abc import Iterator
from contextlib import contextmanager

from pareft.errors import PareftError


@contextmanager
def explain_missing(library: str, *, extra: str, error: type[PareftError]) -> Iterator[None]:
    """Turn the ImportError of an optional library into one line."""
    try:
        yield
    except ImportError as cause:
        raise error(f"{library} is not installed: pip install 'pareft[{extra}]'") from cause
