"""Worker processes as they are deployed, for tests that kill them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent

PRELUDE = """
import asyncio
import os
from pathlib import Path

from events import Event
from worker import Backoff, Context, on

HERE = Path(__file__).parent


def say(word: str) -> None:
    with (HERE / "said.txt").open("a") as file:
        file.write(word + "\\n")

"""


class Team:
    """A package of handlers in a folder of its own; what they ``say`` can be read line by line."""

    def __init__(self, folder: Path, redis_url: str, handlers: str) -> None:
        self._folder = folder
        self._url = redis_url
        package = folder / "team"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "orders.py").write_text(PRELUDE + dedent(handlers))
        self._said = package / "said.txt"

    def said(self) -> list[str]:
        """Everything that was said, by all processes."""
        return self._said.read_text().splitlines() if self._said.exists() else []

    @contextmanager
    def worker(self, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker process with leases of a second; killed at the end of the block at the latest."""
        with (self._folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "cli", "worker"],
                cwd=self._folder,
                env={
                    **os.environ,
                    "REDIS_URL": self._url,
                    "TRUTO_API_TOKEN": "sandbox-token",
                    "TRUTO_API_URL": "http://127.0.0.1:9",
                    "HANDLERS": "team",
                    "LEASE_SECONDS": "1",
                    **settings,
                },
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
