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
``done:<key>``            the duplicate guard after success, for ``DEDUP_TTL``
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

import asyncio
import math
import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from importlib import resources
from io import BytesIO
from itertools import chain
from typing import Any, Literal, NamedTuple, cast

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from events.batching import GroupCommit
from events.budgets import Budget
from events.checking import find_faults
from events.confirming import ReplicaConfirmation
from events.connecting import connect
from events.errors import CorruptEvent, StoreUnavailable
from events.event import MAX_INLINE_BYTES, Event, Verified, event_key, head_of, read_stored, with_body
from events.lanes import Lane, OrderedPattern
from events.listening import hear
from events.runs import Arrivals, Begun, Run, RunStatus, Waiting, read_run
from events.usage import LetGo, Memory, ParkedLimit, PendingLimit, SourceUsage, read_let_go, read_usage

PREFIX = "tw:"

NEEDS_REAUTH = "needs_reauth"
"""Why work is parked whose account has to be connected again; Truto's own word for the account's status."""

_Offer = tuple[Sequence[Verified], PendingLimit | None]

_LEFT = b"left"
_ALIVE_MS = 15_000
_ANSWER_SECONDS = 5.0
_PAGE = 100
_LAST_WORDS = 10
_MOST_REFUSALS = 500
_MOST_STORED = 2 * MAX_INLINE_BYTES  # with its head; only earlier versions stored more in one piece
_BYTES_READ = 1024 * 1024  # of a large body at a time
_ANY_BYTES = 2**53
_RECONNECTED_MS = 6 * 3_600_000
_MOST_ARRIVALS = 256
_ARRIVAL_MS = 3_600_000


class Acceptance(StrEnum):
    """What became of an event that was offered to the store."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    """A duplicate by id whose body differs from the one in flight; the first one counts."""
    OVER_QUOTA = "over_quota"
    """Not taken: its source has as much in the store as it may."""
    SPOOLED = "spooled"
    """Kept on the local disk, because the store did not answer: the store never says this itself."""


_ACCEPTANCES = {1: Acceptance.ACCEPTED, 0: Acceptance.DUPLICATE, 2: Acceptance.CONFLICT, 3: Acceptance.OVER_QUOTA}


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's time-limited claim on one piece of work.

    ``handler`` is ``None`` until one was chosen; ``attempts`` counts those used up, ``crashes`` the claims that were
    never finished (the worker was killed, or lost its lease). ``lane`` is the one the work got through before.
    ``body_bytes`` is the size of a large event's body, which :meth:`Store.whole` reads; 0 for others.
    """

    member: str
    token: str
    event: Event
    handler: str | None
    attempts: int
    crashes: int
    lane: str | None = None
    body_bytes: int = 0


class Claim(NamedTuple):
    """New leases, and how long (s) until the next work is due; ``None`` when the queue is empty, or waits for room."""

    leases: list[Lease]
    next_due: float | None


EndKind = Literal["done", "discarded", "retried", "released", "dead", "parked"]


@dataclass(frozen=True, slots=True)
class End:
    """How a lease ends. ``delay`` (s) is for retries; ``note`` goes into the history, without payload or secrets."""

    kind: EndKind
    handler: str | None = None
    delay: float = 0.0
    note: dict[str, Any] = field(default_factory=dict)


def until_reconnected(handler: str, account_id: str, error: str) -> End:
    """The end of work that can only go on when the tenant has connected the account again; uses up no attempt."""
    return End("parked", handler, note={"why": NEEDS_REAUTH, "account_id": account_id, "error": error})


class HistoryEntry(NamedTuple):
    """One thing that happened to an event."""

    at: datetime
    what: str
    detail: dict[str, Any]


class Ended(NamedTuple):
    """An event that is over: when and how. ``id`` and its like are empty where the beginning was not recorded."""

    at: datetime
    source: str
    type: str
    id: str
    outcome: str
    detail: dict[str, Any]


class Enrolment(NamedTuple):
    """What the handshakes of a source have left, and whether the next one may leave something.

    ``since`` is ``None`` when nothing was enrolled, or by a version that did not note when; ``open_until`` is ``None``
    while no window is open.
    """

    context: dict[str, Any]
    since: datetime | None
    open_until: datetime | None


