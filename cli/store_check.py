"""Check at start whether the Redis is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Literal

import structlog

from events import ConfigError, Store, StoreUnavailable
from events.background import background

log = structlog.get_logger("cli")

_AGAIN_SECONDS = 2.0


@asynccontextmanager
async def checked(store: Store, mode: Literal["strict", "warn", "off"]) -> AsyncIterator[None]:
    """Run the block with a *store* that was checked.

    ``strict`` checks first, and closes the store and raises ``ConfigError`` naming every fault when there is one, or
    when it does not answer. ``warn`` checks in the background, so that nothing waits for it, and logs each fault as a
    warning. If the store does not answer, it logs that once, and checks when the store answers.
    """
    if mode == "strict":
        await _insist(store)
    async with background(_warn(store), "check-store") if mode == "warn" else nullcontext():
        yield


async def _insist(store: Store) -> None:
    try:
        faults = await store.find_faults()
    except StoreUnavailable as exc:
        faults = [f"the store of REDIS_URL cannot be checked: {exc}. Start it first, or set STORE_CHECK=warn to wait"]
    if faults:
        await store.close()
        raise ConfigError("\n".join(faults))


async def _warn(store: Store) -> None:
    is_logged = False
    while True:
        try:
            faults = await store.find_faults()
        except StoreUnavailable as exc:
            if not is_logged:
                log.warning("store_unreachable", error=str(exc), hint="waiting for it; look at REDIS_URL and at Redis")
            is_logged = True
            await asyncio.sleep(_AGAIN_SECONDS)
            continue
        for fault in faults:
            log.warning("store_fault_found", fault=fault, hint="STORE_CHECK=strict refuses to start with such a store")
        return
