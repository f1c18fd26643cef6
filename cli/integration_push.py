"""``truto-worker integrations push``, ``pull`` and ``diff``: definitions here, environment integrations in Truto.

Truto replaces a stored ``override`` whole (skill), so what a file lacks is gone after a push. That is shown before, and
done only when it is asked for.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.calling import with_truto
from cli.integrations import DEFAULT_FOLDER, IntegrationFile, read_files
from cli.printing import print_json, printable
from events import ConfigError
from truto import AsyncTruto, EnvironmentIntegration, Integration
from truto.documents import document_paths, write_document
from truto.integration.masking import MASK, Masker

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_HIDDEN = ("credentials", "secret_environment_variables")
"""What Truto does not show of an override, so that it cannot be compared (skill: reads are redacted)."""
_FLAGS = ("is_enabled", "show_in_catalog")


@dataclass(frozen=True, slots=True)
class _Pair:
    """A file, and what Truto has of it: the integration, and its installation in this environment."""

    file: IntegrationFile
    integration: Integration | None
    install: EnvironmentIntegration | None

    @property
    def name(self) -> str:
        return self.file.integration.name

    @property
    def wanted(self) -> dict[str, Any]:
        """The override of the file."""
        return dict(self.file.document.get("override") or {})

    @property
    def there(self) -> dict[str, Any]:
        """The override in Truto."""
        return dict((self.install.override if self.install else None) or {})

    @property
    def action(self) -> str:
        if self.integration is None:
            return "create"
        if self.install is None:
            return "install"
        return "unchanged" if self.there == self.wanted else "replace"

    @property
    def lost(self) -> list[str]:
        """The keys of Truto's override that the file does not have: a push removes them."""
        return [".".join(path) for path in _lost(self.there, self.wanted, ())]

    @property
    def lines(self) -> list[str]:
        """What is different, line by line, from Truto to the file; secrets are masked."""
        before, after = (write_document(_masked(each)).splitlines() for each in (self.there, self.wanted))
        return list(difflib.unified_diff(before, after, "override in Truto", str(self.file.path), lineterm=""))

    @property
    def notes(self) -> list[str]:
        """What the lines do not say."""
        found = [f"{key} is in Truto's override and not in the file: a push removes it" for key in self.lost]
        hidden = [key for key in _HIDDEN if key in self.wanted]
        if self.install is not None and hidden:
            found.append(f"Truto may not show {' and '.join(hidden)}, which then look different at each time")
        if self.install is not None and not hidden:
            found.append("credentials and secrets of Truto's override that are not in the file go away with a push")
        if self.integration is not None and self._config_differs():
            found.append("integration.config is not Truto's: a push changes the override alone")
        return found

    def _config_differs(self) -> bool:
        here = self.file.document.get("integration")
        config = here.get("config") if isinstance(here, Mapping) else None
        there = (self.integration.config if self.integration else None) or {}
        return bool(config) and bool(there) and config != there


