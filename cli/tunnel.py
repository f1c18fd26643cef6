"""A public address for a port on this machine: by pinggy's SDK, or by any command that prints the address it made."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from queue import Empty, Queue
from typing import IO, Any

from cli.errors import TunnelFailedError
from events.embedded import ending_with_us

_START_SECONDS = 30.0
_STOP_SECONDS = 5.0
_URL = re.compile(r"https?://[^\s|\"'<>]+")
# What cloudflared prints besides the address of the tunnel.
_OTHERS = ("://developers.cloudflare.com", "://www.cloudflare.com")


@contextmanager
def tunnel_to(port: int, command: str | None) -> Iterator[str]:
    """The public base URL of *port* on loopback, while the block runs.

    *command* makes it where there is one: ``{port}`` in it is replaced, and the first address that it prints counts.
    Raises :class:`TunnelFailedError`.
    """
    with _by_command(command, port) if command else _by_pinggy(port) as url:
        yield url.rstrip("/")


@contextmanager
def _by_pinggy(port: int) -> Iterator[str]:
    try:
        import pinggy
    except ImportError:
        raise TunnelFailedError(
            "a tunnel needs what the extra `tunnel` installs: pip install 'truto-worker[tunnel]', or --tunnel-command"
        ) from None
    # Without the internet its call does not come back, and no signal reaches it.
    found: Queue[Any] = Queue()
    start = partial(pinggy.start_tunnel, forwardto=f"localhost:{port}")
    threading.Thread(target=_start, args=(start, found), daemon=True).start()
    try:
        tunnel = found.get(timeout=_START_SECONDS)
    except Empty:
        raise TunnelFailedError(f"pinggy gave no tunnel in {_START_SECONDS:g} s: is the internet there?") from None
    if isinstance(tunnel, Exception):
        raise TunnelFailedError(f"pinggy gave no tunnel: {tunnel}")
    try:
        yield next((url for url in tunnel.urls if url.startswith("https://")), tunnel.urls[0])
    finally:
        tunnel.stop()


def _start(start: Callable[[], object], found: Queue[Any]) -> None:
    try:
        found.put(start())
    except Exception as exc:  # noqa: BLE001  whatever it raises belongs to whoever waits
        found.put(exc)


@contextmanager
def _by_command(command: str, port: int) -> Iterator[str]:
    arguments = shlex.split(command.replace("{port}", str(port)))
    if not arguments or shutil.which(arguments[0]) is None:
        raise TunnelFailedError(
            f"the tunnel's command cannot be run: there is no {' '.join(arguments[:1]) or 'command'}"
        )
    try:
        popen = subprocess.Popen(  # noqa: S603  the developer's own command
            ending_with_us(arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as exc:
        raise TunnelFailedError(f"the tunnel's command cannot be run: {exc}") from None
    try:
        yield _address(popen)
    finally:
        popen.terminate()
        with suppress(subprocess.TimeoutExpired):
            popen.wait(_STOP_SECONDS)
        popen.kill()
        popen.wait()


def _address(popen: subprocess.Popen[str]) -> str:
    assert popen.stdout is not None
    found: Queue[str | None] = Queue()
    # It is read to the end: a command that nobody listens to would stop at a full pipe.
    threading.Thread(target=_read, args=(popen.stdout, found), daemon=True).start()
    try:
        address = found.get(timeout=_START_SECONDS)
    except Empty:
        raise TunnelFailedError(f"the tunnel's command has printed no address within {_START_SECONDS:g} s") from None
    if address is None:
        raise TunnelFailedError("the tunnel's command has ended, and printed no address")
    return address


def _read(output: IO[str], found: Queue[str | None]) -> None:
    with output:
        for line in output:
            for address in _URL.findall(line):
                if not any(other in address for other in _OTHERS):
                    found.put(address)
    found.put(None)
