"""Whatever Redis a team has: ingress, worker and the store's commands work on it, or say what is missing."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import httpx
import orjson
import pytest

from cli.dev import dev_environment
from cli.processes import Processes
from events.checking import RIGHTS
from tests.integration.cli.commands import Commands
from tests.integration.truto.test_tls import certificate
from tests.redis_nodes import Node, cluster_lines
from tests.servers import free_port, quick_folder
from truto import sign

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
PASSWORD = "p@ss/word:#1?%25&=+[é] '€,~^|"
COMMANDS = {
    "events": "events",
    "dead-letters": "dead-letters --group",
    "discard": "dead-letters discard --fingerprint none --why old",
    "replay": "replay --parked --all --dry-run",
    "refusals": "sources refusals",
    "runs": "workflows runs",
}
SERVICES = {
    "ingress": {"TRUTO_WEBHOOK_SECRET": SECRET},
    "worker": {"TRUTO_API_TOKEN": "token", "HANDLERS": "handlers"},
}


@contextmanager
def behind_tls(port: int, host: str, folder: Path) -> Iterator[int]:
    """A port that leads to *port* through TLS, with a certificate for *host* that ``<folder>/<host>.pem`` proves."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate(folder, host))
    loop = asyncio.new_event_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, on = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, on), pump(back, writer))

    server = loop.run_until_complete(asyncio.start_server(talk, "127.0.0.1", 0, ssl=context))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield server.sockets[0].getsockname()[1]
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    server.close()
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def without_config(stack: ExitStack, folder: Path) -> str:
    node = stack.enter_context(Node(folder, ['rename-command CONFIG ""']))
    return f"redis://127.0.0.1:{node.port}/0"


def for_a_user(stack: ExitStack, folder: Path) -> str:
    node = stack.enter_context(Node(folder, [f"user truto on >word {RIGHTS}"], password=PASSWORD))
    return f"redis://truto:word@127.0.0.1:{node.port}/0"


def over_tls(stack: ExitStack, folder: Path) -> str:
    node = stack.enter_context(Node(folder, []))
    port = stack.enter_context(behind_tls(node.port, "localhost", folder))
    return f"rediss://localhost:{port}/0?ssl_ca_certs={quote(str(folder / 'localhost.pem'))}"


def over_ipv6(stack: ExitStack, folder: Path) -> str:
    node = stack.enter_context(Node(folder, ["bind 127.0.0.1 ::1"]))
    return f"redis://[::1]:{node.port}/0"


def on_a_socket(stack: ExitStack, folder: Path) -> str:
    stack.enter_context(Node(folder, [f'unixsocket "{folder / "own socket"}"'], password=PASSWORD))
    return f"unix://:{quote(PASSWORD, safe='')}@{quote(str(folder / 'own socket'))}?db=1"


def with_a_password(stack: ExitStack, folder: Path) -> str:
    node = stack.enter_context(Node(folder, [], password=PASSWORD))
    return f"redis://:{quote(PASSWORD, safe='')}@127.0.0.1:{node.port}/0"


KINDS: dict[str, Callable[[ExitStack, Path], str]] = {
    kind.__name__.replace("_", "-"): kind
    for kind in (without_config, for_a_user, over_tls, over_ipv6, on_a_socket, with_a_password)
}


