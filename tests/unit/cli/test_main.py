"""Exit codes and messages of the command line."""

from __future__ import annotations

import json
import os
import socket
import sys
from importlib import metadata
from pathlib import Path

import pytest

from cli.sandbox import default_link_token_url
from cli.settings import misspelt_settings
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


def test_the_version_is_told(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--version") == 0
    assert capsys.readouterr().out == f"truto-worker {metadata.version('truto-worker')}\n"


@pytest.mark.parametrize(
    ("arguments", "heading"),
    [
        (["worker"], "truto-worker cannot start:"),
        (["send", "test"], "truto-worker send failed:"),
        (["sources", "check"], "truto-worker sources check failed:"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_only_a_command_that_starts_something_cannot_start(
    run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], heading: str
) -> None:
    assert run(*arguments) == 2
    assert capsys.readouterr().err.startswith(heading)


@pytest.fixture
def env_file(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``.env`` in the working directory; what it sets is unset afterwards."""
    monkeypatch.setenv("REDIS_URL", "")
    monkeypatch.delenv("REDIS_URL")
    return elsewhere / ".env"


@pytest.mark.parametrize(
    "arguments", [["ingress"], ["worker"], ["events"], ["dead-letters"], ["replay", "--all"]], ids=" ".join
)
def test_every_command_reads_the_env_file_of_its_folder(
    env_file: Path, run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    env_file.write_text("REDIS_URL=nonsense://from-the-file\n")
    assert run(*arguments) == 2
    assert "REDIS_URL: " in capsys.readouterr().err


def test_the_environment_wins_over_the_env_file(
    env_file: Path, put: Put, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    env_file.write_text("REDIS_URL=nonsense://from-the-file\n")
    put({"REDIS_URL": "redis://127.0.0.1:1"})
    assert run("events") == 1
    assert "does not answer" in capsys.readouterr().err


def test_an_env_file_that_is_no_text_is_named(env_file: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    env_file.write_bytes(b"REDIS_URL=\xff\xfe")
    assert run("events") == 2
    assert f"{env_file} cannot be read" in capsys.readouterr().err


def test_a_misspelt_setting_is_named_with_the_one_that_was_meant(
    put: Put, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    put({"REDIS_URI": "redis://127.0.0.1:1"})
    assert run("worker") == 2
    assert "REDIS_URI is set, and is no setting; did you mean REDIS_URL?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "meant"),
    [("WORKER_CONCURENCY", "WORKER_CONCURRENCY"), ("TRUTO_API_KEY", "TRUTO_API_TOKEN"), ("SYNC_JOB", "SYNC_JOBS")],
)
def test_a_name_that_is_nearly_a_setting_is_found(name: str, meant: str) -> None:
    assert misspelt_settings({name: "5"}) == {name: meant}


@pytest.mark.parametrize("name", ["HOSTNAME", "PATH", "PORTAL", "SPOOL", "TRUTO_SOMETHING_OF_ONES_OWN"])
def test_the_names_of_other_programs_are_left_alone(name: str) -> None:
    assert misspelt_settings({name: "5"}) == {}


def test_a_port_in_use_stops_the_sandbox_with_code_2_and_the_option_that_helps(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = str(somebody.getsockname()[1])
        assert run("sandbox", "--port", port) == 2
    assert f"port {port} is in use by another process" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["dev"])
def test_a_command_without_its_extra_says_how_to_install_it(
    run: Run, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    assert run(command) == 2
    assert "pip install 'truto-worker[dev]'" in capsys.readouterr().err


@pytest.mark.parametrize("value", ['"token of truto"', "'token of truto'"])
@pytest.mark.parametrize("command", [["send", "test"], ["sandbox"]], ids=" ".join)
def test_a_secret_in_quotes_is_told_by_every_command(
    put: Put, run: Run, capsys: pytest.CaptureFixture[str], command: list[str], value: str
) -> None:
    put({"TRUTO_WEBHOOK_SECRET": value})
    assert run(*command) == 2
    assert "TRUTO_WEBHOOK_SECRET: is in quotes" in capsys.readouterr().err
