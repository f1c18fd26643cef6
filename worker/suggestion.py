"""Source text of a handler, for events that have none yet."""

from __future__ import annotations

import keyword
import re

import orjson

from events import Event

_MAX_FIELDS = 20
_MAX_FIELD = 60
_TAKEN = {"on", "event", "ctx"}


def suggest_handler(event: Event) -> str:
    """Source text of a handler for *event*, with its payload's fields as a comment (names only, no values)."""
    entity, _, action = event.type.partition(":")
    module, function = _identifier(entity) or "event", _function_name(action)
    names = sorted(name[:_MAX_FIELD] for name in event.payload if name.isprintable())
    fields = ", ".join(names[:_MAX_FIELDS]) or "no fields"
    return (
        f"# handlers/{module}.py\n"
        "from events import Event\n"
        "from worker import Context, on\n"
        "\n"
        "\n"
        f"@on({orjson.dumps(_pattern(event.type)).decode()})\n"
        f"async def {function}(event: Event, ctx: Context) -> None:\n"
        f"    # event.payload holds: {fields}\n"
        f'    ctx.log.info("{function}", account_id=event.account_id)\n'
    )


def _pattern(event_type: str) -> str:
    """The narrowest pattern that matches *event_type*; a star inside a name is not allowed."""
    entity, colon, _ = event_type.partition(":")
    if "*" not in event_type:
        return event_type
    return f"{entity}:*" if colon and "*" not in entity else "*"


def _function_name(action: str) -> str:
    name = _identifier(action) or "received"
    return f"on_{name}" if name[:1].isdigit() or keyword.iskeyword(name) or name in _TAKEN else name


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
