"""The machine here: settings, versions, sources, handlers, workflows, and the disk of the spool."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from cli.checks.finding import Finding, beside
from cli.handling import Handling
from cli.printing import counted
from cli.settings import (
    DEFAULT_SOURCES,
    IngressSettings,
    ProcessSettings,
    WorkerSettings,
    misspelt_settings,
    read_settings,
)
from events import ConfigError

DISTRIBUTION = "truto-worker"
NETWORK_DISKS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "glusterfs", "fuse.sshfs", "afs"})
_PINNED = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([A-Za-z0-9.!+-]+)(?!.*extra ==)")
_FAULT = re.compile(r"^([A-Z][A-Z0-9_]*):? (.*)$", re.DOTALL)


async def check_settings() -> list[Finding]:
    """The settings of the ingress and of the worker, as far as this environment has them."""
    found: list[Finding] = []
    kinds: dict[str, tuple[type[ProcessSettings], bool]] = {
        "ingress": (IngressSettings, _set("TRUTO_WEBHOOK_SECRET") or _set("SOURCES_FILE") or DEFAULT_SOURCES.is_file()),
        "worker": (WorkerSettings, _set("TRUTO_API_TOKEN")),
    }
    here = [name for name, (_, there) in kinds.items() if there] or list(kinds)
    for name in here:
        try:
            read_settings(kinds[name][0], **_one_shard())
            found.append(Finding("settings", f"those of the {name} can be used"))
        except ConfigError as exc:
            found += [_setting_fault(line) for line in str(exc).splitlines()]
    found += [Finding("settings", f"those of the {name} are not set here") for name in kinds if name not in here]
    for name, meant in misspelt_settings(os.environ).items():
        found.append(Finding("settings", f"{name} is set, and is no setting", f"did you mean {meant}?"))
    return list(dict.fromkeys(found))


def _set(name: str) -> bool:
    return bool(os.environ.get(name, "").strip())


def _one_shard() -> dict[str, str]:
    return {"redis_shard": "1"} if len(os.environ.get("REDIS_URL", "").split()) > 1 else {}


def _setting_fault(line: str) -> Finding:
    named = _FAULT.match(line)
    if named is None:
        return Finding("settings", line, "correct it")
    name, text = named.groups()
    remedy = text.partition(": ")[2]
    if text.startswith("is not set"):
        return Finding("settings", f"{name} is not set", remedy or "set it")
    return Finding("settings", f"{name} cannot be used", text)


async def check_versions() -> list[Finding]:
    """Python, and the packages that have to be of exactly one version."""
    found = [Finding("versions", f"Python {sys.version.split()[0]}")]
    try:
        required = metadata.requires(DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        return [*found, Finding("versions", "truto-worker is not installed as a package", "pip install .")]
    wrong = wrong_versions(required, {name: _version(name) for name in _pinned(required)})
    return found + (wrong or [Finding("versions", f"{counted(len(required), 'package')} as they are needed")])


def _pinned(required: Iterable[str]) -> dict[str, str]:
    found = (_PINNED.match(one) for one in required)
    return {match[1]: match[2] for match in found if match}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def wrong_versions(required: Iterable[str], installed: Mapping[str, str | None]) -> list[Finding]:
    """The packages that are pinned, and not *installed* in that version."""
    return [
        Finding("versions", f"{name} is {installed.get(name) or 'missing'}, and has to be {version}", "pip install .")
        for name, version in _pinned(required).items()
        if installed.get(name) != version
    ]


async def check_sources() -> list[Finding]:
    """``sources.yaml``: whether it loads, and whether each source can ever accept something."""
    from cli.sources import sources_file

    path = sources_file(None)
    if path is None:
        return [Finding("sources", "Truto alone: there is no sources.yaml")]
    return await beside(lambda: _look_at_sources(path))


def _look_at_sources(path: Path) -> list[Finding]:
    from cli.sources import faults_of
    from ingress.errors import BadSources
    from ingress.sources.loading import load_sources

    try:
        sources = load_sources(path, os.environ, public_url=os.environ.get("PUBLIC_URL", "").strip().rstrip("/"))
    except BadSources as exc:
        return [Finding("sources", line, "truto-worker sources check") for line in str(exc).splitlines()]
    found = [
        Finding("sources", f"{path}: {fault}", "truto-worker sources check")
        for source in sources.values()
        for fault in faults_of(source, path)
    ]
    return found or [Finding("sources", f"{counted(len(sources), 'source')}: {', '.join(sorted(sources))}")]


def check_handling(handling: Handling) -> list[Finding]:
    """Handlers and workflows, as they were read."""
    found = [Finding("handlers", line, "correct it, or take its package out of HANDLERS") for line in handling.faults]
    if not handling.handlers and not handling.workflows:
        found.append(Finding("handlers", "there are none", "write one (README.md), or set HANDLERS"))
    found += _twice(handling)
    for name, pattern, meant in handling.misspelt:
        what = f"{name} waits for {pattern}, which Truto does not send"
        found.append(Finding("handlers", what, f"did you mean {meant}?"))
    names = f"{counted(len(handling.handlers), 'handler')} and {counted(len(handling.workflows), 'workflow')}"
    return found or [Finding("handlers", names)]


def _twice(handling: Handling) -> list[Finding]:
    """Handlers of one module for exactly the same pattern, of which one was probably meant to replace the other."""
    by_pattern: defaultdict[tuple[str, str | None, str], list[str]] = defaultdict(list)
    for name, (patterns, source) in handling.handlers.items():
        for pattern in patterns:
            by_pattern[pattern, source, name.rpartition(".")[0]].append(name)
    return [
        Finding("handlers", f"{' and '.join(names)} both take {pattern}", "each runs: remove one, unless that is meant")
        for (pattern, _, _), names in by_pattern.items()
        if len(names) > 1
    ]


async def check_spool() -> list[Finding]:
    """The folder where deliveries wait while Redis is away."""
    given = os.environ.get("SPOOL_DIR", "").strip()
    if not given:
        return [Finding("spool", "none: while Redis is away, deliveries are answered with 503 (SPOOL_DIR)")]
    most = int(os.environ.get("SPOOL_MAX_BYTES", "").strip() or IngressSettings.model_fields["spool_max_bytes"].default)
    return await beside(lambda: _look_at_spool(Path(given), most))


def _look_at_spool(folder: Path, most: int) -> list[Finding]:
    if not folder.is_dir():
        return [Finding("spool", f"{folder} is no folder", "make it, for the user that the ingress runs as")]
    if not os.access(folder, os.W_OK | os.X_OK):
        return [Finding("spool", f"{folder} cannot be written to", "give it to the user of the ingress (chown)")]
    found = []
    disk = disk_of(folder.resolve(), _mounts())
    if disk in NETWORK_DISKS:
        found.append(Finding("spool", f"{folder} is on a network disk ({disk})", "use a disk of this machine"))
    free = shutil.disk_usage(folder).free
    if free < most:
        what = f"{folder} has {free // 2**20} MiB left, less than SPOOL_MAX_BYTES ({most // 2**20} MiB)"
        found.append(Finding("spool", what, "free some, or lower SPOOL_MAX_BYTES"))
    if damaged := sorted(folder.rglob("*.corrupt")):
        what = f"{counted(len(damaged), 'damaged record')} set aside, such as {damaged[0].name}"
        found.append(Finding("spool", what, "look at them, then remove the files"))
    if waiting := [path for path in folder.rglob("*.spool") if path.stat().st_size]:
        size = sum(path.stat().st_size for path in waiting)
        what = f"{size} bytes of deliveries wait for Redis"
        found.append(Finding("spool", what, "start the ingress with this SPOOL_DIR, and Redis, to bring them over"))
    return found or [Finding("spool", f"{folder}: writable, {free // 2**20} MiB free")]


def _mounts() -> list[tuple[str, str]]:
    """Where file systems are mounted, and their kinds; empty where the system does not say."""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return []
    return [(parts[1].encode().decode("unicode_escape"), parts[2]) for line in lines if len(parts := line.split()) > 2]


def disk_of(folder: Path, mounts: Iterable[tuple[str, str]]) -> str:
    """The kind of file system on which *folder* lies; empty where that is not known."""
    fitting = [(where, kind) for where, kind in mounts if folder.is_relative_to(where)]
    return max(fitting, key=lambda mount: len(mount[0]), default=("", ""))[1]
