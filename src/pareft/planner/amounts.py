"""Budgets as users write them: `memory=8GB`, `step_time=60%`, `latency=0.5s`, `parameters=300M`."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from pareft.errors import PlanError, suggest

BYTES = {"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
SECONDS = {"ms": 1e-3, "s": 1.0, "min": 60.0}
COUNTS = {"K": 1e3, "M": 1e6, "B": 1e9}
UNITS: dict[str, Mapping[str, float]] = {"memory": BYTES, "step_time": SECONDS, "latency": SECONDS, "parameters": COUNTS}


@dataclass(frozen=True)
class Budget:
    """At most so much of one thing: bytes of training's peak, seconds of a step, seconds to write for one source, or parameters of
    the pruned base; or, `relative`, such a part of what the unpruned base takes with the same recipe.
    """

    name: str
    amount: float
    relative: bool
    text: str

    def limit(self, whole: float) -> float:
        """The most that is allowed, where the unpruned base takes `whole`."""
        return self.amount * whole if self.relative else self.amount


def read_budgets(asked: Mapping[str, str]) -> list[Budget]:
    """Budgets by their names.

    Raises:
        PlanError: a name or unit that is not known, or an amount that is no number above 0.
    """
    if not asked:
        raise PlanError(f"a budget is of {', '.join(UNITS)}; give one at least, such as step_time=60%")
    return [_read(name, str(text)) for name, text in asked.items()]


def _read(name: str, text: str) -> Budget:
    if name not in UNITS:
        raise PlanError(f"no budget of {name!r}.{suggest(name, UNITS)} There is {', '.join(UNITS)}")
    found = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([A-Za-z%]*)\s*", text)
    units = UNITS[name]
    if not found or found[2] not in (*units, "%") or float(found[1]) <= 0:
        raise PlanError(
            f"budget {name}={text}: give a number above 0 and a unit, {', '.join(units)} or % of what the unpruned base takes, "
            f"such as {name}=60%"
        )
    amount = float(found[1])
    return Budget(name, amount / 100 if found[2] == "%" else amount * units[found[2]], found[2] == "%", text)


def say_amount(name: str, value: float) -> str:
    """An amount in the unit that shows it best."""
    units = {unit: size for unit, size in UNITS[name].items() if "i" not in unit or unit == "min"}
    unit, size = max(((unit, size) for unit, size in units.items() if size <= value), key=lambda found: found[1], default=("", 1.0))
    return f"{value / size:.3g} {unit}".strip()
