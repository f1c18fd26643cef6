"""The bodies of stored events, wherever they are kept."""

from __future__ import annotations

from events.client import StoreClient
from events.errors import CorruptEvent
from events.event import Event, read_stored, with_body


class Bodies:
    """Reads what was delivered: with the event where it is small, else by itself."""

    def __init__(self, client: StoreClient) -> None:
        self._client = client

    async def raw(self, event: Event) -> bytes:
        """The body of the delivery as it arrived; for JSON deliveries the same as ``event.raw``."""
        return await self._client.read(f"raw:{event.key}") or event.raw

    async def whole(self, event: Event) -> Event:
        """*event* with its body, which is read from Redis where that is large.

        Raises :class:`CorruptEvent` when it cannot be read, or is gone: then the event is over.
        """
        if event.has_body:
            return event
        if body := await self._client.read(f"body:{event.key}"):
            return with_body(event, body)
        stored = read_stored(await self._client.read(f"event:{event.key}"), self._client.platform_sources)
        if not stored.has_body:
            raise CorruptEvent("the body of a stored event is missing")
        return stored  # as earlier versions did, body and all
