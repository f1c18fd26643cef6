"""Everything this package raises on purpose.

::

    IngressError
    ├── BodyRefused     the server will not hand the body over: answer with the refusal
    ├── ClientGone      the sender hung up before its body was complete: there is nobody to answer
    ├── Unusable        a source's configuration cannot deal with a delivery: refuse it
    ├── Faults          a source cannot be used
    ├── BadSources      a file of sources cannot be used
    └── CannotSign      a sample of a delivery cannot be made
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingress.answers import Refusal
    from ingress.sources.faults import SourceFault


class IngressError(Exception):
    """Base of everything raised here on purpose; catching it never hides a bug."""


class BodyRefused(IngressError):
    """The server will not hand the body over: answer with *refusal*."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class ClientGone(IngressError):
    """The sender closed the connection before its body was complete. Nothing is answered or accepted."""


class Unusable(IngressError):
    """The configuration cannot process this delivery: an expression failed, or its result is not allowed.

    ``reason`` is one stable word; ``detail`` is for the operator and holds nothing of the delivery.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Faults(IngressError):
    """Everything that is wrong with a source."""

    def __init__(self, faults: Iterable[SourceFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class BadSources(IngressError):
    """A file of sources cannot be used. The message has a line for each fault: file, keys and reason."""

    def __init__(self, file: str, faults: Iterable[SourceFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(f"{file}: {fault}" for fault in self.faults))


class CannotSign(IngressError):
    """A sample cannot be made from the configuration alone; the message says why."""
