"""When a walk through pages, or the wait for a rate limit, has to end."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

_MAX_WAITS = 5


class Patience:
    """How long one request may wait for rate limits: *seconds* in all, and five times."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._waits = 0

    def lasts(self, seconds: float | None) -> bool:
        """Whether it lasts for *seconds* more, which are taken from it."""
        self._waits += 1
        self._left -= seconds or 0
        return self._left >= 0 and self._waits <= _MAX_WAITS


class Loop:
    """Remembers pages, to notice when one comes again."""

    def __init__(self, *, hashes: bool) -> None:
        self._hashes = hashes
        self._before = b""
        self._seen: set[bytes] = set()

    def closes_with(self, records: list[Any], next_cursor: str | None) -> bool:
        """Whether a page has the records of the one before (seed), or the records and the cursor of an earlier one."""
        if not self._hashes:
            return False
        content = orjson.dumps(records, option=orjson.OPT_NON_STR_KEYS)
        digest = hashlib.blake2b(content, digest_size=16).digest()
        key = hashlib.blake2b((next_cursor or "").encode("utf-8", "surrogatepass"), key=digest, digest_size=16)
        repeats = (bool(records) and digest == self._before) or key.digest() in self._seen
        self._before = digest
        self._seen.add(key.digest())
        return repeats
