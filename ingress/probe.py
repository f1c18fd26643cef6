"""The probe with which ``connect`` and ``doctor`` ask an address whether it leads here. Performs no I/O.

It is a POST to where deliveries go, with a signature header and a body as they have them, and a header that proves that
its sender holds one of our own secrets: the API token, a secret of the webhook, or the key of probes in Redis. Nobody
else is answered anything but the usual 401. The answer tells what arrived of the probe, and proves that it comes from a
holder of the same secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ingress.verification.context import Delivery
from ingress.verification.head import RawHeaders
from truto.signature import HEADER as SIGNATURE
from truto.signature import sign

HEADER = "X-Truto-Worker-Probe"

KEPT = "probe_key"
"""Where the key of probes is found in Redis, among what is kept of Truto's own source."""

MAX_AGE_SECONDS = 3600.0
"""So old a probe is still answered: a clock that is wrong by minutes is to be told, not to be guessed."""

MAX_KEYS = 4
"""So many secrets a probe may be signed with, newest first."""

BODY = '{ "probe":1.0,  "text":"\u00fc \\u00fc",\n"b":[ ],"a":1e2 }\n'.encode()
"""JSON that comes out differently from whatever reads it and writes it anew."""

_WRITTEN = re.compile(r"t=([0-9]{1,12}),n=([0-9a-f]{32})((?:,v=[0-9a-f]{64}){1,4})")
_NAME = HEADER.lower().encode()
_SIGNATURE = SIGNATURE.lower().encode()


def probe_key(secret: str | bytes) -> bytes:
    """The key of probes for those who hold *secret*."""
    return hmac.digest(secret.encode() if isinstance(secret, str) else secret, b"truto-worker probe", "sha256")


def fingerprint(secret: str | bytes, nonce: str) -> str:
    """What tells a secret of the webhook from others, in the answer to one probe, to those who know it already."""
    return hmac.digest(probe_key(secret), f"fingerprint {nonce}".encode(), "sha256").hex()[:16]


@dataclass(frozen=True, slots=True)
class Probe:
    """One question: its *headers* go with :data:`BODY`."""

    nonce: str
    keys: tuple[bytes, ...] = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @classmethod
    def made(cls, secret_texts: Iterable[str], now: float) -> Probe:
        """A probe by the holder of these secrets, of which there is at least one."""
        keys = tuple(map(probe_key, secret_texts))[:MAX_KEYS]
        nonce = secrets.token_hex(16)
        signed = f"{int(now)} {nonce}".encode()
        proofs = "".join(f",v={hmac.digest(key, b'ask ' + signed, 'sha256').hex()}" for key in keys)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "truto",
            SIGNATURE: sign(BODY, keys[0].hex()),
            HEADER: f"t={int(now)},n={nonce}{proofs}",
        }
        return cls(nonce, keys, headers)

    def read(self, answer: bytes) -> Arrival | None:
        """What *answer* tells; ``None`` unless it comes from an ingress that holds one of our secrets."""
        try:
            told, proof = (orjson.loads(answer)[name] for name in ("probe", "proof"))
            expected = [_answer_proof(key, self.nonce, told.encode()) for key in self.keys]
            if not any(hmac.compare_digest(proof.encode(), one.encode()) for one in expected):
                return None
            return Arrival(**orjson.loads(told))
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, UnicodeEncodeError):
            return None

    def arrived_whole(self, arrival: Arrival) -> bool:
        """Whether the body came as it was sent."""
        return arrival.digest == hashlib.sha256(BODY).hexdigest()

    def knows(self, arrival: Arrival, secret: str) -> bool:
        """Whether *secret* is one with which deliveries are verified there now."""
        return fingerprint(secret, self.nonce) in arrival.secrets


@dataclass(frozen=True, slots=True)
class Arrival:
    """What an ingress has seen of a probe.

    *digest* is that of the body, *signature* the signature header or ``None``, *clock* unix seconds there. *secrets*
    are fingerprints of those of the webhook; *stored* says that it also takes the one that ``connect`` has put into
    Redis.
    """

    digest: str
    signature: str | None
    clock: float
    secrets: list[str]
    stored: bool


class Prover:
    """Answers probes of those who hold one of *secret_texts*; *stored* is for :attr:`Arrival.stored`."""

    def __init__(self, secret_texts: Iterable[str], *, stored: bool = False) -> None:
        self._keys = tuple(map(probe_key, secret_texts))
        self._stored = stored

    def answer(self, delivery: Delivery, live: Sequence[bytes], kept: object, now: float) -> bytes | None:
        """The answer to *delivery*, for a source whose secrets are *live*; ``None`` where it is no proven probe.

        *kept* is the key of probes in Redis, if there is one.
        """
        written = _only(delivery.headers, _NAME)
        found = _WRITTEN.fullmatch(written) if written is not None else None
        if found is None or abs(now - int(found[1])) > MAX_AGE_SECONDS:
            return None
        nonce = found[2]
        signed = b"ask " + f"{found[1]} {nonce}".encode()
        presented = [text.encode() for text in found[3].split(",v=")[1:]]
        more = [probe_key(kept)] if isinstance(kept, str) and kept else []
        for key in (*self._keys, *more, *map(probe_key, live)):
            expected = hmac.digest(key, signed, "sha256").hex().encode()
            if sum(hmac.compare_digest(expected, one) for one in presented):
                return self._told(delivery, live, nonce, key, now)
        return None

    def _told(self, delivery: Delivery, live: Sequence[bytes], nonce: str, key: bytes, now: float) -> bytes:
        told: dict[str, Any] = {
            "digest": hashlib.sha256(delivery.body).hexdigest(),
            "signature": _only(delivery.headers, _SIGNATURE),
            "clock": now,
            "secrets": [fingerprint(secret, nonce) for secret in live],
            "stored": self._stored,
        }
        text = orjson.dumps(told)
        return orjson.dumps({"probe": text.decode(), "proof": _answer_proof(key, nonce, text)})


def _answer_proof(key: bytes, nonce: str, told: bytes) -> str:
    return hmac.digest(key, b"answer " + nonce.encode() + b" " + told, "sha256").hex()


def _only(headers: RawHeaders, name: bytes) -> str | None:
    """The value of a header that came once."""
    values = [value for each, value in headers if each == name]
    return str(values[0], "latin-1") if len(values) == 1 else None
