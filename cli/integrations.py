"""``truto-worker integrations check`` and ``test``: read definitions, and run them without a network."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.printing import counted, print_json, printable
from events import ConfigError
from truto import NotADocument
from truto.documents import document_paths, read_document
from truto.integration import BadIntegration, Integration, read_integration
from truto.integration.cassettes import Recording
from truto.integration.offline import Outcome, play, try_examples

DEFAULT_FOLDER = Path("integrations")
CASSETTES = "cassettes"
"""The folder beside a definition with its recordings, in one folder for each definition."""


@dataclass(frozen=True, slots=True)
class IntegrationFile:
    """A definition, where it lies, and what is written there."""

    path: Path
    document: Any
    integration: Integration

    @property
    def cassettes(self) -> Path:
        """Where its recordings are."""
        return self.path.parent / CASSETTES / self.path.stem


def read_files(paths: list[Path]) -> list[IntegrationFile]:
    """The definitions in these files and folders, else in ``integrations/``. Raises ``ConfigError`` with all faults."""
    wanted = paths or [DEFAULT_FOLDER]
    found, faults = [], []
    for path in wanted:
        files = document_paths(path) if path.is_dir() else [path]
        if not files:
            faults.append(f"{path}: there is no definition in this folder")
        for file in files:
            try:
                found.append(_read_file(file))
            except BadIntegration as exc:
                faults += [f"{file}: {fault}" for fault in exc.faults]
            except ConfigError as exc:
                faults.append(str(exc))
    if faults:
        raise ConfigError("\n".join(faults))
    return found


def _read_file(path: Path) -> IntegrationFile:
    document = read_file(path)
    return IntegrationFile(path, document, read_integration(document, name=path.stem))


def read_file(path: Path) -> Any:
    """What a YAML or JSON file holds. Raises ``ConfigError``."""
    try:
        return read_document(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from None
    except (NotADocument, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: {exc if isinstance(exc, NotADocument) else 'is not UTF-8'}") from None


def named_document(file: IntegrationFile) -> dict[str, Any]:
    """The definition as an environment integration with a name, whatever shape its file has."""
    config, *override = file.integration.layers
    return {
        "integration": {"name": file.integration.name, "config": config},
        "override": override[0] if override else {},
        "unified_mappings": file.document.get("unified_mappings") or {},
    }


def the_only_file(path: Path | None) -> IntegrationFile:
    """The definition at *path*, else the only one in ``integrations/``. Raises ``ConfigError``."""
    if path is not None:
        return read_files([path])[0]
    files = document_paths(DEFAULT_FOLDER)
    if len(files) != 1:
        lying = ", ".join(file.name for file in files) or "none"
        raise ConfigError(f"say which definition: --integration FILE (in {DEFAULT_FOLDER}/ there is {lying})")
    return read_files(files)[0]


def check_integrations(paths: list[Path], *, as_json: bool) -> int:
    """Say what each definition has, and what is odd about it. Raises ``ConfigError`` naming every fault."""
    rows = [_described(file) for file in read_files(paths)]
    if as_json:
        print_json({"integrations": rows, "faults": []})
        return 0
    print(f"{counted(len(rows), 'integration')}, no faults")
    for row in rows:
        print(f"  {printable(row['name'])} ({printable(row['file'])}): {printable(row['base_url'] or 'no base_url')}")
        print(f"    methods: {printable(', '.join(row['methods']) or 'none', 2000)}")
        if row["actions"]:
            print(f"    actions: {printable(', '.join(row['actions']), 1000)}")
        for note in row["notes"]:
            print(f"    note: {printable(note)}")
    return 0


def _described(file: IntegrationFile) -> dict[str, Any]:
    config = file.integration.config
    return {
        "file": str(file.path),
        "name": file.integration.name,
        "base_url": config.base_url,
        "methods": [f"{resource}.{name}" for resource, methods in config.resources.items() for name in methods],
        "actions": list(config.actions),
        "notes": [str(note) for note in file.integration.notes],
    }


def run_tests(paths: list[Path], *, as_json: bool) -> int:
    """Play the recordings of each definition and try its examples; 1 when one failed, or there was none."""
    outcomes = [(file, outcome) for file in read_files(paths) for outcome in asyncio.run(_outcomes(file))]
    failed = sum(bool(outcome.why) for _, outcome in outcomes)
    if as_json:
        rows = [
            {"file": str(file.path), "test": each.name, "passed": not each.why, "why": each.why}
            for file, each in outcomes
        ]
        print_json({"tests": rows, "passed": len(rows) - failed, "failed": failed})
    else:
        for file, each in outcomes:
            name = f"{printable(file.integration.name)}  {printable(each.name)}"
            print(f"{'FAILED' if each.why else 'ok':<7} {name}  {printable(each.why or each.told, 1000)}")
        print(f"{len(outcomes) - failed} passed, {failed} failed")
        if not outcomes:
            print("Nothing was tested: record a call (integrations call … --record), or write examples.response.")
    return int(failed > 0 or not outcomes)


async def _outcomes(file: IntegrationFile) -> list[Outcome]:
    found = await try_examples(file.integration)
    for path in document_paths(file.cassettes):
        name = f"{CASSETTES}/{file.path.stem}/{path.name}"
        try:
            recording = Recording.read(read_file(path))
        except (ConfigError, ValueError) as exc:
            found.append(Outcome(name, f"is no recording: {exc}"))
            continue
        found.append(await play(file.integration, recording, name))
    return found
