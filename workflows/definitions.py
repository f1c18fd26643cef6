"""Read ``WORKFLOWS_DIR``, and register what is in it."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from pathlib import Path

from events import ConfigError
from truto.documents import document_paths, read_document
from truto.errors import NotADocument
from truto.workflows import (
    BadWorkflow,
    CompiledWorkflow,
    DefinitionFault,
    WorkflowFailed,
    compile_workflow,
    patterns_of,
)
from worker.registry import Handler, Registry
from workflows.actions import Actions, actions
from workflows.running import WorkflowHandler
from workflows.services import Services
from workflows.waiting import WAKER, awaited_type, wake_waiting

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class WorkflowFile:
    """A definition and its file. The name is the file's without suffix: a renamed file is another workflow."""

    path: Path
    name: str
    compiled: CompiledWorkflow


def read_workflow_file(path: Path, known: Actions = actions) -> WorkflowFile:
    """The workflow in the file at *path*. Raises :class:`BadWorkflow`, whose faults lack the file's name."""
    if not _NAME.fullmatch(path.stem):
        raise BadWorkflow([DefinitionFault("", "the file's name has 1 to 100 of A-Z, a-z, 0-9, `.`, `_` and `-`")])
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BadWorkflow([DefinitionFault("", f"is longer than {_MAX_BYTES} bytes")])
        document = read_document(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise BadWorkflow([DefinitionFault("", f"cannot be read: {exc.strerror}")]) from None
    except UnicodeDecodeError:
        raise BadWorkflow([DefinitionFault("", "is not UTF-8")]) from None
    except NotADocument as exc:
        raise BadWorkflow([DefinitionFault("", str(exc))]) from None
    compiled = compile_workflow(document, actions=known.names())
    if faults := _action_faults(compiled, known):
        raise BadWorkflow(faults)
    return WorkflowFile(path, path.stem, compiled)


def _action_faults(compiled: CompiledWorkflow, known: Actions) -> list[DefinitionFault]:
    faults = []
    for step in compiled.steps:
        action = known.get(step.definition.action)
        if action is None or action.check is None:
            continue
        at = f"{step.at}.config"
        try:
            action.check(step.definition, at)
        except WorkflowFailed as exc:
            faults.append(DefinitionFault(exc.at or at, str(exc).removeprefix(f"{exc.at}: ")))
    return faults


def load_workflows(folder: Path, known: Actions = actions) -> list[WorkflowFile]:
    """All workflows of *folder*. Raises :class:`ConfigError` naming every fault by file and keys."""
    if not folder.is_dir():
        raise ConfigError(f"WORKFLOWS_DIR: {folder} is not a folder")
    found: dict[str, WorkflowFile] = {}
    faults = []
    for path in document_paths(folder):
        try:
            file = read_workflow_file(path, known)
        except BadWorkflow as exc:
            faults += [f"{path}: {fault}" for fault in exc.faults]
            continue
        if file.name in found:
            faults.append(f"{path}: {found[file.name].path.name} has the same name")
        found[file.name] = file
    if faults:
        raise ConfigError("\n".join(faults))
    return list(found.values())


def register_workflows(
    files: list[WorkflowFile], registry: Registry, services: Services, known: Actions = actions
) -> None:
    """Make a handler of each workflow, and one that wakes the runs which wait for events.

    Raises :class:`ConfigError` when they are registered already.
    """
    awaited: dict[str, None] = {}
    for file in files:
        definition = file.compiled.definition
        workflow = WorkflowHandler(file.name, file.compiled, known, services)
        registry.add(
            Handler(
                workflow.handler,
                workflow.run,
                patterns_of(definition),
                source=definition.source,
                timeout=workflow.timeout,
            )
        )
        awaited |= {found: None for step in definition.config.steps if (found := awaited_type(step))}
    if awaited:
        registry.add(Handler(WAKER, functools.partial(wake_waiting, services=services), tuple(awaited)))
