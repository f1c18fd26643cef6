"""What verifying and parsing one delivery of a configured source costs, without HTTP and without a store."""

from __future__ import annotations

import base64
import hmac
import time
from typing import NamedTuple

import orjson

from ingress.sources.configured import ConfiguredSource
from ingress.sources.loading import read_source
from ingress.verification.context import Delivery
from ingress.verification.head import check_head
from ingress.verification.outcome import Accepted
from ingress.verification.pipeline import verify_delivery

SIZES = (1_200, 10_000, 1_000_000)
SECRET = "a secret of more than sixteen bytes"


class Row(NamedTuple):
    """CPU time (us) of one delivery of each size, by kind of source."""

    name: str
    microseconds: dict[int, float]


def measure(*, rounds: int, deliveries: int) -> list[Row]:
    """The best of *rounds*; large bodies get fewer deliveries."""
    return [Row(name, {size: _cost(name, size, rounds, deliveries) for size in SIZES}) for name in _HEADERS]


def _cost(name: str, size: int, rounds: int, deliveries: int) -> float:
    body = orjson.dumps({"event": "x", "id": "e-1", "pad": "x" * (size - 40)})
    now = time.time()
    delivery = Delivery([*_USUAL, *_HEADERS[name](body, int(now))], body)
    source = _source(name)
    account = source.account({})
    assert isinstance(verify_delivery(source, delivery, account, now=now), Accepted)
    count = max(20, deliveries * SIZES[0] // size)
    return min(_round(source, delivery, now, count) for _ in range(rounds))


def _round(source: ConfiguredSource, delivery: Delivery, now: float, count: int) -> float:
    account = source.account({})
    started = time.process_time()
    for _ in range(count):
        check_head(delivery.headers, source.media_types)
        verify_delivery(source, delivery, account, now=now)
    return (time.process_time() - started) / count * 1e6


def _source(name: str) -> ConfiguredSource:
    secret = "whsec_" + base64.b64encode(SECRET.encode()).decode() if name == "svix" else SECRET
    return read_source(name, {"preset": name, "secrets": [secret]}, {})


def _github(body: bytes, now: int) -> list[tuple[bytes, bytes]]:
    return [(b"x-hub-signature-256", b"sha256=" + _hex(body)), (b"x-github-event", b"push")]


def _stripe(body: bytes, now: int) -> list[tuple[bytes, bytes]]:
    return [(b"stripe-signature", b"t=%d,v1=%b" % (now, _hex(b"%d.%b" % (now, body))))]


def _svix(body: bytes, now: int) -> list[tuple[bytes, bytes]]:
    made = base64.b64encode(hmac.digest(SECRET.encode(), b"m.%d.%b" % (now, body), "sha256"))
    return [(b"svix-id", b"m"), (b"svix-timestamp", b"%d" % now), (b"svix-signature", b"v1," + made)]


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

# slack has an expression, which is what its row shows.
_HEADERS = {"github": _github, "stripe": _stripe, "svix": _svix, "slack": _slack}
