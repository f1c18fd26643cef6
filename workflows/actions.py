"""The registry of actions; teams add their own with :func:`action`."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from events import ConfigError, Event
from truto.workflows import Step
from worker.context import Context
from workflows.services import Services

DEFAULT_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class StepContext:
    """The context that an action gets with its config.

    ``event`` started the run, ``ctx`` holds the tools of a handler: calls of ``ctx.truto`` and messages of
    ``ctx.notify`` carry the same keys when the step is tried again. ``run_id`` is the same in every attempt, ``number``
    counts steps from 0, ``at`` is the step's place for messages. ``step`` is its definition.
    """

    event: Event
    ctx: Context
    run_id: str
    number: int
    step: Step
    services: Services

    @property
    def at(self) -> str:
        """The place of the config in the definition."""
        return f"config.steps.{self.number}.config"


ActionFunction: TypeAlias = Callable[[Mapping[str, Any], StepContext], Awaitable[Any]]
_Function = TypeVar("_Function", bound=ActionFunction)


@dataclass(frozen=True, slots=True)
class Action:
    """A registered action. A ``durable`` one ends its lease while it waits, so it must not run inside a step.

    ``check`` looks at a definition before anything runs and raises :class:`truto.workflows.WorkflowFailed`.
    """

    name: str
    function: ActionFunction
    durable: bool = False
    check: Callable[[Step, str], None] | None = None


class Actions:
    """Actions by name, at first those of *base*."""

    def __init__(self, base: Actions | None = None) -> None:
        self._actions: dict[str, Action] = dict(base._actions) if base else {}  # noqa: SLF001  of this very class

    def action(
        self, name: str, *, durable: bool = False, check: Callable[[Step, str], None] | None = None
    ) -> Callable[[_Function], _Function]:
        """Register the decorated ``async def act(config, step)`` under *name*.

        It gets the step's config, evaluated, and a :class:`StepContext`, and returns plain JSON of at most 256 KiB. It
        is called once for each run: its result is kept, also through killed workers; one that raises is tried again.
        Raise :class:`worker.DeadLetter` where that cannot help. Raises :class:`ConfigError` for a name that is taken,
        and for what is no coroutine function of two arguments.
        """

        def register(function: _Function) -> _Function:
            if name in self._actions:
                raise ConfigError(f"the action {name!r} is registered twice")
            act: ActionFunction = function
            if not inspect.iscoroutinefunction(act):
                raise ConfigError(f"the action {name!r} must be `async def act(config, step)`")
            try:
                inspect.signature(function).bind(None, None)
            except TypeError:
                raise ConfigError(f"the action {name!r} must take exactly two arguments: config and step") from None
            self._actions[name] = Action(name, act, durable, check)
            return function

        return register

    def get(self, name: str) -> Action | None:
        """The action of that name."""
        return self._actions.get(name)

    def names(self) -> frozenset[str]:
        """The names of all actions."""
        return frozenset(self._actions)


actions = Actions()
"""The registry behind :func:`action`. Importing the package adds the built-in actions."""

action = actions.action
