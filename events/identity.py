"""What makes two deliveries the same event: its id, and its key in the store."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence

from events.naming import PLATFORM_SOURCE, WORKFLOWS_SOURCE
from events.tolerance import REPLACEMENT

MAX_NAME = 256
"""Characters of a type or an id."""

OWN_IDS = frozenset({PLATFORM_SOURCE, WORKFLOWS_SOURCE})
"""The sources whose ids are unique without the type."""


def event_key(source: str, event_id: str, event_type: str = "", *, platform: bool = False) -> str:
    """The store's name for an event: 32 hex characters.

    The type counts for every source but Truto's own and workflows, whose ids are never used twice.
    """
    kind = f"\0{event_type}" if event_type and not platform and source not in OWN_IDS else ""
    return hashlib.blake2b(f"{source}\0{event_id}{kind}".encode(), digest_size=16).hexdigest()


def event_id(named: Sequence[str | None], *, otherwise: Sequence[bytes] = (), hidden: bool = False) -> str:
    """The id of an event whose sender knows it by all of *named*.

    Where one of them is missing or has lost something, or there are none, the event is known by a hash of *otherwise*;
    and where that is empty too, nothing tells it from another one like it, so it gets an id of its own. Ids that are
    too long, or would not be safe in logs, URLs and terminals, are hashed; so are those that hold a body (*hidden*), or
    text of several words among other parts, for these are no names.
    """
    if not named or not all(part and REPLACEMENT not in part for part in named):
        return hashed(b"\0".join(otherwise) if otherwise else os.urandom(32))
    # Colons stand between the parts alone, so that no two lists of parts become one id.
    text = (
        named[0]
        if len(named) == 1
        else ":".join(part.replace("%", "%25").replace(":", "%3A") for part in named if part)
    )
    assert text is not None
    is_prose = len(named) > 1 and any(character.isspace() for character in text)
    return hashed_text(text) if hidden or is_prose else printable_id(text)


def printable_id(own: str) -> str:
    """The id itself, unless it is too long, or not safe to show."""
    return own if len(own) <= MAX_NAME and own.isprintable() else hashed_text(own)


def hashed_text(text: str) -> str:
    """The id of an event whose own id is this *text*, which is too long, or not safe to show."""
    return hashed(text.encode("utf-8", "surrogatepass"))


def hashed(content: bytes) -> str:
    """The id of an event that is known by its *content*."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def own_id(value: object) -> str | None:
    """The ``id`` of an envelope as text; ``None`` where it is neither text nor a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None
