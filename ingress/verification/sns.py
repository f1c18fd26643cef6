"""``format: sns``: Amazon SNS, whose messages are signed with the key of a certificate they name, our own extension.

What is signed, and how: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html. Amazon signs
for whoever has a topic, so the topics (ARNs) stand where others have secrets.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingress.verification.evidence import Evidence, position_of, prefix_of, preview
from truto.errors import SignatureError

_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}
_MAY_MISS = "Subject"
_HASHES = {"1": "sha1", "2": "sha256"}

# A region and nothing else: `sns.s3-us-west-2.amazonaws.com` would be a bucket, which anybody may own.
_HOST = r"https://sns\.[a-z]{2,4}(?:-[a-z]{2,12}){1,2}-[0-9]{1,2}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE = re.compile(rf"{_HOST}/[A-Za-z0-9][A-Za-z0-9_-]{{0,127}}\.pem", re.ASCII)
_CONFIRMATION = re.compile(rf"{_HOST}/\?Action=ConfirmSubscription&[!-~]{{1,2048}}", re.ASCII)

COVERED = frozenset((f"body.{name}",) for name in ("Message", "MessageId", "Timestamp", "TopicArn", "Type"))
"""What is signed of every message."""


@dataclass(frozen=True, slots=True)
class SnsVerifier:
    """Checks a message of one of the topics that are the live secrets; either signature version."""

    def key_name(self, context: Mapping[str, Any]) -> str:
        """Where the certificate is. Raises :class:`SignatureError` for an address that is not Amazon SNS's own."""
        url = _text(_message(context), "SigningCertURL")
        if not _CERTIFICATE.fullmatch(url):
            raise SignatureError("certificate_address", "SigningCertURL is not at sns.<region>.amazonaws.com")
        return url

    def check(self, evidence: Evidence) -> int:
        """The position of the topic that sent the message."""
        from ingress.verification.asymmetric import is_signed_by, rsa_how, signature_bytes
        from ingress.verification.certificates import live_key

        message = _message(evidence.context)
        content = string_to_sign(message)
        position = _topic(message, evidence)
        algorithm = _HASHES.get(_text(message, "SignatureVersion"))
        if algorithm is None:
            raise SignatureError("signature_malformed", f"SignatureVersion is not one of {', '.join(_HASHES)}")
        signature = signature_bytes(_text(message, "Signature"), "base64")
        key = live_key(evidence, self.key_name(evidence.context))
        if not is_signed_by(key, signature, content, *rsa_how(algorithm)):
            raise SignatureError("signature_mismatch", "the certificate's key does not explain the signature")
        return position

    def explain(self, evidence: Evidence) -> list[str]:
        """The certificate's address, the topic, the signed content, and the beginning of the signature."""
        message = _message(evidence.context)
        return [
            f"certificate: {self.key_name(evidence.context)}",
            f"topic: {_text(message, 'TopicArn')}",
            f"signed: {preview(string_to_sign(message))}",
            f"received: {prefix_of(_text(message, 'Signature'))}",
        ]


def string_to_sign(message: Mapping[str, Any]) -> bytes:
    """Names and values of what is signed, a line each. Raises :class:`SignatureError`.

    Only the message itself may hold line breaks: elsewhere, one signature would fit two messages.
    """
    names = _SIGNED.get(_text(message, "Type"))
    if names is None:
        raise SignatureError("signed_content_missing", f"Type is not one of {', '.join(_SIGNED)}")
    lines = []
    for name in names:
        if name == _MAY_MISS and message.get(name) is None:
            continue
        value = _text(message, name)
        if name != "Message" and "\n" in value:
            raise SignatureError("signed_value_unusable", f"{name} holds a line break")
        lines.append(f"{name}\n{value}\n")
    return "".join(lines).encode("utf-8", "surrogatepass")


def subscription_url(message: Any) -> str | None:
    """The address to call for a subscription to begin; ``None`` for every other message.

    Raises :class:`SignatureError` for an address that is not Amazon SNS's own.
    """
    if not isinstance(message, Mapping) or message.get("Type") != "SubscriptionConfirmation":
        return None
    url = _text(message, "SubscribeURL")
    if not _CONFIRMATION.fullmatch(url):
        raise SignatureError("subscription_address", "SubscribeURL is no confirmation at sns.<region>.amazonaws.com")
    return url


def read_topic(text: str) -> bytes:
    """The bytes of a topic's ARN. Raises :class:`ValueError` for what is none."""
    if not re.fullmatch(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?", text, re.ASCII):
        raise ValueError("must be the ARN of a topic (arn:aws:sns:<region>:<account>:<name>)")
    return text.encode()


def _message(context: Mapping[str, Any]) -> Mapping[str, Any]:
    message = context.get("body")
    if not isinstance(message, Mapping):
        raise SignatureError("signature_missing", "the body is no message of Amazon SNS")
    return message


def _text(message: Mapping[str, Any], name: str) -> str:
    value = message.get(name)
    if value is None:
        raise SignatureError("signature_missing", f"{name} is missing")
    if not isinstance(value, str):
        raise SignatureError("signed_value_unusable", f"{name} is no text")
    return value


def _topic(message: Mapping[str, Any], evidence: Evidence) -> int:
    topic = _text(message, "TopicArn").encode("utf-8", "surrogatepass")
    try:
        return position_of(evidence.secrets, [(secret,) for secret in evidence.secrets], [topic])
    except SignatureError as exc:
        if exc.reason != "signature_mismatch":
            raise
        raise SignatureError("topic_unknown", "the message is of a topic that this source does not name") from None
