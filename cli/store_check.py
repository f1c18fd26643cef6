"""Check at start whether the Redis is safe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Literal

import structlog

from events import ConfigError, Store, StoreUnavailable
from events.background import background
from events.checking import Fault

Mode = Literal["strict", "assured", "warn", "off"]

log = structlog.get_logger("cli")

_AGAIN_SECONDS = 2.0


@asynccontextmanager
async def checked(store: Store, mode: Mode) -> AsyncIterator[None]:
    """Run the block with a *store* that was checked.

    ``strict`` and ``assured`` check first. They close the store and raise ``ConfigError`` naming every certain fault,
    or that it does not answer. They log what cannot be known from here, ``assured`` as what the operator
    answers for. ``warn`` checks in the background, so that nothing waits for it, and logs each fault as a warning. If
    the store does not answer, it logs that once, and checks when the store answers.
    """
    if mode in ("strict", "assured"):
        await _insist(store, is_assured=mode == "assured")
    async with background(_warn(store), "check-store") if mode == "warn" else nullcontext():
        yield


async def _insist(store: Store, *, is_assured: bool) -> None:
    try:
        faults = await store.find_faults()
    except StoreUnavailable as exc:
        text = f"the store of REDIS_URL cannot be checked: {exc}. Start it first, or set STORE_CHECK=warn to wait"
        faults = [Fault(text)]
    if certain := [str(fault) for fault in faults if fault.is_certain]:
        await store.close()
        raise ConfigError("\n".join(certain))
    for fault in faults:
        if is_assured:
            log.info("store_safety_assured", assured=str(fault), by="STORE_CHECK=assured")
        else:
            _log(fault)


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
            _log(fault)
        return


def _log(fault: Fault) -> None:
    if fault.is_certain:
        hint = "STORE_CHECK=strict refuses to start with such a store"
        log.warning("store_fault_found", fault=str(fault), hint=hint)
    else:
        hint = "set STORE_CHECK=assured once you know that it is so"
        log.warning("store_safety_unknown", unknown=str(fault), hint=hint)
