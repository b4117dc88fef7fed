"""Data sets on the Hub."""

from typing import Any

from pareft.errors import DataError


def load_hub(repository: str, configuration: str | None = None) -> dict[str, Any]:
    """All splits of a data set on the Hub by their names there, as `datasets` has them.

    Raises:
        DataError: it cannot be read.
    """
    import datasets

    asked = (repository,) if configuration is None else (repository, configuration)
    try:
        return dict(datasets.load_dataset(*asked))
    except Exception as error:  # the Hub's client raises anything from ConnectionError to its own classes
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"{repository!r} is no file here, and it cannot be read from the Hub: {reason}") from error
