"""``format: hmac``: a keyed digest of what was signed (seed: Environment Integrations object)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from ingress.verification.evidence import Evidence, Presented, encoded, position_of, prefix_of, preview, signed_bytes
from truto.errors import SignatureError
from truto.placeholders import Template
from truto.signature import HEADER, sign, verify

_TRUTO = HEADER.lower().encode()


@dataclass(frozen=True, slots=True)
class HmacVerifier:
    """Compares the digest of *signed*, made with each live secret, with every presented value.

    *algorithm* is hashlib's name. Upper-case hex is accepted; base64 only in its canonical spelling.
    """

    algorithm: str
    string_type: str
    signed: Sequence[Template]
    presented: Presented
    otherwise: Sequence[Template] = ()
    """What may have been signed instead."""

    def check(self, evidence: Evidence) -> int:
        """The position of the secret that made one of the presented digests."""
        contents = [signed_bytes(parts, evidence.context) for parts in (self.signed, self.otherwise) if parts]
        candidates = [self._normal(text) for text in self.presented.candidates(evidence.context)]
        expected = [[value for one in contents for value in self._expected(s, one)] for s in evidence.secrets]
        return position_of(evidence.secrets, expected, candidates)

    def _expected(self, secret: bytes, content: bytes) -> tuple[bytes, ...]:
        return encoded(hmac.digest(secret, content, self.algorithm), self.string_type)

    def _normal(self, text: str) -> bytes:
        return (text.lower() if self.string_type == "hex" and text.isascii() else text).encode()

    def explain(self, evidence: Evidence) -> list[str]:
        """The signed content, and the beginnings of all digests."""
        content = signed_bytes(self.signed, evidence.context)
        lines = [f"signed: {preview(content)}"]
        for position, secret in enumerate(evidence.secrets):
            expected = self._expected(secret, content)[0]
            lines.append(
                f"expected with secret {position}: {prefix_of(expected)} ({self.algorithm}, {self.string_type})"
            )
        candidates = self.presented.candidates(evidence.context)
        return [*lines, *(f"received: {prefix_of(text)}" for text in candidates)]


@dataclass(frozen=True, slots=True)
class TrutoVerifier:
    """Truto's own header, hex or base64, over the raw body."""

    @property
    def headers(self) -> frozenset[bytes]:
        """Where the signature is."""
        return frozenset({_TRUTO})

    def check(self, evidence: Evidence) -> int:
        """The position of the secret that explains the ``X-Truto-Signature``.

        A second one is refused, since which of the two counts would be a guess.
        """
        presented = evidence.context.values_of(_TRUTO)
        if len(presented) > 1:
            raise SignatureError("signature_duplicate", f"the {HEADER} header came more than once")
        return verify(evidence.context["raw_body"], presented[0] if presented else None, evidence.secrets)

    def explain(self, evidence: Evidence) -> list[str]:
        """The beginnings of the expected and the received digest."""
        body = evidence.context["raw_body"]
        lines = [f"signed: {preview(body)}"]
        for position, secret in enumerate(evidence.secrets):
            digest = sign(body, secret.decode()).rpartition("=")[2]
            lines.append(f"expected with secret {position}: v={prefix_of(digest)} (sha256, hex)")
        received = [prefix_of(value.rpartition("v=")[2]) for value in evidence.context.values_of(_TRUTO)]
        return [*lines, f"received: {' and '.join(received) or 'nothing'}"]


def algorithm_named(name: str, *, allow_md5: bool) -> str:
    """Hashlib's name for what a configuration calls *name*, in any case and with or without a hyphen.

    Raises :class:`ValueError` for unknown ones, and for MD5 unless it was asked for.
    """
    wanted = name.lower().replace("-", "")
    if wanted == "md5" and not allow_md5:
        raise ValueError("md5 is broken; say `allow_md5: true` in the options if the sender knows nothing better")
    if wanted not in {"md5", "sha1", "sha256", "sha384", "sha512"}:
        raise ValueError("must be one of sha1, sha256, sha384, sha512")
    return wanted


def string_type_named(name: str) -> str:
    """``hex``, ``base64`` or ``base64url``; Truto's library calls the last one ``base64-urlSafe``.

    Raises :class:`ValueError` for anything else.
    """
    wanted = {"hex": "hex", "base64": "base64", "base64url": "base64url", "base64urlsafe": "base64url"}
    found = wanted.get(name.lower().replace("-", "").replace("_", ""))
    if found is None:
        raise ValueError("must be one of hex, base64, base64url")
    return found


def digest_of(data: bytes, algorithm: str) -> bytes:
    """The plain digest of *data*; for claims that bind a token to a body."""
    return hashlib.new(algorithm, data, usedforsecurity=True).digest()
