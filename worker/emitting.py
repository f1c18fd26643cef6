"""Events that handlers and workflows put into the queue themselves."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import orjson

from events import Event, Verified
from events.naming import WORKFLOWS_SOURCE, name_from

MAX_EMITTED = 8
"""The limit of a chain of events that emitted each other: beyond it, two of them probably start each other."""

_DEPTH = "x-workflow-depth"
_NAMESPACE = uuid.UUID("6f1a1d6e-51d3-4d0a-9a55-0a5d6a0f2c11")


def named_tenant(event: Event) -> str | None:
    """The tenant that the event names; ``None`` unless it is from Truto or emitted here: anyone can name a tenant."""
    return event.tenant_id if event.platform or event.source == WORKFLOWS_SOURCE else None


def emitted(cause: Event, event_type: str, payload: Mapping[str, Any], key: str) -> Verified:
    """An event that comes from *cause*, with its tenant unless *payload* names one. The same *key*: the same event.

    A name of Truto's is put below the source.

    Raises ``ValueError`` for a type that no event can have, for a payload that is no JSON, and for a chain without end.
    """
    if not event_type.isprintable() or not 1 <= len(event_type) <= 256:
        raise ValueError("an event's type must be printable, of 1 to 256 characters")
    depth = int(cause.headers.get(_DEPTH, "0")) + 1 if cause.source == WORKFLOWS_SOURCE else 1
    if depth > MAX_EMITTED:
        raise ValueError(f"{MAX_EMITTED} events have emitted each other in a row: some start each other, without end")
    event_id = str(uuid.uuid5(_NAMESPACE, key))
    name = name_from(WORKFLOWS_SOURCE, event_type)
    envelope = {
        "id": event_id,
        "event": name,
        "payload": payload,
        "environment_id": cause.environment_id,
        "tenant_id": payload.get("tenant_id") or named_tenant(cause),
        "created_at": None,
    }
    try:
        body = orjson.dumps(envelope)
    except TypeError as exc:
        raise ValueError(f"the payload must be plain JSON: {exc}") from None
    return Verified(WORKFLOWS_SOURCE, name, event_id, body, {_DEPTH: str(depth)})
