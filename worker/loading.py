"""Import the handler modules, so that they register themselves."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path

from worker.errors import ConfigError


def load_handlers(packages: Iterable[str]) -> list[str]:
    """Import every module of *packages* and return their names.

    The current directory comes first on the import path, so a team's ``handlers/`` is found where it is deployed.
    Raises :class:`ConfigError` naming every module that cannot be imported, and why.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    faults: list[str] = []
    names = [name for package in packages for name in _modules(package, faults)]
    loaded = [name for name in names if _import(name, faults) is not None]
    if faults:
        raise ConfigError("\n".join(faults))
    return loaded


def _modules(package: str, faults: list[str]) -> list[str]:
    module = _import(package, faults)
    if module is None:
        return []
    path = getattr(module, "__path__", None)
    below = pkgutil.walk_packages(path, prefix=f"{package}.") if path is not None else ()
    return [package, *(info.name for info in below)]


def _import(name: str, faults: list[str]) -> object | None:
    try:
        return importlib.import_module(name)
    except ConfigError as exc:
        faults.append(f"{name}: {exc}")
    except Exception as exc:  # noqa: BLE001  whatever a handler module does at import, say which one did it
        faults.append(f"HANDLERS: {name} cannot be imported: {type(exc).__name__}: {exc}")
    return None
