"""Exit codes and messages of the command line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cli.sandbox import default_link_token_url
from tests.unit.cli.conftest import Put, Run
from truto import EVENT_TYPES

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"


pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.mark.parametrize(
    "command", ["demo", "dev", "ingress", "worker", "sandbox", "send", "events", "dead-letters", "replay", "notify-key"]
)
def test_every_command_explains_itself(run: Run, capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run(command, "--help") == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("command", "missing"),
    [("ingress", ["REDIS_URL", "TRUTO_WEBHOOK_SECRET"]), ("worker", ["REDIS_URL", "TRUTO_API_TOKEN"])],
)
def test_a_service_without_settings_names_them_all_and_ends_with_2(
    run: Run, capsys: pytest.CaptureFixture[str], command: str, missing: list[str]
) -> None:
    assert run(command) == 2
    message = capsys.readouterr().err
    assert all(name in message for name in missing)


def test_wrong_settings_and_broken_handlers_are_named_in_one_message(
    put: Put, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    put({"REDIS_URL": "redis://127.0.0.1:1"})
    put({"TRUTO_API_TOKEN": "token"})
    put({"HANDLERS": "no_such_package_of_handlers"})
    assert run("worker") == 2
    assert "no_such_package_of_handlers" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nope"], ["send"], ["ingress", "--nope"]], ids=" ".join)
def test_wrong_usage_ends_with_2(run: Run, arguments: list[str]) -> None:
    assert run(*arguments) == 2


def test_the_catalogue_is_listed_for_people_and_for_programs(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("send", "--list") == 0
    assert set(capsys.readouterr().out.split()) >= EVENT_TYPES
    assert run("send", "--list", "--json") == 0
    assert set(json.loads(capsys.readouterr().out)) >= EVENT_TYPES


def test_sending_without_any_secret_says_where_one_could_come_from(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("send", "test") == 2
    assert "TRUTO_WEBHOOK_SECRET" in capsys.readouterr().err


def test_sending_to_nobody_fails_with_a_hint(put: Put, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    put({"TRUTO_WEBHOOK_SECRET": SECRET})
    assert run("send", "not_known:at_all", "--url", "http://127.0.0.1:1") == 1
    error = capsys.readouterr().err
    assert "Is the ingress running there?" in error
    assert "not a name Truto is known to send" in error


@pytest.mark.parametrize("content", ["not json", "[1]", None], ids=["not-json", "not-an-object", "no-such-file"])
def test_unusable_data_is_named(
    put: Put, run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path, content: str | None
) -> None:
    put({"TRUTO_WEBHOOK_SECRET": SECRET})
    file = tmp_path / "payload.json"
    if content is not None:
        file.write_text(content)
    assert run("send", "test", "--data", str(file)) == 2
    assert str(file) in capsys.readouterr().err


def test_a_sandbox_that_is_to_deliver_needs_a_secret(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sandbox", "--webhook-url", "http://127.0.0.1:1/webhooks/truto") == 2
    assert "TRUTO_WEBHOOK_SECRET" in capsys.readouterr().err


def test_a_sandbox_with_settings_that_do_not_fit_says_so(
    put: Put, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    put({"TENANT_NOTIFY_SECRET": "whsec_not base64!"})
    assert run("sandbox") == 2
    assert "tenant_secret" in capsys.readouterr().err


def test_a_sandbox_with_a_broken_state_file_does_not_start(
    run: Run, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "state"
    file.write_text("{}")
    assert run("sandbox", "--state", str(file)) == 2
    assert f"{file} is not a state of the sandbox" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("webhook_url", "found"),
    [
        ("https://ingress.example:8443/webhooks/truto", "https://ingress.example:8443/api/truto/link-token"),
        ("https://other.example/hook", None),
        (None, None),
    ],
    ids=["ingress", "other", "none"],
)
def test_the_link_token_route_is_looked_for_beside_the_webhook_s(webhook_url: str | None, found: str | None) -> None:
    assert default_link_token_url(webhook_url) == found


def test_the_project_is_not_left_in_the_environment() -> None:
    """The tests above must not depend on what a developer has exported."""
    assert "REDIS_URL" not in os.environ
