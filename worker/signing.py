"""Sign what is sent to tenants and hosts (Standard Webhooks)."""

from __future__ import annotations

from datetime import UTC, datetime

from standardwebhooks import Webhook

from truto.signing_keys import SigningKeys


def signed_headers(keys: SigningKeys, recipient: str, message_id: str, body: bytes) -> dict[str, str]:
    """The headers that sign *body* for *recipient* now, with each of its keys; *body* is UTF-8."""
    now = datetime.now(UTC)
    text = body.decode()
    signatures = [Webhook(key).sign(message_id, now, text) for key in keys.keys_for(recipient, now)]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
