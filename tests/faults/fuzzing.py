"""Streams of bytes that nobody should send to an ingress, and what it answers on real sockets."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress

import httptools
import orjson

from ingress.verification.context import Delivery
from tests.mutations import mutated

DOCUMENTED = frozenset({200, 202, 400, 401, 404, 405, 408, 413, 415, 431, 503})
"""What the public port answers, whatever comes; 202 is what senders of CloudEvents want."""

_LINES = (
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: +5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: other\r\n",
    b"Content-Encoding: gzip\r\n",
    b"X-Truto-Signature: format=sha256,v=\r\n",
    b" folded\r\n",
    b"\r\n",
    b"\n",
    b"\x00",
    b"\xff",
    b"0\r\n\r\n",
    b"5;a=b\r\n",
    b"%2e%2e/",
    b"/",
    b"?challenge=c",
    b"HTTP/0.9",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
_LAST = b"GET /livez HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n"
_SILENCE_SECONDS = 0.6
_AT_ONCE = 32


def as_request(source: str, delivery: Delivery, *, chunked: bool = False) -> bytes:
    """*delivery* on the wire, to *source*."""
    query = b"?" + delivery.query if delivery.query else b""
    head = b"%b /webhooks/%b%b HTTP/1.1\r\nHost: edge.test\r\n" % (delivery.method.encode(), source.encode(), query)
    head += b"".join(b"%b: %b\r\n" % header for header in delivery.headers)
    if chunked:
        body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (delivery.body[:7], delivery.body[7:]) if part)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(delivery.body) + delivery.body


def streams(genuine: Sequence[bytes], count: int, seed: int) -> Iterator[list[bytes]]:
    """*count* streams made of *genuine* requests, each as the pieces in which it is sent."""
    rng = random.Random(seed)
    for _ in range(count):
        requests = [rng.choice(genuine) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
        spoiled = rng.randrange(len(requests))
        requests[spoiled] = mutated(requests[spoiled], rng, words=_LINES, others=genuine)
        # What is framed as before is answered at once, to the end of the connection.
        whole = b"".join([*requests, _LAST])
        cuts = sorted(rng.randrange(len(whole) + 1) for _ in range(rng.choice((0, 0, 1, 2))))
        yield [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


class Answers:
    """What came back on one connection, read by another parser than the one that wrote it."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.statuses: list[int] = []
        self._parser = httptools.HttpResponseParser(self)
        self._body = b""

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self.faults.append(f"an answer that is no HTTP ({exc}): {data[:200]!r}")

    def on_message_begin(self) -> None:
        self._body = b""

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 100:
            return
        self.statuses.append(status)
        if status not in DOCUMENTED:
            self.faults.append(f"an undocumented answer: {status} {self._body[:200]!r}")
        elif status >= 400:
            self._look_at_refusal(status)

    def _look_at_refusal(self, status: int) -> None:
        try:
            told = orjson.loads(self._body)
        except orjson.JSONDecodeError:
            told = None
        if self._body and not (isinstance(told, dict) and told.get("statusCode") == status and told.get("reason")):
            self.faults.append(f"a refusal without its envelope: {status} {self._body[:200]!r}")


async def talk(port: int, pieces: Sequence[bytes]) -> Answers:
    """Send *pieces*, and read until there is nothing more to come for a moment."""
    answers = Answers()
    with suppress(ConnectionError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            with suppress(TimeoutError):
                while data := await asyncio.wait_for(reader.read(65_536), _SILENCE_SECONDS):
                    answers.feed(data)
        finally:
            writer.transport.abort()
    return answers


async def send_all(port: int, made: Iterator[list[bytes]]) -> tuple[Counter[int], list[tuple[str, list[bytes]]]]:
    """Send the streams, some at once; how often each status came, and every fault with its stream."""
    statuses: Counter[int] = Counter()
    faults: list[tuple[str, list[bytes]]] = []

    async def work() -> None:
        for pieces in made:  # shared: each takes the next one
            answers = await talk(port, pieces)
            statuses.update(answers.statuses)
            faults.extend((fault, pieces) for fault in answers.faults)

    await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
    return statuses, faults
