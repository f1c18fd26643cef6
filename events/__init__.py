"""An event and its life in Redis. Handlers need :class:`Event` from here, nothing else."""

from events.accepting import Acceptance
from events.budgets import Budget
from events.errors import (
    BadStoreURL,
    ConfigError,
    CorruptEvent,
    EventsError,
    MalformedEvent,
    SpoolUnusable,
    StoreUnavailable,
)
from events.event import Event, Verified
from events.inspection import Ended, Kept, Overview
from events.intake import Intake
from events.lanes import NO_LANE, Lane, OrderedPattern, lane_name
from events.queue import NEEDS_REAUTH, Claim, End, Lease, until_reconnected
from events.recovery import Arrived, Turn
from events.runs import Begun, Run, RunStatus, Waiting
from events.shards import Shard, Shards, choose_shard, combine
from events.source_notes import Enrolment, Refused
from events.spool import Spool
from events.store import Store
from events.stories import HistoryEntry, Piece, Story
from events.usage import LetGo, Memory, ParkedLimit, PendingLimit, SourceUsage

__all__ = [
    "NEEDS_REAUTH",
    "NO_LANE",
    "Acceptance",
    "Arrived",
    "BadStoreURL",
    "Begun",
    "Budget",
    "Claim",
    "ConfigError",
    "CorruptEvent",
    "End",
    "Ended",
    "Enrolment",
    "Event",
    "EventsError",
    "HistoryEntry",
    "Intake",
    "Kept",
    "Lane",
    "Lease",
    "LetGo",
    "MalformedEvent",
    "Memory",
    "OrderedPattern",
    "Overview",
    "ParkedLimit",
    "PendingLimit",
    "Piece",
    "Refused",
    "Run",
    "RunStatus",
    "Shard",
    "Shards",
    "SourceUsage",
    "Spool",
    "SpoolUnusable",
    "Store",
    "StoreUnavailable",
    "Story",
    "Turn",
    "Verified",
    "Waiting",
    "choose_shard",
    "combine",
    "lane_name",
    "until_reconnected",
]
