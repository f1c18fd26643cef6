"""What a test's handlers told tenants and operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.notify import Notifier


@dataclass(frozen=True, slots=True)
class Notification:
    """One message. ``tenant`` is ``None`` for operators, whose ``kind`` is the title and ``data`` has the ``body``.

    ``id`` is the same when the handler runs again; the tenant's endpoint would drop the second one.
    """

    tenant: str | None
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""


class RecordingNotifier(Notifier):
    """Keeps the messages instead of sending them."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Notification] = []

    async def send_tenant(self, tenant_id: str, message_id: str, kind: str, data: Mapping[str, Any]) -> bool:
        """Keep a message for a tenant."""
        self.sent.append(Notification(tenant_id, kind, dict(data), message_id))
        return True

    async def send_operators(self, title: str, body: str) -> bool:
        """Keep a message for operators."""
        self.sent.append(Notification(None, title, {"body": body}))
        return True
