"""What strangers do to an ingress, all at once: ``python -m tests.faults.strangers PORT KIND COUNT [SOURCE]``.

They run in a process of their own, so that whoever measures beside them measures the ingress.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

_BODY_BYTES = 10 * 1024 * 1024
_PIECE = b"x" * 65_536
_FORM = b"a=" + b"%41" * 1_700_000  # 5 MB that unpack to 1.7 million characters


def _head(source: str, size: int, media_type: str) -> bytes:
    lines = [
        f"POST /webhooks/{source} HTTP/1.1",
        "Host: strangers.test",
        f"Content-Type: {media_type}",
        f"Content-Length: {size}",
        "X-Truto-Signature: format=sha256,v=" + "0" * 64,
        "X-Slack-Request-Timestamp: 1",
        "X-Slack-Signature: v0=" + "0" * 64,
        "X-Twilio-Signature: " + "A" * 27 + "=",
        "X-Hub-Signature-256: sha256=" + "0" * 64,
        "X-BambooHR-Timestamp: 1",
        "X-BambooHR-Signature: " + "0" * 64,
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def _hold_body(port: int) -> None:
    """A body of 10 MB of which the last byte never comes, and whose answer is never read."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError):
        writer.write(_head("truto", _BODY_BYTES, "application/json"))
        left = _BODY_BYTES - 1
        while left > 0:
            writer.write(_PIECE[:left])
            left -= len(_PIECE)
            await writer.drain()
        await asyncio.sleep(5)
    writer.transport.abort()


async def _send_form(port: int, source: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError):
        writer.write(_head(source, len(_FORM), "application/x-www-form-urlencoded") + _FORM)
        await writer.drain()
        await reader.read(4096)
    writer.transport.abort()


async def _idle(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with suppress(OSError):
        await reader.read()  # until it is closed
    writer.transport.abort()


async def _at_once(work: list[object], most: int) -> None:
    free = asyncio.Semaphore(most)

    async def one(coroutine: object) -> None:
        async with free:
            with suppress(OSError):
                await coroutine  # type: ignore[misc]  # what main() made

    await asyncio.gather(*(one(piece) for piece in work))


async def main(port: int, kind: str, count: int, source: str = "truto") -> None:
    """Do it *count* times; ``idle`` connections stay for 10 s at most."""
    if kind == "bodies":
        await _at_once([_hold_body(port) for _ in range(count)], count)
    elif kind == "forms":
        await _at_once([_send_form(port, source) for _ in range(count)], 50)
    elif kind == "idle":
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await _at_once([_idle(port) for _ in range(count)], count)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
