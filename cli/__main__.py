"""``truto-worker``, and ``python -m cli``: names the package that hides one of ours."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_HOME = Path(__file__).resolve().parents[1]
_OURS = frozenset({"console", "events", "ingress", "sandbox", "truto", "worker", "workflows"})


def main() -> None:
    """Run the command line; where another package stands in the place of ours, end with code 2 and say which."""
    try:
        from cli.main import main as run

        run()
    except ImportError as exc:
        fault = _collision(exc)
        if not fault:
            raise
        print(f"truto-worker cannot start:\n  - {fault}", file=sys.stderr)
        sys.exit(2)


def _collision(error: ImportError) -> str:
    """What stands in the place of the package of ours that *error* is about; nothing where it is another one."""
    name = (error.name or "").partition(".")[0]
    spec = importlib.util.find_spec(name) if name in _OURS else None
    if spec is None or not spec.submodule_search_locations:
        return ""
    found = Path(next(iter(spec.submodule_search_locations))).resolve()
    if found.parent != _HOME:
        way_out = f"rename it, or take {found.parent} off the path"
        return f"`{name}` is imported from {found}, and is not truto-worker's: {way_out}"
    return (
        f"{found} is not as truto-worker brought it: another package has written into it (PyPI's Events does). "
        "Remove that one, then install truto-worker anew, or give it an environment of its own"
    )


if __name__ == "__main__":
    main()
