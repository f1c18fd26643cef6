"""What verifying and parsing one delivery costs, of Truto and of configured sources, without HTTP and a store."""

from __future__ import annotations

import base64
import hmac
import time
from collections.abc import Callable
from typing import NamedTuple

import orjson

from ingress import truto_source
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.context import Delivery
from ingress.verification.head import check_head
from ingress.verification.outcome import Accepted
from ingress.verification.pipeline import verify_delivery
from truto.signature import sign

SIZES = (1_200, 10_000, 1_000_000)
SECRET = "a secret of more than sixteen bytes"


class Row(NamedTuple):
    """CPU time (us) of one delivery of each size, by kind of source."""

    name: str
    microseconds: dict[int, float]


def measure(*, rounds: int, deliveries: int) -> list[Row]:
    """The best of *rounds*; large bodies get fewer deliveries."""
    return [Row(name, {size: _cost(name, size, rounds, deliveries) for size in SIZES}) for name in _HEADERS]


def _body(size: int) -> bytes:
    return orjson.dumps({"event": "x", "type": "x", "id": "e-1", "pad": "x" * (size - 50)})


def _count(size: int, deliveries: int) -> int:
    return max(20, deliveries * SIZES[0] // size)


def _cost(name: str, size: int, rounds: int, deliveries: int) -> float:
    body = _body(size)
    now = time.time()
    delivery = Delivery([*_USUAL, *_HEADERS[name](body, int(now))], body)
    source = _source(name)
    account = source.account({})
    assert isinstance(verify_delivery(source, delivery, account, now=now), Accepted)

    def deliver() -> None:
        check_head(delivery.headers, source.media_types)
        verify_delivery(source, delivery, account, now=now)

    return _best(deliver, rounds, _count(size, deliveries))


def _best(deliver: Callable[[], None], rounds: int, count: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(count):
            deliver()
        best = min(best, (time.process_time() - started) / count * 1e6)
    return best


def _source(name: str) -> Source:
    if name == "truto":
        return truto_source([SECRET])
    secret = "whsec_" + base64.b64encode(SECRET.encode()).decode() if name == "svix" else SECRET
    return read_source(name, {"preset": name, "secrets": [secret]}, {})


def _truto(body: bytes, now: int) -> list[tuple[bytes, bytes]]:
    return [(b"x-truto-signature", sign(body, SECRET).encode())]


def _github(body: bytes, now: int) -> list[tuple[bytes, bytes]]:
    return [(b"x-hub-signature-256", b"sha256=" + _hex(body)), (b"x-github-event", b"push")]


def _stripe(body: bytes, now: int) -> list[tuple[bytes, bytes]]:
    return [(b"stripe-signature", b"t=%d,v1=%b" % (now, _hex(b"%d.%b" % (now, body))))]


def _svix(body: bytes, now: int) -> list[tuple[bytes, bytes]]:
    made = base64.b64encode(hmac.digest(SECRET.encode(), b"m.%d.%b" % (now, body), "sha256"))
    return [(b"svix-id", b"m"), (b"svix-timestamp", b"%d" % now), (b"svix-signature", b"v1," + made)]


def _shopify(body: bytes, now: int) -> list[tuple[bytes, bytes]]:
    made = base64.b64encode(hmac.digest(SECRET.encode(), body, "sha256"))
    return [(b"x-shopify-hmac-sha256", made), (b"x-shopify-topic", b"orders/create")]


def _slack(body: bytes, now: int) -> list[tuple[bytes, bytes]]:
    made = b"v0=" + _hex(b"v0:%d:%b" % (now, body))
    return [(b"x-slack-request-timestamp", b"%d" % now), (b"x-slack-signature", made)]


def _hex(content: bytes) -> bytes:
    return hmac.digest(SECRET.encode(), content, "sha256").hex().encode()


_USUAL = [
    (b"host", b"you.example"),
    (b"user-agent", b"a sender of webhooks/1.0"),
    (b"accept", b"*/*"),
    (b"content-type", b"application/json"),
    (b"content-length", b"1200"),
]

# slack's expression answers handshakes: a shortcut decides that these deliveries are none.
_HEADERS = {"truto": _truto, "github": _github, "shopify": _shopify, "stripe": _stripe, "svix": _svix, "slack": _slack}
