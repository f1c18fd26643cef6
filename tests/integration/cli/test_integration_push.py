"""``truto-worker integrations push``, ``pull`` and ``diff`` against the sandbox, which replaces an override whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.cli.commands import Commands, Printed

Run = Callable[..., Printed]
TOKEN = {"Authorization": "Bearer sandbox-token"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations").mkdir()
    commands = Commands("", monkeypatch, capsys)
    return lambda *arguments: commands("integrations", *arguments)


def write(document: dict[str, Any], name: str = "acme.json") -> Path:
    path = Path("integrations") / name
    path.write_text(json.dumps(document))
    return path


def acme(**override: Any) -> dict[str, Any]:
    config = {"base_url": "https://api.acme.example", "resources": {"users": {"list": {"path": "/users"}}}}
    return {"integration": {"name": "acme", "category": "crm", "config": config}, "override": override}


def stored(url: str, name: str = "acme") -> dict[str, Any]:
    rows: list[dict[str, Any]] = httpx.get(f"{url}/environment-integration", headers=TOKEN).json()["result"]
    (row,) = (row for row in rows if row["integration"]["name"] == name)
    return row


def test_a_push_creates_and_installs_what_is_not_there(run: Run, truto: str) -> None:
    write(acme(headers={"X-A": "1"}))
    printed = run("push", "--dry-run", "--json")
    assert printed.json["integrations"][0]["action"] == "create"
    assert run("push").out.startswith("create     integrations/acme.json  ")
    row = stored(truto)
    assert row["override"] == {"headers": {"X-A": "1"}}
    assert row["integration"]["config"]["base_url"] == "https://api.acme.example"
    assert run("push").out.startswith("unchanged ")


def test_an_integration_that_is_there_is_installed(run: Run, truto: str) -> None:
    write({"integration": {"name": "hubspot", "config": {}}, "override": {"label": "Ours"}})
    assert run("push").out.startswith("install ")
    assert stored(truto, "hubspot")["override"] == {"label": "Ours"}


def test_a_push_replaces_the_override(run: Run, truto: str) -> None:
    write(acme(label="One"))
    run("push")
    write(acme(label="Two", description="more"))
    assert run("diff").code == 1
    assert run("push").out.startswith("replace ")
    assert stored(truto)["override"] == {"label": "Two", "description": "more"}
    assert run("diff").code == 0


def test_a_push_that_would_lose_keys_is_refused_until_it_is_asked_for(run: Run, truto: str) -> None:
    write(acme(label="One", headers={"X-A": "1", "X-B": "2"}, tags=["x"]))
    run("push")
    write(acme(label="One", headers={"X-A": "1"}))
    printed = run("push")
    assert printed.code == 1
    assert printed.out.startswith("refused ")
    assert "headers.X-B is in Truto's override and not in the file: a push removes it" in printed.out
    assert "tags is in Truto's override and not in the file" in printed.out
    assert "tags" in stored(truto)["override"]
    difference = run("diff")
    assert difference.code == 1
    assert "-  X-B: '2'" in difference.out
    assert "note: headers.X-B is in Truto's override and not in the file: a push removes it" in difference.out
    assert run("push", "--replace").code == 0
    assert stored(truto)["override"] == {"label": "One", "headers": {"X-A": "1"}}


def test_neither_diff_nor_push_shows_a_secret(run: Run, truto: str) -> None:
    secret = {
        "credentials": {"oauth2": {"format": "oauth2", "config": {"client": {"id": "i", "secret": "top-secret-1"}}}}
    }
    write(acme(label="One", **secret, secret_environment_variables={"ANY": "top-secret-2"}))
    for printed in (run("diff"), run("push"), run("diff"), run("diff", "--json")):
        assert "top-secret" not in printed.out + printed.err
    write(acme(label="One", **secret, secret_environment_variables={"ANY": "top-secret-3"}))
    printed = run("diff")
    assert printed.code == 1
    assert "only what is masked is different" in printed.out
    assert "top-secret" not in printed.out


def test_a_pull_writes_files_and_leaves_alone_what_differs(run: Run, truto: str) -> None:
    write(acme(label="One"))
    run("push")
    Path("integrations/acme.json").unlink()
    printed = run("pull")
    assert "written    integrations/acme.yaml" in printed.out
    assert "Truto shows no secrets" in printed.out
    assert run("diff", "integrations/acme.yaml").code == 0
    assert "unchanged  integrations/acme.yaml" in run("pull").out
    path = Path("integrations/acme.yaml")
    path.write_text(path.read_text().replace("label: One", "label: Mine"))
    printed = run("pull")
    assert printed.code == 1
    assert "kept       integrations/acme.yaml  differs from Truto" in printed.out
    assert "label: Mine" in path.read_text()
    assert run("pull", "--force").code == 0
    assert "label: One" in path.read_text()


def test_a_file_with_an_id_is_that_installation(run: Run, truto: str) -> None:
    write(acme(label="One"))
    run("push")
    write({"id": stored(truto)["id"], "override": {"label": "By id", "base_url": "https://x.example"}})
    assert run("push").out.startswith("replace ")
    assert stored(truto)["override"]["label"] == "By id"


def test_a_bare_config_belongs_to_nothing_yet(run: Run, truto: str) -> None:
    write(acme()["integration"]["config"])
    printed = run("push")
    assert printed.code == 2
    assert "is a bare config: put it under integration.config, with integration.name, or under override" in printed.err


def test_a_definition_with_faults_is_not_sent(run: Run, truto: str) -> None:
    write(acme(error_expression="("))
    assert run("push").code == 2


def test_without_truto_the_exit_code_is_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUTO_API_TOKEN", "x")
    monkeypatch.setenv("TRUTO_API_URL", "http://127.0.0.1:1")
    write(acme())
    printed = run("diff")
    assert printed.code == 1
    assert "Truto did not do it" in printed.err
