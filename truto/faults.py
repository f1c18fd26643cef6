"""What is wrong with a definition: of a workflow, or of an integration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, slots=True)
class DefinitionFault:
    """One fault: the keys that lead to it (``config.steps.0.config``), and the reason."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


_SLIP = 0.85
"""How alike two names are that differ by a slip of the hand; difflib's own limit finds related words as well."""


def did_you_mean(given: object, known: Iterable[str]) -> str:
    """What to add to "there is no such thing": the one of *known* that is nearly *given*, or nothing."""
    near = get_close_matches(given, list(known), n=1) if isinstance(given, str) else []
    return f"; did you mean {near[0]}?" if near else ""


def misspelt(given: str, known: Iterable[str]) -> str | None:
    """The one of *known* that *given* misspells; ``None`` if *given* is known, or a name of its own."""
    names = list(known)
    near = [] if given in names else get_close_matches(given, names, n=1, cutoff=_SLIP)
    return near[0] if near else None
