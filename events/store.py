"""An event's life in Redis. Every change is one script, so it happens whole or not at all.

Keys (all begin with ``tw:``; ``<member>`` is an event's key, or ``key|handler`` once several handlers want it):

========================  ========================================================================================
``queue``                 sorted set of members by the time (ms) they are due; a lease is a due time in the future
``event:<key>``           received at, meta and body of an event that is not over; has no expiry
``body:<key>``            the body of a large event, which is not behind its meta then
``raw:<key>``             the delivery's own body where that differs
``offered:<name>``        a large body, and ``offered:<name>:raw``, until the event is accepted; expires where it is not
``open:<key>``            how many pieces of work are left of an event that several handlers want
``work:<member>``         handler, attempts used up, claims never finished, token of the lease, note of a dead letter,
                          time of acceptance, lane
``steps:<member>``        what the handler's steps have returned
``usage``                 hash of counts by source: events and bytes that are not over, bytes parked that nobody handles
``unhandled``, ``let_go`` parked work that nobody handles, by source, and what became of it: scripts/parking.lua
``dead``, ``parked``      sorted sets of members by the time they got there
``done:<key>``            the duplicate guard after success, for ``DEDUP_TTL``: a checksum of type and body
``history:<key>``         what happened, a line each; expires ``HISTORY_TTL`` after the end
``recent``                sorted set of ended events by time, for ``HISTORY_TTL``
``workers``               sorted set of workers by their last claim
``totals``                how often each thing happened since the store was made
``context:<source>``      hash of what a source's handshakes have left, secrets among them
``enrolled:<source>``     when an enrolment has last left something there
``enrolment:<source>``    when the window closes in which the next handshake may; expires then
``refusals``              list of the deliveries that were refused last, without bodies
``idle``                  sorted set of workers that wait, each with its lease (ms), by how many events they want;
                          each listens on the channel ``worker:<name>``
``spent:<budget>``        list of the last starts that a budget of calls has given, for its period
``reconnect:<account>``   set of the members that are parked until the account is connected again
``reconnected:<account>`` when it last was, for some hours
``held``                  sorted set of the members that wait for their key; how they do is told in scripts/lanes.lua
``workflows``             hash of the definitions that runs go on with, by digest
``run:<id>``              a run of a workflow: head, status, digest, attempts, times, error, result
``runs:open``             sorted set of runs by their beginning, until they end
``runs:ended``            sorted set of runs by their end, for ``HISTORY_TTL``
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
from events.checking import find_faults
from events.client import ANSWER_SECONDS, StoreClient, confirmed
from events.connecting import connect
from events.event import Verified
from events.inspection import Inspection
from events.queue import Queue, Retention
from events.source_notes import SourceNotes
from events.usage import ParkedLimit, PendingLimit
from events.workflow_runs import WorkflowRuns


class Store:
    """All that can be done with events in one Redis. One per process; safe for concurrent use by its tasks.

    Deliveries come in by :meth:`accept`. The rest has a place each: ``queue`` for workers, ``bodies`` for what was
    delivered, ``inspection`` for operators, ``notes`` for sources, ``runs`` for workflows, ``budgets`` for calls. Every
    method of these raises :class:`StoreUnavailable` when Redis did not confirm. The outcome is unknown then.
    """

    def __init__(
        self,
        client: StoreClient,
        *,
        lease_seconds: float = 15.0,
        dedup_ttl: float = 7 * 86_400,
        history_ttl: float = 3 * 86_400,
        confirm_replicas: int = 0,
        parked: ParkedLimit | None = None,
    ) -> None:
        self.client = client
        self.redis = client.redis
        self.retention = Retention(round(dedup_ttl * 1000), round(history_ttl * 1000), parked or ParkedLimit())
        self.queue = Queue(client, self.retention, lease_seconds=lease_seconds)
        self.bodies = Bodies(client)
        self.inspection = Inspection(client, self.retention, self.bodies)
        self.notes = SourceNotes(client)
        self.runs = WorkflowRuns(client, self.retention)
        self.budgets = Budgets(client)
        self._acceptor = Acceptor(client, confirm_replicas=confirm_replicas)

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        lease_seconds: float = 15.0,
        dedup_ttl: float = 7 * 86_400,
        history_ttl: float = 3 * 86_400,
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
            confirm_replicas=confirm_replicas,
            parked=parked,
        )

    def accept(
        self, events: Sequence[Verified], limit: PendingLimit | None = None
    ) -> Coroutine[Any, Any, list[Acceptance]]:
        """Take the events of one delivery in, all or none. See :meth:`events.accepting.Acceptor.accept`."""
        return self._acceptor.accept(events, limit)

    async def close(self) -> None:
        """Close the connections, once a claim that is under way has its answer. A second call does nothing."""
        async with self.queue.claiming:
            await self.redis.aclose()

    async def ping(self) -> None:
        """Return when Redis answers."""
        async with confirmed():
            await cast("Awaitable[bool]", self.redis.ping())

    async def find_faults(self) -> list[str]:
        """Why accepted events would not be safe in this Redis, each with its remedy; empty when they are."""
        async with confirmed():
            return await find_faults(self.redis)

    async def now(self) -> float:
        """Unix seconds by Redis' clock, the only one that counts here."""
        return await self.client.now()
