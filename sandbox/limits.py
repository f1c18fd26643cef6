"""Truto's two rate limits: 500 requests in 10 s of one token, 50 of one account's data (skill: authentication)."""

from __future__ import annotations

import math
import time

from sandbox.errors import Refusal

WINDOW_SECONDS = 10.0
PER_TOKEN = 500
PER_ACCOUNT = 50


class Limit:
    """*most* requests in ten seconds for each key, counted in windows that begin with a key's first request."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._windows: dict[str, tuple[float, int]] = {}

    def take(self, key: str) -> dict[str, str]:
        """Count one request; the ``ratelimit-*`` headers of its answer (docs: rate-limits).

        Raises a 429 :class:`Refusal` with ``Retry-After: 10`` beyond the limit.
        """
        moment = time.monotonic()
        began, count = self._windows.get(key, (moment, 0))
        if moment - began >= WINDOW_SECONDS:
            self._windows = {name: each for name, each in self._windows.items() if moment - each[0] < WINDOW_SECONDS}
            began, count = moment, 0
        self._windows[key] = (began, count + 1)
        headers = {
            "ratelimit-limit": str(self._most),
            "ratelimit-remaining": str(max(0, self._most - count - 1)),
            "ratelimit-reset": str(math.ceil(began + WINDOW_SECONDS - moment)),
        }
        if count >= self._most:
            message = f"More than {self._most} requests in {WINDOW_SECONDS:g} s"
            raise Refusal(429, message, headers={**headers, "Retry-After": "10"})
        return headers
