"""The limits of a handler for one key: declared at ``@on``. Performs no I/O."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from events import NO_LANE, ConfigError, Event, Lane, lane_name

Key: TypeAlias = "Literal['account', 'tenant'] | Callable[[Event], str | None]"
"""Which events belong together: those of one account, of one tenant, or with one answer of a function."""

_MAX_STARTS = 10_000
_MAX_SECONDS = 7 * 86_400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits from ``@on`` for events with the same key.

    Raises :class:`ConfigError` for values out of range, and for combinations that contradict each other.

    *rate* is a number of starts and the seconds within which there are no more; *debounce* is in seconds.
    """

    key: Key = "account"
    concurrency: int | None = None
    ordered: bool = False
    debounce: float | None = None
    rate: tuple[int, float] | None = None

    def __post_init__(self) -> None:
        if not (self.concurrency is not None or self.ordered or self.debounce is not None or self.rate is not None):
            raise ConfigError("key= alone limits nothing: add concurrency, ordered, debounce or rate")
        if self.key not in ("account", "tenant") and not callable(self.key):
            raise ConfigError('key must be "account", "tenant" or a function from an event to a text')
        if self.concurrency is not None and not _is_count(self.concurrency):
            raise ConfigError("concurrency must be a whole number, at least 1")
        if self.ordered and self.concurrency not in (None, 1):
            raise ConfigError("ordered work runs one at a time: leave concurrency out")
        if self.debounce is not None and not _is_time(self.debounce):
            raise ConfigError("debounce must be between 0.001 and 604800 seconds")
        if self.rate is not None and not _is_rate(self.rate):
            raise ConfigError("rate must be (count, seconds): at most 10000 starts within at most 604800 seconds")

    def lane(self, handler: str, event: Event) -> Lane:
        """Where the work of *handler* on *event* belongs; :data:`events.NO_LANE` when the event has no key.

        Raises what the key's function raises, and :class:`TypeError` when its answer is no text.
        """
        key = self._key_of(event)
        if key is None:
            return NO_LANE
        if not isinstance(key, str):
            raise TypeError(f"the key of {handler} must be a text or None, not {type(key).__name__}")
        starts, period = self.rate or (0, 0.0)
        most = 1 if self.ordered else self.concurrency or 0
        return Lane(lane_name(handler, key), most, self.ordered, starts, period, self.debounce or 0.0)

    def must_ask(self, lane: Lane, held: str | None) -> bool:
        """Whether work for *lane*, with a slot in the lane *held*, has to pass the gate before it runs."""
        if lane is NO_LANE:
            # Others may wait behind it in an ordered lane, or for the slot that it had.
            return self.ordered or held is not None
        return lane.name != held or self.rate is not None or self.debounce is not None

    def _key_of(self, event: Event) -> object:
        if callable(self.key):
            return self.key(event)
        return event.account_id if self.key == "account" else event.tenant_id


def _is_count(number: object) -> bool:
    return type(number) is int and number >= 1


def _is_time(seconds: object) -> bool:
    return (
        isinstance(seconds, int | float)
        and not isinstance(seconds, bool)
        and math.isfinite(seconds)
        and 0.001 <= seconds <= _MAX_SECONDS
    )


def _is_rate(rate: object) -> bool:
    match rate:
        case (int(count), seconds):
            return _is_count(count) and count <= _MAX_STARTS and _is_time(seconds)
    return False
