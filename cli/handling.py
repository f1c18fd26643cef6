"""What the handlers and workflows of this folder want, read as a worker reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cli.subscription import Wants, wanted_types
from events import ConfigError


@dataclass(frozen=True, slots=True)
class Handling:
    """What handlers and workflows want, by their names, and the *faults* of those that cannot be loaded.

    *misspelt* are patterns of handlers that are nearly a name of Truto's, each with that name.
    """

    handlers: dict[str, Wants]
    workflows: dict[str, Wants] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    misspelt: list[tuple[str, str, str]] = field(default_factory=list)

    def ignores(self, event_type: str) -> bool:
        """Whether events of this type were declared to need no handler."""
        from worker.registry import registry

        return registry.declares(event_type)

    def wanted(self, sources: tuple[str, ...]) -> frozenset[str] | None:
        """The types of Truto's events that are wanted; ``None`` for all. *sources* are Truto's besides ``truto``."""
        from worker.registry import registry

        wants = [*self.handlers.values(), *self.workflows.values()]
        return wanted_types(wants, registry.declares, ("truto", *sources))


def read_handling(packages: tuple[str, ...], workflows_dir: Path | None) -> Handling:
    """Import the handler modules and read the workflows. Nothing runs but what a module does when it is imported."""
    from worker.loading import load_handlers
    from worker.registry import registry

    faults: list[str] = []
    try:
        load_handlers(packages)
    except ConfigError as exc:
        faults += str(exc).splitlines()
    handlers = {handler.name: (handler.patterns, handler.source) for handler in registry.handlers}
    workflows: dict[str, Wants] = {}
    if workflows_dir is not None:
        try:
            workflows = _read_workflows(workflows_dir)
        except ConfigError as exc:
            faults += str(exc).splitlines()
    misspelt = [(handler.name, pattern, meant) for handler, pattern, meant in registry.misspelt()]
    return Handling(handlers, workflows, faults, misspelt)


def _read_workflows(folder: Path) -> dict[str, Wants]:
    from truto.workflows import patterns_of
    from workflows.definitions import load_workflows
    from workflows.waiting import awaited_type

    found: dict[str, Wants] = {}
    for file in load_workflows(folder):
        definition = file.compiled.definition
        awaited = [name for step in definition.config.steps if (name := awaited_type(step))]
        found[file.name] = ((*patterns_of(definition), *awaited), definition.source)
    return found
