"""Steps: parts of a handler that are done once, however often the handler runs."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

import orjson
import structlog

from events import Lease, Store, StoreUnavailable
from truto.backoff import Backoff
from worker.errors import BadStep, LeaseLost

log = structlog.get_logger("worker")

MAX_RESULT_BYTES = 256 * 1024
"""The longest JSON that a step may return."""

_MAX_NAME = 100
_BACKOFF = Backoff(0.1, 2.0)

_Answer = TypeVar("_Answer")

_running: ContextVar[str | None] = ContextVar("running step", default=None)


class CallKeys:
    """Names for what a handler does to the outside, the same in every attempt.

    Calls are counted from 1, those inside a step apart from the rest: a step that is skipped because it is done takes
    no number away from what follows.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._calls: Counter[str | None] = Counter()

    def next(self) -> str:
        """The name of the next call."""
        step = _running.get()
        self._calls[step] += 1
        place = self._root if step is None else f"{self._root}/{step}"
        return f"{place}:{self._calls[step]}"


@dataclass(slots=True)
class Steps:
    """The steps of one attempt. What earlier attempts have done is read once, at the first step."""

    store: Store
    lease: Lease
    handler: str
    _done: dict[str, bytes] | None = field(default=None, init=False)
    _named: set[str] = field(default_factory=set, init=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def run(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of *function*, from Redis where an earlier attempt has kept it. See :meth:`Context.step`."""
        self._take(name)
        done = await self._read()
        if name in done:
            return orjson.loads(done[name])
        running = _running.set(name)
        try:
            result = function(*args, **kwargs)
            if inspect.isawaitable(result):
                result = await result
        finally:
            _running.reset(running)
        encoded = encode_result(name, result)
        # Done and not kept would be done again, so this goes on through an outage.
        if not await confirmed(lambda: self.store.queue.keep_step(self.lease, self.handler, name, encoded)):
            raise LeaseLost(f"step {name!r} is done, but its work is another worker's by now")
        return orjson.loads(encoded)

    def know(self, done: dict[str, bytes]) -> None:
        """Take what was kept from whoever has read it already."""
        self._done = done

    def kept(self, name: str) -> Any:
        """What was kept under *name* before this attempt, or ``None``; only once something has been read."""
        found = (self._done or {}).get(name)
        return None if found is None else orjson.loads(found)

    async def keep(self, name: str, value: Any) -> None:
        """Keep *value*, in place of what is there. Raises :class:`BadStep` and :class:`LeaseLost` as :meth:`run`."""
        encoded = encode_result(name, value)
        if not await confirmed(lambda: self.store.queue.keep_step(self.lease, self.handler, name, encoded)):
            raise LeaseLost(f"step {name!r} could not be kept: its work is another worker's by now")

    def under(self, prefix: str) -> Steps:
        """The same steps for code that chooses names of its own: they are kept behind *prefix*."""
        return _PrefixedSteps(self.store, self.lease, self.handler, self, prefix)

    def _take(self, name: object) -> None:
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MAX_NAME:
            raise BadStep(f"a step's name must be a printable text of 1 to {_MAX_NAME} characters")
        if name in self._named:
            raise BadStep(f"step {name!r} is there twice in one attempt: its result would be that of the first")
        self._named.add(name)

    async def _read(self) -> dict[str, bytes]:
        async with self._reading:
            if self._done is None:
                self._done = await confirmed(lambda: self.store.queue.steps(self.lease))
        if self._done is None:
            raise LeaseLost("the work is another worker's by now")
        return self._done


@dataclass(slots=True)
class _PrefixedSteps(Steps):
    """Steps of a handler that runs as a part of something larger."""

    outer: Steps
    prefix: str

    async def run(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See :meth:`Steps.run`."""
        return await self.outer.run(f"{self.prefix}/{name}", function, args, kwargs)


def encode_result(name: str, result: object) -> bytes:
    """*result* as the JSON that is kept for the step. Raises :class:`BadStep`, a :class:`TypeError`.

    Plain is what comes back from JSON as it went in: a later attempt must not see another result than the first.
    """
    try:
        encoded = orjson.dumps(result)
        is_plain = bool(orjson.loads(encoded) == result)
    except (TypeError, ValueError):
        is_plain = False
    if not is_plain:
        raise BadStep(
            f"step {name!r} must return plain JSON (dict with text keys, list, text, number, bool, None), "
            f"not {type(result).__name__}: return what later code needs of it, such as an id"
        )
    if len(encoded) > MAX_RESULT_BYTES:
        raise BadStep(f"step {name!r} returned {len(encoded)} bytes of JSON; at most {MAX_RESULT_BYTES} can be kept")
    return encoded


async def confirmed(ask: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Ask the store until Redis answers; the attempt's time limit ends it."""
    failures = 0
    while True:
        try:
            return await ask()
        except StoreUnavailable as exc:
            failures += 1
            delay = _BACKOFF.longest(failures)
            log.warning("step_delayed", error=str(exc), again_in_seconds=delay)
            await asyncio.sleep(delay)
