"""The one clock of a test."""

from __future__ import annotations

import time


class Clock:
    """Unix seconds that pass only when they are made to."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        """The present moment."""
        return self.now

    def move_to(self, moment: float) -> None:
        """Go on to *moment*; never back."""
        self.now = max(self.now, moment)

    async def sleep(self, seconds: float) -> None:
        """Let *seconds* pass, at once."""
        self.move_to(self.now + seconds)
