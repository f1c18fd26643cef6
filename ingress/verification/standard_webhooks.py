"""``format: standard_webhooks``: the scheme of Svix and https://www.standardwebhooks.com, our own extension.

Signed is ``<id>.<timestamp>.<body>``; the header lists ``v1,<base64 HMAC-SHA256>`` and ``v1a,<base64 Ed25519>``.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ingress.verification.evidence import Evidence, check_effort, decoded, position_of, prefix_of, preview
from truto.errors import SignatureError

PUBLIC = "whpk_"
SYMMETRIC = "whsec_"

_FAMILIES = {
    family: tuple(f"{family}-{name}" for name in ("id", "timestamp", "signature")) for family in ("webhook", "svix")
}
_MAX_SIGNATURES = 50
_LONGEST_ID = 256
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class StandardWebhooksVerifier:
    """Checks either family of headers, ``webhook-*`` or ``svix-*``; the first one whose id is there counts.

    The timestamp may be *tolerance* seconds from now, in either direction.
    """

    tolerance: float = 300.0

    @property
    def headers(self) -> frozenset[bytes]:
        """Where the signature is, in one family or the other."""
        return frozenset(names[2].encode() for names in _FAMILIES.values())

    def check(self, evidence: Evidence) -> int:
        """The position of the secret (``whsec_…``) or public key (``whpk_…``) that explains one of the signatures."""
        event_id, timestamp, signatures = _headers(evidence)
        content = b"%b.%b.%b" % (event_id.encode(), timestamp.encode(), evidence.context["raw_body"])
        if not evidence.secrets:
            raise SignatureError("no_secret", "no secret is configured for this source")
        if len(signatures) > 1:
            _check_effort(evidence.secrets, signatures)
        for position, secret in enumerate(evidence.secrets):
            if _explains(secret, content, signatures):
                self._check_time(int(timestamp), evidence.now)
                return position
        raise SignatureError("signature_mismatch", "no live secret explains the signature")

    def _check_time(self, timestamp: int, now: float) -> None:
        difference = timestamp - int(now)
        if abs(difference) > self.tolerance:
            raise SignatureError("timestamp_out_of_tolerance", f"the timestamp is {difference:+} s from now")

    def explain(self, evidence: Evidence) -> list[str]:
        """The signed content, and the beginnings of all digests."""
        event_id, timestamp, signatures = _headers(evidence)
        content = b"%b.%b.%b" % (event_id.encode(), timestamp.encode(), evidence.context["raw_body"])
        lines = [f"signed: {preview(content)}"]
        for position, secret in enumerate(evidence.secrets):
            expected = _digest(secret, content) if not secret.startswith(PUBLIC.encode()) else "an Ed25519 signature"
            lines.append(f"expected with secret {position}: v1,{prefix_of(expected)}")
        lines.append(f"timestamp: {int(timestamp) - int(evidence.now):+} s from now")
        return [*lines, *(f"received: {version},{prefix_of(value)}" for version, value in signatures)]


def _headers(evidence: Evidence) -> tuple[str, str, list[tuple[str, str]]]:
    headers = evidence.context["headers"]
    family = "webhook" if "webhook-id" in headers or "svix-id" not in headers else "svix"
    id_header, time_header, signature_header = _FAMILIES[family]
    event_id, timestamp = headers.get(id_header, ""), headers.get(time_header, "")
    listed = headers.get(signature_header, "")
    if not event_id or not timestamp or not listed:
        raise SignatureError("signature_missing", f"{id_header}, {time_header} or {signature_header} is missing")
    # With a dot in the id, one signature would fit two deliveries: `a.1` + `2…` and `a` + `1.2…`.
    if "." in event_id or len(event_id) > _LONGEST_ID or not _SECONDS.fullmatch(timestamp):
        raise SignatureError("signature_malformed", "the id holds a dot or is too long, or the timestamp is no number")
    pairs = [part.partition(",")[::2] for part in listed.split(" ") if part]
    if len(pairs) > _MAX_SIGNATURES:
        raise SignatureError("signature_malformed", f"more than {_MAX_SIGNATURES} signatures")
    return event_id, timestamp, pairs


def _check_effort(secrets: Sequence[bytes], signatures: list[tuple[str, str]]) -> None:
    if keys := sum(secret.startswith(PUBLIC.encode()) for secret in secrets):
        check_effort(sum(version == "v1a" for version, _ in signatures), keys)


def _digest(secret: bytes, content: bytes) -> bytes:
    return base64.b64encode(hmac.digest(secret, content, "sha256"))


def _explains(secret: bytes, content: bytes, signatures: list[tuple[str, str]]) -> bool:
    if secret.startswith(PUBLIC.encode()):
        from ingress.verification.asymmetric import ed25519_key, is_signed_by

        key = ed25519_key(read_key(secret.decode()))
        return any(version == "v1a" and is_signed_by(key, _raw(value), content) for version, value in signatures)
    presented = [value.encode() for version, value in signatures if version == "v1"]
    try:
        return position_of([secret], [(_digest(secret, content),)], presented) == 0
    except SignatureError:
        return False


def _raw(value: str) -> bytes:
    try:
        return decoded(value, "base64")
    except ValueError:
        return b""


def read_key(text: str) -> bytes:
    """The bytes of a ``whsec_…`` or ``whpk_…``; the prefix of the former may be missing. Raises :class:`ValueError`."""
    try:
        return base64.b64decode(text.removeprefix(PUBLIC).removeprefix(SYMMETRIC), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64 behind whsec_ (a secret) or whpk_ (a public key)") from None
