"""An event and its life in Redis. Handlers need :class:`Event` from here, nothing else."""

from events.errors import BadStoreURL, CorruptEvent, EventsError, MalformedEvent, SpoolUnusable, StoreUnavailable
from events.event import Event, Verified
from events.intake import Intake
from events.lanes import NO_LANE, Lane, OrderedPattern, lane_name
from events.runs import Begun, Run, RunStatus, Waiting
from events.spool import Spool
from events.store import Acceptance, Claim, End, Ended, HistoryEntry, Kept, Lease, Overview, Refused, Store

__all__ = [
    "NO_LANE",
    "Acceptance",
    "BadStoreURL",
    "Begun",
    "Claim",
    "CorruptEvent",
    "End",
    "Ended",
    "Event",
    "EventsError",
    "HistoryEntry",
    "Intake",
    "Kept",
    "Lane",
    "Lease",
    "MalformedEvent",
    "OrderedPattern",
    "Overview",
    "Refused",
    "Run",
    "RunStatus",
    "Spool",
    "SpoolUnusable",
    "Store",
    "StoreUnavailable",
    "Verified",
    "Waiting",
    "lane_name",
]
