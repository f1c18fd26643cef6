"""Everything this package raises on purpose, apart from :class:`events.ConfigError`.

::

    CliError
    ├── ProcessFailedError      a process beneath ``demo`` or ``dev`` ended, or did not come up
    └── HopMissingError         ``demo`` did not observe a hop in time
"""

from __future__ import annotations


class CliError(Exception):
    """Base of everything raised here on purpose; catching it never hides a bug."""


class ProcessFailedError(CliError):
    """A process of ours ended, or did not come up. The message ends with its last words."""


class HopMissingError(CliError):
    """A hop was not observed in time."""
