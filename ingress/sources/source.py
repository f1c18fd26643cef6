"""The source that signs the way Truto does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Source:
    """A sender that signs the way Truto does. ``secrets`` are live at the same time, newest first.

    With ``tolerance_seconds``, a delivery is refused whose ``created_at`` is further from now than that, or missing.
    """

    name: str
    secrets: tuple[str, ...] = field(repr=False)
    tolerance_seconds: float | None = None

    def __post_init__(self) -> None:
        if not self.secrets or not all(self.secrets):
            raise ValueError(f"source {self.name!r} needs at least one secret, and none of them may be empty")


def truto_source(secrets: Iterable[str], *, tolerance_seconds: float | None = None) -> Source:
    """The source behind ``/webhooks/truto``."""
    return Source("truto", tuple(secrets), tolerance_seconds)
