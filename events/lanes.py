"""Lanes: pieces of work of one handler that share a key, and how many of them may run. Performs no I/O."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple


class OrderedPattern(NamedTuple):
    """Events that an ordered handler may want: of this source (``None``: any), with a type that fits the pattern."""

    handler: str
    source: str | None
    pattern: str


@dataclass(frozen=True, slots=True)
class Lane:
    """A handler's pieces with one key, and their limits. 0 means no limit.

    At most ``most`` run at once, and at most ``starts`` start within ``period`` (s); ``ordered`` ones in the order of
    their acceptance. Of those within ``window`` (s) of each other only the latest runs.
    """

    name: str
    most: int = 0
    ordered: bool = False
    starts: int = 0
    period: float = 0.0
    window: float = 0.0

    @property
    def limits(self) -> tuple[int, int, int, int, int]:
        """What the gate script gets; times in ms."""
        return self.most, int(self.ordered), self.starts, round(self.period * 1000), round(self.window * 1000)


NO_LANE = Lane("")
"""Where a piece belongs whose event has no key: nothing holds it back."""


def lane_name(handler: str, key: str) -> str:
    """The store's name for a lane. Keys are chosen by strangers and never become Redis keys."""
    return f"{handler}|{hashlib.blake2b(key.encode(errors='surrogatepass'), digest_size=16).hexdigest()}"
