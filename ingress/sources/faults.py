"""What is wrong with a file of sources."""

from __future__ import annotations

from dataclasses import dataclass

from truto.faults import did_you_mean as did_you_mean


@dataclass(frozen=True, slots=True)
class SourceFault:
    """One fault: the keys that lead to it, and the reason, without the value that stands there."""

    path: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.reason}" if self.path else self.reason
