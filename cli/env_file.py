"""One setting in a file of settings, such as ``.env``, put there without touching the others."""

from __future__ import annotations

import os
import re
from pathlib import Path

from cli.errors import CheckFailedError


def set_in_file(path: Path, name: str, value: str) -> None:
    """Set *name* in the file at *path*, which only its owner may read from then on; a second call changes nothing.

    Raises :class:`CheckFailedError` where it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        before = path.read_text() if path.exists() else ""
        temporary.touch(mode=0o600)
        temporary.write_text(with_setting(before, name, value))
        temporary.replace(path)
    except OSError as exc:
        temporary.unlink(missing_ok=True)
        raise CheckFailedError(f"{path} cannot be written ({exc.strerror})", "name another file with --write") from None


def with_setting(text: str, name: str, value: str) -> str:
    """*text* with its first line for *name* replaced, its others for it taken out, or a line added."""
    line, found, lines = f"{name}={value}", False, []
    for each in text.splitlines():
        if not re.match(rf"\s*(?:export\s+)?{re.escape(name)}\s*=", each):
            lines.append(each)
        elif not found:
            found = True
            lines.append(line)
    return "\n".join(lines if found else [*lines, line]) + "\n"
