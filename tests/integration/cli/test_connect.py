"""``truto-worker connect`` against real processes: the way that works, and ten that do not."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from events.embedded import EmbeddedRedis
from tests.integration.cli.installation import Answering, Installation, eventually, forwarding, installed
from tests.servers import free_port, quick_redis

OTHER_CLOCK = "import time\n_now = time.time\ntime.time = lambda: _now() - 600\n"


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """What all tests use, for it takes longer to start than a test to run."""
    with quick_redis() as server, installed(tmp_path_factory.mktemp("connect"), server.url) as found:
        found.start_sandbox()
        found.start_ingress()
        found.start_worker()
        yield found


@pytest.fixture
def running(services: Installation, tmp_path: Path) -> Installation:
    """A sandbox, an ingress and a worker that nothing has connected yet, and an empty folder."""
    with Redis.from_url(services.redis_url) as admin:
        admin.flushall()
    for webhook in services.webhooks():
        services.api("DELETE", f"/webhook/{webhook['id']}")
    return replace(services, folder=tmp_path, environment=dict(services.environment))


@pytest.fixture
def apart(running: Installation, own_redis: EmbeddedRedis) -> Installation:
    """With a Redis of its own, that no worker uses."""
    running.environment["REDIS_URL"] = own_redis.url
    return replace(running, redis_url=own_redis.url)


def fault_of(ran: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a run that failed."""
    assert ran.returncode == 1, ran.stdout + ran.stderr
    (sentence,) = ran.stderr.splitlines()
    assert sentence.startswith("Not connected: ")
    return sentence


def test_from_an_empty_folder_and_a_token_one_command_ends_with_a_handled_test_event(apart: Installation) -> None:
    port = free_port()
    del apart.environment["REDIS_URL"]
    began = time.monotonic()
    url = f"http://127.0.0.1:{port}"
    ran = apart.run("connect", "--url", url, "--write", ".env", PORT=str(port))
    assert ran.returncode == 0, ran.stderr
    assert time.monotonic() - began < 30  # 3 s on a quiet machine
    assert "handled: done" in ran.stdout
    (webhook,) = apart.webhooks()
    assert (webhook["target_url"], webhook["is_active"]) == (f"{url}/webhooks/truto", True)
    written = apart.folder / ".env"
    assert written.read_text().startswith("TRUTO_WEBHOOK_SECRET=")
    assert written.stat().st_mode & 0o077 == 0
    secret = written.read_text().strip().partition("=")[2]
    assert secret not in ran.stdout

    again = apart.run("connect", "--url", url, "--write", ".env", PORT=str(port))
    assert again.returncode == 0, again.stderr
    assert "nothing to change" in again.stdout
    assert apart.webhooks() == [webhook]
    assert written.read_text() == f"TRUTO_WEBHOOK_SECRET={secret}\n"


def test_a_running_ingress_gets_the_secret_without_a_restart(running: Installation) -> None:
    ran = running.run("connect", "--url", running.ingress_url, "--json")
    told = json.loads(ran.stdout)
    assert (ran.returncode, told["ok"]) == (0, True)
    assert "secret" not in told
    assert [step["text"].partition(":")[0] for step in told["steps"]][-1] == "handled"
    assert told["webhook_id"] == running.webhooks()[0]["id"]


def test_a_new_handler_adds_its_event_types_and_nothing_else(running: Installation) -> None:
    assert running.run("connect", "--url", running.ingress_url).returncode == 0
    before = set(running.webhooks()[0]["event_types"])
    package = running.folder / "more"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from worker import on\n@on('batch_job:*', 'invoice.paid')\nasync def f(event, ctx): ...\n"
    )
    ran = running.run("connect", "--url", running.ingress_url, HANDLERS="handlers,more")
    assert "event types added: batch_job:completed" in ran.stdout
    added = set(running.webhooks()[0]["event_types"]) - before
    assert added == {f"batch_job:{end}" for end in ("completed", "failed", "dry_run_completed", "dry_run_failed")}
    assert len(running.webhooks()) == 1


