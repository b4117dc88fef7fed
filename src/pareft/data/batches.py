"""What some rows of a file gave: pairs with their ids, and what became of the rows that gave none."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from pareft.data.sections import Pair

DIGEST_BYTES, GROUP_DIGEST_BYTES = 16, 8
SHOWN_CHARACTERS = 80


@dataclass(frozen=True)
class Flaw:
    """A row that cannot be read: its first line in the file, counted from 1, why, and its beginning if that may be shown."""

    line: int
    reason: str
    text: str = ""


@dataclass
class Batch:
    """Pairs in the file's order, as columns. `groups`: whose the pair is, empty if it is nobody's; `part`: of the file, how much
    was read by now; `characters`: of all texts.
    """

    rows: int = 0
    ids: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)
    digests: bytearray = field(default_factory=bytearray)
    dropped: Counter[str] = field(default_factory=Counter)
    flaws: list[Flaw] = field(default_factory=list)
    part: float = 0.0
    characters: int = 0

    def keep(self, identity: str, group: str, pair: Pair) -> None:
        """Add a row's pair."""
        self.rows += 1
        self.ids.append(identity)
        self.groups.append(group)
        self.sources.append(pair.source)
        self.targets.append(pair.target)
        self.characters += len(pair.source) + len(pair.target)
        self.digests += digest_pair(pair.source, pair.target)

    def drop(self, reason: str) -> None:
        """Count a row that was read and gives no pair."""
        self.rows += 1
        self.dropped[reason] += 1

    def report(self, line: int, reason: str, text: str = "") -> None:
        """Count a row that cannot be read. Of its text, no more than the beginning is kept."""
        self.drop(reason)
        self.flaws.append(Flaw(line, reason, text[:SHOWN_CHARACTERS]))


def digest_group(group: str) -> bytes:
    """Eight bytes that identify a group."""
    return hashlib.blake2b(group.encode(), digest_size=GROUP_DIGEST_BYTES).digest()


def digest_pair(source: str, target: str) -> bytes:
    """Sixteen bytes that identify a pair."""
    return hashlib.blake2b(f"{len(source)} {source}{target}".encode(), digest_size=DIGEST_BYTES).digest()