@pytest.fixture(scope="module", params=KINDS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with quick_folder() as folder, ExitStack() as stack:
        yield KINDS[request.param](stack, folder)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    with Processes(logs=tmp_path) as running:
        yield running


def test_an_event_is_accepted_and_handled(
    url: str, processes: Processes, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    settings = dev_environment(url, SECRET, port, free_port()) | {"STORE_CHECK": "assured", "ADMIN_PORT": "0"}
    ingress = processes.start("ingress", ["ingress"], settings)
    worker = processes.start("worker", ["worker"], settings)
    processes.wait_until_up(ingress, f"http://127.0.0.1:{port}/readyz")
    body = orjson.dumps({"id": "e-1", "event": "sync_job_run:started", "payload": {"id": "run"}})
    headers = {"x-truto-signature": sign(body, SECRET)}
    answer = httpx.post(f"http://127.0.0.1:{port}/webhooks/truto", content=body, headers=headers, trust_env=False)
    assert answer.json()["status"] == "accepted"
    monkeypatch.setenv("REDIS_URL", url)
    while commands("events", "--json").json["totals"].get("done") != 1:
        processes.check(ingress)
        processes.check(worker)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_of_the_store_works(
    url: str, command: str, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    shown = commands(*command.split())
    assert (shown.code, shown.err) in [(0, ""), (1, "No dead letter fits.\n")]


# -- what does not work is said in one sentence ------------------------------------------------------------------------


@contextmanager
def cluster_node(folder: Path, last_slot: int) -> Iterator[str]:
    with Node(folder, [*cluster_lines(), "cluster-require-full-coverage no"]) as node:
        with node.client() as admin:
            for slot in range(last_slot + 1):
                admin.execute_command("CLUSTER", "ADDSLOTS", slot)
            while b"cluster_state:ok" not in admin.execute_command("CLUSTER", "INFO"):
                pass
        yield f"redis://127.0.0.1:{node.port}"


@pytest.fixture(scope="module", params=[0, 16383], ids=["some-slots", "all-slots"])
def in_cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    with quick_folder() as folder, cluster_node(folder, request.param) as url:
        yield url


def set_up(monkeypatch: pytest.MonkeyPatch, **settings: str) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_does_not_start_on_a_node_of_a_cluster_and_says_why(
    in_cluster: str, service: str, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(monkeypatch, **SERVICES[service], REDIS_URL=in_cluster, STORE_CHECK="strict")
    shown = commands(service)
    assert shown.code == 2
    assert "this is a node of a Redis Cluster of 1 master" in shown.err


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_a_command_works_on_a_node_that_has_all_of_its_cluster_or_says_why_not(
    in_cluster: str, command: str, commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", in_cluster)
    shown = commands(*command.split())
    assert (shown.code, shown.err) in [(0, ""), (1, "No dead letter fits.\n")] or (
        shown.code == 1
        and "REDIS_URL leads to a node of a Redis Cluster, which is not supported: use one master" in shown.err
    )


WRONG = {
    "password": ("redis://:other@127.0.0.1:{0.port}", "REDIS_URL needs another user or password"),
    "no-password": ("redis://127.0.0.1:{0.port}", "REDIS_URL needs another user or password"),
    "rights": ("redis://weak:word@127.0.0.1:{0.port}", "the user of REDIS_URL lacks a right: it needs `~tw:*"),
    "certificate": ("rediss://localhost:{1}", "its certificate does not prove that it is the host in REDIS_URL"),
    "name": (
        "rediss://127.0.0.1:{1}?ssl_ca_certs={2}/localhost.pem",
        "does not prove that it is the host in REDIS_URL",
    ),
}


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[Node, int, Path]]:
    """A server with a password and a weak user, and the port of it behind TLS."""
    weak = "user weak on >word ~tw:* +@connection"
    with (
        quick_folder() as folder,
        Node(folder, [weak], password=PASSWORD) as node,
        behind_tls(node.port, "localhost", folder) as port,
    ):
        yield node, port, folder


@pytest.mark.parametrize(("template", "says"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("command", [COMMANDS["events"], COMMANDS["replay"], COMMANDS["refusals"]])
def test_what_waiting_does_not_help_against_is_said_with_what_to_do(
    guarded: tuple[Node, int, Path],
    template: str,
    says: str,
    command: str,
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REDIS_URL", template.format(*guarded))
    shown = commands(*command.split())
    assert shown.code == 1
    assert says in shown.err
    assert "Is Redis running" not in shown.err
