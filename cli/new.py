"""``truto-worker new``: a project of one's own, and what is added to it. Nothing that is there is overwritten."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path
from string import Template

from cli.sources import sources_file
from events import ConfigError, Event
from ingress.sources.layers import presets
from truto.faults import did_you_mean
from worker.loading import BUILT_IN, modules_of, own_package
from worker.suggestion import free_module, suggest_handler

_SUFFIX = ".txt"
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_TEST = """async def test_{function}(truto):
    await truto.deliver("{event_type}")
    truto.assert_outcome("done", "{event_type}", handler=".{function}")
"""


def new_app(name: str) -> list[Path]:
    """Write a project called *name* into a folder of that name, and return its files.

    Raises ``ConfigError`` for a name that no package can have, and where the folder holds something already.
    """
    _check_name(name)
    folder = Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}/ is there already, with files in it: choose another name")
    package = f"{name.replace('-', '_')}_handlers"
    values = {"name": name, "package": package, "requirement": _requirement()}
    return [_write(folder / path, text) for path, text in _rendered(values)]


def new_handler(event_type: str) -> list[Path]:
    """Write a handler for *event_type* and its test, and return both files.

    Raises ``ConfigError`` for a type that misspells one of Truto's.
    """
    try:
        event = Event.sample(event_type)
    except ValueError as exc:
        raise ConfigError(str(exc)) from None
    package = own_package((os.environ.get("HANDLERS") or BUILT_IN).split(","))
    taken = {*modules_of(package), *(path.stem.removeprefix("test_") for path in Path("tests").glob("test_*.py"))}
    module = free_module(event_type, taken)
    file = Path(*package.split("."), f"{module}.py")
    source = suggest_handler(event, str(file))
    found = re.search(r"async def (\w+)", source)
    assert found is not None
    test = _TEST.format(function=found[1], event_type=event_type)
    return [_write(file, source.partition("\n")[2]), _write(Path("tests", f"test_{module}.py"), test)]


def new_source(name: str, preset: str | None) -> list[Path]:
    """Add a source to the file of sources, and return that file. Its secret is taken from the environment.

    Raises ``ConfigError`` for a preset that is not known, and for a source that is there.
    """
    _check_name(name)
    wanted = preset or name
    if wanted not in presets():
        meant = did_you_mean(wanted, presets())
        raise ConfigError(f"there is no preset {wanted}{meant or ';'} list them: truto-worker sources list --presets")
    file = sources_file(None) or Path("sources.yaml")
    before = re.sub(r"^\{\}\n?", "", file.read_text() if file.exists() else "", flags=re.MULTILINE)  # none so far
    if re.search(rf"^['\"]?{re.escape(name)}['\"]?\s*:", before, re.MULTILINE):
        raise ConfigError(f"{file} has a source {name} already")
    secret = f"{re.sub(r'[^A-Z0-9]', '_', name.upper())}_WEBHOOK_SECRET"
    entry = f'{name}:\n  preset: {wanted}\n  secrets: ["${{{secret}}}"]\n'
    file.write_text(before + ("\n" if before and not before.endswith("\n") else "") + entry)
    return [file]


def new_workflow(name: str) -> list[Path]:
    """Write a workflow to begin with, and return its file. Raises ``ConfigError`` where one of the name is there."""
    _check_name(name)
    file = Path(os.environ.get("WORKFLOWS_DIR") or "workflows", f"{name}.yaml")
    return [_write(file, (_scaffold() / f"workflow.yaml{_SUFFIX}").read_text())]


def say(files: list[Path], *, as_json: bool, then: str) -> int:
    """Print what was written, and what to do next."""
    if as_json:
        print(json.dumps([str(file) for file in files]))
        return 0
    for file in files:
        print(f"  {file}")
    print(f"\n{then}", file=sys.stderr)
    return 0


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is no name for it: small letters, digits, - and _, a letter first")


def _scaffold() -> Traversable:
    return resources.files("cli") / "scaffold"


def _rendered(values: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    def walk(folder: Traversable, below: Path) -> Iterator[tuple[Path, str]]:
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if entry.is_dir():
                yield from walk(entry, below / (values["package"] if entry.name == "handlers" else entry.name))
            elif entry.name.endswith(_SUFFIX):
                yield below / entry.name.removesuffix(_SUFFIX), Template(entry.read_text()).substitute(values)

    return walk(_scaffold() / "app", Path())


def _requirement() -> str:
    """How pip gets the very truto-worker that writes this: from where it was installed, else by its version."""
    distribution = metadata.distribution("truto-worker")
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    url, version = origin.get("url"), (origin.get("vcs_info") or {}).get("commit_id")
    if url is None:
        return f"truto-worker[dev,test]=={distribution.version}"
    vcs = (origin.get("vcs_info") or {}).get("vcs")
    return f"truto-worker[dev,test] @ {f'{vcs}+{url}@{version}' if vcs else url}"


def _write(file: Path, text: str) -> Path:
    if file.exists():
        raise ConfigError(f"{file} is there already")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file
