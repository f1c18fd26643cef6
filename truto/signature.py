"""The ``X-Truto-Signature`` header: make it, check it. Performs no I/O.

Truto signs the raw body with HMAC-SHA256, keyed by the webhook's secret as its UTF-8 text, and sends
``format=sha256,v=<digest>`` (docs: webhooks overview; skill: webhooks-and-notifications). Two sources disagree on the
digest's encoding, hex or base64; both are read here, and they cannot be confused: 64 hex characters would be 48 bytes
of base64.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence

from truto.errors import SignatureError

HEADER = "X-Truto-Signature"

_DIGEST_BYTES = 32
_USUAL = "format=sha256,v="
# One digest needs 80 characters; a header with hundreds of candidates is an attempt to make us work.
_MAX_HEADER_CHARACTERS = 1024


def sign(body: bytes, secret: str, *, encoding: str = "hex") -> str:
    """The header value Truto would send for *body*; *encoding* is ``hex`` or ``base64``, else :class:`ValueError`."""
    if encoding not in ("hex", "base64"):
        raise ValueError("encoding is either hex or base64")
    digest = hmac.digest(secret.encode(), body, "sha256")
    value = digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
    return f"format=sha256,v={value}"


def verify(body: bytes, header: str | None, secrets: Sequence[str | bytes]) -> int:
    """Check *body* against *header*; return the position of the secret that explains it.

    A secret is text, or its UTF-8 bytes. Several may be live, newest first, so that a webhook can be re-created without
    losing deliveries. Raises :class:`SignatureError` for every kind of bad header, and when no usable secret is
    configured: a missing secret never turns the check off.
    """
    if not any(secrets):
        raise SignatureError("no_secret", "no secret is configured for this source")
    presented = _parse(header)
    for position, secret in enumerate(secrets):
        if not secret:
            continue
        expected = hmac.digest(secret if isinstance(secret, bytes) else secret.encode(), body, "sha256")
        matches = 0
        # Every candidate is compared, so the time taken does not tell which one came close.
        for digest in presented:
            matches += hmac.compare_digest(expected, digest)
        if matches:
            return position
    raise SignatureError("signature_mismatch", "no live secret explains the signature")


def _parse(header: str | None) -> list[bytes]:
    if not header:
        raise SignatureError("signature_missing", f"the {HEADER} header is missing")
    if len(header) > _MAX_HEADER_CHARACTERS:
        raise SignatureError("signature_malformed", f"the {HEADER} header is too long")
    if header.startswith(_USUAL) and (only := header[len(_USUAL) :]).isalnum():
        return [_decode(only)]
    digests = []
    for part in header.split(","):
        # base64 may end in "=", so only the first one separates.
        key, _, value = part.strip().partition("=")
        if key == "format" and value != "sha256":
            raise SignatureError("signature_format", "only format=sha256 is known")
        if key == "v":
            digests.append(_decode(value))
    if not digests:
        raise SignatureError("signature_malformed", f"the {HEADER} header holds no v=<digest>")
    return digests


def _decode(value: str) -> bytes:
    is_hex = len(value) == 2 * _DIGEST_BYTES
    try:
        digest = bytes.fromhex(value) if is_hex else base64.b64decode(value, validate=True)
    except ValueError:
        digest = b""
    # Hex with spaces is too short. The last character of base64 has spare bits: only the canonical spelling counts.
    if len(digest) != _DIGEST_BYTES or not (is_hex or base64.b64encode(digest).decode() == value):
        raise SignatureError("signature_malformed", "the digest is neither 64 hex characters nor base64 of 32 bytes")
    return digest
