"""Everything this package raises on purpose, apart from :class:`events.ConfigError`.

::

    CliError
    ├── ProcessFailedError      a process beneath ``demo`` or ``dev`` ended, or did not come up
    ├── TunnelFailedError       there is no public address for this machine
    ├── HopMissingError         ``demo`` did not observe a hop in time
    └── CheckFailedError        ``connect`` or ``doctor`` found something that has to be put right
        └── UnprovenError       … an ingress that does not know whom it talks to
"""

from __future__ import annotations


class CliError(Exception):
    """Base of everything raised here on purpose; catching it never hides a bug."""


class ProcessFailedError(CliError):
    """A process of ours ended, or did not come up. The message ends with its last words."""


class CheckFailedError(CliError):
    """Something has to be put right: *what* is wrong, and its *remedy*, half a sentence each."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what = what
        self.remedy = remedy


class UnprovenError(CheckFailedError):
    """An ingress answers, but shares no secret with us, or not yet."""


class TunnelFailedError(CliError):
    """There is no public address for this machine. The message says what to do."""


class HopMissingError(CliError):
    """A hop was not observed in time."""