def test_a_webhook_that_was_switched_off_is_switched_on_and_that_is_said(running: Installation) -> None:
    assert running.run("connect", "--url", running.ingress_url).returncode == 0
    webhook_id = running.webhooks()[0]["id"]
    running.api("PATCH", f"/webhook/{webhook_id}", {"is_active": False})
    ran = running.run("connect", "--url", running.ingress_url)
    assert ran.returncode == 0
    assert "switched on again: it was off, as Truto does when deliveries keep failing" in ran.stdout
    assert running.webhooks()[0]["is_active"] is True


def test_a_wrong_token_is_named(running: Installation) -> None:
    sentence = fault_of(running.run("connect", "--url", running.ingress_url, TRUTO_API_TOKEN="another-token"))
    assert "Truto does not accept TRUTO_API_TOKEN: make an API token in Truto's dashboard" in sentence


def test_an_address_that_does_not_answer_is_named(running: Installation) -> None:
    sentence = fault_of(running.run("connect", "--url", f"http://127.0.0.1:{free_port()}"))
    assert "does not answer: nothing listens there: start `truto-worker ingress`" in sentence


def test_an_address_that_is_somebody_else_s_is_named(running: Installation) -> None:
    with Answering(lambda *_: (200, b'{"ok":true}')) as url:
        sentence = fault_of(running.run("connect", "--url", url))
    assert "is somebody else's: what answers there (200) is not an ingress of yours: correct --url" in sentence
    assert running.webhooks() == []


def test_an_ingress_that_shares_no_secret_with_us_is_named(running: Installation, own_redis: EmbeddedRedis) -> None:
    running.start_ingress(TRUTO_API_TOKEN="the-token-of-others", REDIS_URL=own_redis.url)
    sentence = fault_of(running.run("connect", "--url", running.ingress_url))
    assert "shares no secret with this environment" in sentence
    assert "give it this REDIS_URL with TRUTO_WEBHOOK_SECRET=stored, or this TRUTO_API_TOKEN" in sentence


def test_an_ingress_that_is_not_given_the_token_is_proven_by_the_redis_of_both(running: Installation) -> None:
    running.start_ingress(TRUTO_API_TOKEN="")
    assert running.run("connect", "--url", running.ingress_url).returncode == 0


def test_a_wrong_path_is_named(running: Installation) -> None:
    sentence = fault_of(running.run("connect", "--url", f"{running.ingress_url}/hooks"))
    assert (
        "answers 404: the path does not lead to the ingress: have the proxy pass /hooks/webhooks/truto on" in sentence
    )


def test_broken_tls_is_named(running: Installation, tmp_path: Path) -> None:
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    pem = tmp_path / "own.pem"
    subprocess.run(["openssl", *made, "-keyout", pem, "-out", tmp_path / "c"], check=True, capture_output=True)
    pem.write_bytes(pem.read_bytes() + (tmp_path / "c").read_bytes())
    with Answering(forwarding(running.ingress_url), certificate=pem) as url:
        sentence = fault_of(running.run("connect", "--url", url))
    assert f"TLS at {url} is broken, and Truto would not deliver there" in sentence
    assert "install a valid certificate with its whole chain" in sentence


def test_a_secret_that_is_another_one_is_named_and_can_be_replaced(running: Installation) -> None:
    running.start_ingress(TRUTO_WEBHOOK_SECRET="6e17561c-a20c-44ce-b8b5-caff0bf786fe")
    target = f"{running.ingress_url}/webhooks/truto"
    running.api("POST", "/webhook", {"target_url": target})
    sentence = fault_of(running.run("connect", "--url", running.ingress_url))
    assert "the ingress does not have the secret of webhook" in sentence
    assert f"`truto-worker connect --url {target} --new-secret`" in sentence


