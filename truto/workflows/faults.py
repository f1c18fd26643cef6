"""What is wrong with a workflow: in its definition, or in what an expression of it did."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from truto.errors import TrutoError


@dataclass(frozen=True, slots=True)
class WorkflowFault:
    """One fault: the keys that lead to it (``config.steps.0.config``), and the reason."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason


class BadWorkflow(TrutoError):
    """A definition cannot be used. The message has a line for each of the ``faults``."""

    def __init__(self, faults: Iterable[WorkflowFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(map(str, self.faults)))


class WorkflowFailed(TrutoError):
    """A run cannot go on, and would fail again in the same way. ``at`` is the place (``config.steps.0.config``)."""

    def __init__(self, message: str, *, at: str = "") -> None:
        super().__init__(f"{at}: {message}" if at else message)
        self.at = at
