"""Keys that a delivery itself names, by the address of a certificate: fetched beside, believed from few addresses.

Anybody can be such a sender's customer, and have it sign: what tells your deliveries from theirs stands where others
have secrets, and is part of what is signed.
"""

from __future__ import annotations

import re
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cryptography import x509

from ingress.verification.asymmetric import check_rsa_key, is_signed_by, rsa_how, signature_bytes
from ingress.verification.evidence import (
    CERTIFICATE_UNKNOWN,
    Evidence,
    Presented,
    check_effort,
    prefix_of,
    preview,
    required,
    signed_bytes,
)
from truto.errors import SignatureError
from truto.placeholders import Template

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The key of a certificate, and when it is valid (Unix time, s)."""

    key: Any = field(repr=False)
    begins: float
    ends: float


def read_certificate(pem: bytes) -> Certificate:
    """The one certificate in *pem*, or the first of a chain. Raises :class:`ValueError`, also where it has no RSA key.

    Its issuer is not looked at: the address it was fetched from, over HTTPS, is what is believed.
    """
    found = x509.load_pem_x509_certificate(pem)
    try:
        key = found.public_key()
    except Exception as exc:
        raise ValueError("the certificate's key cannot be read") from exc
    check_rsa_key(key)
    return Certificate(key, found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp())


def live_key(evidence: Evidence, url: str) -> Any:
    """The key of the certificate at *url*. Raises :class:`SignatureError` while it is unknown, or not valid now."""
    found = evidence.keys.get(url)
    if found is None:
        raise SignatureError(CERTIFICATE_UNKNOWN, f"the certificate at {url} has not been fetched")
    if not found.begins <= evidence.now <= found.ends:
        raise SignatureError("certificate_expired", f"the certificate at {url} is not valid at this time")
    return found.key


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateVerifier:
    """``format: rsa`` with ``certificate_url``. Each live secret is tried as the ``webhook_secret`` that is signed.

    A certificate is believed whose address is one of *under* and a file name behind it.
    """

    url: Template
    under: tuple[str, ...]
    string_type: str
    signed: Sequence[Template]
    presented: Presented
    algorithm: str = "sha256"
    padding: Literal["pkcs1", "pss"] = "pkcs1"

    def key_name(self, context: Mapping[str, Any]) -> str:
        """The address of the certificate. Raises :class:`SignatureError` for one that is not the sender's."""
        url = required(self.url, context, "signature_missing")
        for start in self.under:
            if url.startswith(start) and _FILE.fullmatch(url, len(start)):
                return url
        raise SignatureError("certificate_address", "the certificate is at an address that is not the sender's")

    def check(self, evidence: Evidence) -> int:
        """The position of the secret with which one of the presented signatures fits."""
        if not evidence.secrets:
            raise SignatureError("no_secret", "nothing is configured that tells your deliveries from those of others")
        signatures = [signature_bytes(text, self.string_type) for text in self.presented.candidates(evidence.context)]
        check_effort(len(signatures), len(evidence.secrets))
        key = live_key(evidence, self.key_name(evidence.context))
        how = rsa_how(self.algorithm, self.padding)
        for position, content in enumerate(self._contents(evidence)):
            if any(is_signed_by(key, signature, content, *how) for signature in signatures):
                return position
        raise SignatureError("signature_mismatch", "the certificate's key does not explain the signature")

    def _contents(self, evidence: Evidence) -> Iterator[bytes]:
        context = evidence.context
        for secret in evidence.secrets:
            own = {"context": {**context["context"], "webhook_secret": secret.decode()}}
            yield signed_bytes(self.signed, ChainMap(own, context))  # type: ignore[arg-type]  # only read

    def explain(self, evidence: Evidence) -> list[str]:
        """The certificate's address, the signed contents, and the beginnings of the signatures."""
        lines = [f"certificate: {self.key_name(evidence.context)}"]
        lines += [f"signed: {preview(content)}" for content in self._contents(evidence)]
        candidates = self.presented.candidates(evidence.context)
        return [*lines, *(f"received: {prefix_of(text)}" for text in candidates)]
