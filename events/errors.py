"""Everything this package raises on purpose.

::

    EventsError
    ├── MalformedEvent      the body is authentic but holds no event: refuse it
    ├── CorruptEvent        what Redis kept is not what was put there: a person has to look
    └── StoreUnavailable    the store did not confirm: never report success, try again later
"""

from __future__ import annotations


class EventsError(Exception):
    """Base of everything raised here on purpose; catching it never hides a bug."""


class MalformedEvent(EventsError):
    """The body holds no event. ``reason`` is one stable word for the answer, logs and metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CorruptEvent(EventsError):
    """A stored event cannot be read back."""


class StoreUnavailable(EventsError):
    """Redis did not confirm the command. It may have been carried out or not: an unknown outcome is no success."""
