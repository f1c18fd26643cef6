"""The names taken from jsonata-python, and the one place where it is imported.

Importing it raises the recursion limit of the whole process to 10,000, and with it the depth of JSON that every parser
in the process accepts. The limit is put back at once, and raised only while something is compiled or evaluated.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_limit = sys.getrecursionlimit()
from jsonata import Jsonata, datetimeutils  # noqa: E402 (the limit has to be read first)
from jsonata.functions import Functions  # noqa: E402
from jsonata.jexception import JException  # noqa: E402
from jsonata.parser import Parser  # noqa: E402
from jsonata.signature import Signature as LibrarySignature  # noqa: E402
from jsonata.utils import Utils  # noqa: E402

sys.setrecursionlimit(_limit)

__all__ = [
    "NULL",
    "Functions",
    "JException",
    "Jsonata",
    "LibrarySignature",
    "Parser",
    "Utils",
    "datetimeutils",
    "deep_stack",
]

NULL = Utils.NULL_VALUE
"""JSON's ``null`` inside the evaluator, where ``None`` is undefined."""

# Measured: one nested evaluation takes 3 to 9 frames. 250 of them, and a caller that is 1,000 deep, fit.
_FRAMES = 4_000

_lock = threading.Lock()
_users = 0
_before = 0


@contextmanager
def deep_stack() -> Iterator[None]:
    """Allow a deeper stack while the block runs; several threads may be inside, the last one puts the limit back."""
    global _users, _before  # noqa: PLW0603 (the limit they guard is one of the process)
    with _lock:
        if _users == 0:
            _before = sys.getrecursionlimit()
            sys.setrecursionlimit(max(_before, _FRAMES))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                sys.setrecursionlimit(_before)
