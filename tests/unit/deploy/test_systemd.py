"""The systemd units: hardened, restarted, and given longer than their drain takes."""

from __future__ import annotations

import pytest

from tests.unit.deploy.tree import unit, unit_environment

INGRESS = "truto-worker-ingress.service"
WORKER = "truto-worker@.service"
REQUIRED = {
    "DynamicUser": "yes",
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "CapabilityBoundingSet": "",
    "RestrictSUIDSGID": "yes",
    "KillSignal": "SIGTERM",
    "KillMode": "mixed",
    "Restart": "always",
    "RestartSec": "2",
}


@pytest.mark.parametrize("name", [INGRESS, WORKER])
@pytest.mark.parametrize(("directive", "value"), REQUIRED.items())
def test_a_unit_carries_the_directive(name: str, directive: str, value: str) -> None:
    assert unit(name)["Service"][directive] == value


@pytest.mark.parametrize(("name", "process"), [(INGRESS, "ingress"), (WORKER, "worker")])
def test_a_unit_reads_the_secrets_of_its_own_process(name: str, process: str) -> None:
    assert unit(name)["Service"]["EnvironmentFile"] == f"/etc/truto-worker/{process}.env"


def test_figures_are_for_this_machine_alone() -> None:
    assert unit_environment(INGRESS)["ADMIN_HOST"] == "127.0.0.1"
    assert unit_environment(INGRESS)["ADMIN_PORT"] != unit_environment(INGRESS)["PORT"]


@pytest.mark.parametrize("name", [INGRESS, WORKER])
def test_stopping_waits_longer_than_the_drain(name: str) -> None:
    assert int(unit(name)["Service"]["TimeoutStopSec"]) > int(unit_environment(name)["GRACE_SECONDS"])


@pytest.mark.parametrize(("name", "command"), [(INGRESS, "ingress"), (WORKER, "worker")])
def test_a_unit_runs_its_own_command_without_a_shell(name: str, command: str) -> None:
    assert unit(name)["Service"]["ExecStart"] == f"/opt/truto-worker/bin/truto-worker {command}"


@pytest.mark.parametrize("name", [INGRESS, WORKER])
def test_a_unit_is_restarted_for_ever_and_starts_at_boot(name: str) -> None:
    assert unit(name)["Unit"]["StartLimitIntervalSec"] == "0"
    assert unit(name)["Install"]["WantedBy"] == "multi-user.target"


def test_the_spool_lies_in_the_one_directory_the_ingress_may_write() -> None:
    assert unit_environment(INGRESS)["SPOOL_DIR"] == f"/var/lib/{unit(INGRESS)['Service']['StateDirectory']}"


def test_the_worker_is_a_template_that_says_its_instance() -> None:
    assert "%i" in unit(WORKER)["Unit"]["Description"]
