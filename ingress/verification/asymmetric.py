"""``format: ed25519``: a signature by the sender's private key, our own extension. Imports cryptography."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ingress.verification.evidence import Evidence, Presented, check_effort, decoded, prefix_of, preview, signed_bytes
from truto.errors import SignatureError
from truto.placeholders import Template


@dataclass(frozen=True, slots=True)
class Ed25519Verifier:
    """Checks every presented signature with every live public key; the keys stand where others have secrets."""

    string_type: str
    signed: Sequence[Template]
    presented: Presented

    def check(self, evidence: Evidence) -> int:
        """The position of the public key that explains one of the presented signatures."""
        content = signed_bytes(self.signed, evidence.context)
        presented = [self._raw(text) for text in self.presented.candidates(evidence.context)]
        check_effort(len(presented), len(evidence.secrets))
        for position, key in enumerate(evidence.secrets):
            public = ed25519_key(key)
            if any(is_signed_by(public, signature, content) for signature in presented):
                return position
        raise SignatureError("signature_mismatch", "no live public key explains the signature")

    def _raw(self, text: str) -> bytes:
        try:
            return decoded(text, self.string_type)
        except ValueError:
            raise SignatureError("signature_malformed", f"the signature is not {self.string_type}") from None

    def explain(self, evidence: Evidence) -> list[str]:
        """The signed content, and the beginnings of the signatures."""
        content = signed_bytes(self.signed, evidence.context)
        candidates = self.presented.candidates(evidence.context)
        return [f"signed: {preview(content)}", *(f"received: {prefix_of(text)}" for text in candidates)]


def ed25519_key(raw: bytes) -> Ed25519PublicKey:
    """The key of 32 bytes. Raises :class:`ValueError` for any other number of them."""
    return Ed25519PublicKey.from_public_bytes(raw)


def is_signed_by(key: Ed25519PublicKey, signature: bytes, content: bytes) -> bool:
    """Whether *signature* is *key*'s for *content*."""
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True
