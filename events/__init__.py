"""An event and its life in Redis. Handlers need :class:`Event` from here, nothing else."""

from events.errors import BadStoreURL, CorruptEvent, EventsError, MalformedEvent, SpoolUnusable, StoreUnavailable
from events.event import Event, Verified
from events.intake import Intake
from events.spool import Spool
from events.store import Acceptance, Claim, End, Ended, HistoryEntry, Kept, Lease, Overview, Store

__all__ = [
    "Acceptance",
    "BadStoreURL",
    "Claim",
    "CorruptEvent",
    "End",
    "Ended",
    "Event",
    "EventsError",
    "HistoryEntry",
    "Intake",
    "Kept",
    "Lease",
    "MalformedEvent",
    "Overview",
    "Spool",
    "SpoolUnusable",
    "Store",
    "StoreUnavailable",
    "Verified",
]
