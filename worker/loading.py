"""Import the handler modules, so that they register themselves."""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Iterable
from pathlib import Path

from events import ConfigError


def load_handlers(packages: Iterable[str]) -> list[str]:
    """Import every module of *packages* and return their names.

    The current directory comes first on the import path, so a team's ``handlers/`` is found where it is deployed.
    Raises :class:`ConfigError` naming every module that cannot be imported, and why.
    """
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    faults: list[str] = []
    loaded = [name for package in packages for name in _load(package, faults)]
    faults += [fault for package in packages if (fault := _left_out(Path(here, *package.split(".")), package))]
    if faults:
        raise ConfigError("\n".join(faults))
    return loaded


def _load(name: str, faults: list[str]) -> list[str]:
    """Import a module and its submodules, each once: a second import of a broken module would hide the cause."""
    module = _import(name, faults)
    if module is None:
        return []
    below = pkgutil.iter_modules(getattr(module, "__path__", ()), prefix=f"{name}.")
    return [name, *(loaded for info in below for loaded in _load(info.name, faults))]


def _import(name: str, faults: list[str]) -> object | None:
    try:
        return importlib.import_module(name)
    except ConfigError as exc:
        faults.append(f"{name}: {exc}")
    except (Exception, SystemExit) as exc:  # noqa: BLE001  whatever a module raises at import, name the module
        faults.append(f"HANDLERS: {name} cannot be imported: {type(exc).__name__}: {exc}")
    return None


def _left_out(folder: Path, package: str) -> str:
    """The fault if *folder* looks like *package*, but another package of that name was imported."""
    imported = map(Path, getattr(sys.modules.get(package), "__path__", ()))
    if (folder / "__init__.py").exists() or not any(folder.glob("*.py")) or folder in imported:
        return ""
    return f"HANDLERS: {folder} has no __init__.py, and another `{package}` was imported instead: add an empty one"
