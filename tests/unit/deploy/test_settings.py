"""Every name that a deploy file sets is one that the service reads."""

from __future__ import annotations

import pytest

from tests.unit.deploy.tree import compose, dockerfile, env_example, of_kind, unit_environment

SETTINGS = {
    "TRUTO_API_TOKEN",
    "TRUTO_API_URL",
    "TRUTO_WEBHOOK_SECRET",
    "REDIS_URL",
    "SOURCES_FILE",
    "TRUTO_TOLERANCE_SECONDS",
    "WORKFLOWS_DIR",
    "HANDLERS",
    "LINK_TOKEN_KEY",
    "NOTIFY_URLS",
    "CONSOLE_PASSWORD",
    "SPOOL_DIR",
    "SPOOL_MAX_BYTES",
    "WORKER_CONCURRENCY",
    "LEASE_SECONDS",
    "MAX_ATTEMPTS",
    "DEDUP_TTL",
    "HISTORY_TTL",
    "MAX_BODY_BYTES",
    "LOG_LEVEL",
    "LOG_FORMAT",
    "HOST",
    "PORT",
    "GRACE_SECONDS",
    "SYNC_JOBS",
    "TENANT_NOTIFY_URL",
    "TENANT_NOTIFY_SECRET",
    "STORE_CHECK",
    "CONFIRM_REPLICAS",
}
INTERPRETER = {"PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}


def _image() -> set[str]:
    words = [word for instruction in dockerfile() if instruction.word == "ENV" for word in instruction.rest.split()]
    return {word.split("=", 1)[0] for word in words} - INTERPRETER


def _compose() -> set[str]:
    return {name for service in compose()["services"].values() for name in service.get("environment", {})}


def _kubernetes() -> set[str]:
    containers = [c for d in of_kind("Deployment") for c in d["spec"]["template"]["spec"]["containers"]]
    variables = {variable["name"] for container in containers for variable in container["env"]}
    maps = {name for document in of_kind("ConfigMap") for name in document["data"]}
    return variables | maps | {name for document in of_kind("Secret") for name in document["stringData"]}


def _systemd() -> set[str]:
    units = ("truto-worker-ingress.service", "truto-worker@.service")
    return {name for unit in units for name in unit_environment(unit)} - INTERPRETER


@pytest.mark.parametrize(
    "names",
    [_image(), _compose(), _kubernetes(), _systemd(), set(env_example())],
    ids=["dockerfile", "compose", "kubernetes", "systemd", "env.example"],
)
def test_only_settings_that_exist_are_set(names: set[str]) -> None:
    assert names
    assert names <= SETTINGS


def test_the_example_has_a_line_for_every_setting_an_operator_chooses() -> None:
    assert SETTINGS - set(env_example()) == set()


@pytest.mark.parametrize(
    "name", sorted(n for n in SETTINGS if n.endswith(("_SECRET", "_TOKEN", "_KEY", "_PASSWORD", "_URLS")))
)
def test_the_example_holds_no_secret_that_somebody_could_deploy(name: str) -> None:
    assert env_example()[name] == ""
