"""Steps: parts of a handler that run once, even when the handler runs again."""

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
    """Idempotency keys of a handler's calls, the same in every attempt.

    Calls are numbered from 1, and those inside a step separately: a finished step that is skipped changes no later
    number.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._calls: Counter[str | None] = Counter()

    def next(self) -> str:
        """The key of the next call."""
        step = _running.get()
        self._calls[step] += 1
        place = self._root if step is None else f"{self._root}/{step}"
        return f"{place}:{self._calls[step]}"


@dataclass(slots=True)
class Steps:
    """The steps of one attempt. Results of earlier attempts are read once, at the first step."""

    store: Store
    lease: Lease
    handler: str
    _done: dict[str, bytes] | None = field(default=None, init=False)
    _named: set[str] = field(default_factory=set, init=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def run(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of *function*, read from Redis if an earlier attempt stored it. See :meth:`Context.step`."""
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
        # A finished step without a stored result would run again, so retry through an outage.
        if not await confirmed(lambda: self.store.queue.keep_step(self.lease, self.handler, name, encoded)):
            raise LeaseLost(f"step {name!r} has run, but another worker has the work now")
        return orjson.loads(encoded)

    def know(self, done: dict[str, bytes]) -> None:
        """Use the stored results *done*, which the caller has read already."""
        self._done = done

    def kept(self, name: str) -> Any:
        """The result stored under *name* before this attempt, or ``None``. Call it after the results were read."""
        found = (self._done or {}).get(name)
        return None if found is None else orjson.loads(found)

    async def keep(self, name: str, value: Any) -> None:
        """Store *value*, replacing what is there. Raises :class:`BadStep` and :class:`LeaseLost` as :meth:`run`."""
        encoded = encode_result(name, value)
        if not await confirmed(lambda: self.store.queue.keep_step(self.lease, self.handler, name, encoded)):
            raise LeaseLost(f"step {name!r} could not be stored: another worker has the work now")

    def under(self, prefix: str) -> Steps:
        """The same steps for code with its own step names: they are stored with *prefix*."""
        return _PrefixedSteps(self.store, self.lease, self.handler, self, prefix)

    def _take(self, name: object) -> None:
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MAX_NAME:
            raise BadStep(f"a step's name must be a printable text of 1 to {_MAX_NAME} characters")
        if name in self._named:
            raise BadStep(f"step {name!r} is used twice in one attempt: give each step a name of its own")
        self._named.add(name)

    async def _read(self) -> dict[str, bytes]:
        async with self._reading:
            if self._done is None:
                self._done = await confirmed(lambda: self.store.queue.steps(self.lease))
        if self._done is None:
            raise LeaseLost("another worker has the work now")
        return self._done


@dataclass(slots=True)
class _PrefixedSteps(Steps):
    """Steps of a handler that runs inside another handler."""

    outer: Steps
    prefix: str

    async def run(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """See :meth:`Steps.run`."""
        return await self.outer.run(f"{self.prefix}/{name}", function, args, kwargs)


def encode_result(name: str, result: object) -> bytes:
    """*result* as the JSON that is stored for the step. Raises :class:`BadStep`, a :class:`TypeError`.

    The result has to survive JSON unchanged: a later attempt must see the same result as the first.
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
    """Ask the store until Redis answers. The time limit of the attempt bounds it."""
    failures = 0
    while True:
        try:
            return await ask()
        except StoreUnavailable as exc:
            failures += 1
            delay = _BACKOFF.longest(failures)
            log.warning("step_delayed", error=str(exc), again_in_seconds=delay)
            await asyncio.sleep(delay)
