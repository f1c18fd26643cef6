"""Run the service's processes beneath a command, and end every one of them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO

from cli.errors import ProcessFailedError
from events.embedded import ending_with_us

_STOP_SECONDS = 15.0
_ENDINGS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Process:
    """One of our commands, running."""

    name: str
    popen: subprocess.Popen[bytes]
    log: Path | None

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.popen.pid

    def log_tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:] if self.log and self.log.exists() else ""


@dataclass
class Processes:
    """The processes of one command. On leaving, all are stopped in reverse order, by SIGTERM, then SIGKILL.

    With *logs*, each writes to a file there; without, all write to our own terminal.
    """

    logs: Path | None = None
    _running: list[Process] = field(default_factory=list)

    def start(self, name: str, arguments: list[str], environment: Mapping[str, str]) -> Process:
        """Start ``truto-worker`` with *arguments*; *environment* is added to our own."""
        log = self.logs / f"{name}.log" if self.logs else None
        output: IO[bytes] | None = log.open("wb") if log else None
        try:
            popen = subprocess.Popen(  # noqa: S603  our own interpreter and our own command
                # -P: what lies in the working directory must not take the place of our packages.
                ending_with_us([sys.executable, "-P", "-m", "truto_worker", *arguments]),
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                # Ctrl-C is ours to pass on, so that everything ends in order.
                start_new_session=True,
            )
        finally:
            if output:
                output.close()
        process = Process(name, popen, log)
        self._running.append(process)
        return process

    def wait_until_up(self, process: Process, url: str, seconds: float = 20.0) -> None:
        """Return when *url* answers 200. Raises :class:`ProcessFailedError` when it does not in time."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.check(process)
            try:
                with opener.open(url, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.03)
        raise ProcessFailedError(f"{process.name} did not answer at {url}\n{process.log_tail()}")

    def check(self, process: Process) -> None:
        """Raise :class:`ProcessFailedError` if *process* has ended."""
        if (code := process.popen.poll()) is not None:
            raise ProcessFailedError(f"{process.name} ended with code {code}\n{process.log_tail()}")

    def check_all_but(self, spared: Process) -> None:
        """Raise :class:`ProcessFailedError` if any process has ended, other than *spared*."""
        for process in self._running:
            if process is not spared:
                self.check(process)

    def stop(self, process: Process) -> None:
        """End one process, with time to drain. Does nothing for one that has ended."""
        if process in self._running:
            self._running.remove(process)
        if process.popen.poll() is None:
            process.popen.send_signal(signal.SIGTERM)
            try:
                process.popen.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.popen.kill()
        process.popen.wait()

    def __enter__(self) -> Processes:
        """Nothing is started yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        for process in reversed(list(self._running)):
            self.stop(process)


def port_is_free(port: int) -> bool:
    """Whether a process could listen on this loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_in_order() -> None:
    """Turn the next SIGINT or SIGTERM into ``KeyboardInterrupt``, and ignore those that follow while all is stopped."""
    # SIGINT too: a shell that starts us in the background has it ignored, and Python then leaves it so.
    for number in _ENDINGS:
        signal.signal(number, _interrupt)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    for number in _ENDINGS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
