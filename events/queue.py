"""Work on its way: claimed under a lease, gated, renewed, split between handlers, ended."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, NamedTuple

import orjson

from events.batching import GroupCommit
from events.client import StoreClient, confirmed
from events.errors import CorruptEvent, StoreUnavailable
from events.event import Event, read_stored
from events.lanes import Lane, OrderedPattern
from events.subscription import subscribe
from events.usage import ParkedLimit

NEEDS_REAUTH = "needs_reauth"
"""Why work is parked whose account has to be connected again; Truto's own word for the account's status."""

_LEFT = b"left"
_ANY_BYTES = 2**53
_RECONNECTED_MS = 6 * 3_600_000


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's time-limited claim on one piece of work.

    ``handler`` is ``None`` until one was chosen; ``attempts`` counts those used up, ``crashes`` the claims that were
    never finished (the worker was killed, or lost its lease). ``lane`` is the one the work got through before.
    ``body_bytes`` is the size of a large event's body, which :meth:`Bodies.whole` reads; 0 for others.
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


@dataclass(frozen=True, slots=True)
class Retention:
    """For how long (ms) a handled event is known, and its history kept; how much unhandled work is kept parked."""

    dedup_ms: int
    history_ms: int
    parked: ParkedLimit

    @property
    def ttls(self) -> tuple[int, int]:
        """What scripts that end events get."""
        return self.dedup_ms, self.history_ms


class Queue:
    """What a worker needs of a store."""

    def __init__(self, client: StoreClient, retention: Retention, *, lease_seconds: float) -> None:
        self._client = client
        self._retention = retention
        self.lease_seconds = lease_seconds
        self._lease_ms = round(lease_seconds * 1000)
        self._gating = GroupCommit(self._gate_batch)
        self._keeping = GroupCommit(self._keep_steps, size=lambda step: len(step[-1]))
        self._ordered: Callable[[], Collection[OrderedPattern]] = tuple
        self.claiming = asyncio.Lock()
        """Held while a claim is under way, whose answer somebody has to give back."""
        self._last_claim = math.inf, 0.0  # Redis' clock (ms) in the last claim, and ours (s) before it

    async def claim(
        self,
        most: int,
        owner: str,
        *,
        free: int | None = None,
        suspect: int | None = None,
        wants_suspect: bool = True,
        held_bytes: int = 0,
        max_bytes: int = _ANY_BYTES,
    ) -> Claim:
        """Lease up to *most* pieces of due work to *owner*. Stored events that cannot be read become dead letters.

        *free* slots could run such work at once, at most *most* of them (the default). A worker that gets less work
        than that counts as idle, and new events are pushed to it (:meth:`subscribe`).

        Large bodies are leased up to *max_bytes*, counting the *held_bytes* of those that *owner* has. Those beyond
        are left in the queue, and small events pass them. One of more than *max_bytes* comes when no other is held.

        Work whose claims were never finished exactly *suspect* times comes as the only lease of its claim, and has to
        :meth:`begin`; without *wants_suspect* it is left for a later claim. An answer that is read late brings only
        what is still held.
        """
        after = -1 if suspect is None else suspect
        ordered = [part or "" for pattern in self._ordered() for part in pattern]
        asked = time.monotonic()
        waits_for = most if free is None else free
        asks: list[str | int] = [most, self._lease_ms, owner, after, int(wants_suspect), waits_for]
        asks += held_bytes, max_bytes, *ordered
        async with self.claiming:
            answer = await self._client.run("claim", asks)
        self._last_claim = answer[1], asked
        leases: list[Lease] = []
        corrupt: list[str | bytes | int] = []
        for row in zip(*[iter(answer[2:])] * 7, strict=True):
            member, token = row[0].decode(), row[1].decode()
            stored, body_bytes = row[2] if isinstance(row[2], list) else (row[2], 0)
            try:
                event = read_stored(stored or b"", self._client.platform_sources)
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
        return bool(await self._client.run("begin", [self._lease_ms, lease.member, lease.token, lease.crashes]))

    async def renew(self, leases: Sequence[Lease]) -> list[bool]:
        """Prolong *leases* to a full period from now; for each, whether it is still held."""
        args = [part for lease in leases for part in (lease.member, lease.token)]
        return [bool(held) for held in await self._client.run("renew", [self._lease_ms, *args])]

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
        answers = await self._client.run("gate", [*self._retention.ttls, *chain.from_iterable(pieces)])
        return [bool(may_run) for may_run in answers]

    async def steps(self, lease: Lease) -> dict[str, bytes] | None:
        """What the steps of this work have returned, as JSON by name; ``None`` when the lease was lost."""
        pairs = await self._client.run("steps", [lease.member, lease.token])
        return None if pairs is None else {n.decode(): r for n, r in zip(pairs[::2], pairs[1::2], strict=True)}

    async def keep_step(self, lease: Lease, handler: str, name: str, result: bytes) -> bool:
        """Keep what a step returned until the work is over; false, and nothing is kept, when the lease was lost.

        Concurrent calls share one round trip.
        """
        return await self._keeping.submit((lease.member, lease.token, handler, name, result))

    async def _keep_steps(self, steps: Sequence[tuple[str, str, str, str, bytes]]) -> list[bool]:
        return [bool(kept) for kept in await self._client.run("keep_step", list(chain.from_iterable(steps)))]

    async def plan(self, lease: Lease, handlers: Sequence[str], ordered: Collection[str] = ()) -> bool:
        """Split an event into one piece of work per handler. Ends the lease; false if it was lost before.

        *ordered* are those of the handlers that keep an order.
        Raises :class:`ValueError` without handlers, or when one is named twice: such an event would never be over.
        """
        if not handlers or len(set(handlers)) != len(handlers):
            raise ValueError("an event is split between different handlers, at least one")
        first = [name for name in handlers if name in ordered]
        rest = [name for name in handlers if name not in ordered]
        return bool(await self._client.run("plan", [lease.event.key, lease.token, len(first), *first, *rest]))

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
        limits = self._retention.parked.events, self._retention.parked.bytes_of(self._client.maxmemory)
        return [bool(ended) for ended in await self._client.run("finish", [*self._retention.ttls, *limits, *args])]

    async def subscribe(self, owner: str) -> AsyncGenerator[Lease | None, None]:
        """What is pushed to *owner* while it is idle: a new event, leased to it, or ``None``: there may be work.

        A worker that was given less than it claimed gets up to as many new events as its claim left open. After that,
        and after a ``None``, nothing is pushed before it claims again. The first message is ``None``, once the
        subscription stands. Ends with :meth:`unsubscribe`.
        """
        async with (
            confirmed(),
            aclosing(
                subscribe(self._client.redis, self._channel(owner), patience=self._client.answer_seconds)
            ) as messages,
        ):
            async for message in messages:
                if message == _LEFT:
                    return
                lease = _read_message(message, self._client.platform_sources) if message else None
                if lease is None or self._is_fresh(lease) or (await self.renew([lease]))[0]:
                    yield lease

    async def unsubscribe(self, owner: str) -> None:
        """Push nothing more to *owner*, which claims no more. :meth:`subscribe` gives what was pushed, and ends.

        Returns once a claim that is under way has its answer.
        """
        async with self.claiming, confirmed(), self._client.redis.pipeline(transaction=True) as pipe:
            pipe.zrem(self._client.key("idle"), f"{owner} {self._lease_ms}")
            pipe.publish(self._channel(owner), _LEFT)
            await pipe.execute()

    def _channel(self, owner: str) -> str:
        return self._client.key(f"worker:{owner}")

    def _is_fresh(self, lease: Lease) -> bool:
        """Whether *lease* has most of its time before it, though what tells of it may have lain unread for long."""
        redis_ms, asked = self._last_claim
        latest_now = redis_ms + (time.monotonic() - asked) * 1000
        return latest_now - int(lease.token.split(":")[-2]) < self._lease_ms / 2

    async def account_reconnected(self, account_id: str) -> int:
        """Run what was parked until this account would be connected again; how many pieces there were.

        Also what is under way now and would be parked for it in the next hours runs again instead.
        """
        return int(await self._client.run("reconnect", [account_id, _RECONNECTED_MS]))


def _read_message(message: bytes, platform_sources: Collection[str]) -> Lease | None:
    """The lease in a message of the accept script; ``None`` when it cannot be read: a later claim will find out why."""
    try:
        token, member, stored = message.split(b"\n", 2)
        event = read_stored(stored, platform_sources)
        return Lease(member.decode(), token.decode(), event, handler=None, attempts=0, crashes=0)
    except (CorruptEvent, ValueError):
        return None


def _finish_args(member: str, token: str, end: End) -> tuple[str | bytes | int, ...]:
    """What the finish script gets for one lease; made for each by itself, so that a bad end fails alone."""
    note = end.note if end.handler is None else {"handler": end.handler, **end.note}
    return member, token, end.kind, round(end.delay * 1000), end.handler or "", orjson.dumps(note)
