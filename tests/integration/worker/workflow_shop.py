"""Workflows in a test: on a registry of its own, with actions that note what they did."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from events import Run, RunStatus, Store, Verified
from tests.integration.worker.workshop import eventually
from truto.workflows import compile_workflow
from worker.errors import DeadLetter, Discard
from worker.registry import Registry
from workflows import Actions, StepContext, actions
from workflows.definitions import WorkflowFile, register_workflows
from workflows.http import HttpRequests
from workflows.running import run_id_of
from workflows.services import Services


class Shop:
    """Registers workflows; ``log`` tells which actions ran."""

    def __init__(self, registry: Registry, http: HttpRequests | None = None) -> None:
        self.registry = registry
        self.services = Services(registry, http or HttpRequests())
        self.log: list[str] = []
        self.failures = 0
        self.actions = Actions(actions)
        self.actions.action("say")(self._say)
        self.actions.action("fail")(self._fail)
        self.actions.action("give_up")(self._give_up)
        self.actions.action("discard")(self._discard)

    async def _say(self, config: Mapping[str, Any], step: StepContext) -> Any:
        self.log.append(str(config.get("word", step.number)))
        return config.get("result", {"said": config.get("word")}) if "times" not in config else "x" * config["times"]

    async def _fail(self, config: Mapping[str, Any], step: StepContext) -> Any:
        self.log.append("fail")
        if self.failures < int(config.get("times", 1_000)):
            self.failures += 1
            raise ValueError(str(config.get("why", "broken")))
        return "mended"

    async def _give_up(self, config: Mapping[str, Any], step: StepContext) -> Any:
        raise DeadLetter("it is of no use")

    async def _discard(self, config: Mapping[str, Any], step: StepContext) -> Any:
        raise Discard("nobody needs it")

    def file(self, document: Mapping[str, Any], name: str = "flow") -> WorkflowFile:
        return WorkflowFile(Path(f"{name}.yaml"), name, compile_workflow(document))

    def register(self, *documents: Mapping[str, Any], **named: Mapping[str, Any]) -> None:
        """Register workflows: one without a name is ``flow``."""
        files = [self.file(document) for document in documents]
        files += [self.file(document, name) for name, document in named.items()]
        register_workflows(files, self.registry, self.services, self.actions)


def flow(*steps: Mapping[str, Any], trigger: str = "order:paid", **config: Any) -> dict[str, Any]:
    """A definition."""
    return {"trigger_name": trigger, "config": {"steps": list(steps), **config}}


def say(word: str, **more: Any) -> dict[str, Any]:
    """A step that notes *word*."""
    return {"action": "say", "config": {"word": word}, **more}


async def run_of(store: Store, event: Verified, name: str = "flow") -> Run:
    """The run of a workflow for *event*."""
    run = await store.runs.get(run_id_of(name, event.key))
    assert run is not None
    return run


async def run_ends(store: Store, event: Verified, status: RunStatus, name: str = "flow", seconds: float = 8) -> Run:
    """Wait until the run has this status."""

    async def has_ended() -> bool:
        run = await store.runs.get(run_id_of(name, event.key))
        return run is not None and run.status == status

    await eventually(has_ended, seconds)
    return await run_of(store, event, name)


def results(run: Run) -> list[Any]:
    """What the steps of an ended run returned."""
    assert run.result is not None
    return [step.get("result") for step in run.result["steps"]]


async def waiting_runs(store: Store, bucket: str) -> int:
    """How many runs wait in *bucket*."""
    return len({waiting.member async for page in store.runs.each_waiting(bucket) for waiting in page})
