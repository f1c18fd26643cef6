"""How commands print what others have written: one line stays one, and no text steers the terminal."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from typing import Any


def print_json(value: Any) -> None:
    """Print *value* for programs, on one line, in ASCII; times become RFC 3339."""
    print(json.dumps(value, default=datetime.isoformat))


async def print_json_rows(
    name: str, rows: AsyncIterator[Mapping[str, Any]], rest: Callable[[], Mapping[str, Any]]
) -> int:
    """Print one JSON object as :func:`print_json` does, row by row: a list of any length under *name*, then the *rest*.

    Returns the number of rows.
    """
    number = 0
    print(f"{{{json.dumps(name)}: [", end="")
    async for row in rows:
        print(", " * bool(number) + json.dumps(row, default=datetime.isoformat), end="")
        number += 1
    print("], " + json.dumps(rest(), default=datetime.isoformat)[1:])
    return number


def printable(text: object, most: int = 200) -> str:
    """*text* on one line of at most *most* characters; what a terminal would obey is shown escaped."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
    return line if len(line) <= most else line[: most - 1] + "…"


def printable_json(value: Mapping[str, Any]) -> str:
    """*value* indented for people, in ASCII: some characters beyond it would steer a terminal."""
    return json.dumps(value, indent=2)


def at(moment: datetime) -> str:
    """A time for people: UTC, to the second."""
    return moment.strftime("%Y-%m-%d %H:%M:%SZ")


def lasting(seconds: float) -> str:
    """A length of time for people, in the one unit that fits."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def counted(number: int, noun: str) -> str:
    """*number* with its noun: ``1 dead letter``, ``2 dead letters``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
