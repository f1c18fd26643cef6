"""A transport that remembers what is sent on it."""

from __future__ import annotations

import asyncio
from typing import Any


class Wire(asyncio.Transport):
    """Remembers what is sent on it, packet by packet."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False
        self.over = asyncio.Event()

    def write(self, data: Any) -> None:
        assert not self.closed
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True
        self.over.set()

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        """Packets come one by one anyway."""

    def resume_reading(self) -> None:
        """Packets come one by one anyway."""
