"""What a command has done so far: said at once to people, and in the end to programs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cli.printing import printable


@dataclass
class Steps:
    """The steps of one run; *quiet* says nothing yet. ``told`` is what programs get besides them."""

    quiet: bool = False
    rows: list[dict[str, Any]] = field(default_factory=list)
    told: dict[str, Any] = field(default_factory=dict)

    def say(self, name: str, text: str, seconds: float | None = None) -> None:
        """One step that is done, and how long it took."""
        row: dict[str, Any] = {"step": name, "text": text}
        if seconds is not None:
            row["milliseconds"] = round(seconds * 1000, 1)
        self.rows.append(row)
        if not self.quiet:
            took = "" if seconds is None else f"  ({seconds * 1000:.0f} ms)"
            print(f"{name:<9} {printable(text, 400)}{took}", flush=True)
