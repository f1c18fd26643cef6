"""``truto-worker workflows push``, ``pull`` and ``diff``: files here, rows in Truto."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.calling import with_truto
from cli.printing import print_json, printable
from cli.settings import DEFAULT_WORKFLOWS
from cli.workflows import read_files
from events import ConfigError
from truto import AsyncTruto, Workflow
from truto.documents import document_paths, write_document
from truto.workflows import BadWorkflow, Definition, read_definition, truto_refusals
from workflows.definitions import WorkflowFile

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_COMPARED = ("trigger_name", "label", "config")


@dataclass(frozen=True, slots=True)
class _Pair:
    """A file, and the row in Truto that it is, if there is one."""

    file: WorkflowFile
    remote: Workflow | None
    wanted: dict[str, Any]

    @property
    def action(self) -> str:
        if self.remote is None:
            return "create"
        return "unchanged" if _compared(self.wanted) == _compared(_document(self.remote)) else "update"

    @property
    def lines(self) -> list[str]:
        """What is different, line by line, from Truto to the file."""
        before = write_document(_compared(_document(self.remote))).splitlines() if self.remote else []
        after = write_document(_compared(self.wanted)).splitlines()
        return list(difflib.unified_diff(before, after, "truto", str(self.file.path), lineterm=""))


def push_workflows(paths: list[Path], *, dry_run: bool, as_json: bool) -> int:
    """Create or update the rows of these files in Truto.

    Raises ``ConfigError``, and nothing is sent, for any file that Truto could not run.
    """
    files = read_files(paths)
    _refuse_ours(files)

    async def push(truto: AsyncTruto) -> int:
        rows = []
        nameless = False
        for pair in _pairs(files, [row async for row in truto.workflows.list()]):
            row_id = pair.remote.id if pair.remote else pair.wanted.get("id")
            if not dry_run and pair.action != "unchanged":
                row_id = (await _write(truto, pair)).id
                nameless = nameless or "id" not in pair.wanted
            rows.append({"file": str(pair.file.path), "action": pair.action, "id": row_id})
        _print_plan(rows, as_json=as_json, dry_run=dry_run, nameless=nameless)
        return 0

    return with_truto(push)


def _refuse_ours(files: Sequence[WorkflowFile]) -> None:
    faults = [f"{file.path}: {fault}" for file in files for fault in truto_refusals(file.compiled.definition)]
    if faults:
        raise ConfigError("\n".join([*faults, "nothing was sent: what Truto cannot run can only run here"]))


async def _write(truto: AsyncTruto, pair: _Pair) -> Workflow:
    if pair.remote is None:
        return await truto.workflows.create(**pair.wanted)
    changes = {key: pair.wanted[key] for key in _COMPARED if key in pair.wanted}
    return await truto.workflows.update(pair.remote.id, **changes)


def _print_plan(rows: list[dict[str, Any]], *, as_json: bool, dry_run: bool, nameless: bool) -> None:
    if as_json:
        print_json({"dry_run": dry_run, "workflows": rows})
        return
    for row in rows:
        print(f"{row['action']:<10} {printable(row['file'])}  {printable(row['id'] or '')}")
    if nameless:
        print("Put the id into a file that has none: the row is then found again whatever else changes.")


def diff_workflows(paths: list[Path], *, as_json: bool) -> int:
    """Print what a push would change; 0 when nothing would, else 1."""
    files = read_files(paths)

    async def diff(truto: AsyncTruto) -> int:
        remote = [row async for row in truto.workflows.list()]
        pairs = _pairs(files, remote)
        here = {pair.remote.id for pair in pairs if pair.remote}
        only_there = [row for row in remote if row.id not in here]
        if as_json:
            rows = [{"file": str(p.file.path), "action": p.action, "diff": p.lines} for p in pairs]
            print_json({"workflows": rows, "only_in_truto": [row.id for row in only_there]})
        else:
            for pair in pairs:
                print("\n".join(printable(line, 1000) for line in pair.lines) or f"unchanged  {pair.file.path}")
            for row in only_there:
                print(f"only in Truto: {printable(row.id)} {printable(_document(row).get('label') or '')}")
        return int(bool(only_there) or any(pair.action != "unchanged" for pair in pairs))

    return with_truto(diff)


def pull_workflows(folder: Path | None, *, force: bool, as_json: bool) -> int:
    """Write the workflows of Truto into *folder*; files that differ are kept, unless *force*.

    1 when one was left alone, or is nothing that can run here.
    """
    target = folder or DEFAULT_WORKFLOWS

    async def pull(truto: AsyncTruto) -> int:
        target.mkdir(parents=True, exist_ok=True)
        there = _ids_in(target)
        rows = [_pulled(row, target, there, force=force) async for row in truto.workflows.list()]
        if as_json:
            print_json(rows)
        else:
            for row in rows:
                print(f"{row['action']:<10} {printable(row['file'])}  {printable(row.get('why', ''))}")
        return int(any(row["action"] in ("kept", "refused") for row in rows))

    return with_truto(pull)


def _ids_in(folder: Path) -> dict[str, Path]:
    """Which file holds which row."""
    found = {}
    for path in document_paths(folder):
        try:
            (file,) = read_files([path])
        except ConfigError:
            continue
        if file.compiled.definition.id:
            found[file.compiled.definition.id] = path
    return found


def _pulled(row: Workflow, folder: Path, there: dict[str, Path], *, force: bool) -> dict[str, str]:
    try:
        definition = read_definition(_document(row))
    except BadWorkflow as exc:
        return {"action": "refused", "file": row.id, "why": str(exc)}
    path = there.get(row.id) or _free_name(definition, row.id, folder, there)
    if path.exists():
        (file,) = read_files([path])
        if _compared(file.compiled.definition.document()) == _compared(definition.document()):
            return {"action": "unchanged", "file": str(path)}
        if not force:
            return {
                "action": "kept",
                "file": str(path),
                "why": "differs from Truto: look with diff, overwrite with --force",
            }
    path.write_text(write_document(definition.document()), encoding="utf-8")
    there[row.id] = path
    return {"action": "written", "file": str(path)}


def _free_name(definition: Definition, row_id: str, folder: Path, there: dict[str, Path]) -> Path:
    label = _UNSAFE.sub("-", definition.label or "").strip("-._")[:60].lower()
    path = folder / f"{label or row_id}.yaml"
    return folder / f"{row_id}.yaml" if path.exists() or path in there.values() else path


def _pairs(files: Sequence[WorkflowFile], remote: Sequence[Workflow]) -> list[_Pair]:
    """Each file with its row: that of its id; else an equal one; else the only one with its label."""
    left = list(remote)
    pairs = []
    for file in sorted(files, key=lambda file: file.compiled.definition.id is None):
        definition = file.compiled.definition
        wanted = definition.document() if definition.label else {**definition.document(), "label": file.name}
        found = _row_of(definition, wanted, left)
        if found is not None:
            left.remove(found)
        pairs.append(_Pair(file, found, wanted))
    return pairs


def _row_of(definition: Definition, wanted: dict[str, Any], rows: Sequence[Workflow]) -> Workflow | None:
    if definition.id is not None:
        return next((row for row in rows if row.id.lower() == definition.id), None)
    equal = [row for row in rows if _compared(_document(row)) == _compared(wanted)]
    named = [row for row in rows if _document(row).get("label") == wanted["label"]]
    return equal[0] if equal else named[0] if len(named) == 1 else None


def _document(row: Workflow) -> dict[str, Any]:
    found = row.model_dump(exclude={"created_at", "updated_at"})
    return {key: value for key, value in found.items() if value is not None}


def _compared(document: dict[str, Any]) -> dict[str, Any]:
    """What decides whether two are the same. Truto may not keep a label: one sample alone has one (docs: guide)."""
    try:
        plain = read_definition({key: document[key] for key in _COMPARED if key in document}).document()
    except BadWorkflow:
        plain = document
    return {key: plain[key] for key in ("trigger_name", "config") if key in plain}
