"""A package of somebody else's in the place of one of ours is named, with what to do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def start(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, with *path* before ours on the import path."""
    return subprocess.run(
        [sys.executable, "-m", "truto_worker", *arguments],
        env={"PATH": "", "PYTHONPATH": f"{path}:{ROOT}"},
        cwd=path,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("name", ["cli", "events", "truto", "worker"])
def test_a_package_that_hides_one_of_ours_is_named_with_the_way_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("class Booking: pass")
    (tmp_path / name / "main.py").write_text("def main(): print('not ours')")
    ended = start(tmp_path, "worker")
    assert ended.returncode == 2
    assert f"`{name}` is imported from {tmp_path / name}, and is not truto-worker's: rename it" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_package_that_has_written_into_ours_is_told(tmp_path: Path) -> None:
    for name in ("cli", "ingress", "truto", "worker"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "truto_worker").mkdir()
    (tmp_path / "truto_worker" / "__init__.py").write_text((ROOT / "truto_worker" / "__init__.py").read_text())
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "__init__.py").write_text("from events.events import Events")
    ended = subprocess.run(
        [sys.executable, "-c", "import truto_worker; truto_worker.main()", "--help"],
        env={"PATH": "", "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 2
    assert f"{tmp_path / 'events'} is not as truto-worker brought it" in ended.stderr


def test_a_missing_package_of_another_kind_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("import nothing_of_ours")
    ended = start(tmp_path, "--help")
    assert ended.returncode == 1
    assert "No module named 'nothing_of_ours'" in ended.stderr


def test_packages_of_other_names_are_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / "bookings").mkdir()
    (tmp_path / "bookings" / "__init__.py").write_text("")
    assert start(tmp_path, "--help").returncode == 0


def test_a_teams_folder_of_handlers_hides_nothing(tmp_path: Path) -> None:
    (tmp_path / "handlers").mkdir()
    (tmp_path / "handlers" / "__init__.py").touch()
    assert start(tmp_path, "--help").returncode == 0
