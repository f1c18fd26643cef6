"""The store: events in Redis. Every change is one script, so it is atomic.

Keys (all begin with ``tw:``; ``<member>`` is an event's key, or ``key|handler`` once several handlers want it):

========================  ========================================================================================
``queue``                 sorted set of members by the time (ms) they are due; a lease is a due time in the future
``event:<key>``           received at, meta and body of a pending event; never expires
``body:<key>``            the body of a large event, in place of the one in ``event:<key>``
``raw:<key>``             the body of the delivery, where it differs from that of the event
``offered:<name>``        a large body, and ``offered:<name>:raw``, until the event is accepted; expires otherwise
``open:<key>``            number of pieces of work left, for an event of several handlers
``work:<member>``         handler, attempts used up, claims never finished, token of the lease, note of a dead letter,
                          time of acceptance, lane
``steps:<member>``        results of the handler's steps
``usage``                 hash of counts by source: pending events and bytes, bytes parked without a handler
``unhandled``, ``let_go`` work parked without a handler, by source, and what was dropped of it: scripts/parking.lua
``dead``, ``parked``      sorted sets of members by the time they were added
``causes``                sorted set of the causes of dead letters by their number: scripts/causes.lua
``done:<key>``            checksum of type and body of a handled event, to find duplicates, for ``DEDUP_TTL``
``history:<key>``         what happened to the event, one line each; expires ``HISTORY_TTL`` after its end
``journal:<hour>``        list of marks of the events accepted in this hour (since 1970): :mod:`events.journal`;
                          expires ``SEARCH_TTL`` after it
``recent``                sorted set of ended events by time, for ``HISTORY_TTL``
``workers``               sorted set of workers by their last claim
``totals``                counts of outcomes since the store was created
``context:<source>``      hash of values from a source's handshakes, secrets included
``enrolled:<source>``     time of the last enrolment
``enrolment:<source>``    end of the enrolment window; expires then
``refusals``              list of the last refused deliveries, without bodies
``idle``                  sorted set of idle workers, each with its lease (ms), by their free slots;
                          each is subscribed to the channel ``worker:<name>``
``reconcile``             hash of what turns of reconciling remember, and who has the turn
``spent:<budget>``        list of the last starts from a budget of calls, for its period
``reconnect:<account>``   set of the members that are parked until the account is connected again
``reconnected:<account>`` when it was last connected again, for some hours
``held``                  sorted set of the members that wait for their key: scripts/lanes.lua
``workflows``             hash of the definitions of open runs, by digest
``run:<id>``              a run of a workflow: head, status, digest, attempts, times, error, result
``runs:open``             sorted set of open runs by start time
``runs:ended``            sorted set of ended runs by end time, for ``HISTORY_TTL``
``waits:<bucket>``        hash of the runs that wait for a type of event (and account), by member
``arrived:<type>``        list of the last events of a type that runs wait for; ``arrivals:<type>`` counts them
========================  ========================================================================================
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Coroutine, Sequence
from typing import Any, cast

from events.accepting import Acceptance, Acceptor
from events.bodies import Bodies
from events.budgets import Budgets
from events.causes import Causes
from events.checking import Fault, find_faults
from events.client import ANSWER_SECONDS, StoreClient, confirmed
from events.connecting import connect
from events.event import Verified
from events.inspection import Inspection
from events.queue import Queue, Retention
from events.recovery import Recovery
from events.searching import Search
from events.source_notes import SourceNotes
from events.usage import ParkedLimit, PendingLimit
from events.workflow_runs import WorkflowRuns


class Store:
    """The events in one Redis. Create one per process; its tasks may use it concurrently.

    :meth:`accept` takes deliveries. The other parts: ``queue`` for workers, ``bodies`` for stored bodies,
    ``inspection`` and ``causes`` for operators, ``notes`` for sources, ``runs`` for workflows, ``budgets`` for calls,
    ``recovery`` for what has not arrived. Every method of
    these raises :class:`StoreUnavailable` if Redis did not confirm. The outcome is unknown then.
    """

    def __init__(
        self,
        client: StoreClient,
        *,
        lease_seconds: float = 15.0,
        dedup_ttl: float = 7 * 86_400,
        history_ttl: float = 3 * 86_400,
        search_ttl: float = 3 * 86_400,
        confirm_replicas: int = 0,
        parked: ParkedLimit | None = None,
    ) -> None:
        self.client = client
        self.redis = client.redis
        self.retention = Retention(round(dedup_ttl * 1000), round(history_ttl * 1000), parked or ParkedLimit())
        self.queue = Queue(client, self.retention, lease_seconds=lease_seconds)
        self.bodies = Bodies(client)
        self.inspection = Inspection(client, self.retention, self.bodies)
        self.causes = Causes(client)
        self.search = Search(client, round(search_ttl * 1000))
        self.notes = SourceNotes(client)
        self.runs = WorkflowRuns(client, self.retention)
        self.budgets = Budgets(client)
        self.recovery = Recovery(client)
        self._acceptor = Acceptor(client, confirm_replicas=confirm_replicas, search_ms=round(search_ttl * 1000))

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        lease_seconds: float = 15.0,
        dedup_ttl: float = 7 * 86_400,
        history_ttl: float = 3 * 86_400,
        search_ttl: float = 3 * 86_400,
        answer_seconds: float = ANSWER_SECONDS,
        confirm_replicas: int = 0,
        parked: ParkedLimit | None = None,
        platform_sources: Collection[str] = (),
    ) -> Store:
        """A store at *url* (``redis://``, ``rediss://``, ``unix://``, or ``redis+sentinel://`` to follow failovers).

        No connection is made before first use. A Redis that has not answered within *answer_seconds* counts as
        unavailable. With *confirm_replicas*, :meth:`accept` returns only once so many replicas have the events.
        *platform_sources* are Truto's own besides ``truto``, for events that versions before accepted.
        Raises :class:`BadStoreURL`, whose message repeats nothing of *url*.
        """
        return cls(
            StoreClient(
                connect(url, answer_seconds=answer_seconds),
                answer_seconds=answer_seconds,
                platform_sources=platform_sources,
            ),
            lease_seconds=lease_seconds,
            dedup_ttl=dedup_ttl,
            history_ttl=history_ttl,
            search_ttl=search_ttl,
            confirm_replicas=confirm_replicas,
            parked=parked,
        )

    def accept(
        self, events: Sequence[Verified], limit: PendingLimit | None = None
    ) -> Coroutine[Any, Any, list[Acceptance]]:
        """Take the events of one delivery in, all or none. See :meth:`events.accepting.Acceptor.accept`."""
        return self._acceptor.accept(events, limit)

    async def close(self) -> None:
        """Close the connections, after a claim under way has its answer. A second call does nothing."""
        async with self.queue.claiming:
            await self.redis.aclose()

    async def ping(self) -> None:
        """Return when Redis answers."""
        async with confirmed():
            await cast("Awaitable[bool]", self.redis.ping())

    async def find_faults(self) -> list[Fault]:
        """Reasons why this Redis could lose accepted events, each with its remedy; empty if there are none."""
        async with confirmed():
            return await find_faults(self.redis)

    async def now(self) -> float:
        """Unix seconds by Redis' clock, which decides every due time."""
        return await self.client.now()
