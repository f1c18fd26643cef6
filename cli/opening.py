"""The store, for commands that look at it or change it by hand."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Sequence

from cli.dev_folder import FOLDER
from cli.settings import StoreSettings, read_settings
from events import Enrolment, ParkedLimit, Store, StoreUnavailable
from events.all_shards import AllShards
from events.embedded import EmbeddedRedis
from events.naming import PLATFORM_SOURCE

SECRET = "webhook_secret"  # noqa: S105  the name of a field
"""Where the secrets of Truto's webhook are kept, newest first, with commas between."""


def with_stores(work: Callable[[AllShards], Awaitable[int]]) -> int:
    """Run *work* on the stores of ``REDIS_URL``, else on that of a ``truto-worker dev`` running in this folder.

    Answers what *work* does, or 1, with a message, when one of the stores does not. Raises ``ConfigError`` without a
    store.
    """
    settings = read_settings(StoreSettings, **_of_dev())
    return _run(settings, settings.store_urls, lambda stores: work(AllShards(stores)))


def with_sources_store(work: Callable[[Store], Awaitable[int]]) -> int:
    """As :func:`with_stores`, on the store where the ingress keeps what belongs to sources: of several, the first."""
    settings = read_settings(StoreSettings, **_of_dev())
    return _run(settings, settings.redis_url.split()[:1], lambda stores: work(stores[0]))


def _run(settings: StoreSettings, urls: Sequence[str], work: Callable[[Sequence[Store]], Awaitable[int]]) -> int:
    async def run() -> int:
        stores = [_connected(settings, url) for url in urls]
        try:
            return await work(stores)
        except StoreUnavailable as exc:
            which = "The store" if len(urls) == 1 else "A store"
            question = "" if exc.remedy else " Is Redis running, and reachable?"
            print(f"{which} of REDIS_URL does not answer ({exc}).{question}", file=sys.stderr)
            return 1
        finally:
            for store in stores:
                await store.close()

    return asyncio.run(run())


def _connected(settings: StoreSettings, url: str) -> Store:
    return Store.connect(
        url,
        dedup_ttl=settings.dedup_ttl,
        history_ttl=settings.history_ttl,
        search_ttl=settings.search_ttl,
        parked=ParkedLimit(settings.parked_max, settings.parked_max_bytes, settings.parked_ttl),
    )


def has_store() -> bool:
    """Whether a store is named, or a ``truto-worker dev`` runs in this folder."""
    return bool(os.environ.get("REDIS_URL", "").split() or _of_dev())


def store_urls() -> list[str]:
    """The URLs of all stores that are named; what belongs to sources is in the first. Raises ``ConfigError``."""
    return read_settings(StoreSettings, **_of_dev()).redis_url.split()


def read_enrolments(sources: Sequence[str]) -> list[Enrolment] | None:
    """What handshakes have left for each of *sources*; ``None`` where no store is named, or it does not answer."""
    if not has_store():
        return None
    found: list[Enrolment] = []

    async def work(store: Store) -> int:
        found.extend(await store.notes.enrolments(sources))
        return 0

    if with_sources_store(work) == 0:
        return found
    print("Without what handshakes have left there.", file=sys.stderr)
    return None


def read_stored_secret() -> str:
    """The newest secret of the webhook that ``connect`` has put into the store; empty where there is none."""
    found: list[str] = []

    async def work(store: Store) -> int:
        kept = (await store.notes.source_context(PLATFORM_SOURCE)).get(SECRET)
        found.append(kept.partition(",")[0] if isinstance(kept, str) else "")
        return 0

    with_sources_store(work)
    return "".join(found)


def _of_dev() -> dict[str, str]:
    redis = EmbeddedRedis(FOLDER / "redis")
    return {"redis_url": redis.url} if redis.answers() and not os.environ.get("REDIS_URL") else {}
