"""``truto-worker doctor``: each fault, seeded in a real installation, has its line; a healthy one has none."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cli.checks.machine import disk_of, wrong_versions
from cli.checks.platform import certificate_findings
from events.embedded import EmbeddedRedis
from tests.integration.cli.installation import Answering, Installation, forwarding, installed
from tests.servers import free_port, quick_redis

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
OTHER_CLOCK = "import time\n_now = time.time\ntime.time = lambda: _now() - 600\n"


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A connected installation with a worker."""
    with quick_redis() as server, installed(tmp_path_factory.mktemp("doctor"), server.url) as found:
        found.start_sandbox()
        found.start_ingress()
        found.start_worker()
        assert found.run("connect", "--url", found.ingress_url).returncode == 0
        yield found


def examined(here: Installation, folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    here = replace(here, folder=folder)
    return here.run("doctor", "-v", **settings)


def healthy(here: Installation, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A run that finds nothing; on a machine that is busy otherwise, a check may use up its time."""
    here = replace(here, folder=folder)
    for _ in range(4):
        if (ran := here.run("doctor", *options)).returncode == 0:
            return ran
    raise AssertionError(ran.stdout + ran.stderr)


def lines_of(ran: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines about faults."""
    return [re.sub(r"\s+", " ", line[2:]) for line in ran.stdout.splitlines() if line.startswith("✗")]


def assert_line(ran: subprocess.CompletedProcess[str], wanted: str) -> None:
    assert ran.returncode == 1, ran.stdout + ran.stderr
    lines = lines_of(ran)
    assert any(re.search(wanted, line) for line in lines), f"{wanted!r} is none of:\n" + "\n".join(lines)


def test_of_a_healthy_installation_there_is_nothing_to_say(services: Installation, tmp_path: Path) -> None:
    ran = healthy(services, tmp_path)
    assert "Everything is as it should be" in ran.stdout


def test_without_v_there_is_a_line_for_each_group(services: Installation, tmp_path: Path) -> None:
    ran = healthy(services, tmp_path)
    groups = [line.split()[1] for line in ran.stdout.splitlines() if line.startswith("✓")]
    assert groups == [
        "settings",
        "versions",
        "sources",
        "spool",
        "redis",
        "reconcile",
        "handlers",
        "truto",
        "webhook",
        "way",
    ]


def test_programs_get_every_finding_as_json(services: Installation, tmp_path: Path) -> None:
    told = json.loads(healthy(services, tmp_path, "--json").stdout)
    assert told["ok"] is True
    assert all(row["ok"] and not row["remedy"] for row in told["findings"])


def test_no_secret_is_shown(services: Installation, tmp_path: Path) -> None:
    secret = "a-secret-that-nobody-may-see"
    ran = examined(
        services,
        tmp_path,
        REDIS_URL=f"redis://:{secret}@127.0.0.1:1",
        TRUTO_API_TOKEN=secret,
        TRUTO_WEBHOOK_SECRET=secret,
        NOTIFY_URLS=f"no-such-service://{secret}",
    )
    assert secret not in ran.stdout + ran.stderr


# -- settings and this machine ----------------------------------------------------------------------------------------

NOTHING_SET = [
    r"^settings REDIS_URL is not set: ",
    r"^settings TRUTO_API_TOKEN is not set: the API token",
    r"^settings TRUTO_WEBHOOK_SECRET is not set: ",
]
WRONG = [
    r"^settings REDIS_URL cannot be used: ",
    r"^settings TRUTO_WEBHOOK_SECRET cannot be used: must be at least 16 bytes long",
    r"^settings LEASE_SECONDS cannot be used: ",
    r"^settings RECONCILE_EVRY is set, and is no setting: did you mean RECONCILE_EVERY\?",
    r"^sources .*MISSING_SECRET.*: truto-worker sources check",
    r"^handlers .*broken.*cannot be imported: SyntaxError",
    r"^spool .*nowhere is no folder: make it",
]


@dataclass
class Case:
    """An environment that is wrong in several ways, examined once."""

    ran: dict[str, subprocess.CompletedProcess[str]] = field(default_factory=dict)

    def of(
        self, name: str, here: Installation, folder: Path, settings: Mapping[str, str], *, bare: bool = False
    ) -> subprocess.CompletedProcess[str]:
        if name not in self.ran:
            here = replace(here, environment={} if bare else dict(here.environment))
            self.ran[name] = examined(here, folder, **settings)
        return self.ran[name]


@pytest.fixture(scope="module")
def cases() -> Case:
    return Case()


@pytest.mark.parametrize("line", NOTHING_SET)
def test_what_is_not_set_is_named(line: str, cases: Case, services: Installation, tmp_path: Path) -> None:
    assert_line(cases.of("nothing", services, tmp_path, {}, bare=True), line)


@pytest.mark.parametrize("line", WRONG)
def test_what_cannot_be_used_is_named(line: str, cases: Case, services: Installation, tmp_path: Path) -> None:
    package = tmp_path / "broken"
    package.mkdir()
    (package / "__init__.py").write_text("this is no Python(")
    (tmp_path / "sources.yaml").write_text("github:\n  preset: github\n  secrets: ['${MISSING_SECRET}']\n")
    settings = {
        "REDIS_URL": "http://localhost",
        "TRUTO_WEBHOOK_SECRET": "short",
        "LEASE_SECONDS": "soon",
        "RECONCILE_EVRY": "5",
        "HANDLERS": "broken",
        "SPOOL_DIR": str(tmp_path / "nowhere"),
    }
    assert_line(cases.of("wrong", services, tmp_path, settings), line)


def test_a_workflow_that_cannot_be_read_is_named(services: Installation, tmp_path: Path) -> None:
    (tmp_path / "workflows").mkdir()
    (tmp_path / "workflows" / "first.yaml").write_text("trigger_name: [")
    assert_line(examined(services, tmp_path), r"^handlers workflows/first.yaml: ")


def test_two_handlers_for_one_pattern_and_a_misspelt_one_are_named(services: Installation, tmp_path: Path) -> None:
    package = tmp_path / "team"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from worker import on\n"
        "@on('record:created')\nasync def one(event, ctx): ...\n"
        "@on('record:created')\nasync def two(event, ctx): ...\n"
        "@on('sync_job_run:complete')\nasync def three(event, ctx): ...\n"
    )
    ran = examined(services, tmp_path, HANDLERS="team")
    assert_line(ran, r"^handlers team.one and team.two both take record:created: each runs")
    assert_line(ran, r"^handlers team.three waits for sync_job_run:complete, .*: did you mean sync_job_run:completed\?")


SPOOL = [
    r"^spool .* MiB left, less than SPOOL_MAX_BYTES .*: free some, or lower SPOOL_MAX_BYTES",
    r"^spool 1 damaged record set aside, such as 7.corrupt: look at them",
    r"^spool 5 bytes of deliveries wait for Redis: start the ingress",
]


@pytest.mark.parametrize("line", SPOOL)
def test_what_is_wrong_with_the_spool_is_named(line: str, cases: Case, services: Installation, tmp_path: Path) -> None:
    (tmp_path / "7.corrupt").touch()
    (tmp_path / "7.spool").write_bytes(b"12345")
    settings = {"SPOOL_DIR": str(tmp_path), "SPOOL_MAX_BYTES": str(2**60)}
    assert_line(cases.of("spool", services, tmp_path, settings), line)


def test_a_network_disk_is_found_where_it_is_mounted() -> None:
    mounts = [("/", "ext4"), ("/data", "nfs4"), ("/data/local", "xfs")]
    assert disk_of(Path("/data/spool"), mounts) == "nfs4"
    assert disk_of(Path("/data/local/spool"), mounts) == "xfs"
    assert disk_of(Path("/database"), mounts) == "ext4"


def test_a_pinned_package_of_another_version_is_named() -> None:
    required = ["arq==0.28.0", "httpx<0.29,>=0.28", "redis[hiredis]==5.3.1"]
    (wrong,) = wrong_versions(required, {"arq": "0.27.0", "redis": "5.3.1"})
    assert str(wrong) == "arq is 0.27.0, and has to be 0.28.0: pip install ."
    assert str(wrong_versions(["arq==0.28.0"], {})[0]).startswith("arq is missing")


# -- Redis and the queue ----------------------------------------------------------------------------------------------

UNSAFE = [
    r"^redis .*maxmemory-policy",
    r"^redis .*append",
    r"^redis \d+ of \d+ MiB of memory are used: raise maxmemory",
    r"^redis no worker takes work: start `truto-worker worker` with this REDIS_URL",
    r"^redis 2 dead letters: truto-worker dead-letters --group",
    r"^redis 1 event parked: truto-worker replay --parked",
    r"^redis 1 event ready, the oldest for 3 min: start more workers",
    r"^redis 1 delivery refused as not authentic within the last hour, by truto: truto-worker sources refusals",
    r"^reconcile 1 event never arrived, and cannot be rebuilt: truto-worker reconcile --list",
    r"^reconcile the look for missing events is 3 min late: look at the workers' logs",
    r"^reconcile which webhook delivers here is not known, .*: truto-worker connect",
]


@pytest.mark.parametrize("line", UNSAFE)
def test_what_is_wrong_with_redis_and_the_queue_is_named(
    line: str, cases: Case, services: Installation, tmp_path: Path
) -> None:
    if "redis" not in cases.ran:
        with quick_redis() as server:
            seed(server)
            cases.of("redis", services, tmp_path, {"REDIS_URL": server.url})
    assert_line(cases.ran["redis"], line)


def seed(server: EmbeddedRedis) -> None:
    now = time.time()
    lost = {"id": "e-1", "type": "record:created", "at": "2026-11-28T08:00:00+00:00", "why": "data", "where": "there"}
    refused = {"at": now, "source": "truto", "status": 401, "reason": "signature_mismatch", "detail": ""}
    with Redis.from_url(server.url) as redis:
        redis.zadd("tw:dead", {"a" * 32: now * 1000, "b" * 32: now * 1000})
        redis.zadd("tw:parked", {"c" * 32: now * 1000})
        redis.zadd("tw:queue", {"d" * 32: (now - 200) * 1000})
        redis.lpush("tw:refusals", json.dumps(refused))
        redis.hset("tw:reconcile", "due", round((now - 200) * 1000))
        redis.hset("tw:reconcile", "unrecoverable", json.dumps([lost]))
        redis.hset("tw:reconcile", "last", json.dumps({"webhook": "unknown"}))
        redis.config_set("appendonly", "no")
        redis.setrange("filling", 20 * 2**20, "x")
        redis.config_set("maxmemory", int(1.1 * redis.info("memory")["used_memory"]))
        redis.config_set("maxmemory-policy", "volatile-lru")


AWAY = [
    r"^redis does not answer .*: start Redis, or correct REDIS_URL",
    r"^truto Truto does not answer: .*: look at TRUTO_API_URL and at the network",
]


@pytest.mark.parametrize("line", AWAY)
def test_what_does_not_answer_is_named(line: str, cases: Case, services: Installation, tmp_path: Path) -> None:
    settings = {"REDIS_URL": "redis://127.0.0.1:1", "TRUTO_API_URL": "http://127.0.0.1:1"}
    assert_line(cases.of("away", services, tmp_path, settings), line)


def test_what_hangs_is_named_in_time(services: Installation, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        settings = {"REDIS_URL": f"redis://127.0.0.1:{port}", "TRUTO_API_URL": f"http://127.0.0.1:{port}"}
        ran = replace(services, folder=tmp_path).run("doctor", "--json", **settings)
    told = json.loads(ran.stdout)
    faults = {row["group"] for row in told["findings"] if not row["ok"]}
    assert {"redis", "truto", "webhook"} <= faults
    assert told["seconds"] < 12  # below 5 on a quiet machine


# -- Truto and the way from there -------------------------------------------------------------------------------------


def test_a_token_that_truto_does_not_accept_is_named(services: Installation, tmp_path: Path) -> None:
    ran = examined(services, tmp_path, TRUTO_API_TOKEN="another-token")
    assert_line(ran, r"^truto Truto does not accept TRUTO_API_TOKEN: make an API token in Truto's dashboard")


@pytest.fixture
def webhook(services: Installation) -> Iterator[str]:
    """The id of the webhook; what a test does to it is undone."""
    (before,) = services.webhooks()
    kept = {name: before[name] for name in ("target_url", "is_active", "event_types")}
    yield str(before["id"])
    services.api("PATCH", f"/webhook/{before['id']}", kept)
    for one in services.webhooks():
        if one["id"] != before["id"]:
            services.api("DELETE", f"/webhook/{one['id']}")


def with_webhook(here: Installation, webhook: str, folder: Path, **changes: Any) -> subprocess.CompletedProcess[str]:
    here.api("PATCH", f"/webhook/{webhook}", changes)
    return examined(here, folder)


def test_a_webhook_that_is_switched_off_is_named(services: Installation, webhook: str, tmp_path: Path) -> None:
    ran = with_webhook(services, webhook, tmp_path, is_active=False)
    assert_line(ran, rf"^webhook {webhook} is switched off: truto-worker connect switches it on")


def test_event_types_that_are_not_delivered_are_named(services: Installation, webhook: str, tmp_path: Path) -> None:
    ran = with_webhook(services, webhook, tmp_path, event_types=["record:created"])
    assert_line(ran, r"^webhook it does not deliver integrated_account:active, .* for which there are handlers: ")


def test_event_types_that_nobody_handles_are_named(services: Installation, webhook: str, tmp_path: Path) -> None:
    types = [*services.webhooks()[0]["event_types"], "batch_job:completed"]
    ran = with_webhook(services, webhook, tmp_path, event_types=types)
    assert_line(ran, r"^webhook it delivers batch_job:completed, which nobody here handles: write a handler")


def test_a_second_webhook_for_the_address_is_named(services: Installation, webhook: str, tmp_path: Path) -> None:
    services.api("POST", "/webhook", {"target_url": f"{services.ingress_url}/webhooks/truto"})
    ran = examined(services, tmp_path)
    assert_line(ran, rf"^webhook .* delivers to the same address as {webhook}: remove all but one")


def test_another_address_than_the_public_one_is_named(services: Installation, tmp_path: Path) -> None:
    ran = examined(services, tmp_path, PUBLIC_URL="https://you.example")
    assert_line(ran, r"^webhook .* delivers to another address than PUBLIC_URL: correct PUBLIC_URL")


def test_that_there_is_no_webhook_is_named(services: Installation, tmp_path: Path, own_redis: EmbeddedRedis) -> None:
    ran = examined(services, tmp_path, PUBLIC_URL="https://you.example", REDIS_URL=own_redis.url)
    assert_line(ran, r"^webhook there is none that delivers here: truto-worker connect --url")


def test_an_address_that_does_not_answer_is_named(services: Installation, webhook: str, tmp_path: Path) -> None:
    ran = with_webhook(services, webhook, tmp_path, target_url=f"http://127.0.0.1:{free_port()}/webhooks/truto")
    assert_line(ran, r"^way .* does not answer: nothing listens there: start `truto-worker ingress`")


def test_a_wrong_path_is_named(services: Installation, webhook: str, tmp_path: Path) -> None:
    ran = with_webhook(services, webhook, tmp_path, target_url=f"{services.ingress_url}/hooks")
    assert_line(ran, r"^way .* answers 404: the path does not lead to the ingress")


def test_what_is_in_front_of_the_ingress_is_named(services: Installation, webhook: str, tmp_path: Path) -> None:
    pass_on = forwarding(services.ingress_url)
    with ExitStack() as stack:
        other = stack.enter_context(Answering(lambda *_: (200, b"hello")))
        altering = stack.enter_context(Answering(lambda path, headers, body: pass_on(path, headers, body + b" ")))
        assert_line(
            with_webhook(services, webhook, tmp_path, target_url=f"{other}/webhooks/truto"),
            r"^way .* is somebody else's: what answers there \(200\) is not an ingress of yours",
        )
        assert_line(
            with_webhook(services, webhook, tmp_path, target_url=f"{altering}/webhooks/truto"),
            r"^way a proxy in front of 127.0.0.1 alters the body of deliveries",
        )


def test_an_ingress_with_another_secret_or_clock_is_named(services: Installation, webhook: str, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(OTHER_CLOCK)
    apart = replace(services, environment=dict(services.environment))
    apart.start_ingress(TRUTO_WEBHOOK_SECRET=SECRET)
    ran = with_webhook(apart, webhook, tmp_path, target_url=f"{apart.ingress_url}/webhooks/truto")
    assert_line(ran, r"^way the secret here is not one that the ingress has: give both the same TRUTO_WEBHOOK_SECRET")
    apart.start_ingress(PYTHONPATH=str(tmp_path))
    services.api("PATCH", f"/webhook/{webhook}", {"target_url": f"{apart.ingress_url}/webhooks/truto"})
    ran = examined(apart, tmp_path / "..")
    assert_line(ran, r"^way the clock of the ingress is 10 min behind Truto's: set the clocks of both")


def test_an_ingress_without_any_secret_is_named(
    services: Installation, webhook: str, tmp_path: Path, own_redis: EmbeddedRedis
) -> None:
    apart = replace(services, environment=dict(services.environment))
    apart.start_ingress(REDIS_URL=own_redis.url)
    ran = with_webhook(apart, webhook, tmp_path, target_url=f"{apart.ingress_url}/webhooks/truto")
    assert_line(ran, r"^way the ingress has no secret of the webhook, and refuses every delivery: ")


def test_a_certificate_that_ends_soon_is_named() -> None:
    now = datetime(2026, 11, 28, tzinfo=UTC)
    (soon,) = certificate_findings("Dec  5 00:00:00 2026 GMT", now)
    assert str(soon).startswith("the certificate ends in 7 d: renew it")
    assert certificate_findings("Nov 28 00:00:00 2027 GMT", now)[0].ok
    assert certificate_findings("no time", now) == []
