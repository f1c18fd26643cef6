"""The store, for commands that look at it or change it by hand."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable

from cli.dev import FOLDER
from cli.settings import StoreSettings, read_settings
from events import Store, StoreUnavailable
from events.embedded import EmbeddedRedis


def with_store(work: Callable[[Store], Awaitable[int]]) -> int:
    """Run *work* on the store of ``REDIS_URL``, else on that of a ``truto-worker dev`` running in this folder.

    Answers what *work* does, or 1, with a message, when the store does not. Raises ``ConfigError`` without a store.
    """
    settings = read_settings(StoreSettings, **_of_dev())

    async def run() -> int:
        store = Store.connect(settings.redis_url, dedup_ttl=settings.dedup_ttl, history_ttl=settings.history_ttl)
        try:
            return await work(store)
        except StoreUnavailable as exc:
            print(f"The store of REDIS_URL does not answer ({exc}). Is Redis running, and reachable?", file=sys.stderr)
            return 1
        finally:
            await store.close()

    return asyncio.run(run())


def _of_dev() -> dict[str, str]:
    redis = EmbeddedRedis(FOLDER / "redis")
    return {"redis_url": redis.url} if redis.answers() and not os.environ.get("REDIS_URL") else {}
