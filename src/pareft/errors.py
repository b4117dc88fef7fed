"""Every error a user can cause. The command line prints the message on one line and exits with code 2; a library caller catches
`PareftError`.
"""

from collections.abc import Iterable
from difflib import get_close_matches


def suggest(name: str, known: Iterable[str], place: str = "") -> str:
    """What a message says of a name that is not known: ` Did you mean …?`, if one is near."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {place}{near[0]}?" if near else ""


class PareftError(Exception):
    """Something the user can mend; the message says what, where, what was allowed and what to do."""


class PareftWarning(UserWarning):
    """Something to know about a result that stands; the command line prints it."""


class RecipeError(PareftError):
    """A recipe that cannot be read or resolved: unknown key, wrong type, missing file, unknown arm."""


class DataError(PareftError):
    """Data that is not there or not of the shape that was said: missing file, missing column, no rows left."""


class PlanError(PareftError):
    """A plan that cannot be carried out: layers out of range, a stack left empty, another base's plan."""


class ModelError(PareftError):
    """A base that cannot be used: not found, no encoder-decoder, an unknown family, weights that are not safetensors."""


class AdapterError(PareftError):
    """An adapter that cannot be attached: a rank that is not positive, a target that names no module, another plan's adapter."""


class RunError(PareftError):
    """A run that cannot start or go on: a folder of another recipe, no disk space, an arm that failed."""


class MeasurementError(RunError):
    """Arms whose steps cannot be measured side by side, for want of memory, say; what they were trained for stands."""
