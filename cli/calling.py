"""What commands share that call Truto: settings, the client, and how its errors are told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable

from pydantic import Field, SecretStr

from cli.printing import printable
from cli.settings import ProcessSettings, read_settings
from truto import ApiError, AsyncTruto, TrutoError


class ApiSettings(ProcessSettings):
    """What a command that calls Truto reads."""

    truto_api_token: SecretStr = Field(description="the API token of your Truto environment")
    truto_api_url: str = "https://api.truto.one"


def with_truto(work: Callable[[AsyncTruto], Awaitable[int]]) -> int:
    """What *work* answers, given a client; 1 when Truto refuses, with its reasons. Raises ``ConfigError``."""
    settings = read_settings(ApiSettings)

    async def run() -> int:
        async with AsyncTruto(
            token=settings.truto_api_token.get_secret_value(), base_url=settings.truto_api_url
        ) as truto:
            try:
                return await work(truto)
            except TrutoError as exc:
                print(f"Truto did not do it: {printable(exc, 500)}", file=sys.stderr)
                for line in exc.failures if isinstance(exc, ApiError) else ():
                    print(f"  - {printable(line, 500)}", file=sys.stderr)
                return 1

    return asyncio.run(run())
