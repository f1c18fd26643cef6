"""What a store knows of events that should have arrived, and whose turn it is to look for those that have not."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, cast

import orjson

from events.client import StoreClient, confirmed
from events.identity import event_key
from events.inspection import head_of_event
from events.naming import PLATFORM_SOURCE

_PAGE = 500
_HEAD_BYTES = 8192
_OWN = frozenset({b"owner", b"until", b"due"})
_PENDING = ("queue", "held", "dead", "parked")


class Arrived(NamedTuple):
    """An event of Truto's that is known here. ``about`` is the entity in it; ``None`` where that is not known."""

    type: str | None
    about: str | None


class Turn(NamedTuple):
    """The right to reconcile, for some time, and what was remembered from turn to turn."""

    token: str
    remembered: dict[str, Any]


class Recovery:
    """The part of a store for finding what has not arrived."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def take_turn(self, seconds: float, *, first_in: float = 0.0, at_once: bool = False) -> Turn | None:
        """The turn to reconcile, for *seconds*; ``None`` while somebody has it, or (unless *at_once*) before it is due.

        On a store where nobody has had it, it is due in *first_in* seconds.
        """
        token = f"{os.getpid()}-{secrets.token_hex(8)}"
        asks: list[str | int] = [token, round(seconds * 1000), round(first_in * 1000), int(at_once)]
        found = await self._client.run("take_turn", asks)
        if found is None:
            return None
        pairs = zip(found[::2], found[1::2], strict=True)
        return Turn(token, {name.decode(): orjson.loads(value) for name, value in pairs if name not in _OWN})

    async def keep_turn(self, turn: Turn, seconds: float, remembered: Mapping[str, Any]) -> bool:
        """Keep the turn for *seconds* from now, and remember values (JSON); false if it is somebody else's by now."""
        return bool(await self._client.run("keep_turn", [turn.token, round(seconds * 1000), *_pairs(remembered)]))

    async def end_turn(self, turn: Turn, due_in: float, remembered: Mapping[str, Any]) -> bool:
        """End the turn; the next one is due in so many seconds. Otherwise as :meth:`keep_turn`."""
        return bool(await self._client.run("keep_turn", [turn.token, -round(due_in * 1000), *_pairs(remembered)]))

    async def due_in(self) -> float | None:
        """Seconds until the next turn is due, negative when it is late; ``None`` where there has been no worker yet."""
        async with confirmed():
            due = await cast("Awaitable[bytes | None]", self._client.redis.hget(self._client.key("reconcile"), "due"))
        return None if due is None else float(due) / 1000 - await self._client.now()

    async def remembered(self) -> dict[str, Any]:
        """What the turns so far have left."""
        async with confirmed():
            found = await cast(
                "Awaitable[dict[bytes, bytes]]", self._client.redis.hgetall(self._client.key("reconcile"))
            )
        return {name.decode(): orjson.loads(value) for name, value in found.items() if name not in _OWN}

    async def arrived(self, ids: Sequence[str]) -> dict[str, Arrived]:
        """Those of Truto's events with these ids that are known here, pending or over."""
        found: dict[str, Arrived] = {}
        for first in range(0, len(ids), _PAGE):
            page = ids[first : first + _PAGE]
            for event_id, (known, head) in zip(page, await self._heads(list(map(_key, page))), strict=True):
                if known:
                    found[event_id] = _arrived(head)
        return found

    async def arrived_since(self, moment: datetime) -> AsyncIterator[Arrived]:
        """All of Truto's events that have ended since *moment*, or are pending: a long read on a busy store."""
        keys = dict.fromkeys([key async for key in self._keys_since(moment.timestamp() * 1000)])
        everything = list(keys)
        for first in range(0, len(everything), _PAGE):
            for _, head in await self._heads(everything[first : first + _PAGE]):
                if head.get("source") == PLATFORM_SOURCE:
                    yield _arrived(head)

    async def _keys_since(self, moment_ms: float) -> AsyncIterator[str]:
        for place in ("recent", *_PENDING):
            position = 0
            while True:
                async with confirmed():
                    page = await self._client.redis.zrangebyscore(
                        self._client.key(place),
                        moment_ms if place == "recent" else "-inf",
                        "+inf",
                        start=position,
                        num=_PAGE,
                    )
                for member in page:
                    yield member.decode().partition("|")[0]
                if len(page) < _PAGE:
                    break
                position += _PAGE

    async def _heads(self, keys: Sequence[str]) -> list[tuple[bool, dict[str, Any]]]:
        """For each key whether it is known, and the head of its event as far as it is kept."""
        async with confirmed(), self._client.redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.exists(self._client.key(f"done:{key}"))
                pipe.lindex(self._client.key(f"history:{key}"), 0)
                pipe.getrange(self._client.key(f"event:{key}"), 0, _HEAD_BYTES)
            rows = await pipe.execute()
        return [
            (bool(done or first or stored), head_of_event(first, stored))
            for done, first, stored in zip(rows[::3], rows[1::3], rows[2::3], strict=True)
        ]


def _pairs(remembered: Mapping[str, Any]) -> list[str | bytes]:
    return [part for name, value in remembered.items() for part in (name, orjson.dumps(value))]


def _arrived(head: Mapping[str, Any]) -> Arrived:
    kind, about = head.get("type"), head.get("about")
    return Arrived(kind if isinstance(kind, str) else None, about if isinstance(about, str) else None)


def _key(event_id: str) -> str:
    return event_key(PLATFORM_SOURCE, event_id)
