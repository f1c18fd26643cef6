"""What a check has found, and how it is kept from taking too long."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from cli.errors import CheckFailedError
from cli.printing import printable
from events import StoreUnavailable
from truto import TrutoError

MAX_SECONDS = 3.5
"""How long a check may take: all of them run at once, and the command is to answer within five seconds."""

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: what is right, or what is wrong and its *remedy*. It holds no secret."""

    group: str
    what: str
    remedy: str = ""

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done."""
        return not self.remedy

    def __str__(self) -> str:
        text = f"{self.what}: {self.remedy}" if self.remedy else self.what
        return printable(text, 600)


Check = Callable[[], Awaitable[list[Finding]]]


async def looked_at(group: str, check: Check, seconds: float = MAX_SECONDS) -> list[Finding]:
    """What *check* finds; that it fails, or takes too long, is a finding too."""
    try:
        async with asyncio.timeout(seconds):
            return await check()
    except TimeoutError:
        remedy = "look why it hangs, or ask again when the machine is less busy"
        return [Finding(group, f"does not answer within {seconds:g} s", remedy)]
    except CheckFailedError as exc:
        return [Finding(group, exc.what, exc.remedy)]
    except StoreUnavailable as exc:
        return [Finding(group, f"does not answer ({exc})", exc.remedy or "start Redis, or correct REDIS_URL")]
    except TrutoError as exc:
        return [Finding(group, f"Truto does not answer as expected ({exc})", "look at TRUTO_API_URL and the network")]
    except Exception as exc:  # noqa: BLE001  one check that is broken must not hide what the others find
        return [Finding(group, f"could not be looked at ({type(exc).__name__})", "please report this")]


async def beside(work: Callable[[], Result]) -> Result:
    """Call *work* in a thread that does not keep the process when it hangs."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Result] = loop.create_future()

    def settle(act: Callable[[], None]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(lambda: None if future.done() else act())

    def run() -> None:
        try:
            result = work()
        except BaseException as exc:  # noqa: BLE001  whatever it is belongs to whoever waits
            error = exc
            settle(lambda: future.set_exception(error))
        else:
            settle(lambda: future.set_result(result))

    threading.Thread(target=run, daemon=True).start()
    return await future
