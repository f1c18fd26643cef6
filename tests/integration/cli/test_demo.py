"""``truto-worker demo`` as a person runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_demo_observes_every_hop_in_real_processes_and_exits_0(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "demo", "--json"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    hops = json.loads(ran.stdout)
    assert [hop["what"] for hop in hops].count("verified and committed") == 2
    assert {hop["process"].split()[0] for hop in hops} == {"sandbox", "redis", "ingress", "worker"}
    assert len({hop["process"].split()[1] for hop in hops}) == 4
    assert any(hop["what"] == "tenant notified" and "verified" in hop["detail"] for hop in hops)
    assert [hop["at"] for hop in hops] == sorted(hop["at"] for hop in hops)


def test_the_demo_shows_a_timeline_to_people(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "cli", "demo"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stdout
    assert "handler calls Truto" in ran.stdout
    assert "Every hop was observed" in ran.stdout


def test_a_demo_without_a_redis_server_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cli.demo import run_demo

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run_demo(as_json=False) == 1


def test_a_hop_that_is_missing_fails_the_demo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The negative control: without the handlers there is no call to observe, and the demo must not say otherwise."""
    from cli import demo

    monkeypatch.setenv("SYNC_JOBS", "hubspot=51b79ace-a7b4-4077-93ba-8048a06ece2b")
    monkeypatch.setattr(demo, "_HOP_SECONDS", 2.0)
    assert demo.run_demo(as_json=False) == 1
    assert "the handler's call was not observed" in capsys.readouterr().out
