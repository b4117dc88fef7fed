"""What a bench leaves behind: every time that was taken, and the ratios read from it."""

from statistics import median
from typing import Any, Literal

from pydantic import Field

from pareft.records import Record

Way = Literal["pareft", "stock", "stock-fp32"]
ANCHOR: tuple[str, Way] = ("full", "stock-fp32")  # what everything is a ratio to: arm and way


class Writing(Record):
    """One way to write, greedily or by beams: `tokens` new ones for the whole batch in each of the times."""

    tokens: int
    seconds: list[float]

    @property
    def tokens_per_second(self) -> float:
        """By the median time; what other beams wrote does not count."""
        return self.tokens / median(self.seconds)


class Entry(Record):
    """One arm in one way, in a process of its own: load to the first forward pass, the counted steps, the peak of training.
    `ceilings`: operations a second of matrix products in its precision, just before every step.
    """

    arm: str
    way: Way
    precision: str
    trainable: int
    total: int
    load_seconds: float
    step_seconds: list[float]
    ceilings: list[float]
    peak_bytes: int
    writing: dict[str, Writing] = Field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Arm and way."""
        return self.arm, self.way

    @property
    def median_seconds(self) -> float:
        """The median step."""
        return median(self.step_seconds)


class Case(Record):
    """One shape at one length. `groups`: what was alive at once, stepped in turn; `operations`: a counted step's, by arm."""

    shape: str
    lengths: str
    batch_size: int
    warmup_steps: int
    steps: int
    new_tokens: int
    method: str
    versions: dict[str, str]
    hardware: dict[str, Any]
    operations: dict[str, list[float]]
    groups: list[list[Entry]] = Field(default_factory=list)
    failed: dict[str, str] = Field(default_factory=dict)

    @property
    def name(self) -> tuple[str, str, int]:
        """What is measured anew replaces what has the same name."""
        return self.shape, self.lengths, self.batch_size

    @property
    def entries(self) -> list[Entry]:
        """Every arm in every way once; the anchor, which is in several groups, as the first of them has it."""
        found: dict[tuple[str, str], Entry] = {}
        for entry in (entry for group in self.groups for entry in group):
            found.setdefault(entry.key, entry)
        return list(found.values())

    @property
    def stands_apart(self) -> bool:
        """Whether something was measured with no anchor beside it."""
        return any(ANCHOR not in [entry.key for entry in group] for group in self.groups)

    def speed(self, arm: str, way: str) -> float | None:
        """Steps in the time of one of the anchor's, by medians, within the group if the anchor is in it; `None` without either."""
        for group in self.groups:
            by_key = {entry.key: entry for entry in group}
            if (arm, way) in by_key:
                anchor = by_key.get(ANCHOR) or next((entry for entry in self.entries if entry.key == ANCHOR), None)
                return anchor.median_seconds / by_key[arm, way].median_seconds if anchor else None
        return None

    def compare(self, entry: Entry, arm: str, way: str) -> float | None:
        """How many steps the entry takes in the time of one of another arm or way; where groups differ, through their anchors."""
        own, other = self.speed(*entry.key), self.speed(arm, way)
        return own / other if own and other else None

    def operations_per_second(self, entry: Entry) -> float | None:
        """Of the median step, each step by its own texts."""
        taken = self.operations.get(entry.arm)
        return median(count / seconds for count, seconds in zip(taken, entry.step_seconds, strict=True)) if taken else None

    def ceiling_share(self, entry: Entry) -> float | None:
        """The part of the rate of matrix products that steps reach, each of the rate just before it; the median."""
        taken = self.operations.get(entry.arm)
        if not taken:
            return None
        together = zip(taken, entry.step_seconds, entry.ceilings, strict=True)
        return median(count / seconds / ceiling for count, seconds, ceiling in together)


class BenchRecord(Record):
    """All cases of a folder; each says itself how and where it was measured."""

    version: Literal[1] = 1
    cases: list[Case] = Field(default_factory=list)

    def with_case(self, case: Case) -> "BenchRecord":
        """With a case in the place of an older one of its name, or at the end."""
        names = [other.name for other in self.cases]
        kept = list(self.cases)
        if case.name in names:
            kept[names.index(case.name)] = case
        else:
            kept.append(case)
        return self.model_copy(update={"cases": kept})
