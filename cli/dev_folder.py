"""What ``truto-worker dev`` keeps in its folder, for its next start and for other commands."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from cli.sandbox_settings import SenderSettings
from cli.settings import STORED, read_settings

FOLDER = Path(".truto-worker")
"""Where ``dev`` keeps its Redis data and its secret; delete it to start afresh."""

_SECRET_FILE = "dev-secret"  # noqa: S105  a file's name
_ADDRESSES_FILE = "dev-addresses.json"


@contextmanager
def announced(ingress_url: str, sandbox_url: str) -> Iterator[None]:
    """Tell other commands in this folder where everything is."""
    file = FOLDER / _ADDRESSES_FILE
    file.write_text(json.dumps({"ingress": ingress_url, "sandbox": sandbox_url}))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def read_dev_address(process: Literal["ingress", "sandbox"], folder: Path = FOLDER) -> str | None:
    """The base URL of a process of the ``dev`` that runs in this folder; ``None`` where none does."""
    try:
        found = json.loads((folder / _ADDRESSES_FILE).read_text())
    except (OSError, ValueError):
        return None
    return str(found[process])


def read_dev_secret(folder: Path = FOLDER) -> str | None:
    """The webhook secret of the last ``dev`` in this folder; ``None`` when there was none."""
    try:
        return (folder / _SECRET_FILE).read_text().strip() or None
    except OSError:
        return None


def own_secret() -> str:
    """The webhook secret for ``dev``: the environment's, else that of the last time, else a new one."""
    given = read_settings(SenderSettings).first_secret
    secret = (given if given != STORED else None) or read_dev_secret() or str(uuid.uuid4())
    FOLDER.mkdir(exist_ok=True)
    file = FOLDER / _SECRET_FILE
    file.touch(mode=0o600)
    file.write_text(secret)
    return secret
