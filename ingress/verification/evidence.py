"""What verifiers are given, what they share, and how they tell what they saw."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from ingress.verification.context import DeliveryContext
from truto.errors import PlaceholderError, SignatureError, UnusableValue
from truto.placeholders import Template

LEAST_SECRET_BYTES = 16
"""Shorter secrets can be guessed."""

UNUSABLE = "signed_value_unusable"
"""The reason where a field that decides about trust holds an object, a list, or what else has no text of its own."""

CERTIFICATE_UNKNOWN = "certificate_unknown"
KEY_UNKNOWN = "jwt_key_unknown"
"""The reasons of refusals that may be none once the certificate, or the key, has been fetched."""

MAX_CHECKS = 16
"""So many times a public key may be used for one delivery: each costs as much as a hundred digests."""

_MAX_PUBLIC_SIGNATURES = 4
_MAX_CANDIDATES = 50


@dataclass(slots=True)  # not frozen: that would cost each delivery a microsecond
class Evidence:
    """One delivery as a verifier sees it. ``now`` is Unix time (s).

    ``keys`` are those of a JWKS by their ``kid``, or certificates by their address.
    """

    context: DeliveryContext
    secrets: Sequence[bytes] = field(repr=False)
    now: float
    keys: Mapping[str, Any] = field(repr=False, default_factory=dict)


class Verifier(Protocol):
    """One way to prove who sent a delivery; immutable."""

    def check(self, evidence: Evidence) -> int:
        """The position of the secret that explains the delivery. Raises :class:`SignatureError` when none does."""
        ...

    def explain(self, evidence: Evidence) -> list[str]:
        """What was signed, what was expected and what came, a line each, without secrets and whole digests."""
        ...


@runtime_checkable
class NamesKey(Protocol):
    """A verifier whose key the delivery names: by the address of a certificate, or by its ``kid``."""

    def key_name(self, context: DeliveryContext) -> str:
        """The name. Raises :class:`SignatureError` where there is none, or none of the sender's."""
        ...


@dataclass(frozen=True, slots=True)
class Presented:
    """Where the proof is. With a *separator* there may be several; only those that begin with *prefix* count."""

    template: Template
    prefix: str = ""
    separator: str = ""

    def candidates(self, context: DeliveryContext) -> list[str]:
        """Every presented value, without the prefix. Raises :class:`SignatureError` when there is none."""
        value = required(self.template, context, "signature_missing")
        parts = value.split(self.separator) if self.separator else [value]
        if len(parts) > _MAX_CANDIDATES:
            raise SignatureError("signature_malformed", f"more than {_MAX_CANDIDATES} signatures")
        if self.separator:
            parts = [part.strip() for part in parts]
        start = len(self.prefix)
        found = [part[start:] for part in parts if len(part) > start and part.startswith(self.prefix)]
        if not found:
            raise SignatureError("signature_malformed", f"no value begins with {self.prefix!r}")
        return found


def required(template: Template, context: Mapping[str, Any], reason: str) -> str:
    """The one text of a field that decides about trust. Raises :class:`SignatureError` when it has none."""
    try:
        return template.render_text_or_fail(context)
    except UnusableValue as exc:
        raise SignatureError(UNUSABLE, str(exc)) from None
    except PlaceholderError as exc:
        raise SignatureError(reason, str(exc)) from None


def signed_bytes(parts: Sequence[Template], context: Mapping[str, Any]) -> bytes:
    """The pieces that were signed, one behind the other.

    Raises :class:`SignatureError` when one has no value, or none with a text of its own: a signature would fit others.
    """
    try:
        pieces = [part.render_bytes_or_fail(context) for part in parts]
    except UnusableValue as exc:
        raise SignatureError(UNUSABLE, str(exc)) from None
    except PlaceholderError as exc:
        raise SignatureError("signed_content_missing", str(exc)) from None
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def position_of(secrets: Sequence[bytes], expected: Sequence[Sequence[bytes]], presented: Sequence[bytes]) -> int:
    """Which of *secrets* is explained; *expected* are the acceptable values for each of them.

    Everything is compared with everything, so the time taken does not tell which one came close. Raises
    :class:`SignatureError` when nothing fits, and when there is no secret: a missing one never turns the check off.
    """
    if not secrets:
        raise SignatureError("no_secret", "no secret is configured for this source")
    for position, acceptable in enumerate(expected):
        matches = [hmac.compare_digest(one, other) for one in acceptable for other in presented]
        if any(matches):
            return position
    raise SignatureError("signature_mismatch", "no live secret explains the signature")


def check_effort(signatures: int, keys: int) -> None:
    """Raises :class:`SignatureError` where *signatures* by private keys, tried with *keys*, would cost too much."""
    if signatures > _MAX_PUBLIC_SIGNATURES or signatures * keys > MAX_CHECKS:
        raise SignatureError("too_many_signatures", f"{signatures} signatures for {keys} public keys are too many")


def encoded(digest: bytes, string_type: str) -> tuple[bytes, ...]:
    """The spellings of *digest* that count: base64url with and without padding, everything else in one way."""
    match string_type:
        case "hex":
            return (digest.hex().encode(),)
        case "base64":
            return (base64.b64encode(digest),)
        case _:
            padded = base64.urlsafe_b64encode(digest)
            return (padded.rstrip(b"="), padded)


def decoded(text: str, encoding: str) -> bytes:
    """The bytes that *text* spells in ``utf8``, ``hex`` or ``base64``, canonically. Raises :class:`ValueError`."""
    match encoding:
        case "hex":
            data = bytes.fromhex(text)
            canonical = data.hex() == text.lower()
        case "base64":
            try:
                data = base64.b64decode(text, validate=True)
            except binascii.Error as exc:
                raise ValueError("it is not base64") from exc
            canonical = base64.b64encode(data).decode() == text
        case _:
            return text.encode()
    if not canonical:
        raise ValueError(f"it is not canonical {encoding}")
    return data


def prefix_of(value: bytes | str) -> str:
    """The first characters of a digest: enough to compare by eye, too few to use."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value
    return f"{text[:8]}… ({len(text)} characters)" if len(text) > 8 else f"{text!r}"


def preview(data: bytes) -> str:
    """Bytes for people: their number, and the first of them."""
    return f"{len(data)} bytes: {data[:120]!r}{'…' if len(data) > 120 else ''}"
