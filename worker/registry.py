"""The registry of handlers."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from events import ConfigError, Event, OrderedPattern
from truto.backoff import Backoff
from truto.catalogue import EVENT_FAMILIES, EVENT_TYPES, TEST_EVENT_TYPE
from truto.faults import misspelt
from worker.limits import Key, Limits

if TYPE_CHECKING:
    from worker.condition import Condition
    from worker.context import Context

HandlerFunction: TypeAlias = "Callable[[Event, Context], Awaitable[None]]"


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function and its options. ``None`` means the worker's default."""

    name: str
    function: HandlerFunction
    patterns: tuple[str, ...]
    source: str | None = None
    max_attempts: int | None = None
    timeout: float | None = None
    backoff: Backoff | None = None
    limits: Limits | None = None
    when: Condition | None = None

    @property
    def file(self) -> str:
        """The file in which its function is."""
        return inspect.getfile(inspect.unwrap(self.function))

    @property
    def is_ordered(self) -> bool:
        """Whether its work on one key runs in the order of acceptance."""
        return self.limits is not None and self.limits.ordered

    def wants(self, event: Event) -> bool:
        """Whether this event is one of ours."""
        return (self.source is None or self.source == event.source) and _any_matches(self.patterns, event.type)


class Registry:
    """The handlers of a worker, in the order in which they were registered."""

    def __init__(self) -> None:
        self._handlers: dict[str, Handler] = {}
        self._ignored: list[str] = []
        self._ordered: list[OrderedPattern] = []

    def on(
        self,
        *patterns: str,
        source: str | None = None,
        max_attempts: int | None = None,
        timeout: float | None = None,
        backoff: Backoff | None = None,
        key: Key | None = None,
        concurrency: int | None = None,
        ordered: bool = False,
        debounce: float | None = None,
        rate: tuple[int, float] | None = None,
        when: str | None = None,
    ) -> Callable[[HandlerFunction], HandlerFunction]:
        """Register the decorated ``async def handler(event, ctx)`` for events of these types.

        *patterns* are exact names, ``sync_job_run:*``, or ``*``. *source* limits it to one source. *max_attempts*,
        *timeout* (s for one attempt) and *backoff* override the worker's defaults. Several handlers for one event are
        independent: each has its own attempts, and one that fails does not run the others again.

        The rest is about this handler's work on events with the same *key*, in the whole fleet: those of one
        ``"account"`` (the default) or ``"tenant"``, or with the same answer of a function from event to text. Events
        without a key are not held back. Work that has to wait uses up no attempt.

        At most *concurrency* pieces run at once. With *ordered* they run one at a time in the order of acceptance, and
        one that fails holds the rest back until it has succeeded or is a dead letter. With *debounce*, only the latest
        event runs, once so many seconds have passed without another one; those before it are discarded. At most *rate*
        (count, seconds) pieces start within so many seconds.

        *when* is a condition in JSONata, with the names of a workflow's ``run_if``: ``integration.name = 'calcom'``.
        Where it does not hold the work is discarded, and its history says why; where it fails it is a dead letter.

        Raises :class:`ConfigError` for a pattern that can match nothing, a condition that is not valid, a function that
        is not a coroutine function of two arguments, a name that is taken, or limits that contradict each other.
        """
        _check_patterns(patterns)
        if (max_attempts is not None and max_attempts < 1) or (timeout is not None and timeout <= 0):
            raise ConfigError("max_attempts must be at least 1, and timeout more than 0 seconds")

        limits = _limits(key, concurrency, ordered, debounce, rate)
        condition = _condition(when)

        def register(function: HandlerFunction) -> HandlerFunction:
            name = _name(function)
            if name in self._handlers:
                raise ConfigError(f"{name} is registered twice: give all its patterns to one @on(...)")
            self._handlers[name] = Handler(
                name, function, patterns, source, max_attempts, timeout, backoff, limits, condition
            )
            if ordered:
                self._ordered.extend(OrderedPattern(name, source, pattern) for pattern in patterns)
            return function

        return register

    def add(self, handler: Handler) -> None:
        """Register a handler that is not a decorated function, such as a workflow.

        Raises :class:`ConfigError` for a name that is taken, and patterns that can match nothing.
        """
        _check_patterns(handler.patterns)
        if handler.name in self._handlers:
            raise ConfigError(f"{handler.name} is registered twice")
        self._handlers[handler.name] = handler

    def ignore(self, *patterns: str) -> None:
        """Events of these types need nothing done: they count as handled, unless a handler wants them."""
        _check_patterns(patterns)
        self._ignored.extend(patterns)

    def matching(self, event: Event) -> list[Handler]:
        """The handlers that want *event*; several calls give the same order."""
        return [handler for handler in self._handlers.values() if handler.wants(event)]

    def declares(self, event_type: str) -> bool:
        """Whether events of this type were declared to need nothing done."""
        return _any_matches(self._ignored, event_type)

    def ignores(self, event: Event) -> bool:
        """Whether *event* was declared to need nothing done. Truto's test event never does."""
        return self.declares(event.type) or (event.platform and event.type == TEST_EVENT_TYPE)

    def ordered(self) -> list[OrderedPattern]:
        """The patterns of handlers with ``ordered=True``."""
        return self._ordered

    def get(self, name: str) -> Handler | None:
        """The handler of that name in this version of the code."""
        return self._handlers.get(name)

    def copy(self) -> Registry:
        """A registry with the same handlers, to which more can be added."""
        other = Registry()
        other._handlers, other._ignored, other._ordered = {**self._handlers}, [*self._ignored], [*self._ordered]
        return other

    @property
    def handlers(self) -> list[Handler]:
        """All handlers, in the order in which they were registered."""
        return list(self._handlers.values())

    def names(self) -> list[str]:
        """The names of the handlers, in the order in which they were registered."""
        return list(self._handlers)

    def remove(self, name: str) -> bool:
        """Forget the handler of this name; whether there was one."""
        self._ordered = [pattern for pattern in self._ordered if pattern.handler != name]
        return self._handlers.pop(name, None) is not None

    def misspelt(self) -> Iterator[tuple[Handler, str, str]]:
        """The handlers' patterns that nothing of Truto's matches, each with what was probably meant."""
        names = {*EVENT_TYPES, *(f"{family}:*" for family in EVENT_FAMILIES)}
        for handler in self._handlers.values():
            for pattern in handler.patterns if handler.source in (None, "truto") else ():
                if meant := misspelt(pattern, names):
                    yield handler, pattern, meant

    def __len__(self) -> int:
        return len(self._handlers)

    def clear(self) -> None:
        """Forget everything that was registered."""
        self._handlers.clear()
        self._ignored.clear()
        self._ordered.clear()