def _lost(there: Mapping[str, Any], here: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for key, value in there.items():
        if key not in here:
            yield (*path, key)
        elif isinstance(value, Mapping) and isinstance(here[key], Mapping):
            yield from _lost(value, here[key], (*path, key))


def _masked(override: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = Masker([]).value(override)
    if isinstance(hidden := found.get("secret_environment_variables"), dict):
        found["secret_environment_variables"] = dict.fromkeys(hidden, MASK)
    return found


def push_integrations(paths: list[Path], *, dry_run: bool, replace: bool, as_json: bool) -> int:
    """Write the overrides of these files into Truto; create and install what is not there.

    Without *replace*, a file whose push would remove a key is refused, and 1 is answered.
    """
    files = _pushable(paths)

    async def push(truto: AsyncTruto) -> int:
        rows = []
        for pair in await _pairs(truto, files):
            refused = bool(pair.lost) and not replace
            row_id = pair.install.id if pair.install else None
            if not dry_run and not refused and pair.action != "unchanged":
                row_id = (await _write(truto, pair)).id
            action = "refused" if refused else pair.action
            rows.append(
                {"file": str(pair.file.path), "action": action, "id": row_id, "notes": pair.notes, "lost": pair.lost}
            )
        if as_json:
            print_json({"dry_run": dry_run, "integrations": rows})
        else:
            _print_rows(rows)
        return int(any(row["action"] == "refused" for row in rows))

    return with_truto(push)


def _print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        print(f"{row['action']:<10} {printable(row['file'])}  {printable(row['id'] or '')}")
        for note in row["notes"]:
            print(f"           {printable(note, 300)}")
    if any(row["action"] == "refused" for row in rows):
        print("Nothing was sent of what was refused: --replace pushes it all the same, `integrations pull` shows it.")


async def _write(truto: AsyncTruto, pair: _Pair) -> EnvironmentIntegration:
    flags = {name: pair.file.document[name] for name in _FLAGS if isinstance(pair.file.document.get(name), bool)}
    if pair.install is not None:
        return await truto.environment_integrations.update(pair.install.id, override=pair.wanted, **flags)
    integration = pair.integration
    if integration is None:
        given = pair.file.document.get("integration") or {}
        fields = {name: given[name] for name in ("category", "is_beta", "sharing") if name in given}
        integration = await truto.integrations.create(name=pair.name, config=given.get("config", {}), **fields)
    install = await truto.environment_integrations.create(
        integration_id=integration.id, override=pair.wanted, **{"is_enabled": True, "show_in_catalog": True, **flags}
    )
    if (install.override or {}) != pair.wanted:  # it was installed meanwhile, and a second POST changes nothing
        return await truto.environment_integrations.update(install.id, override=pair.wanted)
    return install


def diff_integrations(paths: list[Path], *, as_json: bool) -> int:
    """Print what a push would change; 0 when nothing would, else 1."""
    files = _pushable(paths)

    async def diff(truto: AsyncTruto) -> int:
        pairs = await _pairs(truto, files)
        if as_json:
            rows = [
                {"file": str(p.file.path), "action": p.action, "diff": p.lines, "lost": p.lost, "notes": p.notes}
                for p in pairs
            ]
            print_json({"integrations": rows})
        else:
            for pair in pairs:
                _print_difference(pair)
        return int(any(pair.action != "unchanged" for pair in pairs))

    return with_truto(diff)


def _print_difference(pair: _Pair) -> None:
    if pair.action == "unchanged":
        print(f"unchanged  {printable(pair.file.path)}")
        return
    told = {"create": "is not in Truto", "install": "is not installed in this environment"}.get(pair.action)
    if told is not None:
        print(f"{pair.action:<10} {printable(pair.file.path)}: {printable(pair.name)} {told}")
    print("\n".join(printable(line, 1000) for line in pair.lines) or "only what is masked is different")
    for note in pair.notes:
        print(f"note: {printable(note, 300)}")


def pull_integrations(folder: Path | None, *, force: bool, as_json: bool) -> int:
    """Write the environment integrations of Truto into *folder*; files that differ are kept, unless *force*.

    1 when one was left alone.
    """
    target = folder or DEFAULT_FOLDER

    async def pull(truto: AsyncTruto) -> int:
        target.mkdir(parents=True, exist_ok=True)
        there = _ids_in(target)
        rows = [_pulled(row, target, there, force=force) async for row in truto.environment_integrations.list()]
        if as_json:
            print_json(rows)
        else:
            for row in rows:
                print(f"{row['action']:<10} {printable(row['file'])}  {printable(row.get('why', ''))}")
            print("Truto shows no secrets: write those of an override into its file before you push it.")
        return int(any(row["action"] == "kept" for row in rows))

    return with_truto(pull)


def _document(row: EnvironmentIntegration) -> dict[str, Any]:
    """An installation as a file holds it."""
    integration = row.integration.model_dump() if row.integration is not None else {}
    kept = {name: integration[name] for name in ("id", "name", "category", "config") if integration.get(name)}
    found = {
        "id": row.id,
        "integration_id": row.integration_id,
        "is_enabled": row.is_enabled,
        "show_in_catalog": row.show_in_catalog,
        "integration": {**kept, "config": kept.get("config", {})},
        "override": row.override or {},
    }
    return {name: value for name, value in found.items() if value is not None}


def _ids_in(folder: Path) -> dict[str, Path]:
    """Which file holds which installation."""
    found = {}
    for path in document_paths(folder):
        try:
            (file,) = read_files([path])
        except ConfigError:
            continue
        if isinstance(file.document.get("id"), str):
            found[file.document["id"]] = path
    return found


def _pulled(row: EnvironmentIntegration, folder: Path, there: dict[str, Path], *, force: bool) -> dict[str, str]:
    document = _document(row)
    name = _UNSAFE.sub("-", str(document["integration"].get("name") or "")).strip("-._")[:60].lower()
    path = there.get(row.id) or folder / f"{name or row.id}.yaml"
    if path in there.values() and there.get(row.id) != path:
        path = folder / f"{row.id}.yaml"
    text = write_document(document)
    if path.exists():
        if _same(path, document):
            return {"action": "unchanged", "file": str(path)}
        if not force:
            why = "differs from Truto: look with diff, overwrite with --force"
            return {"action": "kept", "file": str(path), "why": why}
    path.write_text(text, encoding="utf-8")
    there[row.id] = path
    return {"action": "written", "file": str(path)}


def _same(path: Path, document: dict[str, Any]) -> bool:
    try:
        (file,) = read_files([path])
    except ConfigError:
        return False
    return bool(file.document == document)


def _pushable(paths: list[Path]) -> list[IntegrationFile]:
    """The files that name an integration. Raises ``ConfigError`` for a bare config, which belongs to nothing yet."""
    files = read_files(paths)
    faults = [
        f"{file.path}: is a bare config: put it under integration.config, with integration.name, or under override"
        for file in files
        if not {"integration", "override"} & file.document.keys()
    ]
    if faults:
        raise ConfigError("\n".join(faults))
    return files


async def _pairs(truto: AsyncTruto, files: Sequence[IntegrationFile]) -> list[_Pair]:
    """Each file with its installation: that of its id, else that of the integration with its name."""
    installs = [row async for row in truto.environment_integrations.list()]
    pairs = []
    for file in files:
        install = next((row for row in installs if row.id == file.document.get("id")), None)
        integration = None
        if install is None:
            named = [row async for row in truto.integrations.list(name=file.integration.name)]
            integration = next((row for row in named if row.name == file.integration.name), None)
            if integration is not None:
                install = next((row for row in installs if row.integration_id == integration.id), None)
        else:
            integration = install.integration
        pairs.append(_Pair(file, integration, install))
    return pairs
