"""Which processes are alive at once: as many as fit into memory, with the anchor among them wherever that fits."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from pareft.forecast.fitting import MARGIN
from pareft.forecast.tracing import Step
from pareft.runtime import available_bytes

Key = TypeVar("Key")
UNSEEN = 1.6  # what an arm may need of full's memory at most: LoRA on a small model saves more than it spares
OVERHEAD_BYTES = 400_000_000  # a process with its libraries
ROOM_SHARE = 0.85  # of what is free


def estimate_need(step: Step, *, generously: bool = False) -> int:
    """Bytes of a process that takes such steps; `generously`, if it is full that does, of any arm's."""
    return int(MARGIN * (UNSEEN if generously else 1) * step.peak_bytes) + OVERHEAD_BYTES


def find_room() -> int:
    """Bytes that may be taken now: of the GPU's memory, or of the machine's."""
    return int(ROOM_SHARE * available_bytes())


def make_groups(units: Sequence[Sequence[Key]], needs: Mapping[Key, int], *, anchor: Key, room: int) -> list[list[Key]]:
    """Pack units, whose members stay together where they fit, into groups that each begin with the anchor. What does not fit
    beside the anchor is a group of its own.
    """
    groups: list[list[Key]] = [[anchor]]
    alone: list[list[Key]] = []

    def fits(keys: Sequence[Key]) -> bool:
        return sum(needs[key] for key in keys) <= room

    for unit in units:
        members = [key for key in unit if key != anchor]
        for part in [members] if fits([anchor, *members]) else [[key] for key in members]:
            if fits([*groups[-1], *part]):
                groups[-1] += part
            elif fits([anchor, *part]):
                groups.append([anchor, *part])
            else:
                alone.append(part)
    return groups + alone
