"""``truto-worker sources enrol``, ``list`` and ``forget``, and ingress processes that heed them."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cli.processes import Process, Processes
from events.embedded import EmbeddedRedis
from tests.integration.cli.commands import Commands
from tests.servers import free_port, quick_redis

SECRET = "a secret of more than sixteen bytes"
OTHER = "another secret of more than sixteen"
TOKEN = "secret_genuine_notion_token"
SOURCES = f"""
asana: {{preset: asana}}
notion: {{preset: notion}}
github: {{preset: github, secrets: ["{SECRET}", "{OTHER}"]}}
tokens:
  webhook: {{signature_verification: {{format: jwt, config: {{}}}}}}
  options: {{jwt: {{algorithms: [RS256], jwks_url: "https://issuer.example/keys"}}}}
"""


def made(secret: str, body: bytes) -> str:
    return hmac.digest(secret.encode(), body, "sha256").hex()


# -- commands ----------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _file(tmp_path: Path) -> None:
    (tmp_path / "sources.yaml").write_text(SOURCES)


def listed(commands: Commands) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in commands("sources", "list", "--json").json}


def test_a_window_is_opened_and_what_comes_next_is_said(commands: Commands) -> None:
    said = commands("sources", "enrol", "asana", "--for", "10m")
    assert said.code == 0
    (enrolment,) = commands.on_store(lambda store: store.notes.enrolments(["asana"]))
    assert enrolment.open_until is not None
    assert f"asana: enrolment is open until {enrolment.open_until:%Y-%m-%d %H:%M:%SZ}." in said.out
    assert "let the sender shake hands with /webhooks/asana" in said.out
    remaining = enrolment.open_until.timestamp() - time.time()
    assert 590 < remaining <= 600


def test_programs_are_told_until_when_and_since_when(commands: Commands) -> None:
    told = commands("sources", "enrol", "notion", "--json").json
    assert (told["source"], told["enrolled_since"]) == ("notion", None)
    (enrolment,) = commands.on_store(lambda store: store.notes.enrolments(["notion"]))
    assert told["open_until"] == enrolment.open_until.isoformat() if enrolment.open_until else pytest.fail("closed")


@pytest.mark.parametrize("length", ["", "10", "0m", "25h", "10 minutes", "-5m", "99999999s", "1e3s", "\uff11m"])
def test_a_length_that_is_none_opens_nothing(commands: Commands, length: str) -> None:
    said = commands("sources", "enrol", "asana", f"--for={length}")
    assert (said.code, "such as 90s, 10m or 2h" in " ".join(said.err.split())) == (2, True)
    assert commands.on_store(lambda store: store.notes.enrolments(["asana"]))[0].open_until is None


@pytest.mark.parametrize("command", [["enrol"], ["forget", "--yes"], ["test"]], ids=str)
def test_an_unknown_source_is_answered_with_what_was_probably_meant(commands: Commands, command: list[str]) -> None:
    said = commands("sources", *command, "asanna")
    assert said.code == 2
    assert "there is no source 'asanna'; did you mean asana? There are asana, github, notion, tokens" in said.err


def test_a_source_whose_handshakes_bring_nothing_is_not_opened(commands: Commands) -> None:
    said = commands("sources", "enrol", "github")
    assert said.code == 2
    assert "handshakes of github leave nothing" in said.err


def test_the_list_says_where_each_secret_comes_from(commands: Commands) -> None:
    states = {name: row["secret"] for name, row in listed(commands).items()}
    assert states == {"asana": "none", "notion": "none", "github": "configured", "tokens": "configured"}
    commands("sources", "enrol", "asana")
    commands("sources", "enrol", "notion")
    commands.on_store(lambda store: store.notes.enrol("notion", {"webhook_secret": TOKEN}))
    rows = listed(commands)
    assert (rows["asana"]["secret"], rows["asana"]["enrolment_open_until"] is None) == ("none", False)
    assert (rows["notion"]["secret"], rows["notion"]["secrets"], rows["notion"]["enrolment_open_until"]) == (
        "enrolled",
        1,
        None,
    )
    told = commands("sources", "list").out
    assert "waiting for enrolment\n    enrolment window open until 20" in told
    assert "enrolled since 20" in told
    assert "2 secrets configured" in told
    assert "keys configured" in told
    assert not any(secret in told + json.dumps(rows) for secret in (SECRET, OTHER, TOKEN))


def test_the_list_tells_secrets_of_earlier_versions_and_unusable_ones(commands: Commands) -> None:
    commands.on_store(lambda store: store.notes.keep_in_context("asana", {"webhook_secret": SECRET}, overwrite=False))
    commands.on_store(lambda store: store.notes.keep_in_context("notion", {"webhook_secret": []}, overwrite=False))
    assert (listed(commands)["asana"]["secret"], listed(commands)["notion"]["secret"]) == ("enrolled", "unusable")
    told = commands("sources", "list").out
    assert "enrolled by an earlier version" in told
    assert "unusable secret: truto-worker sources enrol notion" in told


def test_the_list_does_without_a_store(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    said = commands("sources", "list", "--json")
    assert {row["name"]: row["secret"] for row in said.json}["asana"] == "unknown"
    assert (said.code, "does not answer" in said.err) == (0, True)
    monkeypatch.delenv("REDIS_URL")
    assert "unknown: what handshakes have left is in REDIS_URL" in commands("sources", "list").out


@pytest.mark.parametrize("command", [["enrol", "asana"], ["forget", "asana", "--yes"]], ids=str)
def test_a_store_that_does_not_answer_is_a_failure_and_none_a_fault(
    commands: Commands, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    assert commands("sources", *command).code == 1
    monkeypatch.delenv("REDIS_URL")
    said = commands("sources", *command)
    assert (said.code, "REDIS_URL is not set" in said.err) == (2, True)


def test_a_new_enrolment_says_that_the_old_secret_stays_until_then(commands: Commands) -> None:
    commands("sources", "enrol", "asana")
    commands.on_store(lambda store: store.notes.enrol("asana", {"webhook_secret": SECRET}))
    assert "stays valid until then" in commands("sources", "enrol", "asana").out
    assert "enrolled since" in commands("sources", "list").out
    assert listed(commands)["asana"]["enrolment_open_until"] is not None


def test_what_is_forgotten_is_asked_about_before(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    commands.on_store(lambda store: store.notes.keep_in_context("asana", {"webhook_secret": SECRET}, overwrite=False))
    asked: list[str] = []

    def refuse(question: str) -> bool:
        asked.append(question)
        return False

    monkeypatch.setattr("typer.confirm", refuse)
    said = commands("sources", "forget", "asana")
    assert (said.code, said.err) == (1, "Nothing was changed.\n")
    assert "webhook_secret" in asked[0]
    assert SECRET not in asked[0]
    assert listed(commands)["asana"]["secret"] == "enrolled"
    assert commands("sources", "forget", "asana", "--json").code == 2


def test_what_is_forgotten_is_gone_and_the_way_back_is_said(commands: Commands) -> None:
    commands.on_store(lambda store: store.notes.keep_in_context("asana", {"webhook_secret": []}, overwrite=False))
    said = commands("sources", "forget", "asana", "--yes")
    assert (said.code, "handshakes of asana had left: webhook_secret." in said.out) == (0, True)
    assert "truto-worker sources enrol asana --for 10m" in said.out
    assert listed(commands)["asana"]["secret"] == "none"
    again = commands("sources", "forget", "asana", "--yes", "--json")
    assert (again.code, again.json) == (0, {"source": "asana", "forgotten": []})


def test_a_source_that_is_no_longer_configured_can_be_forgotten(commands: Commands) -> None:
    commands.on_store(lambda store: store.notes.keep_in_context("old", {"webhook_secret": SECRET}, overwrite=False))
    assert commands("sources", "forget", "old", "--yes").code == 0
    assert commands.on_store(lambda store: store.notes.source_context("old")) == {}


def test_of_several_stores_the_first_has_what_belongs_to_sources(
    commands: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", f"{commands.url} redis://127.0.0.1:{free_port()}")
    monkeypatch.setenv("REDIS_SHARD", "2")
    assert commands("sources", "enrol", "asana").code == 0
    assert commands.on_store(lambda store: store.notes.enrolments(["asana"]))[0].open_until is not None
    assert listed(commands)["asana"]["enrolment_open_until"] is not None
    assert commands("sources", "refusals").code == 0
    assert commands("sources", "forget", "asana", "--yes").code == 0


def test_a_handshake_is_explained_as_it_would_be_answered_now(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "headers").write_text(f"X-Hook-Secret: {SECRET}\n")
    arguments = ("sources", "explain", "--source", "asana", "--headers", "headers")
    closed = commands(*arguments, "--json")
    assert (closed.code, closed.json["taken"], closed.json["reason"]) == (1, False, "enrolment_closed")
    assert "truto-worker sources enrol asana --for 10m" in commands(*arguments).out
    commands("sources", "enrol", "asana")
    opened = commands(*arguments, "--json")
    assert (opened.code, opened.json["reason"]) == (0, "handshake")
    assert SECRET not in closed.out + opened.out
    assert commands.on_store(lambda store: store.notes.source_context("asana")) == {}


def test_nothing_that_is_printed_is_wider_than_a_terminal(commands: Commands) -> None:
    commands.on_store(lambda store: store.notes.keep_in_context("notion", {"webhook_secret": []}, overwrite=False))
    printed = [
        commands("sources", *arguments).out
        for arguments in (
            ["list"],
            ["enrol", "asana"],
            ["enrol", "notion"],
            ["list"],
            ["forget", "notion", "--yes"],
            ["forget", "asana", "--yes"],
        )
    ]
    lines = "".join(printed).splitlines()
    assert len(lines) > 15
    assert [line for line in lines if len(line) > 100] == []


# -- processes ---------------------------------------------------------------------------------------------------------


class Fleet:
    """Ingress processes on one redis-server, and the command of their operator."""

    def __init__(self, processes: Processes, redis: EmbeddedRedis, folder: Path) -> None:
        self.redis = redis
        self._processes = processes
        self._environment = {
            "REDIS_URL": redis.url,
            "SOURCES_FILE": str(folder / "sources.yaml"),
            "TRUTO_WEBHOOK_SECRET": "",
            "STORE_CHECK": "off",
        }

    def start(self, name: str) -> tuple[Process, str]:
        """An ingress, and its address."""
        url = f"http://127.0.0.1:{free_port()}"
        process = self._processes.start(name, ["ingress"], self._environment | {"PORT": url.rpartition(":")[2]})
        self._processes.wait_until_up(process, f"{url}/readyz")
        return process, url

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cli", "sources", *arguments]
        environment = os.environ | self._environment
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    with quick_redis() as redis, Processes(logs=tmp_path) as processes:
        yield Fleet(processes, redis, tmp_path)


def post(url: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None) -> tuple[int, Message]:
    given = {"content-type": "application/json", **(headers or {})}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, given), timeout=10) as answered:
            return answered.status, answered.headers
    except urllib.error.HTTPError as exc:
        exc.close()
        return exc.code, exc.headers


def notion(url: str, token: object) -> int:
    return post(f"{url}/webhooks/notion", json.dumps({"verification_token": token}).encode())[0]


def page(url: str, token: str, event_id: str = "1") -> int:
    body = json.dumps({"type": "page.created", "id": event_id}).encode()
    return post(f"{url}/webhooks/notion", body, {"x-notion-signature": f"sha256={made(token, body)}"})[0]


def asana(url: str, secret: str) -> int:
    status, headers = post(f"{url}/webhooks/asana", headers={"x-hook-secret": secret})
    assert (headers.get("x-hook-secret") == secret) == (status == 200)
    return status


def task(url: str, secret: str) -> int:
    body = b'{"events":[{"action":"changed"}]}'
    return post(f"{url}/webhooks/asana", body, {"x-hook-signature": made(secret, body)})[0]


@pytest.mark.bad_input(188)
def test_a_stranger_first_and_the_genuine_sender_later_at_several_processes(fleet: Fleet) -> None:
    process, one = fleet.start("one")
    _, two = fleet.start("two")
    strangers: list[object] = ["attacker-chosen-token-123", [], {}, "short"]
    for stranger in strangers:
        assert notion(one, stranger) == 401
    assert (asana(one, OTHER), page(one, "attacker-chosen-token-123")) == (401, 401)
    for source in ("notion", "asana"):
        assert fleet.run("enrol", source, "--for", "5m").returncode == 0
    assert notion(two, []) == 401
    assert (notion(one, TOKEN), asana(two, SECRET)) == (200, 200)
    assert (notion(two, TOKEN), asana(one, SECRET)) == (200, 200)
    assert (page(one, TOKEN), page(two, TOKEN, "2"), task(one, SECRET), task(two, SECRET)) == (200,) * 4
    assert (notion(two, "attacker-chosen-token-123"), asana(one, OTHER)) == (401, 401)
    os.kill(process.pid, signal.SIGTERM)
    _, three = fleet.start("three")
    assert (page(three, TOKEN, "3"), task(three, SECRET), asana(three, OTHER)) == (200, 200, 401)


def test_a_forgotten_secret_is_refused_by_every_process_within_moments(fleet: Fleet) -> None:
    urls = [fleet.start(name)[1] for name in ("one", "two")]
    assert fleet.run("enrol", "asana").returncode == 0
    assert asana(urls[0], SECRET) == 200
    assert [task(url, SECRET) for url in urls] == [200, 200]
    assert fleet.run("forget", "asana", "--yes").returncode == 0
    for url in urls:
        ends = time.monotonic() + 10
        while task(url, SECRET) != 401:
            assert time.monotonic() < ends
            time.sleep(0.05)
        assert asana(url, SECRET) == 401


@pytest.mark.parametrize("written", [False, True], ids=["before-redis-heard", "after-redis-heard"])
def test_an_ingress_killed_in_the_middle_leaves_a_window_or_a_secret_never_neither(
    fleet: Fleet, *, written: bool
) -> None:
    process, url = fleet.start("one")
    assert fleet.run("enrol", "asana").returncode == 0
    with Redis.from_url(fleet.redis.url) as admin:
        if written:
            admin.execute_command("CLIENT", "PAUSE", 60_000, "WRITE")
        else:
            os.kill(process.pid, signal.SIGSTOP)

        async def shake_and_kill() -> None:
            port = int(url.rpartition(":")[2])
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST /webhooks/asana HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n")
            writer.write(f"X-Hook-Secret: {SECRET}\r\n\r\n".encode())
            await writer.drain()
            if written:
                async with asyncio.timeout(10):
                    while not _waits_for_redis(admin):  # noqa: ASYNC110  another process does
                        await asyncio.sleep(0.01)
            os.kill(process.pid, signal.SIGKILL)
            writer.close()

        asyncio.run(shake_and_kill())
        process.popen.wait(10)
        admin.execute_command("CLIENT", "UNPAUSE")
        is_open, kept = admin.exists("tw:enrolment:asana"), admin.hgetall("tw:context:asana")
        assert (is_open, kept) in [(1, {}), (0, {b"webhook_secret": json.dumps(SECRET).encode()})]
    _, again = fleet.start("two")
    assert (asana(again, SECRET), task(again, SECRET), asana(again, OTHER)) == (200, 200, 401)


def _waits_for_redis(admin: Redis) -> bool:
    clients: Any = admin.info("clients")
    return int(clients["blocked_clients"]) > 0
