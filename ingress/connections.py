"""All open connections, by state, with a time limit for each, and the choice of which to close at the limit."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Protocol

from events.background import background
from ingress.budget import BodyBudget
from ingress.limits import Limits
from ingress.turned_away import TurnedAway
from ingress.turns import Turns

MAX_SILENT = 500
"""Connections on which nothing has come yet. A sender's request follows its connection at once."""

_SWEEP_SECONDS = 1.0
_MAX_CLOSED = 16  # in one round of the event loop: closing thousands at once would delay deliveries
_FRESH_SECONDS = 1.0
"""A connection that is new or just answered may be about to send: older ones are closed first."""


class Connection(Protocol):
    """The interface of a connection."""

    peer: str
    phase: Phase | None
    since: float
    """When the request that is under way began, or the rest since the last one (s, by the event loop's clock)."""

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""

    def drop(self) -> None:
        """End at once, whatever was not sent or read yet."""

    def retire(self) -> None:
        """End after the answer to the request that is under way, at once when there is none."""

    def end_head(self) -> bool:
        """Answer a head that did not come to its end in time; false when not a byte of one has come."""


Phase = OrderedDict[Connection, float]
"""Connections in the order in which they came into it, with the time."""


class Connections:
    """Admits connections up to a number, and ends those that are overdue.

    Run :meth:`running` beside the server. At the limit a connection is closed for the new one: the longest silent one,
    else the longest idle, else the one whose body has been on its way for longest; those that have delivered come last.
    A delivery costs nothing here: a connection only notes its time, and is put in order when somebody looks for one.
    """

    def __init__(
        self,
        limits: Limits,
        budget: BodyBudget,
        turned_away: TurnedAway,
        *,
        body_bytes: Callable[[str], int] | None = None,
    ) -> None:
        self.limits = limits
        self.body_bytes = body_bytes or (lambda path: limits.body_bytes)
        """The largest body of a request to a path."""
        self.budget = budget
        self.turned_away = turned_away
        self.turns = Turns()
        """In which large bodies are read."""
        self.silent: Phase = OrderedDict()
        """Connections that have sent nothing yet, or a part of a head."""
        self._open: Phase = OrderedDict()
        self._spoken: Phase = OrderedDict()
        self._trusted: Phase = OrderedDict()
        self._unread: Phase = OrderedDict()
        self._peers: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, connection: Connection, now: float) -> bool:
        """Add a new connection, closing another one if needed; false if the new one has to be closed."""
        limit = self.limits.connections_per_peer
        if limit and self._peers[connection.peer] >= limit:
            self.turned_away.note("connection_refused", "peer_limit")
            return False
        if len(self.silent) >= MAX_SILENT:  # thousands that end at once would delay deliveries
            self._evict(next(iter(self.silent)), "silent")
        if len(self._open) >= self.limits.connections and not self._make_room(now):
            self.turned_away.note("connection_refused", "limit")
            return False
        self._open[connection] = self.silent[connection] = now
        connection.phase = self.silent
        if limit:
            self._peers[connection.peer] += 1
        return True

    def _make_room(self, now: float) -> bool:
        for fresh in (_FRESH_SECONDS, 0.0):
            if self.silent and now - next(iter(self.silent.values())) >= fresh:
                return self._evict(next(iter(self.silent)), "silent")
            if idle := _longest_idle(self._spoken, now - fresh):
                return self._evict(idle, "idle")
            if receiving := self.budget.oldest(_FRESH_SECONDS):
                self.turned_away.note("connection_evicted", "receiving")
                receiving.give_way()
                return True
        if idle := _longest_idle(self._trusted, now):
            return self._evict(idle, "idle")
        return False

    def _evict(self, connection: Connection, reason: str) -> bool:
        self.turned_away.note("connection_evicted", reason)
        self._end(connection)
        return True

    def ended(self, connection: Connection) -> None:
        """*connection* is over. A second call does nothing."""
        if connection.phase is None:
            return
        del self._open[connection], connection.phase[connection]
        connection.phase = None
        self._unread.pop(connection, None)
        if self.limits.connections_per_peer:
            self._peers[connection.peer] -= 1
            if not self._peers[connection.peer]:
                del self._peers[connection.peer]

    def begins(self, connection: Connection, now: float) -> None:
        """A part of a head has come, and no request is under way."""
        self._move(connection, self.silent, now)

    def speaks(self, connection: Connection, *, trusted: bool) -> None:
        """A whole head has come, or an answer gone out. *trusted*: something authentic was delivered here."""
        self._move(connection, self._trusted if trusted else self._spoken, connection.since)

    def blocks(self, connection: Connection, now: float) -> None:
        """An answer is not being read."""
        if connection.phase is not None:
            self._unread[connection] = now

    def unblocks(self, connection: Connection) -> None:
        """It is read again."""
        self._unread.pop(connection, None)

    @staticmethod
    def _move(connection: Connection, phase: Phase, since: float) -> None:
        if connection.phase is not None:
            del connection.phase[connection]
            phase[connection] = since
            connection.phase = phase

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Close overdue connections until the block ends."""
        async with background(self._run(), "sweep-connections"):
            yield

    async def _run(self) -> None:
        limits = self.limits
        shortest = min(limits.head_seconds, limits.idle_seconds, limits.write_seconds, limits.request_seconds)
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(_SWEEP_SECONDS, shortest / 4))
            for closed, _ in enumerate(self.sweep(loop.time()), start=1):
                if closed % _MAX_CLOSED == 0:
                    await asyncio.sleep(0)

    def sweep(self, now: float) -> Iterator[Connection]:
        """Close connections that are overdue at *now* (s, by the clock of the event loop), one for each step."""
        limits = self.limits
        yield from _each(self.silent, now - limits.head_seconds, self._end_silence)
        yield from _each(self._unread, now - limits.write_seconds, lambda late: self._give_up(late, "answer_unread"))
        yield from _each(self._open, now - limits.connection_seconds, self._retire)
        for connection in [*self._spoken, *self._trusted]:
            if connection.phase is None or now - connection.since < self._patience(connection):
                continue
            if connection.is_busy:
                self._give_up(connection, "request")
            else:
                self._end(connection)
            yield connection

    def _patience(self, connection: Connection) -> float:
        return self.limits.request_seconds if connection.is_busy else self.limits.idle_seconds

    def _end_silence(self, connection: Connection) -> None:
        if not connection.end_head():
            self._give_up(connection, "silent")
        elif connection.phase is self.silent:  # it was ending already
            self._end(connection)

    def _give_up(self, connection: Connection, reason: str) -> None:
        self.turned_away.note("connection_timed_out", reason)
        self._end(connection)

    def _end(self, connection: Connection) -> None:
        self.ended(connection)
        connection.drop()

    def _retire(self, connection: Connection) -> None:
        # Once is enough; what does not end after that is ended by its request's time.
        self._open.move_to_end(connection)
        self._open[connection] += self.limits.connection_seconds
        connection.retire()


def _each(phase: Phase, before: float, end: Callable[[Connection], None]) -> Iterator[Connection]:
    """Call *end* for everything that came into *phase* before that, each of which it has to take out."""
    while phase:
        connection, since = next(iter(phase.items()))
        if since > before:
            return
        end(connection)
        yield connection


def _longest_idle(phase: Phase, before: float) -> Connection | None:
    """Who has been idle for longest, since *before* at least. Those that are not are put where they belong."""
    for _ in range(len(phase)):
        connection, noted = next(iter(phase.items()))
        if not connection.is_busy and connection.since == noted:
            return connection if noted <= before else None
        phase.move_to_end(connection)
        phase[connection] = connection.since
    return None
