"""What is wrong with a workflow: in its definition, or in what an expression of it did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkflowFault:
    """One fault: the keys that lead to it (``config.steps.0.config``), and the reason."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.path else self.reason
