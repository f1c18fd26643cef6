"""Import the handler modules, so that they register themselves."""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from events import ConfigError
from truto.faults import did_you_mean
from worker.cause import own_frames, shortened
from worker.registry import registry

BUILT_IN = "handlers"
"""The package of built-in handlers. A folder of this name in the working directory lies beside it."""

_HOME = Path(__file__).resolve().parents[1]
BUILT_IN_FOLDER = _HOME / BUILT_IN
_OFF = "-"


def load_handlers(packages: Iterable[str]) -> list[str]:
    """Import every module of *packages* and return their names.

    A name with a dash in front, ``-handlers.record`` or ``-handlers.record.read_record``, switches a module or a
    handler off. The current directory comes first on the import path, so a team's own folder is found where it is
    deployed. Its ``handlers/`` is loaded beside the built-in one, and a module there takes the place of the built-in
    one of its name.

    Raises :class:`ConfigError` naming every module that cannot be imported, and why.
    """
    wanted, off = _split(packages)
    _come_first(Path.cwd())
    faults: list[str] = []
    loaded = [name for package in wanted for name in _load(package, off, faults)]
    faults += [fault for package in wanted if (fault := _left_out(package))]
    if not faults:
        faults = [_nothing_to_switch_off(name) for name in sorted(off) if not _switch_off(name)]
    if faults:
        raise ConfigError("\n".join(faults))
    return loaded


def handler_folders(packages: Iterable[str]) -> list[str]:
    """The folders, and single files, from which :func:`load_handlers` would take modules. Unknown names have none."""
    _come_first(Path.cwd())
    return [place for package in _split(packages)[0] for place in _places(package)]


def own_package(packages: Iterable[str]) -> str:
    """The package for a team's new handlers: the first that is not the built-in one, else the folder of its name."""
    return next((package for package in _split(packages)[0] if package != BUILT_IN), BUILT_IN)


def modules_of(package: str) -> set[str]:
    """The names of the modules, and other files, that lie in *package*."""
    return {path.stem for place in _places(package) for path in Path(place).glob("*")}


def _split(packages: Iterable[str]) -> tuple[list[str], set[str]]:
    names = [name.strip() for name in packages]
    off = {name.removeprefix(_OFF).strip() for name in names if name.startswith(_OFF)}
    return [name for name in names if not name.startswith(_OFF)], off


def _come_first(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _places(package: str) -> list[str]:
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return []
    if spec is None or (spec.submodule_search_locations is None and not spec.origin):
        return []
    return _beside(package, list(spec.submodule_search_locations or [str(spec.origin)]))


def _beside(package: str, places: Sequence[str]) -> list[str]:
    """The folders of *package*: for the built-in one, first that of its name in the working directory."""
    if package != BUILT_IN:
        return list(places)
    folders = [folder for folder in (Path.cwd() / BUILT_IN, _HOME / BUILT_IN) if folder.is_dir()]
    return list(dict.fromkeys(map(str, folders)))


def _load(name: str, off: set[str], faults: list[str]) -> list[str]:
    """Import a module and its submodules, each once: a second import of a broken module would hide the cause."""
    if name in off:
        return []
    module = _import(name, faults)
    if module is None:
        return []
    below = (f"{name}.{found}" for found in _below(name, module))
    return [name, *(loaded for child in below for loaded in _load(child, off, faults))]


def _below(name: str, module: ModuleType) -> Iterator[str]:
    """What lies in the folders of a package: modules, packages, and folders of modules without an ``__init__.py``."""
    if not hasattr(module, "__path__"):
        return
    if name == BUILT_IN:
        module.__path__ = _beside(name, list(module.__path__))
    found = [info.name for info in pkgutil.iter_modules(module.__path__)]
    folders = (folder for place in module.__path__ for folder in sorted(Path(place).glob("*/")) if folder.is_dir())
    plain = [folder.name for folder in folders if folder.name.isidentifier() and any(folder.glob("*.py"))]
    yield from dict.fromkeys([*found, *plain])


def _import(name: str, faults: list[str]) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except ConfigError as exc:
        faults.append(f"{name}: {exc}{_line(exc)}")
    except (Exception, SystemExit) as exc:  # noqa: BLE001  whatever a module raises at import, name the module
        faults.append(f"HANDLERS: {name} cannot be imported: {_reason(exc)}{_line(exc)}{_way_out(exc)}")
    return None


def _reason(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, KeyError) and frames and frames[-1].filename in ("<frozen os>", os.__file__):
        return f"the environment has no {error.args[0]}"
    return f"{type(error).__name__}: {error}"


def _line(error: BaseException) -> str:
    """Where the team's code was when *error* arose; a syntax error says so itself."""
    frames = own_frames(error)
    return f" ({shortened(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""


def _way_out(error: BaseException) -> str:
    """What to do where a module asks for a package of the team's that one of ours hides."""
    top = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
    if (
        top == BUILT_IN
        or not (_HOME / top).is_dir()
        or not (Path.cwd() / top).is_dir()
        or Path.cwd() == _HOME
        or not top
    ):
        return ""
    return f"; `{top}` is truto-worker's own package here, and hides your {Path.cwd() / top}: rename yours"


def _left_out(package: str) -> str:
    """The fault if a folder of the team's looks like *package*, but another package of that name was imported."""
    folder = Path.cwd().joinpath(*package.split("."))
    imported = map(Path, getattr(sys.modules.get(package), "__path__", ()))
    if (folder / "__init__.py").exists() or not any(folder.glob("*.py")) or folder in imported:
        return ""
    return f"HANDLERS: {folder} has no __init__.py, and another `{package}` was imported instead: add an empty one"


def _switch_off(name: str) -> bool:
    """Whether there was a module or a handler of this *name*, which is off now."""
    try:
        is_module = importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        is_module = False
    return registry.remove(name) or is_module


def _nothing_to_switch_off(name: str) -> str:
    return f"HANDLERS: there is no {name} to switch off{did_you_mean(name, registry.names())}"
