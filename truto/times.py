"""Times as Truto writes them."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_time(value: object) -> datetime | None:
    """Read a time in either of Truto's two spellings; ``None`` for anything else.

    ``2023-06-16T09:21:21.000Z`` (docs: processing webhook events) and ``2024-09-10 12:00:00`` without a zone
    (skill: webhooks), which is read as UTC.
    """
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
    else:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
