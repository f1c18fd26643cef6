"""The compose file: hardened services that are given longer than their drain takes."""

from __future__ import annotations

import re
from typing import Any

import jsonschema
import pytest

from tests.unit.deploy.tree import compose

OURS = ("ingress", "worker")
SERVICE = {
    "type": "object",
    "required": ["image", "restart", "stop_grace_period", "read_only", "tmpfs", "cap_drop", "security_opt"],
    "properties": {
        "image": {"type": "string", "pattern": r"^[a-z/-]+:\d[\w.-]*(@sha256:[0-9a-f]{64})?$"},
        "restart": {"enum": ["unless-stopped", "always"]},
        "stop_grace_period": {"type": "string", "pattern": r"^\d+s$"},
        "read_only": {"const": True},
        "cap_drop": {"const": ["ALL"]},
        "security_opt": {"contains": {"const": "no-new-privileges:true"}},
        "command": {"type": "array", "items": {"type": "string"}},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "privileged": False,
    },
}


def _service(name: str) -> dict[str, Any]:
    service: dict[str, Any] = compose()["services"][name]
    return service


@pytest.mark.parametrize("name", [*OURS, "redis"])
def test_a_service_is_pinned_restarted_and_hardened(name: str) -> None:
    jsonschema.validate(_service(name), SERVICE)


@pytest.mark.parametrize("name", OURS)
def test_stopping_waits_longer_than_the_drain(name: str) -> None:
    service = _service(name)
    assert int(service["stop_grace_period"].rstrip("s")) > int(service["environment"]["GRACE_SECONDS"])


@pytest.mark.parametrize("name", OURS)
def test_a_service_runs_its_own_command_with_an_env_file_of_its_own_after_redis(name: str) -> None:
    service = _service(name)
    assert service["command"] == [name]
    assert service["env_file"] == f"{name}.env"
    assert service["depends_on"] == {"redis": {"condition": "service_healthy"}}


def test_the_worker_can_be_scaled() -> None:
    assert not {"container_name", "ports", "volumes"} & _service("worker").keys()


def test_the_ingress_is_published_on_loopback_at_the_ports_it_listens_on() -> None:
    service = _service("ingress")
    environment = service["environment"]
    assert service["ports"] == [f"127.0.0.1:8000:{environment['PORT']}", f"127.0.0.1:8001:{environment['ADMIN_PORT']}"]
    assert environment["HOST"] == environment["ADMIN_HOST"] == "0.0.0.0"
    assert "http://127.0.0.1:8000/readyz" in service["healthcheck"]["test"][-1]


def test_the_spool_is_on_a_volume() -> None:
    service = _service("ingress")
    assert f"spool:{service['environment']['SPOOL_DIR']}" in service["volumes"]
    assert "spool" in compose()["volumes"]


def test_redis_is_not_published_and_lives_on_an_internal_network_with_a_volume() -> None:
    redis = _service("redis")
    assert "ports" not in redis
    assert [compose()["networks"][name]["internal"] for name in redis["networks"]] == [True]
    assert redis["volumes"] == ["redis:/data"]


def test_no_secret_is_written_into_the_file() -> None:
    names = {name for service in compose()["services"].values() for name in service.get("environment", {})}
    assert not [name for name in names if re.search("SECRET|TOKEN|KEY|PASSWORD", name)]
