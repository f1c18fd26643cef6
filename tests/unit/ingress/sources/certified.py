"""Senders that sign with the key of a certificate, made here with nothing of what verifies them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from ingress.verification.certificates import read_certificate

PAYPAL, SNS = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))

ADDRESS_OF = {
    "paypal": "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-5a29e601",
    "aws-sns": "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-9c6465fa7f48f5cacd23014631ec1136.pem",
}
_NAMES = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


def certificate_of(key: Any, *, begins: int = 2020, ends: int = 2040) -> bytes:
    """A certificate (PEM) of *key* by itself, valid between the first days of two years."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sender")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(datetime(begins, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(ends, 1, 1, tzinfo=UTC))
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


CERTIFICATES: dict[str, Any] = {
    ADDRESS_OF["paypal"]: read_certificate(certificate_of(PAYPAL)),
    ADDRESS_OF["aws-sns"]: read_certificate(certificate_of(SNS)),
}


def signed_message(message: Mapping[str, Any], *, version: str = "2", key: Any = SNS) -> dict[str, Any]:
    """*message* as Amazon SNS signs it: names and values in the order of the alphabet, a line each."""
    content = "".join(f"{name}\n{message[name]}\n" for name in _NAMES if name in message)
    chosen = hashes.SHA1() if version == "1" else hashes.SHA256()
    signature = key.sign(content.encode(), padding.PKCS1v15(), chosen)
    return {
        **message,
        "SignatureVersion": version,
        "Signature": base64.b64encode(signature).decode(),
        "SigningCertURL": ADDRESS_OF["aws-sns"],
    }
