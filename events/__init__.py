"""An event and its life in Redis. Handlers need :class:`Event` from here, nothing else."""

from events.errors import CorruptEvent, EventsError, MalformedEvent, StoreUnavailable
from events.event import Event, Verified
from events.store import Acceptance, Claim, End, HistoryEntry, Kept, Lease, Overview, Store

__all__ = [
    "Acceptance",
    "Claim",
    "CorruptEvent",
    "End",
    "Event",
    "EventsError",
    "HistoryEntry",
    "Kept",
    "Lease",
    "MalformedEvent",
    "Overview",
    "Store",
    "StoreUnavailable",
    "Verified",
]
