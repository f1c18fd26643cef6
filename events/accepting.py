"""Accept events: all of a delivery or none, in one round trip for all concurrent deliveries."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from events.batching import GroupCommit
from events.client import StoreClient, confirmed, unconfirmed
from events.confirming import ReplicaConfirmation
from events.errors import StoreUnavailable
from events.event import MAX_INLINE_BYTES, Verified
from events.journal import find_subject, mark_of
from events.usage import PendingLimit

_Offer = tuple[Sequence[Verified], PendingLimit | None]


class Acceptance(StrEnum):
    """What became of an event that was offered to the store."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    """A duplicate whose type or body differs from the accepted event. The accepted one is kept."""
    OVER_QUOTA = "over_quota"
    """Not accepted: its source has reached its quota in the store."""
    SPOOLED = "spooled"
    """Written to the spool, because the store did not answer. The store itself never answers this."""


_ACCEPTANCES = {1: Acceptance.ACCEPTED, 0: Acceptance.DUPLICATE, 2: Acceptance.CONFLICT, 3: Acceptance.OVER_QUOTA}


class Acceptor:
    """The part of a store that accepts deliveries."""

    def __init__(self, client: StoreClient, *, confirm_replicas: int = 0, search_ms: int = 0) -> None:
        self._client = client
        self._search_ms = search_ms
        self._confirmation = ReplicaConfirmation(client.redis, confirm_replicas) if confirm_replicas else None
        self._accepting = GroupCommit(self._accept_batch, size=_group_size, patience=client.answer_seconds)
        self._offering = GroupCommit(self._offer_batch, size=_bytes_of, patience=client.answer_seconds)

    async def accept(self, events: Sequence[Verified], limit: PendingLimit | None = None) -> list[Acceptance]:
        """Accept the events of one delivery, all or none, and return the outcome of each.

        New events are refused when their source has reached *limit* in the store. The limit is checked before each
        round trip, which concurrent calls share. Returns only after Redis has confirmed. A large body is written
        before the script runs; it expires unless the script accepts its event.
        """
        try:
            for verified in events:
                if len(verified.body) + len(verified.raw) > MAX_INLINE_BYTES:
                    events = await asyncio.gather(*map(self._offered, events))
                    break
            return await self._accepting.submit((events, limit))
        except TimeoutError as exc:
            raise unconfirmed(exc) from None

    async def _offered(self, verified: Verified) -> Verified:
        """A large event with its body already in Redis, as the accept script expects it; small events unchanged."""
        size = verified.body_bytes
        if size <= MAX_INLINE_BYTES:
            return verified
        name = secrets.token_hex(16)
        # The checksum of a large body takes milliseconds, and releases the interpreter lock.
        (digest, subject), _ = await asyncio.gather(
            asyncio.to_thread(lambda: (verified.digest, find_subject(verified))),
            self._offering.submit((name, verified)),
        )
        return verified._replace(body=b"", raw=name.encode(), bytes_apart=size, digest_apart=digest, subject=subject)

    async def _offer_batch(self, offers: Sequence[tuple[str, Verified]]) -> list[None]:
        # Time for this answer of Redis, then for the wait and the answer of the script.
        expiry = round(3000 * self._client.answer_seconds)
        async with confirmed(), self._client.redis.pipeline(transaction=False) as pipe:
            for name, verified in offers:
                pipe.set(self._client.key(f"offered:{name}"), verified.body, px=expiry)
                if verified.raw:
                    pipe.set(self._client.key(f"offered:{name}:raw"), verified.raw, px=expiry)
            await pipe.execute()
        return [None] * len(offers)

    async def _accept_batch(self, offers: Sequence[_Offer]) -> list[list[Acceptance]]:
        offered = [verified for group, _ in offers for verified in group]
        limits = {group[0].source: limit for group, limit in offers if limit is not None and group}
        args: list[str | bytes | int] = [self._search_ms, len(limits)]
        for source, limit in limits.items():
            args += source, *limit
        for verified in offered:
            keys = verified.keys
            mark = mark_of(verified, keys) if self._search_ms else b""
            args += keys, verified.meta, verified.body, verified.raw, mark
        try:
            answers = _acceptances(await self._run_accept(args))
            taken = iter([answer for _, answer in zip(offered, answers, strict=True)])
            return [[next(taken) for _ in group] for group, _ in offers]
        except (KeyError, TypeError, ValueError):
            # An unknown outcome is never an acceptance.
            raise StoreUnavailable("Redis answered something that the accept script never returns") from None

    async def _run_accept(self, args: Sequence[str | bytes | int]) -> Any:
        if self._confirmation is None:
            return await self._client.run("accept", args)
        async with confirmed():
            return await self._confirmation.run(self._client.script("accept"), [self._client.prefix, *args])


def _acceptances(answers: object) -> list[Acceptance]:
    if not isinstance(answers, list) or any(type(answer) is not int for answer in answers):
        raise TypeError("not a list of numbers")
    return [_ACCEPTANCES[answer] for answer in answers]


def _group_size(offer: _Offer) -> int:
    return sum([len(verified.body) + len(verified.raw) for verified in offer[0]])


def _bytes_of(offer: tuple[str, Verified]) -> int:
    return offer[1].body_bytes
