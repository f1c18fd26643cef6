"""Find out at start whether Truto accepts the token, while the worker begins its work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from events import ConfigError
from events.background import background
from truto.errors import TrutoError, Unauthorized

if TYPE_CHECKING:
    from truto import AsyncTruto

log = structlog.get_logger("cli")

_REFUSED = (
    "TRUTO_API_TOKEN: Truto does not accept it (401). Make an API token in Truto's dashboard, of the environment whose "
    "events this worker handles, and set it; events wait in Redis until then"
)


@asynccontextmanager
async def accepted_token(truto: AsyncTruto, stop: Callable[[], object]) -> AsyncIterator[None]:
    """Run the block. If Truto refuses the token meanwhile, call *stop*, and raise ``ConfigError`` after the block.

    If Truto does not answer, it logs that once: handlers are tried again then.
    """
    refused = False

    async def look() -> None:
        nonlocal refused
        try:
            await truto.request("GET", "/environment")
        except Unauthorized:
            refused = True
            log.error("api_token_refused", remedy="set TRUTO_API_TOKEN")
            stop()
        except TrutoError as exc:
            log.warning("api_token_unchecked", error=type(exc).__name__, hint="look at TRUTO_API_URL and the network")

    async with background(look(), "check-token"):
        yield
    if refused:
        raise ConfigError(_REFUSED)
