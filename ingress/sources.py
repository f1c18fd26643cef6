"""The configured senders."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Source:
    """A sender that signs the way Truto does. ``secrets`` are live at the same time, newest first."""

    name: str
    secrets: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.secrets or not all(self.secrets):
            raise ValueError(f"source {self.name!r} needs at least one secret, and none of them may be empty")


def truto_source(secrets: Iterable[str]) -> Source:
    """The source behind ``/webhooks/truto``."""
    return Source("truto", tuple(secrets))
