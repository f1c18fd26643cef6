"""The pytest plugin, in the project of a team that has installed the package."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]

SIX_LINES = """
async def test_a_tenant_is_greeted(truto):
    await truto.deliver("record:created", account="acc-1", tenant="acme")
    truto.assert_notified("acme", "booking.created")
"""

HANDLER = """
from worker import on

@on("record:created")
async def greet(event, ctx):
    account = await ctx.truto.integrated_accounts.get(event.account_id)
    await ctx.notify.tenant(account.tenant_id, "booking.created", {})
"""


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A handler in the folder that is the default, and its test."""
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\n")
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers" / "booking.py").write_text(HANDLER)
    (tmp_path / "test_booking.py").write_text(SIX_LINES)
    return tmp_path


def test_a_first_test_takes_six_lines(project: Path) -> None:
    ended = run(project)
    assert "1 passed" in ended.stdout, ended.stdout


def test_the_handlers_of_a_package_are_those_that_the_ini_file_names(project: Path) -> None:
    (project / "handlers").rename(project / "acme_handlers")
    (project / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\ntruto_handlers = acme_handlers\n")
    assert "1 passed" in run(project).stdout


def test_a_broken_handler_is_named_with_its_line(project: Path) -> None:
    (project / "handlers" / "booking.py").write_text("import os\nos.environ['NOT_SET_ANYWHERE']\n")
    ended = run(project)
    assert "the environment has no NOT_SET_ANYWHERE (handlers/booking.py, line 2)" in ended.stdout


def test_a_run_that_asks_for_nothing_of_ours_loads_nothing_of_ours(tmp_path: Path) -> None:
    (tmp_path / "test_else.py").write_text(
        "import sys\ndef test_it():\n    assert not {'worker', 'truto', 'httpx', 'redis'} & set(sys.modules)\n"
    )
    assert "1 passed" in run(tmp_path).stdout


def test_a_hundred_tests_share_what_is_slow(project: Path) -> None:
    many = SIX_LINES.strip().replace("(truto)", "(truto, n)")
    (project / "test_booking.py").write_text(f"import pytest\n\n@pytest.mark.parametrize('n', range(100))\n{many}\n")
    assert "100 passed" in run(project).stdout


def snippets(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)


def test_the_first_handler_of_the_readme_passes_the_first_test_of_the_guide(project: Path) -> None:
    (project / "handlers" / "booking.py").write_text(snippets("README.md")[0])
    (project / "test_booking.py").write_text("\n\n".join(snippets("docs/testing.md")))
    ended = run(project)
    assert "2 passed" in ended.stdout, ended.stdout
