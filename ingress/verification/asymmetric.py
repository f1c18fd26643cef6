"""``format: ed25519``, ``ecdsa`` and ``rsa``: a signature by the sender's private key, our own extension.

Imports cryptography. A key is kept as its DER and read once: what is live was checked when it was configured.
"""

from __future__ import annotations

import binascii
import re
from abc import ABC, abstractmethod
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from ingress.verification.evidence import Evidence, Presented, check_effort, decoded, prefix_of, preview, signed_bytes
from truto.errors import SignatureError
from truto.placeholders import Template

HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "sha1": hashes.SHA1,
    "sha256": hashes.SHA256,
    "sha384": hashes.SHA384,
    "sha512": hashes.SHA512,
}
CURVES: dict[str, type[ec.EllipticCurve]] = {"P-256": ec.SECP256R1, "P-384": ec.SECP384R1, "P-521": ec.SECP521R1}

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
MAX_SIGNATURE_BYTES = MAX_RSA_BITS // 8
"""Longer ones are not even decoded; those of elliptic curves are shorter by far."""

_RAW_ED25519_BYTES = 32
_PEM = re.compile(r"-----BEGIN (RSA )?PUBLIC KEY-----(.*)-----END (?:RSA )?PUBLIC KEY-----", re.DOTALL)
_SPKI = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeyVerifier(ABC):
    """Checks every presented signature with every live public key; the keys stand where others have secrets."""

    string_type: str
    signed: Sequence[Template]
    presented: Presented

    @property
    @abstractmethod
    def how(self) -> tuple[Any, ...]:
        """What the key's own ``verify`` is told besides signature and content."""

    def check(self, evidence: Evidence) -> int:
        """The position of the public key that explains one of the presented signatures."""
        content = signed_bytes(self.signed, evidence.context)
        presented = self.signatures(evidence)
        check_effort(len(presented), len(evidence.secrets))
        for position, key in enumerate(evidence.secrets):
            public = public_key(key)
            if any(is_signed_by(public, signature, content, *self.how) for signature in presented):
                return position
        raise SignatureError("signature_mismatch", "no live public key explains the signature")

    def signatures(self, evidence: Evidence) -> list[bytes]:
        """The presented signatures as the key's ``verify`` takes them. Raises :class:`SignatureError`."""
        return [self._decoded(text) for text in self.presented.candidates(evidence.context)]

    def _decoded(self, text: str) -> bytes:
        return signature_bytes(text, self.string_type)

    def explain(self, evidence: Evidence) -> list[str]:
        """The signed content, and the beginnings of the signatures."""
        content = signed_bytes(self.signed, evidence.context)
        candidates = self.presented.candidates(evidence.context)
        return [f"signed: {preview(content)}", *(f"received: {prefix_of(text)}" for text in candidates)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ed25519Verifier(PublicKeyVerifier):
    """Ed25519, which fixes everything else."""

    @property
    def how(self) -> tuple[Any, ...]:
        """Nothing."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EcdsaVerifier(PublicKeyVerifier):
    """ECDSA. *signature_format* is ``der``, or ``raw`` for both numbers one behind the other (IEEE P1363)."""

    algorithm: str = "sha256"
    signature_format: Literal["der", "raw"] = "der"

    @property
    def how(self) -> tuple[Any, ...]:
        """The hash."""
        return (ec.ECDSA(HASHES[self.algorithm]()),)

    def _decoded(self, text: str) -> bytes:
        data = signature_bytes(text, self.string_type)
        if self.signature_format == "der":
            return data
        half, odd = divmod(len(data), 2)
        if odd or not half:
            raise SignatureError("signature_malformed", "the signature is not two numbers of the same length")
        return encode_dss_signature(int.from_bytes(data[:half]), int.from_bytes(data[half:]))


@dataclass(frozen=True, slots=True, kw_only=True)
class RsaVerifier(PublicKeyVerifier):
    """RSA, with PKCS #1 v1.5 or, for ``pss``, with a salt of any length."""

    algorithm: str = "sha256"
    padding: Literal["pkcs1", "pss"] = "pkcs1"

    @property
    def how(self) -> tuple[Any, ...]:
        """The padding and the hash."""
        return rsa_how(self.algorithm, self.padding)


def rsa_how(algorithm: str, kind: Literal["pkcs1", "pss"] = "pkcs1") -> tuple[Any, ...]:
    """What an RSA key's ``verify`` is told."""
    chosen = HASHES[algorithm]()
    if kind == "pss":
        return padding.PSS(padding.MGF1(chosen), padding.PSS.AUTO), chosen
    return padding.PKCS1v15(), chosen


def signature_bytes(text: str, string_type: str) -> bytes:
    """The signature that *text* spells. Raises :class:`SignatureError`."""
    if len(text) > 2 * MAX_SIGNATURE_BYTES:
        raise SignatureError("signature_malformed", f"the signature is longer than {MAX_SIGNATURE_BYTES} bytes")
    try:
        return decoded(text, string_type)
    except ValueError:
        raise SignatureError("signature_malformed", f"the signature is not {string_type}") from None


def ed25519_key(raw: bytes) -> Ed25519PublicKey:
    """The key of 32 bytes. Raises :class:`ValueError` for any other number of them."""
    return Ed25519PublicKey.from_public_bytes(raw)


@lru_cache(maxsize=256)
def public_key(data: bytes) -> Any:
    """The key in *data*: an Ed25519 key's 32 bytes, or the DER of any kind. Raises :class:`ValueError`."""
    if len(data) == _RAW_ED25519_BYTES:
        return ed25519_key(data)
    try:
        return serialization.load_der_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise ValueError("it is no public key") from exc


def read_ed25519_key(text: str, string_type: str) -> bytes:
    """The bytes of an Ed25519 key: its 32 bytes in *string_type*, or PEM or the base64 of its DER.

    Raises :class:`ValueError`.
    """
    try:
        raw = decoded(text, string_type)
        ed25519_key(raw)
    except ValueError:
        raw = _der(text)
    key = public_key(raw)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("it is no Ed25519 key")
    return key.public_bytes_raw()


def read_ec_key(text: str, curve: str) -> bytes:
    """The DER of a key on *curve*, of its PEM or its DER in base64. Raises :class:`ValueError`."""
    key = public_key(_der(text))
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, CURVES[curve]):
        raise ValueError(f"it is no key on {curve}")
    return key.public_bytes(*_SPKI)


