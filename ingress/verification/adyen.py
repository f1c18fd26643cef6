"""``format: adyen``: Adyen's standard webhooks, which sign some fields of each item, our own extension.

Signed are eight fields, joined by colons and without escapes, as Adyen's own libraries do it, and nothing else:
https://docs.adyen.com/development-resources/webhooks/secure-webhooks/verify-hmac-signatures.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ingress.verification.evidence import UNUSABLE, Evidence, position_of, prefix_of, preview
from truto.errors import SignatureError

MAX_ITEMS = 100

_FREE = "merchantReference"
_FIELDS = (
    ("pspReference",),
    ("originalReference",),
    ("merchantAccountCode",),
    (_FREE,),
    ("amount", "value"),
    ("amount", "currency"),
    ("eventCode",),
    ("success",),
)


@dataclass(frozen=True, slots=True)
class AdyenVerifier:
    """Checks every item of a delivery; each of them has to be signed with one of the live keys."""

    def check(self, evidence: Evidence) -> int:
        """The position of the oldest key that explains an item."""
        return max(self._position(item, evidence) for item in items_of(evidence.context))

    def _position(self, item: Mapping[str, Any], evidence: Evidence) -> int:
        content = signed_content(item)
        expected = [(_digest(secret, content),) for secret in evidence.secrets]
        return position_of(evidence.secrets, expected, [_presented(item).encode("utf-8", "surrogatepass")])

    def explain(self, evidence: Evidence) -> list[str]:
        """For each item the signed content, and the beginnings of all digests."""
        lines = []
        for item in items_of(evidence.context):
            content = signed_content(item)
            lines.append(f"signed: {preview(content)}")
            for position, secret in enumerate(evidence.secrets):
                lines.append(f"expected with secret {position}: {prefix_of(_digest(secret, content))} (sha256, base64)")
            lines.append(f"received: {prefix_of(_presented(item))}")
        return lines


def signed_content(item: Mapping[str, Any]) -> bytes:
    """What is signed of *item*. Raises :class:`SignatureError`.

    Only the merchant's own reference may hold a colon: elsewhere, one signature would fit two items.
    """
    values = []
    for path in _FIELDS:
        value = _value(item, path)
        if ":" in value and path != (_FREE,):
            raise SignatureError(UNUSABLE, f"{'.'.join(path)} holds a colon")
        values.append(value)
    return ":".join(values).encode("utf-8", "surrogatepass")


def _value(item: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = item
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise SignatureError(UNUSABLE, f"{'.'.join(path)} is neither text nor a whole number")
    return str(value)


def _digest(secret: bytes, content: bytes) -> bytes:
    return base64.b64encode(hmac.digest(secret, content, "sha256"))


def items_of(context: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The items of a delivery. Raises :class:`SignatureError` where there are none, or too many."""
    body = context.get("body")
    listed = body.get("notificationItems") if isinstance(body, Mapping) else None
    if not isinstance(listed, list) or not listed:
        raise SignatureError("signature_missing", "the body holds no notificationItems")
    if len(listed) > MAX_ITEMS:
        raise SignatureError("too_many_signatures", f"more than {MAX_ITEMS} notificationItems")
    items = [one.get("NotificationRequestItem") if isinstance(one, Mapping) else None for one in listed]
    if not all(isinstance(item, dict) for item in items):
        raise SignatureError("signature_missing", "one of notificationItems is no NotificationRequestItem")
    return items  # type: ignore[return-value]  # each was just looked at


def _presented(item: Mapping[str, Any]) -> str:
    more = item.get("additionalData")
    signature = more.get("hmacSignature") if isinstance(more, Mapping) else None
    if not isinstance(signature, str) or not signature:
        raise SignatureError("signature_missing", "an item has no additionalData.hmacSignature")
    return signature
