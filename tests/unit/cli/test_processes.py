"""Processes beneath a command come up, are watched, and end."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from cli.errors import ProcessFailedError
from cli.processes import Processes


def test_a_process_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with Processes(logs=tmp_path) as processes:
        process = processes.start("ingress", ["ingress"], {"REDIS_URL": "", "TRUTO_WEBHOOK_SECRET": ""})
        with pytest.raises(ProcessFailedError, match="ended with code 2") as caught:
            processes.wait_until_up(process, "http://127.0.0.1:1/", seconds=20)
    assert "TRUTO_WEBHOOK_SECRET is not set" in str(caught.value)


def test_a_process_that_never_answers_is_reported(tmp_path: Path) -> None:
    with Processes(logs=tmp_path) as processes:
        process = processes.start("sandbox", ["sandbox", "--port", "0"], {})
        with pytest.raises(ProcessFailedError, match="did not answer"):
            processes.wait_until_up(process, "http://127.0.0.1:1/", seconds=0.2)


def test_one_that_is_spared_may_end_and_others_may_not(tmp_path: Path) -> None:
    with Processes(logs=tmp_path) as processes:
        first = processes.start("first", ["send", "--list"], {})
        first.popen.wait(20)
        processes.check_all_but(first)
        second = processes.start("second", ["send", "--list"], {})
        with pytest.raises(ProcessFailedError, match="first ended with code 0"):
            processes.check_all_but(second)


def test_one_that_does_not_heed_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.processes._STOP_SECONDS", 0.1)
    with Processes(logs=tmp_path) as processes:
        process = processes.start("sandbox", ["sandbox", "--port", "0"], {})
        process.popen.send_signal(signal.SIGSTOP)
        time.sleep(0.05)
        processes.stop(process)
        assert process.popen.returncode == -signal.SIGKILL
        processes.stop(process)