def test_a_new_secret_replaces_the_webhook(running: Installation) -> None:
    assert running.run("connect", "--url", running.ingress_url).returncode == 0
    (before,) = running.webhooks()
    ran = running.run("connect", "--url", running.ingress_url, "--new-secret", "--print")
    assert ran.returncode == 0, ran.stderr
    (after,) = running.webhooks()
    assert after["id"] != before["id"]
    assert "TRUTO_WEBHOOK_SECRET=" in ran.stdout
    assert running.run("connect", "--url", running.ingress_url).returncode == 0


def test_a_proxy_that_alters_bodies_is_named(running: Installation) -> None:
    pass_on = forwarding(running.ingress_url)
    with Answering(lambda path, headers, body: pass_on(path, headers, json.dumps(json.loads(body)).encode())) as url:
        sentence = fault_of(running.run("connect", "--url", url))
    assert (
        "alters the body of deliveries, so no signature can match: have it pass on the body byte for byte" in sentence
    )
    assert running.webhooks() == []


def test_a_proxy_that_alters_the_signature_is_named(running: Installation) -> None:
    with Answering(forwarding(running.ingress_url, x_truto_signature="none")) as url:
        sentence = fault_of(running.run("connect", "--url", url))
    assert "does not pass on the header X-Truto-Signature" in sentence


def test_a_clock_that_is_ten_minutes_off_is_named(apart: Installation, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(OTHER_CLOCK)
    apart.start_ingress(PYTHONPATH=str(tmp_path))
    apart.start_worker()
    sentence = fault_of(apart.run("connect", "--url", apart.ingress_url))
    assert "the clock of the ingress is 10 min behind Truto's: set the clocks" in sentence
    assert "NTP" in sentence


def test_that_no_worker_runs_is_named(apart: Installation) -> None:
    apart.start_ingress()
    sentence = fault_of(apart.run("connect", "--url", apart.ingress_url))
    assert "no worker takes work from this Redis: start `truto-worker worker`" in sentence
    assert apart.webhooks() == []


def test_an_ingress_with_another_redis_is_named(running: Installation, own_redis: EmbeddedRedis) -> None:
    assert running.run("connect", "--url", running.ingress_url).returncode == 0
    secret = eventually(lambda: _kept_secret(running))
    running.start_ingress(TRUTO_WEBHOOK_SECRET=secret, REDIS_URL=own_redis.url)
    running.api(
        "PATCH", f"/webhook/{running.webhooks()[0]['id']}", {"target_url": f"{running.ingress_url}/webhooks/truto"}
    )
    sentence = fault_of(running.run("connect", "--url", running.ingress_url))
    assert "it is not in the Redis of REDIS_URL" in sentence


def _kept_secret(here: Installation) -> str:
    with Redis.from_url(here.redis_url) as redis:
        return str(json.loads(redis.hget("tw:context:truto", "webhook_secret")))


def test_an_ingress_that_takes_its_secret_from_the_environment_is_told_it(apart: Installation) -> None:
    apart.start_ingress(TRUTO_WEBHOOK_SECRET="6e17561c-a20c-44ce-b8b5-caff0bf786fe")
    apart.start_worker()
    ran = apart.run("connect", "--url", apart.ingress_url)
    assert "set TRUTO_WEBHOOK_SECRET there, restart it, and run this again" in fault_of(ran)
    assert "TRUTO_WEBHOOK_SECRET=" in ran.stdout
    assert apart.webhooks()[0]["is_active"] is False


def test_settings_that_are_missing_are_usage(apart: Installation) -> None:
    ran = apart.run("connect")
    assert (ran.returncode, "--url: name the public address" in ran.stderr) == (2, True)
    ran = apart.run("connect", "--url", "ftp://you.example")
    assert (ran.returncode, "is no address such as https://you.example" in ran.stderr) == (2, True)


def test_truto_itself_is_given_https_alone(apart: Installation) -> None:
    ran = apart.run("connect", "--url", "http://you.example", TRUTO_API_URL="https://api.truto.one")
    assert (ran.returncode, "Truto delivers to https addresses alone" in ran.stderr) == (2, True)
