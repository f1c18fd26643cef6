"""How much of the store each source takes, and how much of it nobody handles. Performs no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

_EVENT = 2**40  # scripts/prelude.lua counts events and their bytes in one number
_PARKED_SHARE = 20
_PARKED_BYTES = 64 * 1024 * 1024


class PendingLimit(NamedTuple):
    """How much of one source may be in a store and not over; 0 is any number. *parked* counts what nobody handles."""

    events: int = 0
    bytes: int = 0
    parked: int = 0


@dataclass(frozen=True, slots=True)
class ParkedLimit:
    """How much of one source may be parked because nobody handles it: *events*, *bytes*, and for how long (s).

    Without *bytes* it is a twentieth of Redis' memory limit, or 64 MiB where there is none.
    """

    events: int = 10_000
    bytes: int | None = None
    seconds: float = 7 * 86_400

    def bytes_of(self, maxmemory: int) -> int:
        """How many bytes that is in a Redis with this limit (0: none)."""
        if self.bytes is not None:
            return self.bytes
        return maxmemory // _PARKED_SHARE or _PARKED_BYTES


class Memory(NamedTuple):
    """What Redis uses, and may use; a limit of 0 is none, or one that is not told."""

    used: int
    limit: int

    @property
    def fullness(self) -> float:
        """The part of the limit that is used; 0 without a limit."""
        return self.used / self.limit if self.limit else 0.0


@dataclass(frozen=True, slots=True)
class SourceUsage:
    """What one source takes: events that are not over and their bytes; those parked because nobody handles them.

    ``fullness`` is how near these are to being let go, 1 being there; ``let_go`` counts those that were.
    """

    events: int = 0
    bytes: int = 0
    parked: int = 0
    parked_bytes: int = 0
    oldest_parked_seconds: float = 0.0
    let_go: int = 0
    fullness: float = 0.0


class LetGo(NamedTuple):
    """Events of one type that were parked, were handled by nobody, and were let go: how many, and when."""

    source: str
    type: str
    events: int
    first: datetime
    last: datetime


def read_usage(
    counts: Sequence[bytes], parked: Sequence[bytes | int], limit: ParkedLimit, maxmemory: int
) -> dict[str, SourceUsage]:
    """The usage of each source, as the overview script tells it: pairs of counts, and triples of parked work."""
    counted = {name.decode(): int(value) for name, value in zip(counts[::2], counts[1::2], strict=True)}
    sources = dict.fromkeys(name.partition("|")[0] for name in counted)
    triples = zip(parked[::3], parked[1::3], parked[2::3], strict=True)
    found = {str(name, "utf-8"): (int(held), int(age) / 1000) for name, held, age in triples if isinstance(name, bytes)}
    usages = {}
    for source in sources:
        held, age = found.get(source, (0, 0.0))
        taken = counted.get(f"{source}|unhandled", 0)
        parts = held / limit.events, taken / limit.bytes_of(maxmemory), age / limit.seconds
        usages[source] = SourceUsage(
            *divmod(counted.get(f"{source}|pending", 0), _EVENT),
            held,
            taken,
            age,
            counted.get(f"{source}|let_go", 0),
            round(max(parts), 3),
        )
    return usages


def combine_usage(usages: Iterable[Mapping[str, SourceUsage]]) -> dict[str, SourceUsage]:
    """The usage of each source in several stores: sums, and the fullest and oldest of them."""
    found: dict[str, SourceUsage] = {}
    for usage in usages:
        for source, more in usage.items():
            so_far = found.get(source, SourceUsage())
            found[source] = SourceUsage(
                so_far.events + more.events,
                so_far.bytes + more.bytes,
                so_far.parked + more.parked,
                so_far.parked_bytes + more.parked_bytes,
                max(so_far.oldest_parked_seconds, more.oldest_parked_seconds),
                so_far.let_go + more.let_go,
                max(so_far.fullness, more.fullness),
            )
    return found


def read_let_go(rows: Mapping[bytes, bytes]) -> list[LetGo]:
    """What was let go by source and type, the most first."""
    found = []
    for name, value in rows.items():
        source, _, kind = name.decode().partition("/")
        counted = orjson.loads(value)
        first, last = (datetime.fromtimestamp(counted[at] / 1000, UTC) for at in ("first", "last"))
        found.append(LetGo(source, kind, counted["count"], first, last))
    return sorted(found, key=lambda let_go: (-let_go.events, let_go.source, let_go.type))
