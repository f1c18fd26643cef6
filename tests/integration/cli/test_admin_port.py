"""The admin port of real ingress processes: where it is, what follows when it is taken, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import orjson
import pytest
from structlog.testing import capture_logs

from cli.listening import listen_for_operators
from cli.processes import Process, Processes
from cli.settings import IngressSettings
from events import ConfigError
from events.embedded import EmbeddedRedis
from tests.integration.ingress.edge import SECRET
from tests.servers import free_port


@contextmanager
def taken() -> Iterator[int]:
    """A port on which somebody else listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield int(listening.getsockname()[1])


class Ingress:
    """An ingress process that answers on its public port."""

    def __init__(self, processes: Processes, redis_url: str, **settings: str) -> None:
        self.port = free_port()
        environment = {"REDIS_URL": redis_url, "TRUTO_WEBHOOK_SECRET": SECRET, "PORT": str(self.port), **settings}
        self.process: Process = processes.start("ingress", ["ingress"], environment)
        processes.wait_until_up(self.process, f"http://127.0.0.1:{self.port}/readyz")

    def logged(self, event: str) -> list[dict[str, object]]:
        lines = map(orjson.loads, self.process.log_tail().splitlines())
        return [line for line in lines if line["event"] == event]


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(logs=tmp_path) as running:
        yield running


def get(port: int, path: str) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}{path}", trust_env=False)


def test_figures_and_details_are_on_a_port_of_their_own(processes: Processes, redis_server: EmbeddedRedis) -> None:
    admin_port = free_port()
    ingress = Ingress(processes, redis_server.url, ADMIN_PORT=str(admin_port))
    assert "truto_worker_store_up 1.0" in get(admin_port, "/metrics").text
    assert get(admin_port, "/livez").json() == {"status": "alive"}
    assert get(admin_port, "/webhooks/truto").status_code == 404
    assert get(ingress.port, "/metrics").status_code == 404
    assert ingress.logged("ingress_started")[0]["admin_port"] == admin_port


@pytest.mark.parametrize("off", ["0", "off", "OFF"])
def test_it_can_be_switched_off(processes: Processes, redis_server: EmbeddedRedis, off: str) -> None:
    ingress = Ingress(processes, redis_server.url, ADMIN_PORT=off)
    assert ingress.logged("ingress_started")[0]["admin_port"] is None
    assert ingress.logged("admin_port_taken") == []


def test_a_default_that_is_taken_costs_one_line_and_no_delivery(
    processes: Processes, redis_server: EmbeddedRedis
) -> None:
    try:
        holder = socket.create_server(("127.0.0.1", 8001))
    except OSError:
        holder = socket.socket()  # somebody holds it already, which serves as well
    with holder:
        ingress = Ingress(processes, redis_server.url, ADMIN_PORT="")
        (line,) = ingress.logged("admin_port_taken")
    assert (line["port"], line["level"]) == (8001, "warning")
    assert "ADMIN_PORT" in str(line["remedy"])
    assert ingress.logged("ingress_started")[0]["admin_port"] is None


@pytest.mark.parametrize("more", [{}, {"ADMIN_HOST": "127.0.0.1"}], ids=["port", "host-and-port"])
def test_one_that_was_asked_for_and_is_taken_ends_the_start_with_its_name_and_a_remedy(more: dict[str, str]) -> None:
    with taken() as port:
        environment = {"REDIS_URL": "redis://127.0.0.1:1", "TRUTO_WEBHOOK_SECRET": SECRET, "PORT": str(free_port())}
        ended = subprocess.run(
            [sys.executable, "-m", "cli", "ingress"],
            env={"PATH": "", **environment, "ADMIN_PORT": str(port), **more},
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert ended.returncode == 2
    assert f"ADMIN_PORT: cannot listen on 127.0.0.1:{port}; free it, choose another, or `off`" in ended.stderr
    assert "Address already in use" in ended.stderr


def test_it_is_gone_with_the_process_which_ends_with_code_0(processes: Processes, redis_server: EmbeddedRedis) -> None:
    admin_port = free_port()
    ingress = Ingress(processes, redis_server.url, ADMIN_PORT=str(admin_port))
    with httpx.Client(base_url=f"http://127.0.0.1:{admin_port}", trust_env=False) as kept:
        assert kept.get("/readyz").json() == {"status": "ready"}
        ingress.process.popen.send_signal(signal.SIGTERM)
        assert ingress.process.popen.wait(10) == 0
    assert ingress.logged("ingress_stopped")
    with pytest.raises(httpx.ConnectError):
        get(admin_port, "/readyz")


def test_deliveries_come_before_figures_where_port_is_the_default_of_the_admin_port(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("ADMIN_PORT", raising=False)
    settings = IngressSettings(redis_url="redis://localhost", truto_webhook_secret=SECRET, port=8001)
    with capture_logs() as logs:
        assert listen_for_operators(settings) is None
    assert [line["event"] for line in logs] == ["admin_port_taken"]
    assert "PORT" in logs[0]["reason"]


def test_deliveries_and_figures_cannot_be_asked_to_share_a_port() -> None:
    settings = IngressSettings(redis_url="redis://x", truto_webhook_secret=SECRET, port=9000, admin_port=9000)
    with pytest.raises(ConfigError, match=r"ADMIN_PORT: cannot listen on 127\.0\.0\.1:9000; .*PORT"):
        listen_for_operators(settings)
