"""A handler ready to paste, for an event that nobody wants yet."""

from __future__ import annotations

import re

import orjson

from events import Event


def suggest_handler(event: Event) -> str:
    """Source text of a handler for *event*, with its payload's fields as a comment (names only, no values)."""
    entity, _, action = event.type.partition(":")
    module, function = _identifier(entity) or "event", _identifier(action) or "received"
    fields = ", ".join(sorted(str(name) for name in event.payload if str(name).isprintable())[:20]) or "no fields"
    return (
        f"# handlers/{module}.py\n"
        "from events import Event\n"
        "from worker import Context, on\n"
        "\n"
        "\n"
        f"@on({orjson.dumps(event.type).decode()})\n"
        f"async def {function}(event: Event, ctx: Context) -> None:\n"
        f"    # event.payload holds: {fields}\n"
        f'    ctx.log.info("{function}", account_id=event.account_id)\n'
    )


def _identifier(text: str) -> str:
    name = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
    return f"on_{name}" if name[:1].isdigit() else name
