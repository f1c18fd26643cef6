"""The queue of a store: claim work, renew leases, split events between handlers, and finish."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, NamedTuple, cast

import orjson

from events.batching import GroupCommit
from events.client import StoreClient, confirmed
from events.errors import CorruptEvent, StoreUnavailable
from events.event import Event, read_stored
from events.lanes import Lane, OrderedPattern
from events.subscription import subscribe
from events.usage import ParkedLimit

NEEDS_REAUTH = "needs_reauth"
"""The reason for parking work until its account is connected again; Truto's word for the account's status."""

NO_HANDLER = "no_handler"
"""The reason for parking an event whose type no handler wants."""

HANDLER_MISSING = "handler_missing"
"""The reason for parking work whose handler is not in this version of the code."""

_LEFT = b"left"
_ANY_BYTES = 2**53
_RECONNECTED_MS = 6 * 3_600_000


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's time-limited claim on one piece of work.

    ``handler`` is ``None`` until it is chosen. ``attempts`` counts the used attempts, and ``crashes`` the claims that
    were never finished: the worker was killed, or lost its lease. ``lane`` is the lane whose slot the work has.
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
    """New leases, and the seconds until more work is due; ``None`` if there is none, or no room for it."""

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
    """The end of work that has to wait until the tenant connects the account again; uses up no attempt."""
    return End("parked", handler, note={"why": NEEDS_REAUTH, "account_id": account_id, "error": error})


@dataclass(frozen=True, slots=True)
class Retention:
    """How long (ms) a handled event is known and its history stored, and the limits of parked work."""

    dedup_ms: int
    history_ms: int
    parked: ParkedLimit

    @property
    def ttls(self) -> tuple[int, int]:
        """The arguments of the scripts that end events."""
        return self.dedup_ms, self.history_ms


class Queue:
    """The part of a store that workers use."""

    def __init__(self, client: StoreClient, retention: Retention, *, lease_seconds: float) -> None:
        self._client = client
        self._retention = retention
        self.lease_seconds = lease_seconds
        self._lease_ms = round(lease_seconds * 1000)
        self._gating = GroupCommit(self._gate_batch)
        self._reconnecting = GroupCommit(self._reconnect)
        self._keeping = GroupCommit(self._keep_steps, size=lambda step: len(step[-1]))
        self._ordered: Callable[[], Collection[OrderedPattern]] = tuple
        self.claiming = asyncio.Lock()
        """Held during a claim: the leases in its answer have to be run or released."""
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

        *free* is the number of free slots, at most *most* (the default). A worker that gets less work than that
        counts as idle, and new events are pushed to it (:meth:`subscribe`).

        The leased large bodies have at most *max_bytes*, including the *held_bytes* that *owner* holds already. Larger
        ones stay in the queue, and small events overtake them. One body may exceed *max_bytes* if no other is held.

        Work with exactly *suspect* unfinished claims is leased alone, and has to :meth:`begin`; without
        *wants_suspect* it stays in the queue. If the answer is read late, leases that were lost meanwhile are left out.
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
            with suppress(StoreUnavailable):  # they are claimed again; the other leases are good
                await self._finish(corrupt)
        if leases and time.monotonic() - asked > self.lease_seconds / 2:  # this process or Redis was slow
            leases = [lease for lease, held in zip(leases, await self.renew(leases), strict=True) if held]
        return Claim(leases, None if answer[0] < 0 else answer[0] / 1000)

    async def begin(self, lease: Lease) -> bool:
        """Count the claim of suspect work when it starts to run; false if the lease was lost."""
        return bool(await self._client.run("begin", [self._lease_ms, lease.member, lease.token, lease.crashes]))

    async def renew(self, leases: Sequence[Lease]) -> list[bool]:
        """Renew *leases* for a full period from now; for each, whether it is still held."""
        args = [part for lease in leases for part in (lease.member, lease.token)]
        return [bool(held) for held in await self._client.run("renew", [self._lease_ms, *args])]

    def keep_order(self, ordered: Callable[[], Collection[OrderedPattern]]) -> None:
        """Claim for a worker with these ordered handlers: their events keep their order from the claim to the gate."""
        self._ordered = ordered

    async def gate(self, lease: Lease, handler: str, lane: Lane) -> bool:
        """Whether *lease* may run *handler* now. If not, the lease has ended, and the work is held until it may run.

        Held work uses up no attempt. Also false if the lease was lost, or if a later event has replaced this one
        within the lane's window. Concurrent calls share one round trip.
        """
        return await self._gating.submit((lease.member, lease.token, lease.event.id, handler, lane.name, *lane.limits))

    async def _gate_batch(self, pieces: Sequence[tuple[str | int, ...]]) -> list[bool]:
        answers = await self._client.run("gate", [*self._retention.ttls, *chain.from_iterable(pieces)])
        return [bool(may_run) for may_run in answers]

    async def steps(self, lease: Lease) -> dict[str, bytes] | None:
        """The results of this work's steps, as JSON by name; ``None`` if the lease was lost."""
        pairs = await self._client.run("steps", [lease.member, lease.token])
        return None if pairs is None else {n.decode(): r for n, r in zip(pairs[::2], pairs[1::2], strict=True)}

    async def keep_step(self, lease: Lease, handler: str, name: str, result: bytes) -> bool:
        """Store the result of a step until the work is over; false, and nothing is stored, if the lease was lost.

        Concurrent calls share one round trip.
        """
        return await self._keeping.submit((lease.member, lease.token, handler, name, result))

    async def _keep_steps(self, steps: Sequence[tuple[str, str, str, str, bytes]]) -> list[bool]:
        return [bool(kept) for kept in await self._client.run("keep_step", list(chain.from_iterable(steps)))]

    async def plan(self, lease: Lease, handlers: Sequence[str], ordered: Collection[str] = ()) -> bool:
        """Split an event into one piece of work per handler. Ends the lease; false if it was lost before.

        *ordered* names the handlers with ``ordered=True``.
        Raises :class:`ValueError` without handlers, or if a handler is named twice: such an event would never be over.
        """
        if not handlers or len(set(handlers)) != len(handlers):
            raise ValueError("an event is split between at least one handler, and each is named once")
        first = [name for name in handlers if name in ordered]
        rest = [name for name in handlers if name not in ordered]
        return bool(await self._client.run("plan", [lease.event.key, lease.token, len(first), *first, *rest]))

    async def finish(self, lease: Lease, end: End) -> bool:
        """End *lease*; false, and nothing changes, if it was lost."""
        (ended,) = await self.finish_all([(lease, end)])
        return ended

    async def finish_all(self, ends: Sequence[tuple[Lease, End]]) -> list[bool]:
        """End many leases in one round trip; for each, false if it was lost.

        Raises :class:`TypeError` for a note that is not JSON, :class:`ValueError` or :class:`OverflowError` for a delay
        that is not finite. Then no lease has ended.
        """
        return await self._finish(chain.from_iterable(_finish_args(ls.member, ls.token, end) for ls, end in ends))

    async def _finish(self, args: Iterable[str | bytes | int]) -> list[bool]:
        limits = self._retention.parked.events, self._retention.parked.bytes_of(self._client.maxmemory)
        return [bool(ended) for ended in await self._client.run("finish", [*self._retention.ttls, *limits, *args])]

    async def subscribe(self, owner: str) -> AsyncGenerator[Lease | None, None]:
        """The messages to *owner* while it is idle: a lease on a new event, or ``None``: there may be work to claim.

        A worker is pushed as many events as its last claim left slots free. After that, and after a ``None``, it has
        to claim again to get more. The first message is ``None``, when the subscription has begun. Ends with
        :meth:`unsubscribe`.
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
        """Stop pushing to *owner*, which claims no more. :meth:`subscribe` yields what was pushed before, and ends.

        Returns when a claim under way has its answer.
        """
        async with self.claiming, confirmed(), self._client.redis.pipeline(transaction=True) as pipe:
            pipe.zrem(self._client.key("idle"), f"{owner} {self._lease_ms}")
            pipe.publish(self._channel(owner), _LEFT)
            await pipe.execute()

    def _channel(self, owner: str) -> str:
        return self._client.key(f"worker:{owner}")

    def _is_fresh(self, lease: Lease) -> bool:
        """Whether more than half of *lease* is left: its message may have been unread for a while."""
        redis_ms, asked = self._last_claim
        latest_now = redis_ms + (time.monotonic() - asked) * 1000
        return latest_now - int(lease.token.split(":")[-2]) < self._lease_ms / 2

    async def account_reconnected(self, account_id: str) -> int:
        """Run the work that was parked until this account is connected again, and return the number of pieces.

        Work that is running now, and would be parked for the account within some hours, runs again too.
        Concurrent calls share one round trip.
        """
        return await self._reconnecting.submit(account_id)

    async def _reconnect(self, account_ids: Sequence[str]) -> list[int]:
        return cast("list[int]", await self._client.run("reconnect", [_RECONNECTED_MS, *account_ids]))


def _read_message(message: bytes, platform_sources: Collection[str]) -> Lease | None:
    """The lease in a message of the accept script; ``None`` if it cannot be read: a later claim takes the event."""
    try:
        token, member, stored = message.split(b"\n", 2)
        event = read_stored(stored, platform_sources)
        return Lease(member.decode(), token.decode(), event, handler=None, attempts=0, crashes=0)
    except (CorruptEvent, ValueError):
        return None


def _finish_args(member: str, token: str, end: End) -> tuple[str | bytes | int, ...]:
    """The arguments of the finish script for one lease, built separately so that one bad end fails alone."""
    note = end.note if end.handler is None else {"handler": end.handler, **end.note}
    return member, token, end.kind, round(end.delay * 1000), end.handler or "", orjson.dumps(note)
