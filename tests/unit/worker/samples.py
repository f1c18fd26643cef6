"""Events as a handler gets them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from events import Event


def an_event(
    event_type: str = "integrated_account:active",
    *,
    source: str = "truto",
    payload: Mapping[str, Any] | None = None,
    account_id: str | None = "account-1",
    tenant_id: str | None = "acme-1",
) -> Event:
    """An event of this type; nothing of it was ever in a store."""
    return Event(
        id="event-1",
        type=event_type,
        source=source,
        payload={} if payload is None else payload,
        environment_id=None,
        webhook_id=None,
        created_at=None,
        received_at=datetime(2025, 1, 1, tzinfo=UTC),
        account_id=account_id,
        tenant_id=tenant_id,
        headers={},
        raw=b"{}",
    )