class Refused(NamedTuple):
    """A delivery that was not taken: when (by the clock of the ingress), from which source, and why; never its body."""

    at: datetime
    source: str
    status: int
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """A dead letter, or parked work: kept with its payload until someone acts.

    ``event`` is ``None`` when the stored event cannot be read; ``stored`` then holds the bytes. A large event comes
    without its body, which :meth:`Store.whole` reads.
    """

    member: str
    since: datetime
    handler: str | None
    attempts: int
    note: dict[str, Any]
    event: Event | None
    stored: bytes = field(repr=False, default=b"")


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of the queue. ``oldest_ready_seconds`` is the age of the work that has waited longest.

    ``waiting`` is leased, or due later; ``held`` is out of the queue until its key is free.
    """

    ready: int
    oldest_ready_seconds: float
    waiting: int
    dead: int
    parked: int
    workers: int
    totals: dict[str, int]
    held: int = 0
    sources: dict[str, SourceUsage] = field(default_factory=dict)


class Store:
    """Events in Redis. One per process; safe for concurrent use by its tasks.

    Every method raises :class:`StoreUnavailable` when Redis did not confirm. The outcome is unknown then.
    """

    def __init__(
        self,
        redis: Redis,
        *,
        lease_seconds: float = 15.0,
        dedup_ttl: float = 7 * 86_400,
        history_ttl: float = 3 * 86_400,
        answer_seconds: float = _ANSWER_SECONDS,
        confirm_replicas: int = 0,
        parked: ParkedLimit | None = None,
        prefix: str = PREFIX,
    ) -> None:
        self.redis = redis
        self.lease_seconds = lease_seconds
        self._prefix = prefix
        self._patience = answer_seconds
        self._lease_ms = round(lease_seconds * 1000)
        self._dedup_ms = round(dedup_ttl * 1000)
        self._history_ms = round(history_ttl * 1000)
        self._parked = parked or ParkedLimit()
        self._maxmemory = 0
        self._scripts = {name: redis.register_script(_source(name)) for name in _SCRIPTS}
        self._confirmation = ReplicaConfirmation(redis, confirm_replicas) if confirm_replicas else None
        self._accepting = GroupCommit(self._accept_batch, size=_group_size, patience=answer_seconds)
        self._offering = GroupCommit(self._offer_batch, size=_bytes_of, patience=answer_seconds)
        self._gating = GroupCommit(self._gate_batch)
        self._keeping = GroupCommit(self._keep_steps, size=lambda step: len(step[-1]))
        self._beginning = GroupCommit(self._begin_runs)
        self._ending = GroupCommit(self._end_runs)
        self._ordered: Callable[[], Collection[OrderedPattern]] = tuple
        self._claiming = asyncio.Lock()  # held while a claim is under way, whose answer somebody has to give back
        self._last_claim = math.inf, 0.0  # Redis' clock (ms) in the last claim, and ours (s) before it

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        lease_seconds: float = 15.0,
        dedup_ttl: float = 7 * 86_400,
        history_ttl: float = 3 * 86_400,
        answer_seconds: float = _ANSWER_SECONDS,
        confirm_replicas: int = 0,
        parked: ParkedLimit | None = None,
    ) -> Store:
        """A store at *url* (``redis://``, ``rediss://``, ``unix://``, or ``redis+sentinel://`` to follow failovers).

        No connection is made before first use. A Redis that has not answered within *answer_seconds* counts as
        unavailable. With *confirm_replicas*, :meth:`accept` returns only once so many replicas have the events.
        Raises :class:`BadStoreURL`, whose message repeats nothing of *url*.
        """
        return cls(
            connect(url, answer_seconds=answer_seconds),
            lease_seconds=lease_seconds,
            dedup_ttl=dedup_ttl,
            history_ttl=history_ttl,
            answer_seconds=answer_seconds,
            confirm_replicas=confirm_replicas,
            parked=parked,
        )

    async def close(self) -> None:
        """Close the connections, once a claim that is under way has its answer. A second call does nothing."""
        async with self._claiming:
            await self.redis.aclose()

    async def ping(self) -> None:
        """Return when Redis answers."""
        async with _confirmed():
            await cast("Awaitable[bool]", self.redis.ping())

    async def find_faults(self) -> list[str]:
        """Why accepted events would not be safe in this Redis, each with its remedy; empty when they are."""
        async with _confirmed():
            return await find_faults(self.redis)

    async def accept(self, events: Sequence[Verified], limit: PendingLimit | None = None) -> list[Acceptance]:
        """Take the events of one delivery in, all or none, and say what became of each.

        Once their source has as much in the store as *limit* says, no new ones are taken. That is looked at before each
        round trip, which concurrent calls share. Returns after Redis has confirmed, never before. A large body goes
        ahead, past the script; it expires where the script does not take it over.
        """
        try:
            if any(len(verified.body) + len(verified.raw) > MAX_INLINE_BYTES for verified in events):
                events = await asyncio.gather(*map(self._offered, events))
            return await self._accepting.submit((events, limit))
        except TimeoutError as exc:
            raise _unconfirmed(exc) from None

    async def _offered(self, verified: Verified) -> Verified:
        """A large event as the accept script gets it, its body being in Redis; others as they are."""
        if len(verified.body) + len(verified.raw) <= MAX_INLINE_BYTES:
            return verified
        name = secrets.token_hex(16)
        await self._offering.submit((name, verified))
        return verified._replace(body=b"", raw=name.encode(), bytes_apart=len(verified.body) + len(verified.raw))

    async def _offer_batch(self, offers: Sequence[tuple[str, Verified]]) -> list[None]:
        # Until the script is there, it may wait for as long as an answer of Redis for this, and then for its own.
        expiry = round(3000 * self._patience)
        async with _confirmed(), self.redis.pipeline(transaction=False) as pipe:
            for name, verified in offers:
                pipe.set(f"{self._prefix}offered:{name}", verified.body, px=expiry)
                if verified.raw:
                    pipe.set(f"{self._prefix}offered:{name}:raw", verified.raw, px=expiry)
            await pipe.execute()
        return [None] * len(offers)

    async def _accept_batch(self, offers: Sequence[_Offer]) -> list[list[Acceptance]]:
        groups = [group for group, _ in offers]
        offered = list(chain.from_iterable(groups))
        limits = {group[0].source: limit for group, limit in offers if limit is not None and group}
        args: list[str | bytes | int] = [len(limits)]
        for source, limit in limits.items():
            args += source, *limit
        for verified in offered:
            args += verified.key, verified.meta, verified.body, verified.raw
        try:
            answers = _acceptances(await self._run_accept(args))
            taken = iter([answer for _, answer in zip(offered, answers, strict=True)])
            return [[next(taken) for _ in group] for group in groups]
        except (KeyError, TypeError, ValueError):
            # An unknown outcome is never an acceptance.
            raise StoreUnavailable("Redis gave an answer that the accept script does not give") from None

    async def _run_accept(self, args: Sequence[str | bytes | int]) -> Any:
        if self._confirmation is None:
            return await self._run("accept", args)
        async with _confirmed():
            return await self._confirmation.run(self._scripts["accept"], [self._prefix, *args])

    async def claim(
        self,
        most: int,
        owner: str,
        *,
        free: int | None = None,
        suspect: int | None = None,
        wants_suspect: bool = True,
        held_bytes: int = 0,
        most_bytes: int = _ANY_BYTES,
    ) -> Claim:
        """Lease up to *most* pieces of due work to *owner*. Stored events that cannot be read become dead letters.

        Of these, *free* could begin at once, and no more than *most* (all of them, where nothing is said): whoever gets
        fewer than that waits, and is told of new events (:meth:`listen`).

        Large bodies are leased up to *most_bytes*, counting the *held_bytes* of those that *owner* has. Those beyond
        are left in the queue, and small events pass them. One of more than *most_bytes* comes when no other is held.

        Work whose claims were never finished exactly *suspect* times comes as the only lease of its claim, and has to
        :meth:`begin`; without *wants_suspect* it is left for a later claim. An answer that is read late brings only
        what is still held.
        """
        after = -1 if suspect is None else suspect
        ordered = [part or "" for pattern in self._ordered() for part in pattern]
        asked = time.monotonic()
        waits_for = most if free is None else free
        asks: list[str | int] = [most, self._lease_ms, owner, after, int(wants_suspect), waits_for]
        asks += held_bytes, most_bytes, *ordered
        async with self._claiming:
            answer = await self._run("claim", asks)
        self._last_claim = answer[1], asked
        leases: list[Lease] = []
        corrupt: list[str | bytes | int] = []
        for row in zip(*[iter(answer[2:])] * 7, strict=True):
            member, token = row[0].decode(), row[1].decode()
            stored, body_bytes = row[2] if isinstance(row[2], list) else (row[2], 0)
            try:
                event = read_stored(stored or b"")
            except CorruptEvent as exc:
                corrupt += _finish_args(member, token, End("dead", note={"error": str(exc)}))
                continue
            handler, lane = (name.decode() if name else None for name in (row[3], row[6]))
            leases.append(Lease(member, token, event, handler, row[4], row[5], lane, body_bytes))
        if corrupt:
            with suppress(StoreUnavailable):  # they will be claimed again, and what was leased beside them is good
                await self._finish(corrupt)
        if leases and time.monotonic() - asked > self.lease_seconds / 2:  # this process was held up, or Redis
            leases = [lease for lease, held in zip(leases, await self.renew(leases), strict=True) if held]
        return Claim(leases, None if answer[0] < 0 else answer[0] / 1000)

    async def begin(self, lease: Lease) -> bool:
        """Count the claim of suspect work, which is not counted while it waits to run; false if the lease was lost."""
        return bool(await self._run("begin", [self._lease_ms, lease.member, lease.token, lease.crashes]))

    async def renew(self, leases: Sequence[Lease]) -> list[bool]:
        """Prolong *leases* to a full period from now; for each, whether it is still held."""
        args = [part for lease in leases for part in (lease.member, lease.token)]
        return [bool(held) for held in await self._run("renew", [self._lease_ms, *args])]

    def keep_order(self, ordered: Callable[[], Collection[OrderedPattern]]) -> None:
        """Whoever claims from here has these ordered handlers: what they may want is watched from claim to gate."""
        self._ordered = ordered

    async def gate(self, lease: Lease, handler: str, lane: Lane) -> bool:
        """Whether *lease* may run *handler* now. If not it is over: the work waits, and comes back by itself.

        Work that waits uses up no attempt. Also false when the lease was lost before, or when the work was superseded
        within the lane's window. Concurrent calls share one round trip.
        """
        return await self._gating.submit((lease.member, lease.token, lease.event.id, handler, lane.name, *lane.limits))

    async def _gate_batch(self, pieces: Sequence[tuple[str | int, ...]]) -> list[bool]:
        answers = await self._run("gate", [self._dedup_ms, self._history_ms, *chain.from_iterable(pieces)])
        return [bool(may_run) for may_run in answers]

    async def steps(self, lease: Lease) -> dict[str, bytes] | None:
        """What the steps of this work have returned, as JSON by name; ``None`` when the lease was lost."""
        pairs = await self._run("steps", [lease.member, lease.token])
        return None if pairs is None else {n.decode(): r for n, r in zip(pairs[::2], pairs[1::2], strict=True)}

    async def keep_step(self, lease: Lease, handler: str, name: str, result: bytes) -> bool:
        """Keep what a step returned until the work is over; false, and nothing is kept, when the lease was lost.

        Concurrent calls share one round trip.
        """
        return await self._keeping.submit((lease.member, lease.token, handler, name, result))

    async def _keep_steps(self, steps: Sequence[tuple[str, str, str, str, bytes]]) -> list[bool]:
        return [bool(kept) for kept in await self._run("keep_step", list(chain.from_iterable(steps)))]

    async def plan(self, lease: Lease, handlers: Sequence[str], ordered: Collection[str] = ()) -> bool:
        """Split an event into one piece of work per handler. Ends the lease; false if it was lost before.

        *ordered* are those of the handlers that keep an order.
        Raises :class:`ValueError` without handlers, or when one is named twice: such an event would never be over.
        """
        if not handlers or len(set(handlers)) != len(handlers):
            raise ValueError("an event is split between different handlers, at least one")
        first = [name for name in handlers if name in ordered]
        rest = [name for name in handlers if name not in ordered]
        return bool(await self._run("plan", [lease.event.key, lease.token, len(first), *first, *rest]))

    async def finish(self, lease: Lease, end: End) -> bool:
        """End *lease*; false when it was lost before, and nothing was changed."""
        (ended,) = await self.finish_all([(lease, end)])
        return ended

    async def finish_all(self, ends: Sequence[tuple[Lease, End]]) -> list[bool]:
        """End many leases in one round trip; for each, false when it was lost before, and nothing of it was changed.

        Raises :class:`TypeError` for a note that is no JSON, :class:`ValueError` or :class:`OverflowError` for a delay
        that is no finite number; all of the leases are held on then.
        """
        return await self._finish(chain.from_iterable(_finish_args(ls.member, ls.token, end) for ls, end in ends))

    async def _finish(self, args: Iterable[str | bytes | int]) -> list[bool]:
        limits = self._parked.events, self._parked.bytes_of(self._maxmemory)
        return [bool(ended) for ended in await self._run("finish", [self._dedup_ms, self._history_ms, *limits, *args])]

    async def listen(self, owner: str) -> AsyncGenerator[Lease | None, None]:
        """What *owner* is told while it waits: a new event, leased to it already, or ``None``: there may be work.

        Whoever has claimed less than it wanted is given up to as many new events as it still wanted. After that, and
        after a ``None``, it is told nothing before it claims again. The first word is ``None``, as soon as *owner* can
        be told. Ends with :meth:`leave`.
        """
        async with _confirmed(), aclosing(hear(self.redis, self._channel(owner), patience=self._patience)) as messages:
            async for message in messages:
                if message == _LEFT:
                    return
                lease = _told(message) if message else None
                if lease is None or self._is_fresh(lease) or (await self.renew([lease]))[0]:
                    yield lease

    async def leave(self, owner: str) -> None:
        """Tell *owner* nothing more: it claims no more. What it was told, :meth:`listen` still gives; then it ends.

        Returns once a claim that is under way has its answer.
        """
        async with self._claiming, _confirmed(), self.redis.pipeline(transaction=True) as pipe:
            pipe.zrem(f"{self._prefix}idle", f"{owner} {self._lease_ms}")
            pipe.publish(self._channel(owner), _LEFT)
            await pipe.execute()

    def _channel(self, owner: str) -> str:
        return f"{self._prefix}worker:{owner}"

    def _is_fresh(self, lease: Lease) -> bool:
        """Whether *lease* has most of its time before it, though what tells of it may have lain unread for long."""
        redis_ms, asked = self._last_claim
        most_now = redis_ms + (time.monotonic() - asked) * 1000
        return most_now - int(lease.token.split(":")[-2]) < self._lease_ms / 2

    async def raw(self, event: Event) -> bytes:
        """The body of the delivery as it arrived; for JSON deliveries the same as ``event.raw``."""
        async with _confirmed():
            return await self._read(f"raw:{event.key}") or event.raw

    async def whole(self, event: Event) -> Event:
        """*event* with its body, which is read from Redis where that is large.

        Raises :class:`CorruptEvent` when it cannot be read, or is gone: then the event is over.
        """
        if event.has_body:
            return event
        async with _confirmed():
            if body := await self._read(f"body:{event.key}"):
                return with_body(event, body)
            stored = read_stored(await self._read(f"event:{event.key}"))
        if not stored.has_body:
            raise CorruptEvent("the body of a stored event is missing")
        return stored  # as earlier versions did, body and all

    async def _read(self, key: str) -> bytes:
        """A long value, or ``b""``. Piece by piece: neither side has it a second time in its buffers."""
        read = BytesIO()
        while piece := await self.redis.getrange(f"{self._prefix}{key}", read.tell(), read.tell() + _BYTES_READ - 1):
            read.write(piece)
            if len(piece) < _BYTES_READ:
                break
        return read.getvalue()

    async def history(self, source: str, event_id: str) -> list[HistoryEntry]:
        """What happened to an event, oldest first; empty when it is unknown or its history has expired.

        Raises :class:`CorruptEvent` when what is stored cannot be read.
        """
        key = event_key(source, event_id)
        async with _confirmed(), self.redis.pipeline(transaction=True) as pipe:
            pipe.lrange(f"{self._prefix}history:{key}", 0, -1)
            pipe.get(f"{self._prefix}event:{key}")
            lines, stored = await pipe.execute()
        try:
            if not lines and stored:
                received, meta, _ = stored.split(b"\n", 2)
                lines = [received + b" received " + meta]
            return [_history_entry(line) for line in lines]
        except ValueError as exc:
            raise CorruptEvent(f"{type(exc).__name__} while reading a history") from exc

    async def stored(self, source: str, event_id: str) -> Event | None:
        """An event that is not over; ``None`` when it is, or was never accepted.

        Raises :class:`CorruptEvent` when it cannot be read.
        """
        async with _confirmed():
            found = await self.redis.get(f"{self._prefix}event:{event_key(source, event_id)}")
        return await self.whole(read_stored(found)) if found else None

    async def places(self, source: str, event_id: str) -> dict[str, str]:
        """Where an event's pieces of work are: member to ``queue``, ``held``, ``dead`` or ``parked``.

        Empty when it is over. Pieces whose handler the history has not named yet are left out: they wait in the queue.
        """
        key = event_key(source, event_id)
        handlers = {entry.detail.get("handler") for entry in await self.history(source, event_id)}
        members = [key, *(f"{key}|{handler}" for handler in handlers if handler)]
        wanted = [(member, place) for member in members for place in ("queue", "held", "dead", "parked")]
        async with _confirmed(), self.redis.pipeline(transaction=True) as pipe:
            for member, place in wanted:
                pipe.zscore(f"{self._prefix}{place}", member)
            scores = await pipe.execute()
        return {member: place for (member, place), score in zip(wanted, scores, strict=True) if score is not None}

    async def recent(self, most: int = 10) -> list[Ended]:
        """The events that ended last, newest first, for as long as their history is kept."""
        if most <= 0:
            return []
        async with _confirmed():
            ended = await self.redis.zrange(f"{self._prefix}recent", 0, most - 1, desc=True, withscores=True)
            async with self.redis.pipeline(transaction=False) as pipe:
                for key, _ in ended:
                    pipe.lindex(f"{self._prefix}history:{key.decode()}", 0)
                    pipe.lrange(f"{self._prefix}history:{key.decode()}", -_LAST_WORDS, -1)
                rows = await pipe.execute()
        told = zip(ended, rows[::2], rows[1::2], strict=True)
        return [_ended(at, first, last) for (_, at), first, last in told if first]

    async def dead_letters(self, most: int = 100) -> list[Kept]:
        """The newest dead letters, newest first."""
        return await self._kept("dead", most)

    async def parked(self, most: int = 100) -> list[Kept]:
        """The newest parked work, newest first."""
        return await self._kept("parked", most)

    async def each_kept(self, name: Literal["dead", "parked"], page: int = _PAGE) -> AsyncIterator[Kept]:
        """All dead letters, or all parked work, newest first, read *page* at a time.

        Sees all that stays where it is meanwhile, each once; what comes in meanwhile is left out.
        """
        before: float | str = "+inf"
        at_the_edge: set[bytes] = set()
        while True:
            # By time and not by rank: ranks move when something is taken out. Ends of one batch have the same time.
            async with _confirmed():
                found = await self.redis.zrevrangebyscore(
                    f"{self._prefix}{name}", before, "-inf", start=0, num=page + len(at_the_edge), withscores=True
                )
            members = [(member, since) for member, since in found if member not in at_the_edge]
            if not members:
                return
            for kept in await self._read_kept(members):
                yield kept
            last = members[-1][1]
            at_the_edge = {member for member, since in found if since == last}
            before = repr(last)

    async def _kept(self, name: str, most: int) -> list[Kept]:
        if most <= 0:
            return []
        async with _confirmed():
            members = await self.redis.zrange(f"{self._prefix}{name}", 0, most - 1, desc=True, withscores=True)
        return await self._read_kept(members)

    async def _read_kept(self, members: Sequence[tuple[bytes, float]]) -> list[Kept]:
        async with _confirmed(), self.redis.pipeline(transaction=False) as pipe:
            for member, _ in members:
                pipe.hgetall(f"{self._prefix}work:{member.decode()}")
                pipe.getrange(f"{self._prefix}event:{member.decode().partition('|')[0]}", 0, _MOST_STORED)
            rows = await pipe.execute()
        return [
            _kept(member.decode(), since, work, stored)
            for (member, since), work, stored in zip(members, rows[::2], rows[1::2], strict=True)
        ]

    async def overview(self) -> Overview:
        """The state of the queue in one look."""
        told = await self._run("overview", [_ALIVE_MS])
        ready, oldest, waiting, dead, parked, workers, totals, held, counts, unhandled = told
        return Overview(
            ready=ready,
            oldest_ready_seconds=oldest / 1000,
            waiting=waiting,
            dead=dead,
            parked=parked,
            workers=workers,
            totals={n.decode(): int(c) for n, c in zip(totals[::2], totals[1::2], strict=True)},
            held=held,
            sources=read_usage(counts, unhandled, self._parked, self._maxmemory),
        )

    async def memory(self) -> Memory:
        """What Redis uses and may use, where it lets us look; limits that are a share of it follow."""
        async with _confirmed():
            try:
                told = await self.redis.info("memory")
            except ResponseError:  # this user may not look
                return Memory(0, 0)
        memory = Memory(int(told.get("used_memory", 0)), int(told.get("maxmemory", 0)))
        self._maxmemory = memory.limit
        return memory

    async def bound_parked(self) -> tuple[int, dict[str, float]]:
        """Let go of parked work that nobody handles, where it is too much or too old.

        How much ever was let go, and for each source how near it is to that, 1 being there.
        """
        await self.memory()
        limit, size = self._parked, self._parked.bytes_of(self._maxmemory)
        limits = [self._dedup_ms, self._history_ms, limit.events, size, round(limit.seconds * 1000), _PAGE]
        while True:
            gone, ever, *rows = await self._run("bound_parked", limits)
            if gone < _PAGE:
                break
        fullness = {}
        for source, held, taken, age in zip(*[iter(rows)] * 4, strict=True):
            fullness[source.decode()] = max(held / limit.events, taken / size, age / 1000 / limit.seconds)
        return ever, fullness

    async def index_parked(self, pieces: Sequence[Kept]) -> None:
        """Let what was parked because nobody handles it, before such work was bounded, be bounded too."""
        named = [part for kept in pieces if kept.event for part in (kept.member, kept.event.source)]
        if named:
            await self._run("index_parked", named)

    async def let_go(self) -> list[LetGo]:
        """What was parked, handled by nobody, and let go, by source and type, the most first."""
        async with _confirmed():
            return read_let_go(await cast("Awaitable[dict[bytes, bytes]]", self.redis.hgetall(f"{self._prefix}let_go")))

    async def replay(self, members: Sequence[str], *, afresh: bool = False) -> int:
        """Run dead letters again with all their attempts anew, past the duplicate guard; how many there were.

        Steps that are done are not repeated, unless *afresh*.
        """
        return int(await self._run("requeue", ["dead", "replayed", int(afresh), *members]))

    async def unpark(self, members: Sequence[str]) -> int:
        """Run parked work; how many there were."""
        return int(await self._run("requeue", ["parked", "unparked", 0, *members]))

    async def account_reconnected(self, account_id: str) -> int:
        """Run what was parked until this account would be connected again; how many pieces there were.

        Also what is under way now and would be parked for it in the next hours runs again instead.
        """
        return int(await self._run("reconnect", [account_id, _RECONNECTED_MS]))

    async def discard(self, members: Sequence[str], why: str) -> int:
        """Give dead letters up for good, with a reason for the history; how many there were."""
        note = orjson.dumps({"why": why})
        return int(await self._run("discard", ["dead", self._dedup_ms, self._history_ms, note, *members]))

    async def spend(self, budgets: Sequence[Budget], *, longest: float) -> tuple[bool, float]:
        """Take the first moment at which all of *budgets* have a start left: whether that was done, and how far it is.

        Seconds, both. A moment further away than *longest* is not taken. One that was taken is spent, used or not.
        """
        parts: list[str | int] = [part for budget in budgets for part in budget.parts]
        answer = int(await self._run("spend", [round(longest * 1000), *parts]))
        return (True, answer / 1000) if answer >= 0 else (False, -(answer + 1) / 1000)

    async def source_context(self, source: str) -> dict[str, Any]:
        """What the handshakes of *source* have left here."""
        async with _confirmed():
            found = await cast("Awaitable[dict[bytes, bytes]]", self.redis.hgetall(f"{self._prefix}context:{source}"))
        return _source_context(found)

    async def keep_in_context(self, source: str, values: Mapping[str, Any], *, overwrite: bool) -> bool:
        """Keep *values* for *source*, all or none; false when one would change what is there and must not."""
        pairs = [part for name, value in values.items() for part in (name, orjson.dumps(value))]
        return bool(await self._run("keep", [source, int(overwrite), *pairs]))

    async def open_enrolment(self, source: str, seconds: float) -> datetime:
        """Let the next handshake of *source* leave something, for *seconds*; until when. A second call starts anew."""
        return _time(await self._run("open_enrolment", [source, round(seconds * 1000)]))

    async def enrol(self, source: str, values: Mapping[str, Any]) -> bool:
        """Keep *values* for *source* and close its window, or say that none is open.

        Values that are kept already need no window. They replace what is there under their names.
        """
        pairs = [part for name, value in values.items() for part in (name, orjson.dumps(value))]
        return bool(await self._run("enrol", [source, *pairs]))

    async def enrolments(self, sources: Sequence[str]) -> list[Enrolment]:
        """The state of each of *sources*."""
        async with _confirmed(), self.redis.pipeline(transaction=True) as pipe:
            for source in sources:
                pipe.hgetall(f"{self._prefix}context:{source}")
                pipe.mget(f"{self._prefix}enrolled:{source}", f"{self._prefix}enrolment:{source}")
            answers = await pipe.execute()
        return [
            Enrolment(_source_context(found), *(None if at is None else _time(int(at)) for at in times))
            for found, times in zip(answers[::2], answers[1::2], strict=True)
        ]

    async def forget_source(self, source: str) -> list[str]:
        """Remove what the handshakes of *source* have left, and close its window; the names of what is gone."""
        context = f"{self._prefix}context:{source}"
        async with _confirmed(), self.redis.pipeline(transaction=True) as pipe:
            pipe.hkeys(context)
            pipe.delete(context, f"{self._prefix}enrolled:{source}", f"{self._prefix}enrolment:{source}")
            names, _ = await pipe.execute()
        return sorted(name.decode() for name in names)

    async def note_refusals(self, refusals: Sequence[Refused]) -> None:
        """Remember deliveries that were refused, oldest first; only the last ones are kept."""
        lines = [orjson.dumps(refused._asdict() | {"at": refused.at.timestamp()}) for refused in refusals]
        async with _confirmed(), self.redis.pipeline(transaction=True) as pipe:
            pipe.lpush(f"{self._prefix}refusals", *lines)
            pipe.ltrim(f"{self._prefix}refusals", 0, _MOST_REFUSALS - 1)
            await pipe.execute()

    async def refusals(self, most: int = 50) -> list[Refused]:
        """The deliveries that were refused last, newest first."""
        if most <= 0:
            return []
        async with _confirmed():
            lines = await cast("Awaitable[list[bytes]]", self.redis.lrange(f"{self._prefix}refusals", 0, most - 1))
        told = [orjson.loads(line) for line in lines]
        return [Refused(**{**line, "at": datetime.fromtimestamp(line["at"], UTC)}) for line in told]

    async def keep_workflow(self, digest: str, document: bytes) -> None:
        """Keep a definition, so that runs can go on with it when there is a newer one. A second call does nothing."""
        async with _confirmed():
            await cast("Awaitable[int]", self.redis.hsetnx(f"{self._prefix}workflows", digest, document))  # type: ignore[arg-type]  # redis-py sends bytes as well

    async def workflow(self, digest: str) -> bytes | None:
        """The definition of that digest; ``None`` when it was never kept."""
        async with _confirmed():
            return await cast("Awaitable[bytes | None]", self.redis.hget(f"{self._prefix}workflows", digest))

    async def begin_run(self, lease: Lease, handler: str, run: str, digest: str, head: bytes) -> Begun | None:
        """Begin *run* under the definition *digest*, or go on with it; ``None`` when the lease was lost.

        What has completed, or was skipped, stays so: its status says it. Concurrent calls share one round trip.
        """
        return await self._beginning.submit((lease.member, lease.token, handler, run, digest, head))

    async def _begin_runs(self, runs: Sequence[tuple[str | bytes, ...]]) -> list[Begun | None]:
        answers = await self._run("begin_run", list(chain.from_iterable(runs)))
        return [None if answer is None else _begun(answer) for answer in answers]

    async def end_run(self, lease: Lease, run: str, status: RunStatus, result: bytes, error: str = "") -> bool:
        """Say how *run* ended; with ``running``, only why an attempt failed. False when the lease was lost.

        Concurrent calls share one round trip.
        """
        return await self._ending.submit((lease.member, lease.token, run, status, result, error))

    async def _end_runs(self, runs: Sequence[tuple[str | bytes, ...]]) -> list[bool]:
        answers = await self._run("end_run", [self._history_ms, *chain.from_iterable(runs)])
        return [bool(kept) for kept in answers]

    async def run(self, run_id: str) -> Run | None:
        """A run of a workflow; ``None`` when it is not known, or its history has expired."""
        found = await self._read_runs([run_id])
        return found[0] if found else None

    async def runs(
        self, most: int = 20, *, where: Callable[[Run], bool] = lambda _: True, page: int = _PAGE
    ) -> list[Run]:
        """Up to *most* runs for which *where* holds: those that have not ended first, each newest first."""
        found: list[Run] = []
        for index in ("runs:open", "runs:ended"):
            start = 0
            while len(found) < most:
                async with _confirmed():
                    ids = await self.redis.zrange(f"{self._prefix}{index}", start, start + page - 1, desc=True)
                if not ids:
                    break
                found += [run for run in await self._read_runs([name.decode() for name in ids]) if where(run)]
                start += page
        return found[:most]

    async def _read_runs(self, ids: Sequence[str]) -> list[Run]:
        async with _confirmed(), self.redis.pipeline(transaction=False) as pipe:
            for run_id in ids:
                pipe.hgetall(f"{self._prefix}run:{run_id}")
            rows = await pipe.execute()
            members = [orjson.loads(row[b"head"])["member"] if row else "" for row in rows]
            for member in members:
                pipe.hgetall(f"{self._prefix}steps:{member}")
                pipe.zscore(f"{self._prefix}queue", member)
                pipe.exists(f"{self._prefix}work:{member}")
                pipe.zscore(f"{self._prefix}dead", member)
            states = await pipe.execute()
        kept = zip(ids, rows, *(states[offset::4] for offset in range(4)), strict=True)
        return [
            read_run(run_id, row, steps, due_ms=due, dead=dead is not None or not work)
            for run_id, row, steps, due, work, dead in kept
            if row
        ]

    async def await_event(
        self,
        lease: Lease,
        *,
        bucket: str,
        entry: bytes,
        seconds: float,
        event_type: str,
        seen: int,
        note: Mapping[str, Any],
    ) -> bool | None:
        """End *lease* and let its run wait in *bucket*, at most *seconds*; ``None`` when the lease was lost.

        False, and nothing has changed, when more events of *event_type* have come than the *seen* ones: look at
        :meth:`arrivals` again.
        """
        place = (lease.member, lease.token, bucket, entry)
        answer = await self._run("await_event", [*place, round(seconds * 1000), event_type, seen, orjson.dumps(note)])
        return None if answer == 0 else bool(answer == 1)

    async def stop_awaiting(self, lease: Lease, bucket: str, name: str) -> tuple[bool, bytes | None]:
        """The leased run waits no more: whether the lease was held, and the event that came for it, if one did."""
        held, *event = await self._run("stop_awaiting", [lease.member, lease.token, bucket, name])
        return bool(held), event[0] if event else None

    async def now(self) -> float:
        """Unix seconds by Redis' clock, the only one that counts here."""
        async with _confirmed():
            seconds, micro = await cast("Awaitable[tuple[int, int]]", self.redis.time())
        return seconds + micro / 1e6

    async def remember_arrival(self, event_type: str, event: bytes) -> None:
        """Remember an event for runs that begin to wait for its type a moment later; ``b""`` only counts it."""
        await self._run("remember_arrival", [event_type, event, _MOST_ARRIVALS, _ARRIVAL_MS])

    async def arrivals(self, event_type: str) -> Arrivals:
        """How many events of this type have come, the last of them, and the time."""
        async with _confirmed(), self.redis.pipeline(transaction=True) as pipe:
            pipe.get(f"{self._prefix}arrivals:{event_type}")
            pipe.lrange(f"{self._prefix}arrived:{event_type}", 0, -1)
            pipe.time()
            count, events, (seconds, micro) = await pipe.execute()
        return Arrivals(int(count or 0), events, seconds + micro / 1e6)

    async def each_waiting(self, bucket: str, page: int = _PAGE) -> AsyncIterator[list[Waiting]]:
        """The runs that wait in *bucket*, about *page* at a time. One may come twice; none that stays is left out."""
        cursor = 0
        while True:
            async with _confirmed():
                cursor, found = await cast(
                    "Awaitable[tuple[int, dict[bytes, bytes]]]",
                    self.redis.hscan(f"{self._prefix}waits:{bucket}", cursor, count=page),
                )
            if found:
                yield [Waiting(member.decode(), entry) for member, entry in found.items()]
            if not cursor:
                return

    async def wake_runs(self, bucket: str, event: bytes, runs: Sequence[tuple[Waiting, str]]) -> int:
        """Give *event* to *runs*, each with the name to keep it under, and make them due; how many still waited."""
        args = [part for waiting, name in runs for part in (waiting.member, waiting.entry, name)]
        return int(await self._run("wake_runs", [bucket, event, *args]))

    async def _run(self, script: str, args: Sequence[str | bytes | int]) -> Any:
        async with _confirmed():
            return await self._scripts[script](args=[self._prefix, *args])


_SCRIPTS = (
    "accept",
    "claim",
    "begin",
    "gate",
    "renew",
    "plan",
    "steps",
    "keep_step",
    "finish",
    "requeue",
    "discard",
    "overview",
    "bound_parked",
    "index_parked",
    "keep",
    "open_enrolment",
    "enrol",
    "spend",
    "reconnect",
    "begin_run",
    "end_run",
    "await_event",
    "stop_awaiting",
    "remember_arrival",
    "wake_runs",
)
_PARTS = {
    "accept": ["leasing"],
    "claim": ["leasing"],
    "gate": ["ending", "lanes"],
    "plan": ["lanes"],
    "finish": ["ending", "lanes", "parking"],
    "bound_parked": ["ending", "parking"],
    "index_parked": ["ending", "parking"],
    "requeue": ["ending", "parking"],
    "discard": ["ending", "parking"],
    "await_event": ["lanes"],
    "reconnect": ["ending"],
}


def _told(message: bytes) -> Lease | None:
    """The lease in a message of the accept script; ``None`` when it cannot be read: a later claim will find out why."""
    try:
        token, member, stored = message.split(b"\n", 2)
        return Lease(member.decode(), token.decode(), read_stored(stored), handler=None, attempts=0, crashes=0)
    except (CorruptEvent, ValueError):
        return None


def _begun(answer: Sequence[Any]) -> Begun:
    status, digest, attempt, *pairs = answer
    steps = {name.decode(): result for name, result in zip(pairs[::2], pairs[1::2], strict=True)}
    return Begun(status.decode(), digest.decode(), attempt, steps)


def _source_context(found: Mapping[bytes, bytes]) -> dict[str, Any]:
    return {name.decode(): _value(text) for name, text in found.items()}


def _value(text: bytes) -> Any:
    """What is kept under a name; nothing where it cannot be read, for that must not stop what reads the others."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _acceptances(answers: object) -> list[Acceptance]:
    if not isinstance(answers, list) or any(type(answer) is not int for answer in answers):
        raise TypeError("not a list of numbers")
    return [_ACCEPTANCES[answer] for answer in answers]


def _group_size(offer: _Offer) -> int:
    return sum(len(verified.body) + len(verified.raw) for verified in offer[0])


def _bytes_of(offer: tuple[str, Verified]) -> int:
    return len(offer[1].body) + len(offer[1].raw)


def _finish_args(member: str, token: str, end: End) -> tuple[str | bytes | int, ...]:
    """What the finish script gets for one lease; made for each by itself, so that a bad end fails alone."""
    note = end.note if end.handler is None else {"handler": end.handler, **end.note}
    return member, token, end.kind, round(end.delay * 1000), end.handler or "", orjson.dumps(note)


def _source(name: str) -> str:
    folder = resources.files("events") / "scripts"
    return "".join((folder / f"{part}.lua").read_text() for part in ("prelude", *_PARTS.get(name, ()), name))


@asynccontextmanager
async def _confirmed() -> AsyncIterator[None]:
    """Translate whatever may go wrong between us and Redis, once, here."""
    try:
        yield
    except (TimeoutError, RedisError, OSError) as exc:
        raise _unconfirmed(exc) from None


def _unconfirmed(exc: BaseException) -> StoreUnavailable:
    # The text of a Redis error can hold the whole command, payload included: only its kind is passed on.
    return StoreUnavailable(f"Redis did not confirm: {type(exc).__name__}{_error_code(exc)}")


def _error_code(exc: BaseException) -> str:
    """The first word of a server's error, such as MISCONF or OOM; nothing for other errors."""
    word = str(exc).split(" ", 1)[0]
    return f" {word}" if word.isalpha() and word.isupper() else ""


def _history_entry(line: bytes) -> HistoryEntry:
    at, what, *detail = line.split(b" ", 2)
    return HistoryEntry(_time(int(at)), what.decode(), orjson.loads(detail[0]) if detail else {})


def _ended(at: float, first: bytes, last: Sequence[bytes]) -> Ended:
    beginning = _history_entry(first).detail
    entries = [_history_entry(line) for line in last]
    # Whoever delivers it once more adds a duplicate behind its end.
    end = next((entry for entry in reversed(entries) if entry.what != "duplicate"), entries[-1])
    source, kind, event_id = (str(beginning.get(name, "")) for name in ("source", "type", "id"))
    return Ended(_time(at), source, kind, event_id, end.what, end.detail)


def _kept(member: str, since: float, work: dict[bytes, bytes], stored: bytes) -> Kept:
    try:
        event = read_stored(stored if len(stored) <= _MOST_STORED else head_of(stored))
    except CorruptEvent:
        event = None
    handler = work.get(b"handler")
    return Kept(
        member=member,
        since=_time(since),
        handler=handler.decode() if handler else None,
        attempts=int(work.get(b"attempts", 0)),
        note=orjson.loads(work.get(b"note", b"{}")),
        event=event,
        stored=b"" if event else stored,
    )


def _time(milliseconds: float) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
