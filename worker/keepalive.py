"""Whether the webhook is still active, why it is not, and when it may be switched on again. Performs no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MAX_WAIT_SECONDS = 24 * 3600.0
"""The longest pause before it is switched on again."""


@dataclass(frozen=True, slots=True)
class Switching:
    """How often it was switched on, when last (unix seconds), and the gap in its deliveries to be filled."""

    times: int = 0
    last: float = 0.0
    gap_from: float | None = None
    gap_to: float | None = None
    active_at: float | None = None

    @classmethod
    def of(cls, remembered: Mapping[str, Any]) -> Switching:
        """As it was remembered."""
        found = remembered.get("webhook") or {}
        return cls(**{name: found[name] for name in cls.__slots__ if name in found})

    def as_json(self) -> dict[str, Any]:
        """To be remembered."""
        return {name: getattr(self, name) for name in self.__slots__}

    def seen_active(self, now: float, every: float) -> Switching:
        """It delivers. A gap ends here; once it has held for longer than the last pause, pauses are short again."""
        held = now - self.last > self.wait(every)
        gap_to = now if self.gap_from is not None and self.gap_to is None else self.gap_to
        return Switching(0 if held else self.times, self.last, self.gap_from, gap_to, now)

    def seen_inactive(self, now: float, every: float) -> Switching:
        """It does not deliver, at the latest since it was last seen to."""
        if self.gap_from is not None and self.gap_to is None:
            return self
        began = self.gap_from if self.gap_from is not None else self.active_at or now - every
        return Switching(self.times, self.last, began, None, self.active_at)

    def may_switch(self, now: float, every: float) -> bool:
        """Whether it may be switched on now."""
        return now - self.last >= self.wait(every)

    def switched(self, now: float) -> Switching:
        """It was switched on now."""
        return Switching(self.times + 1, now, self.gap_from, now, now)

    def filled(self, until: float) -> Switching:
        """Everything before *until* (unix seconds) has been looked through."""
        if self.gap_to is None or until < self.gap_to:
            return self
        return Switching(self.times, self.last, None, None, self.active_at)

    def wait(self, every: float) -> float:
        """The pause before the next time: twice as long after each that did not help."""
        return 0.0 if not self.times else float(min(MAX_WAIT_SECONDS, every * 2.0 ** min(self.times - 1, 20)))


def cause_of(entries: Iterable[Mapping[str, Any]]) -> str:
    """Why deliveries have failed, as far as the log's last *entries* have it, oldest first."""
    failed = [entry.get("webhook_endpoint_status") for entry in entries if entry.get("status") != "success"]
    if not failed:
        return "no failed delivery in Truto's log"
    last = failed[-1]
    what = f"the last one was answered with {last}" if isinstance(last, int) else "the last one was not answered"
    return f"{len(failed)} failed; {what}"
