"""The state in a file, for those who want it to outlive the process.

Two lines: a header with the format's number and a checksum, then the state as JSON. Written whole beside the old
file and moved over it, so that a file is always one state or the other; readable by its owner only, since tokens
and secrets are in it. Logs are not part of it.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import orjson

from sandbox.errors import StateFileError
from sandbox.faults import Faults
from sandbox.state import LinkToken, State, StoredFile, Table

log = logging.getLogger(__name__)

_MAGIC = "truto-sandbox-state"
_FORMAT = "1"
_EVERY_SECONDS = 0.5


class StateFile:
    """Reads a state from *path* and keeps it there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = b""
        self._trouble = ""

    def load(self, state: State) -> bool:
        """Take the state over; ``False`` where there is no file yet. Raises :class:`StateFileError`."""
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return False
        except OSError as exc:
            raise StateFileError(f"{self._path} cannot be read: {exc.strerror}") from exc
        header, _, body = content.partition(b"\n")
        words = header.decode("ascii", "replace").split(" ")
        if len(words) != 3 or words[0] != _MAGIC:
            raise self._unusable("is not a state of the sandbox")
        if words[1] != _FORMAT:
            raise self._unusable(f"has format {words[1]}, and this version reads {_FORMAT}")
        if words[2] != hashlib.sha256(body).hexdigest():
            raise self._unusable("is damaged: its checksum does not match")
        restore(state, orjson.loads(body))
        self._written = content
        return True

    def save(self, state: State) -> None:
        """Write the state where it differs from what was written last. Raises :class:`StateFileError`."""
        body = orjson.dumps(dump(state), option=orjson.OPT_NON_STR_KEYS)
        content = b"%s %s %s\n" % (_MAGIC.encode(), _FORMAT.encode(), hashlib.sha256(body).hexdigest().encode()) + body
        if content == self._written:
            return
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            temporary.touch(mode=0o600)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise StateFileError(f"{self._path} cannot be written: {exc.strerror}") from None
        self._written = content

    async def keep(self, state: State) -> None:
        """Save every half second until cancelled."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            self.try_to_save(state)

    def try_to_save(self, state: State) -> None:
        """Save, or say in the log why not, once for each cause: the disk may have room again later."""
        try:
            self.save(state)
            self._trouble = ""
        except StateFileError as exc:
            # Without a traceback: the state's secrets are in its frames.
            if str(exc) != self._trouble:
                log.error("sandbox_state_save_failed: %s", exc)
            self._trouble = str(exc)

    def _unusable(self, why: str) -> StateFileError:
        return StateFileError(f"{self._path} {why}. Move it away to begin anew, or name another file.")


def dump(state: State) -> dict[str, Any]:
    """Everything but the logs, as JSON."""
    return {
        "tables": {name: table.dump() for name, table in _tables(state).items()},
        "platform": {path: table.dump() for path, table in state.platform.items()},
        "records": state.records.dump(),
        "link_tokens": {token: asdict(each) for token, each in state.link_tokens.items()},
        "account_tokens": state.account_tokens,
        "faults": state.faults.as_dict(),
        "files": {
            file_id: [each.name, each.media_type, base64.b64encode(each.content).decode()]
            for file_id, each in state.files.items()
        },
    }


def restore(state: State, dumped: Mapping[str, Any]) -> None:
    """Take over what :func:`dump` gave; a table it does not know keeps what it has."""
    tables = _tables(state)
    for name, rows in dumped["tables"].items():
        if name in tables:
            tables[name].restore(rows)
    for path, rows in dumped["platform"].items():
        state.platform[path].restore(rows)
    for install in state.installs.rows():
        # Stored twice, and one object in memory: a change of the integration shows in its installations.
        install["integration"] = state.platform["/integration"].get(install["integration_id"]) or install["integration"]
    state.records.load(dumped["records"])
    state.link_tokens = {token: LinkToken(**each) for token, each in dumped["link_tokens"].items()}
    state.account_tokens = {token: (account, until) for token, (account, until) in dumped["account_tokens"].items()}
    state.faults = Faults.parse(dumped["faults"])
    state.files = {
        file_id: StoredFile(name, media_type, base64.b64decode(content))
        for file_id, (name, media_type, content) in dumped["files"].items()
    }


def _tables(state: State) -> dict[str, Table]:
    found = {each.name: getattr(state, each.name) for each in fields(state)}
    return {name: value for name, value in found.items() if isinstance(value, Table)}
