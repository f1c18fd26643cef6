"""How much of the process a stranger can take, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

MAX_DEFAULT_CONNECTIONS = 4096
"""With 64 MiB for bodies they fit into 256 MiB: an idle connection takes about 8 KiB, a busy one about 20."""

_SPARE_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the ingress. Times are seconds.

    ``body_bytes`` and ``receipt_seconds`` bound one delivery, ``buffered_bytes`` all bodies together, those that wait
    for the store included. At ``connections`` the one that has been idle for longest is closed for a new one;
    ``connections_per_peer`` 0 is no limit. A head has ``head_seconds``, an answer may be unread for ``write_seconds``,
    a request takes ``request_seconds`` at most from its head to its answer's end, and a connection is not used again
    after ``idle_seconds`` without a request, or ``connection_seconds`` in all.
    """

    body_bytes: int = 10 * 1024 * 1024
    receipt_seconds: float = 10.0
    buffered_bytes: int = 64 * 1024 * 1024
    connections: int = MAX_DEFAULT_CONNECTIONS
    connections_per_peer: int = 0
    head_seconds: float = 10.0
    idle_seconds: float = 75.0
    write_seconds: float = 10.0
    request_seconds: float = 45.0
    connection_seconds: float = 3600.0

    def body_bytes_for(self, wanted: int) -> int:
        """The largest body of a source that *wanted* so many bytes (0: no wish): half of the memory for all at most."""
        return min(wanted, self.buffered_bytes // 2) if wanted else self.body_bytes


def max_connections(descriptors: int) -> int:
    """How many connections a process that may open so many *descriptors* can hold, with room for Redis and files."""
    return max(1, descriptors - max(_SPARE_DESCRIPTORS, descriptors // 8))
