"""Every name that a deploy file sets is one that its process reads, and no process is given the other's secrets."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import SecretStr

from cli.settings import IngressSettings, WorkerSettings
from tests.unit.deploy.tree import ROOT, compose, dockerfile, env_example, of_kind, unit_environment

INTERPRETER = {"PATH", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"}
# Read by the built-in handlers themselves.
HANDLERS_OWN = {"SYNC_JOBS"}
# Read where somebody tries an integration, and by nothing that is deployed.
OF_COMMANDS = {"INTEGRATIONS_HTTP_ALLOW"}
# Both kinds of settings have them; the ingress does nothing with them.
WORKERS_ALONE = {"REDIS_SHARD", "LEASE_SECONDS", "DEDUP_TTL", "HISTORY_TTL"}


def _fields(kind: type[IngressSettings | WorkerSettings]) -> set[str]:
    return {name.upper() for name in kind.model_fields}


READ = {"ingress": _fields(IngressSettings) - WORKERS_ALONE, "worker": _fields(WorkerSettings) | HANDLERS_OWN}
PROCESSES = sorted(READ)
UNITS = {"ingress": "truto-worker-ingress.service", "worker": "truto-worker@.service"}


def _secret(name: str) -> bool:
    fields = {**IngressSettings.model_fields, **WorkerSettings.model_fields}
    field = fields.get(name.lower())
    return field is not None and (not field.repr or SecretStr.__name__ in str(field.annotation))


SECRET = {name for name in READ["ingress"] | READ["worker"] if _secret(name)}


def _pod(process: str) -> dict[str, Any]:
    (container,) = [
        c for d in of_kind("Deployment") for c in d["spec"]["template"]["spec"]["containers"] if c["name"] == process
    ]
    found: dict[str, Any] = container
    return found


def _kubernetes(process: str) -> set[str]:
    return {variable["name"] for variable in _pod(process)["env"]}


def _secrets_of_cluster(process: str) -> set[str]:
    (found,) = [d for d in of_kind("Secret") if d["metadata"]["name"] == f"truto-worker-{process}"]
    return set(found["stringData"])


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize(
    "names",
    [
        pytest.param(lambda process: set(env_example(process)), id="env-file"),
        pytest.param(lambda process: set(compose()["services"][process]["environment"]), id="compose"),
        pytest.param(_kubernetes, id="kubernetes"),
        pytest.param(_secrets_of_cluster, id="kubernetes-secret"),
        pytest.param(lambda process: set(unit_environment(UNITS[process])) - INTERPRETER, id="systemd"),
    ],
)
def test_only_settings_that_the_process_reads_are_set(process: str, names: Any) -> None:
    assert names(process)
    assert names(process) - READ[process] == set()


def test_the_image_and_the_config_map_set_what_a_process_reads() -> None:
    words = [word for instruction in dockerfile() if instruction.word == "ENV" for word in instruction.rest.split()]
    assert {word.split("=", 1)[0] for word in words} - INTERPRETER <= READ["ingress"]
    assert {name for document in of_kind("ConfigMap") for name in document["data"]} <= READ["ingress"] & READ["worker"]


@pytest.mark.parametrize("process", PROCESSES)
def test_the_example_has_a_line_for_every_setting_of_the_process(process: str) -> None:
    assert READ[process] - set(env_example(process)) == set()


def test_the_readme_lists_every_setting_and_no_other() -> None:
    rows = re.findall(r"^\| (`[A-Z][^|]*`) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    found = {name for row in rows for name in re.findall(r"`([A-Z_]+)`", row)}
    assert found == READ["ingress"] | READ["worker"] | OF_COMMANDS


@pytest.mark.parametrize("process", PROCESSES)
def test_the_deploy_page_offers_a_process_nothing_that_it_does_not_read(process: str) -> None:
    page = (ROOT / "deploy" / "README.md").read_text()
    (row,) = re.findall(rf"^\| {process} \| (`.*)$", page, re.MULTILINE)
    assert set(re.findall(r"`([A-Z_]+)`", row)) - READ[process] == set()


@pytest.mark.parametrize("process", PROCESSES)
def test_the_example_holds_no_secret_that_somebody_could_deploy(process: str) -> None:
    given = {name: value for name, value in env_example(process).items() if name in SECRET - {"REDIS_URL"}}
    assert given
    assert set(given.values()) == {""}


def test_what_is_a_secret_is_known_by_its_type() -> None:
    assert {"TRUTO_WEBHOOK_SECRET", "LINK_TOKEN_KEY", "TRUTO_API_TOKEN", "NOTIFY_URLS", "REDIS_URL"} <= SECRET
    assert not {"HOST", "PORT", "ADMIN_PORT", "HANDLERS"} & SECRET


@pytest.mark.parametrize(("process", "other"), [("ingress", "worker"), ("worker", "ingress")])
def test_no_process_is_given_a_secret_that_only_the_other_reads(process: str, other: str) -> None:
    foreign = SECRET & (READ[other] - READ[process])
    assert foreign
    assert not foreign & (set(env_example(process)) | _secrets_of_cluster(process) | _kubernetes(process))
    references = [v["valueFrom"]["secretKeyRef"]["name"] for v in _pod(process)["env"] if "valueFrom" in v]
    assert set(references) == {f"truto-worker-{process}"}
