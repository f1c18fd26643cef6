"""A project of one's own, from nothing to a handler with a green test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXPECTED = {
    ".dockerignore",
    ".env",
    ".env.example",
    ".github",
    ".gitignore",
    ".python-version",
    "Dockerfile",
    "Procfile",
    "README.md",
    "acme_handlers",
    "pyproject.toml",
    "requirements.txt",
    "sources.yaml",
    "tests",
    "workflows",
}


def run(folder: Path, module: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    keep = {name: value for name, value in os.environ.items() if name not in ("HANDLERS", "REDIS_URL")}
    command = [sys.executable, "-P", "-m", module, *arguments]
    return subprocess.run(command, cwd=folder, env={**keep, **environment}, capture_output=True, text=True, timeout=240)


def new(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "truto_worker", "new", *arguments)


def passed(folder: Path) -> str:
    return run(folder, "pytest", "-q", "-p", "no:cacheprovider").stdout


@pytest.fixture
def app(tmp_path: Path) -> Path:
    written = new(tmp_path, "app", "acme")
    assert written.returncode == 0, written.stderr
    return tmp_path / "acme"


def test_a_new_app_has_what_a_deployment_needs_and_its_tests_pass_at_once(app: Path) -> None:
    assert {path.name for path in app.iterdir()} == EXPECTED
    assert "2 passed" in passed(app)


def test_every_file_of_a_new_app_is_filled_in(app: Path) -> None:
    texts = [path.read_text() for path in app.rglob("*") if path.is_file() and path.name != "test.yaml"]
    assert [text for text in texts if "${" in text or "$$" in text] == []
    assert "truto-worker[dev,test]" in (app / "requirements.txt").read_text()


def test_a_new_handler_comes_with_a_test_that_passes(app: Path) -> None:
    written = new(app, "handler", "sync_job_run:record")
    assert written.stdout.split() == ["acme_handlers/sync_job_run.py", "tests/test_sync_job_run.py"]
    assert "3 passed" in passed(app)


def test_a_second_handler_of_an_entity_gets_a_file_of_its_own(app: Path) -> None:
    before = (app / "acme_handlers" / "record.py").read_text()
    assert new(app, "handler", "record:updated").stdout.split()[0] == "acme_handlers/record_updated.py"
    assert (app / "acme_handlers" / "record.py").read_text() == before


def test_a_handler_for_a_misspelt_event_is_not_written(app: Path) -> None:
    refused = new(app, "handler", "record:update")
    assert refused.returncode == 2
    assert "did you mean record:updated?" in refused.stderr
    assert not (app / "acme_handlers" / "record_update.py").exists()


def test_without_a_package_of_ones_own_a_handler_goes_into_the_folder_handlers(tmp_path: Path) -> None:
    assert new(tmp_path, "handler", "booking:made").stdout.split()[0] == "handlers/booking.py"


def test_a_new_source_is_added_below_the_others(app: Path) -> None:
    assert new(app, "source", "github").returncode == 0
    assert new(app, "source", "tools", "--preset", "gitlab").returncode == 0
    secrets = {"GITHUB_WEBHOOK_SECRET": "0123456789abcdef", "TOOLS_WEBHOOK_SECRET": "0123456789abcdef"}
    checked = run(app, "truto_worker", "sources", "check", **secrets)
    assert checked.stdout.strip() == "2 sources, no faults: github, tools"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["source", "github"], "has a source github already"),
        (["source", "githubb"], "did you mean github?"),
        (["workflow", "welcome"], "welcome.yaml is there already"),
        (["workflow", "../welcome"], "is no name for it"),
    ],
)
def test_what_cannot_be_added_is_told_and_changes_nothing(app: Path, arguments: list[str], reason: str) -> None:
    new(app, "source", "github")
    new(app, "workflow", "welcome")
    before = {path: path.read_bytes() for path in app.rglob("*") if path.is_file()}
    refused = new(app, *arguments)
    assert (refused.returncode, reason in refused.stderr) == (2, True)
    assert {path: path.read_bytes() for path in app.rglob("*") if path.is_file()} == before


def test_a_new_workflow_has_no_faults(app: Path) -> None:
    assert new(app, "workflow", "welcome").returncode == 0
    assert "1 workflow, no faults" in run(app, "truto_worker", "workflows", "check").stdout


def test_a_file_of_sources_without_sources_has_no_faults(app: Path) -> None:
    checked = run(app, "truto_worker", "sources", "check")
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("name", ["Acme", "1st", "a/b", "..", ""])
def test_a_name_that_no_package_can_have_is_refused(tmp_path: Path, name: str) -> None:
    assert new(tmp_path, "app", name).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_files_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "mine.txt").write_text("mine")
    refused = new(tmp_path, "app", "acme")
    assert (refused.returncode, "is there already" in refused.stderr) == (2, True)
    assert [path.name for path in (tmp_path / "acme").iterdir()] == ["mine.txt"]
