"""A sandbox, an ingress and a worker as processes of their own, and what can stand between them."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cli.processes import Process, Processes, free_port

TOKEN = "sandbox-token"
_START_SECONDS = 60.0
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(method: str, url: str, body: object = None) -> Any:
    """One call of the sandbox, with its token."""
    data = None if body is None else json.dumps(body).encode()
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    with _DIRECT.open(urllib.request.Request(url, data, headers, method=method), timeout=20) as response:
        return json.loads(response.read() or b"{}")


@dataclass
class Installation:
    """What runs, and commands in an empty folder that know of it by their environment alone."""

    folder: Path
    redis_url: str
    processes: Processes
    sandbox_url: str = ""
    ingress_url: str = ""
    environment: dict[str, str] = field(default_factory=dict)

    def start_sandbox(self, *options: str) -> Process:
        port = free_port()
        self.sandbox_url = f"http://127.0.0.1:{port}"
        self.environment |= {"TRUTO_API_URL": self.sandbox_url, "TRUTO_API_TOKEN": TOKEN, "REDIS_URL": self.redis_url}
        process = self.processes.start(
            "sandbox", ["sandbox", "--port", str(port), *options], {"TRUTO_API_TOKEN": TOKEN}
        )
        self.processes.wait_until_up(process, f"{self.sandbox_url}/sandbox/faults", _START_SECONDS)
        return process

    def start_ingress(self, **settings: str) -> Process:
        port = free_port()
        self.ingress_url = f"http://127.0.0.1:{port}"
        given = {"TRUTO_WEBHOOK_SECRET": "stored", "PORT": str(port), "ADMIN_PORT": "off", **settings}
        process = self.processes.start("ingress", ["ingress"], {**self.environment, **given})
        self.processes.wait_until_up(process, f"{self.ingress_url}/readyz", _START_SECONDS)
        return process

    def start_worker(self, **settings: str) -> Process:
        return self.processes.start("worker", ["worker"], {**self.environment, **settings})

    def run(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRUTO_", "REDIS_"))}
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=self.folder,
            env={**kept, **self.environment, **settings},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def api(self, method: str, path: str, body: object = None) -> Any:
        return call(method, self.sandbox_url + path, body)

    def webhooks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api("GET", "/webhook")["result"]
        return found


@contextmanager
def installed(folder: Path, redis_url: str) -> Iterator[Installation]:
    """Nothing runs yet; everything that was started ends with the block."""
    logs, empty = folder / "logs", folder / "empty"
    logs.mkdir()
    empty.mkdir()
    with Processes(logs=logs) as processes:
        yield Installation(empty, redis_url, processes)


def eventually(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What *holds* gives as soon as it is true; an assertion error after *seconds*."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


@dataclass
class Answering:
    """A server on loopback that answers every POST by ``answer(path, headers, body)``: status and body."""

    answer: Callable[[str, dict[str, str], bytes], tuple[int, bytes]]
    certificate: Path | None = None

    def __enter__(self) -> str:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                status, content = answer(self.path, dict(self.headers.items()), body)
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        scheme = "http"
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
            scheme = "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def forwarding(to: str, **headers: str | None) -> Callable[[str, dict[str, str], bytes], tuple[int, bytes]]:
    """Pass on to *to*; a header that is given is replaced, or left out where it is ``None``."""

    def forward(path: str, given: dict[str, str], body: bytes) -> tuple[int, bytes]:
        passed = {name: value for name, value in given.items() if name.lower() not in ("host", "content-length")}
        for name, value in headers.items():
            passed = {k: v for k, v in passed.items() if k.lower() != name.replace("_", "-")}
            if value is not None:
                passed[name.replace("_", "-")] = value
        request = urllib.request.Request(to + path, body, passed, method="POST")
        try:
            with _DIRECT.open(request, timeout=10) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as exc:
            return exc.code, exc.read()

    return forward
