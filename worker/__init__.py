"""The arq worker and what handler modules are written with: ``on``, ``Context`` and the outcomes.

``action`` and ``StepContext`` are for workflows. They bring JSONata with them, so they are imported when asked for.
"""

from typing import TYPE_CHECKING, Any

from worker.context import Context
from worker.errors import BadStep, ConfigError, DeadLetter, Discard, LeaseLost, NotifyError, Retry
from worker.registry import ignore, on
from worker.retry import Backoff

if TYPE_CHECKING:
    from worker.workflows import StepContext, action

__all__ = [
    "Backoff",
    "BadStep",
    "ConfigError",
    "Context",
    "DeadLetter",
    "Discard",
    "LeaseLost",
    "NotifyError",
    "Retry",
    "StepContext",
    "action",
    "ignore",
    "on",
]


def __getattr__(name: str) -> Any:
    if name not in ("StepContext", "action"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import worker.workflows

    return getattr(worker.workflows, name)
