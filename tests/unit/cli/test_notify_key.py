"""``truto-worker notify-key``: one receiver's key, and nobody else's."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.unit.cli.conftest import Put, Run
from truto.outgoing import host_name
from truto.signing_keys import Purpose, SigningKeys

NEW = "whsec_" + base64.b64encode(b"n" * 24).decode()
OLD = "whsec_" + base64.b64encode(b"o" * 24).decode()


def key_of(recipient: str, purpose: Purpose = "tenant", secret: str = NEW) -> str:
    return SigningKeys.parse(secret, purpose).keys_for(recipient, datetime.now(UTC))[0]


@pytest.fixture(autouse=True)
def _secrets(put: Put) -> None:
    put({"TENANT_NOTIFY_SECRET": NEW})
    put({"WORKFLOWS_HTTP_SECRET": NEW})


def test_a_person_gets_the_key_with_a_sentence(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("notify-key", "--tenant", "acme-1") == 0
    said = capsys.readouterr().out
    assert "The key of tenant acme-1" in said
    assert f"\n  {key_of('acme-1')}\n" in said
    assert NEW not in said


@pytest.mark.parametrize(
    ("option", "recipient", "expected"),
    [
        ("--tenant", "acme/1 ü", {"tenant": "acme/1 ü"}),
        ("--host", "Hooks.Example.com", {"host": "hooks.example.com"}),
        ("--host", "hooks.example.com:443", {"host": "hooks.example.com"}),
        ("--host", "hooks.example.com:80", {"host": "hooks.example.com"}),
        ("--host", "hooks.example.com:8443", {"host": "hooks.example.com:8443"}),
        ("--host", "münchen.example", {"host": "xn--mnchen-3ya.example"}),
        ("--host", "[::1]:8080", {"host": "[::1]:8080"}),
    ],
)
def test_a_program_gets_the_receiver_as_it_is_signed_for(
    run: Run,
    capsys: pytest.CaptureFixture[str],
    option: str,
    recipient: str,
    expected: dict[Purpose, str],
) -> None:
    assert run("notify-key", option, recipient, "--json") == 0
    ((purpose, name),) = expected.items()
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found.pop("keys") == [{"key": key_of(name, purpose), "until": None}]
    assert found == expected


@pytest.mark.parametrize("url", ["https://a.test/x", "http://a.test:80/", "http://a.test:443/", "https://A.test:443/"])
def test_a_host_is_the_same_under_each_scheme_and_usual_port(url: str) -> None:
    assert host_name(httpx.URL(url)) == "a.test"


def test_while_a_secret_is_replaced_both_keys_are_shown_the_new_one_first(
    put: Put, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    put({"TENANT_NOTIFY_SECRET": f"{NEW},{OLD}@9999-12-31"})
    assert run("notify-key", "--tenant", "acme", "--json") == 0
    assert json.loads(capsys.readouterr().out)["keys"] == [
        {"key": key_of("acme"), "until": None},
        {"key": key_of("acme", secret=OLD), "until": "9999-12-31"},
    ]
    assert run("notify-key", "--tenant", "acme") == 0
    assert "until 9999-12-31" in capsys.readouterr().out


@pytest.mark.parametrize("entry", [f"shared:{OLD}@9999-12-31", f"{OLD}@2020-01-01"], ids=["shared", "over"])
def test_what_is_no_key_of_this_receiver_is_not_shown(
    put: Put, run: Run, capsys: pytest.CaptureFixture[str], entry: str
) -> None:
    put({"TENANT_NOTIFY_SECRET": f"{NEW},{entry}"})
    assert run("notify-key", "--tenant", "acme", "--json") == 0
    assert [key["key"] for key in json.loads(capsys.readouterr().out)["keys"]] == [key_of("acme")]


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--tenant", "a", "--host", "b"],
        ["--tenant", ""],
        *(["--host", host] for host in ("", "a/b", "a/", "u@a", "a:port", "a?b", "a#b", "a b/c")),
    ],
    ids=" ".join,
)
def test_what_names_no_receiver_is_a_fault_of_usage(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run("notify-key", *arguments) == 2
    assert "whsec_" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "option"), [("TENANT_NOTIFY_SECRET", "--tenant"), ("WORKFLOWS_HTTP_SECRET", "--host")]
)
def test_without_the_secret_it_says_which_one_is_missing(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, option: str
) -> None:
    monkeypatch.delenv(name)
    assert run("notify-key", option, "a") == 2
    assert f"{name} is not set" in capsys.readouterr().err
