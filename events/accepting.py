"""Take events into the store: all of a delivery or none, in one round trip for all deliveries of the moment."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from enum import StrEnum
from operator import attrgetter
from typing import Any

from events.batching import GroupCommit
from events.client import StoreClient, confirmed, unconfirmed
from events.confirming import ReplicaConfirmation
from events.errors import StoreUnavailable
from events.event import MAX_INLINE_BYTES, Verified
from events.usage import PendingLimit

_Offer = tuple[Sequence[Verified], PendingLimit | None]

_body_bytes = attrgetter("body_bytes")


class Acceptance(StrEnum):
    """What became of an event that was offered to the store."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    """A duplicate whose type or body differs from that of the first, which alone counts."""
    OVER_QUOTA = "over_quota"
    """Not taken: its source has as much in the store as it may."""
    SPOOLED = "spooled"
    """Kept on the local disk, because the store did not answer: the store never says this itself."""


_ACCEPTANCES = {1: Acceptance.ACCEPTED, 0: Acceptance.DUPLICATE, 2: Acceptance.CONFLICT, 3: Acceptance.OVER_QUOTA}


class Acceptor:
    """What the ingress needs of a store for deliveries."""

    def __init__(self, client: StoreClient, *, confirm_replicas: int = 0) -> None:
        self._client = client
        self._confirmation = ReplicaConfirmation(client.redis, confirm_replicas) if confirm_replicas else None
        self._accepting = GroupCommit(self._accept_batch, size=_group_size, patience=client.answer_seconds)
        self._offering = GroupCommit(self._offer_batch, size=_bytes_of, patience=client.answer_seconds)

    async def accept(self, events: Sequence[Verified], limit: PendingLimit | None = None) -> list[Acceptance]:
        """Take the events of one delivery in, all or none, and say what became of each.

        Once their source has as much in the store as *limit* says, no new ones are taken. That is looked at before each
        round trip, which concurrent calls share. Returns after Redis has confirmed, never before. A large body goes
        ahead, past the script; it expires where the script does not take it over.
        """
        try:
            if max(map(_body_bytes, events), default=0) > MAX_INLINE_BYTES:
                events = await asyncio.gather(*map(self._offered, events))
            return await self._accepting.submit((events, limit))
        except TimeoutError as exc:
            raise unconfirmed(exc) from None

    async def _offered(self, verified: Verified) -> Verified:
        """A large event as the accept script gets it, its body being in Redis; others as they are."""
        size = verified.body_bytes
        if size <= MAX_INLINE_BYTES:
            return verified
        name = secrets.token_hex(16)
        # The checksum of a large body takes milliseconds, and lets go of the interpreter.
        digest, _ = await asyncio.gather(
            asyncio.to_thread(lambda: verified.digest), self._offering.submit((name, verified))
        )
        return verified._replace(body=b"", raw=name.encode(), bytes_apart=size, digest_apart=digest)

    async def _offer_batch(self, offers: Sequence[tuple[str, Verified]]) -> list[None]:
        # Until the script is there, it may wait for as long as an answer of Redis for this, and then for its own.
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
        args: list[str | bytes | int] = [len(limits)]
        for source, limit in limits.items():
            args += source, *limit
        for verified in offered:
            args += verified.keys, verified.meta, verified.body, verified.raw
        try:
            answers = _acceptances(await self._run_accept(args))
            taken = iter([answer for _, answer in zip(offered, answers, strict=True)])
            return [[next(taken) for _ in group] for group, _ in offers]
        except (KeyError, TypeError, ValueError):
            # An unknown outcome is never an acceptance.
            raise StoreUnavailable("Redis gave an answer that the accept script does not give") from None

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
    return sum(map(_body_bytes, offer[0]))


def _bytes_of(offer: tuple[str, Verified]) -> int:
    return offer[1].body_bytes
