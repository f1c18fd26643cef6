"""Options of the rig, a rig for each test, and the table of figures at the end."""

from __future__ import annotations

import math
import random
import signal
import statistics
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.faults.checker import Verdict
from tests.faults.rig import Rig, Setup, rigged

Rigged = Callable[..., AbstractAsyncContextManager[Rig]]
Publish = Callable[..., None]

_HEAD = "| row | acked | faults | lost | repeated | recovery p50 / max s | acks resume max s | besides |"
_rows: list[tuple[float, str]] = []
_kept: list[Path] = []
_seed = random.SystemRandom().getrandbits(32)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--long", action="store_true", help="Run the long tier instead of the short one.")
    group.addoption("--seed", type=int, default=None, help="The seed of an earlier run.")
    group.addoption("--keep", action="store_true", help="Keep logs and ledgers of what succeeds too.")
    group.addoption("--figures", type=Path, default=None, help="Write the table of figures to this file too.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: belongs to the long tier")
    # As for Ctrl-C: whoever ends a run early must not leave its processes behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    long = bool(config.getoption("--long", default=False))
    kept = [item for item in items if (item.get_closest_marker("long") is not None) == long]
    config.hook.pytest_deselected(items=[item for item in items if item not in kept])
    items[:] = kept


def pytest_report_header(config: pytest.Config) -> str:
    return f"faults: --seed {_chosen_seed(config)}"


def _chosen_seed(config: pytest.Config) -> int:
    given = config.getoption("--seed", default=None)
    return _seed if given is None else int(given)


@pytest.fixture
def rig(request: pytest.FixtureRequest) -> Rigged:
    """Make a rig with the options of :class:`Setup`."""

    def make(**options: object) -> AbstractAsyncContextManager[Rig]:
        keep = bool(request.config.getoption("--keep", default=False))
        setup = Setup(**options)  # type: ignore[arg-type]  # its own fields
        return rigged(setup, seed=_chosen_seed(request.config), keep=keep, on_kept=_kept.append)

    return make


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """What random choices are made with: that of ``--seed``, else a new one for each run."""
    return _chosen_seed(request.config)


@pytest.fixture
def record(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a line of figures, whatever becomes of the test."""

    def line(text: str) -> None:
        with capsys.disabled():
            sys.stdout.write(f"\n{text}\n")

    return line


@pytest.fixture
def publish() -> Publish:
    """Put a row into the table of figures."""

    def publish(row: float, name: str, verdict: Verdict, faults: str, besides: str = "") -> None:
        recovery = _middle_and_most(verdict.recoveries)
        slowest = max(verdict.resumptions, default=None)
        resume = "" if slowest is None else "never" if math.isinf(slowest) else f"{slowest:.2f}"
        stalls = f", {verdict.stalls} stalls" if verdict.stalls else ""
        counts = f"{verdict.acked:,} | {faults}{stalls} | {len(verdict.lost):,} | {verdict.repeated:,}"
        _rows.append((row, f"| {row:g} {name} | {counts} | {recovery} | {resume} | {besides} |"))

    return publish


def _middle_and_most(seconds: object) -> str:
    values = list(seconds)  # type: ignore[call-overload]  # a list of numbers
    return f"{statistics.median(values):.2f} / {max(values):.2f}" if values else ""


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for folder in _kept:
        terminalreporter.write_line(f"logs and ledgers are kept in {folder}")
    if not _rows:
        return
    table = "\n".join([_HEAD, "|---" * 8 + "|", *(row for _, row in sorted(_rows))])
    terminalreporter.write_line(f"\nseed {_chosen_seed(config)}\n\n{table}\n")
    if target := config.getoption("--figures", default=None):
        target.write_text(table + "\n")
