"""What a developer sees of events beyond the log: a handler to paste, and where their own code failed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import structlog

from events import Event
from worker.cause import own_frames, shortened
from worker.suggestion import free_module, suggest_handler

log = structlog.get_logger("worker")

_INDENT = " " * 9


@dataclass(slots=True)
class Development:
    """Prints to the terminal of ``truto-worker dev``. *package* is where a suggested handler belongs.

    *modules* answers the names that modules there have already: a suggestion never takes one of them.
    """

    package: str
    modules: Callable[[], Collection[str]]
    _suggested: set[str] = field(default_factory=set, init=False)

    def parked(self, event: Event) -> None:
        """Print a handler to paste for *event*, once for each type."""
        if not event.has_body or event.type in self._suggested:
            return
        self._suggested.add(event.type)
        module = free_module(event.type, self.modules())
        log.warning("handler_suggested", hint="paste this and save: the event then runs by itself")
        print(suggest_handler(event, f"{self.package.replace('.', '/')}/{module}.py"), flush=True)  # noqa: T201  source text

    def failed(self, error: BaseException) -> None:
        """Print the lines of the developer's own code that led to *error*; no values, which may be secret."""
        for frame in own_frames(error):
            print(f"{_INDENT}{shortened(frame.filename)}, line {frame.lineno}, in {frame.name}")  # noqa: T201
            print(f"{_INDENT}  {frame.line}", flush=True)  # noqa: T201
