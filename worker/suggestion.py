"""Source text of a handler, for events that have none yet."""

from __future__ import annotations

import keyword
import re
import textwrap
from collections.abc import Collection
from itertools import chain, count

import orjson

from events import Event

_MAX_FIELDS = 20
_MAX_FIELD = 60
_TAKEN = {"on", "event", "ctx"}


def free_module(event_type: str, taken: Collection[str]) -> str:
    """A name for the module of a handler for *event_type* that none of the modules *taken* has."""
    names = [_module_name(event_type.partition(":")[0]), _module_name(event_type)]
    more = (f"{names[-1]}_{number}" for number in count(2))
    return next(name for name in chain(names, more) if name not in taken)


def suggest_handler(event: Event, file: str) -> str:
    """Source text of a handler for *event* in *file*, with its payload's fields as a comment (names, no values)."""
    function = _function_name(event.type.partition(":")[2])
    names = sorted(name[:_MAX_FIELD] for name in event.payload if name.isprintable())
    fields = ", ".join(names[:_MAX_FIELDS]) or "no fields"
    return (
        f"# {file}\n"
        "from events import Event\n"
        "from worker import Context, on\n"
        "\n"
        "\n"
        f"@on({orjson.dumps(_pattern(event.type)).decode()})\n"
        f"async def {function}(event: Event, ctx: Context) -> None:\n"
        f"{_comment(f'event.payload holds: {fields}')}\n"
        f'    ctx.log.info("{function}", account_id=event.account_id)\n'
    )


def _comment(text: str) -> str:
    # Names may hold anything printable: only spaces are places to break a line.
    return textwrap.fill(text, 92, initial_indent="    # ", subsequent_indent="    #   ", break_on_hyphens=False)


def _pattern(event_type: str) -> str:
    """The narrowest pattern that matches *event_type*; a star inside a name is not allowed."""
    entity, colon, _ = event_type.partition(":")
    if "*" not in event_type:
        return event_type
    return f"{entity}:*" if colon and "*" not in entity else "*"


def _module_name(text: str) -> str:
    name = _identifier(text)
    return name if name.isidentifier() and not keyword.iskeyword(name) else f"event_{name}".rstrip("_")


def _function_name(action: str) -> str:
    name = _identifier(action) or "received"
    return f"on_{name}" if name[:1].isdigit() or keyword.iskeyword(name) or name in _TAKEN else name


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_").lower()
