"""Read a request's body under a cap and a deadline."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope

from ingress.answers import Refusal
from ingress.errors import BodyRefused, ClientGone

HERE = "truto_worker.body_is_here"
"""The ASGI extension of a request that came whole: its `body`, and `answer`, which sends a whole answer at once."""

DELIVERED = "truto_worker.delivered"
"""The key under which the application notes in its scope that it has accepted something authentic."""


def body_at_hand(scope: Scope, max_bytes: int) -> bytes | Refusal | None:
    """The body, or its refusal, if the server has received it completely; ``None`` if it has to be read."""
    here = scope.get("extensions", {}).get(HERE)
    if here is None:
        return None
    body: bytes = here["body"]
    return body if len(body) <= max_bytes else too_large(max_bytes)


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int, seconds: float) -> bytes | Refusal:
    """The whole body, or the refusal of one that is too large or arrives too slowly.

    A declared length over the cap is refused before anything is read. Raises :class:`ClientGone`.
    """
    at_hand = body_at_hand(scope, max_bytes)
    if at_hand is not None:
        return at_hand
    for name, value in scope["headers"]:
        if name == b"content-length" and is_more(value, max_bytes):
            return too_large(max_bytes)
    try:
        async with asyncio.timeout(seconds):
            return await _read_all(receive, max_bytes)
    except BodyRefused as exc:
        return exc.refusal
    except TimeoutError:
        return Refusal(408, "body_too_slow", f"The body did not arrive within {seconds:g} s.", close=True)


async def _read_all(receive: Receive, max_bytes: int) -> bytes | Refusal:
    chunks: list[bytes] = []
    held = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk = message.get("body", b"")
        held += len(chunk)
        if held > max_bytes:
            return too_large(max_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def too_large(max_bytes: int) -> Refusal:
    """The refusal of a body over the limit."""
    return Refusal(413, "body_too_large", f"The body is larger than {max_bytes} bytes.", close=True)


def is_more(length: bytes, most: int) -> bool:
    """Whether a declared *length* is a number over *most*."""
    digits = length.lstrip(b"0")
    # int() refuses numbers of thousands of digits.
    return digits.isdigit() and (len(digits) > 18 or int(digits) > most)
