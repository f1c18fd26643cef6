"""``truto-worker reconcile``: what never arrived, at once, by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from tests.integration.cli.installation import Installation, eventually, installed
from tests.servers import quick_redis

ENDS = {"integrated_account:active", "integrated_account:created"}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """A sandbox and an ingress that its webhook leads to; no worker would take the turn."""
    with quick_redis() as server, installed(tmp_path_factory.mktemp("reconcile"), server.url) as found:
        found.start_sandbox()
        found.start_ingress()
        yield found


@pytest.fixture
def lost(services: Installation, tmp_path: Path) -> Installation:
    """An account whose events, and a record of it, were sent and never arrived."""
    with Redis.from_url(services.redis_url) as admin:
        admin.flushall()
    for one in services.webhooks():
        services.api("DELETE", f"/webhook/{one['id']}")
    # A new one: what was lost before does not count against it.
    webhook = services.api("POST", "/webhook", {"target_url": f"{services.ingress_url}/webhooks/truto"})
    services.api("PUT", "/sandbox/faults", {"lose": 1})
    account = services.api("POST", "/sandbox/connect", {"tenant_id": "acme-2"})["id"]
    services.api("POST", f"/integrated-account-webhook/{account}", {"event_type": "created", "id": "1"})

    def tried() -> bool:
        rows = services.api("GET", "/sandbox/deliveries")["result"]
        return {*ENDS, "record:created"} <= {row["event"] for row in rows if row["webhook_id"] == webhook["id"]}

    eventually(tried)
    eventually(lambda: services.api("GET", f"/integrated-account/{account}")["status"] == "active")
    return replace(services, folder=tmp_path)


def test_a_dry_run_says_what_would_be_recovered_and_changes_nothing(lost: Installation) -> None:
    ran = lost.run("reconcile", "--since", "10m", "--dry-run")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("would recover") >= 2
    assert "it carried data that Truto does not keep" in ran.stdout
    with Redis.from_url(lost.redis_url) as redis:
        assert redis.zcard("tw:queue") == 0
    assert "Nothing is missing for good." in lost.run("reconcile", "--list").stdout


def test_what_was_lost_is_recovered_once_and_the_rest_is_listed(lost: Installation) -> None:
    told = json.loads(lost.run("reconcile", "--since", "10m", "--json").stdout)
    assert {row["type"] for row in told["recovered"]} >= ENDS
    again = json.loads(lost.run("reconcile", "--since", "10m", "--json").stdout)
    assert again["recovered"] == []
    listed = json.loads(lost.run("reconcile", "--list", "--json").stdout)
    assert "record:created" in {row["type"] for row in listed["unrecoverable"]}


def test_while_a_worker_reconciles_the_command_waits_for_another_time(lost: Installation) -> None:
    with Redis.from_url(lost.redis_url) as redis:
        seconds, _ = redis.time()
        redis.hset("tw:reconcile", mapping={"owner": "1-a", "until": seconds * 1000 + 60_000, "due": 0})
    ran = lost.run("reconcile")
    assert (ran.returncode, "A worker is reconciling right now" in ran.stderr) == (1, True)


def test_a_length_that_is_none_is_usage(lost: Installation) -> None:
    assert lost.run("reconcile", "--since", "soon").returncode == 2
