"""The sink: one file that all workers append to, whole lines at a time."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager

import orjson

from events import Event

_file = os.open(os.environ["FAULTS_SINK"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)


@contextmanager
def noted(event: Event, handler: str) -> Iterator[None]:
    """Note that *handler* began, and how it ended, if it does; one that is cancelled has not ended."""
    token = secrets.token_hex(8)
    _write("began", token, event.id, handler, os.getpid())
    try:
        yield
    except Exception:
        _write("failed", token)
        raise
    _write("done", token)


def _write(what: str, token: str, *fields: object) -> None:
    # In the page cache before the next line of code: killing this process does not take it back.
    os.write(_file, orjson.dumps([what, token, time.monotonic(), *fields]) + b"\n")
