"""The one package of this distribution whose name is surely its own: the way in, which says who stands in its way."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_HOME = Path(__file__).absolute().parents[1]
_OURS = ("cli", "console", "events", "handlers", "ingress", "sandbox", "truto", "worker", "workflows")
_MERGED = "handlers"
"""A folder of this name is meant to lie beside ours: worker/loading.py reads both."""


def main() -> None:
    """Run the command line. If another package hides one of ours, end with code 2 and name it."""
    if faults := [fault for name in _OURS if name != _MERGED and (fault := _hidden(name))]:
        _refuse(faults)
    try:
        from cli.main import main as run

        run()
    except ImportError as exc:
        if not (fault := _overwritten(exc)):
            raise
        _refuse([fault])


def _refuse(faults: list[str]) -> None:
    sys.stderr.write("\n  - ".join(["truto-worker cannot start:", *faults]) + "\n")
    sys.exit(2)


def _place(name: str) -> Path | None:
    """The folder from which Python would import the package *name*."""
    spec = importlib.util.find_spec(name)
    places = list((spec and spec.submodule_search_locations) or ())
    if spec is None or (not places and spec.origin is None):
        return None
    return Path(places[0] if places else str(spec.origin)).absolute()


def _hidden(name: str) -> str:
    """What hides our package *name*; nothing where nothing does."""
    found = _place(name) if (_HOME / name).is_dir() else None
    if found is None or found.parent.samefile(_HOME):
        return ""
    return (
        f"`{name}` is imported from {found}, and is not truto-worker's: rename it, or take {found.parent} off the path "
        "(PYTHONPATH). Handlers need no PYTHONPATH: they are found from the working directory"
    )


def _overwritten(error: ImportError) -> str:
    """Which package of ours another distribution has written into, if that is what *error* is about."""
    name = (error.name or "").partition(".")[0]
    found = _place(name) if name in _OURS else None
    if found is None:
        return ""
    if not found.parent.samefile(_HOME):
        return _hidden(name)
    return (
        f"{found} is not as truto-worker brought it: another package has written into it (PyPI's Events does). "
        "Remove that one, then install truto-worker anew, or give it an environment of its own"
    )
