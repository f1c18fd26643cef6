"""What verifying a delivery can come to, besides a refusal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from events import Verified
from ingress.answers import Refusal

NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True)  # not frozen: that would cost each delivery a microsecond
class Accepted:
    """An authentic delivery with its events, at least one. ``secret_position`` 0 is the newest of the live secrets.

    ``unusable`` names what of an event, ``id`` or ``type``, stood where the source says and could not be taken: an
    object, a list. Its place is taken by what an event without that field has.
    """

    events: Sequence[Verified]
    secret_position: int = 0
    update_context: Mapping[str, Any] = field(repr=False, default_factory=dict)
    unusable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Ignored:
    """Nothing to queue: the source's configuration says so (``meta``), or an authentic delivery holds no events.

    With ``enrols``, nothing has proven who brings ``update_context``. ``visit`` is an address to call first: its sender
    takes that, and not the answer, for the confirmation of an authentic delivery.
    """

    why: str
    update_context: Mapping[str, Any] = field(repr=False, default_factory=dict)
    enrols: bool = False
    visit: str = field(repr=False, default="")


@dataclass(frozen=True, slots=True)
class Handshake:
    """The answer that ``handle_verification`` prescribes.

    With ``enrols``, nothing has proven who brings ``update_context``.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    update_context: Mapping[str, Any] = field(repr=False, default_factory=dict)
    enrols: bool = False


Outcome = Accepted | Ignored | Handshake | Refusal
