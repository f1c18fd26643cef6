"""The arq worker and what handler modules are written with: ``on``, ``Context`` and the outcomes."""

from events import ConfigError
from truto.backoff import Backoff
from worker.context import Context
from worker.errors import BadStep, DeadLetter, Discard, LeaseLost, NotifyError, Retry
from worker.registry import ignore, on

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
    "ignore",
    "on",
]
