"""The arq worker and what handler modules are written with: ``on``, ``Context`` and the outcomes."""

from worker.context import Context
from worker.errors import ConfigError, DeadLetter, Discard, NotifyError, Retry
from worker.registry import ignore, on
from worker.retry import Backoff

__all__ = ["Backoff", "ConfigError", "Context", "DeadLetter", "Discard", "NotifyError", "Retry", "ignore", "on"]