def read_rsa_key(text: str) -> bytes:
    """The DER of an RSA key, of its PEM or its DER in base64. Raises :class:`ValueError`."""
    key = public_key(_der(text))
    check_rsa_key(key)
    return bytes(key.public_bytes(*_SPKI))


def check_rsa_key(key: Any) -> None:
    """Raises :class:`ValueError` for what is no RSA key, or one that is too short or too long."""
    if not isinstance(key, RSAPublicKey):
        raise ValueError("it is no RSA key")
    if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        raise ValueError(f"it has {key.key_size} bits, and must have {MIN_RSA_BITS} to {MAX_RSA_BITS}")


def _der(text: str) -> bytes:
    """The DER in *text*, a PEM or base64. Environment variables often hold a PEM with its line breaks spelled out."""
    plain = text.replace("\\n", "\n").strip()
    found = _PEM.fullmatch(plain)
    try:
        return b64decode("".join((found[2] if found else plain).split()), validate=True)
    except binascii.Error:
        raise ValueError("must be a public key: PEM, or the base64 of its DER") from None


def is_signed_by(key: Any, signature: bytes, content: bytes, *how: Any) -> bool:
    """Whether *signature* is *key*'s for *content*; *how* is the rest of what the key's ``verify`` takes."""
    try:
        key.verify(signature, content, *how)
    except InvalidSignature:
        return False
    return True