def _condition(when: str | None) -> Condition | None:
    if when is None:
        return None
    # It imports JSONata, which is slow: only for handlers with a condition.
    from worker.condition import Condition

    return Condition(when)


def _limits(
    key: Key | None,
    concurrency: int | None,
    ordered: bool,
    debounce: float | None,
    rate: tuple[int, float] | None,
) -> Limits | None:
    if key is None and not ordered and concurrency is None and debounce is None and rate is None:
        return None
    return Limits(key or "account", concurrency, ordered, debounce, rate)


def _any_matches(patterns: Iterable[str], event_type: str) -> bool:
    for pattern in patterns:  # once for each handler and event: any() would cost as much again
        if pattern == event_type or (pattern.endswith("*") and event_type.startswith(pattern[:-1])):
            return True
    return False


def _check_patterns(patterns: tuple[object, ...]) -> None:
    if not patterns:
        raise ConfigError('@on needs at least one event type: @on("integrated_account:active")')
    for pattern in patterns:
        if not isinstance(pattern, str):  # `@on` without parentheses hands over the function
            raise ConfigError(f'{_spoken(pattern)} is not a pattern: write @on("integrated_account:active")')
        stem = pattern.removesuffix("*")
        if "*" in stem or (pattern != "*" and pattern.endswith("*") and not stem.endswith(":")) or not pattern:
            raise ConfigError(f"{pattern!r} is not a pattern: use an exact name, `entity:*` or `*`")


def _name(function: HandlerFunction) -> str:
    if not inspect.iscoroutinefunction(function) or not hasattr(function, "__qualname__"):
        raise ConfigError(f"{_spoken(function)} must be `async def handler(event, ctx)`")
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        raise ConfigError(f"{function.__qualname__} must take exactly two arguments: event and ctx") from None
    return f"{function.__module__}.{function.__qualname__}"


def _spoken(thing: object) -> str:
    """How a person calls *thing*: by its name where it has one."""
    return getattr(thing, "__qualname__", None) or repr(thing)


registry = Registry()
"""The registry behind :func:`on` and :func:`ignore`, filled when the handler modules are imported."""

on = registry.on
ignore = registry.ignore
