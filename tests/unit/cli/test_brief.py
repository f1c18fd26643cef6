"""The log as ``dev`` shows it."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from cli.brief import WIDTH, BriefLine

HANDLED = {
    "event": "event_handled",
    "level": "info",
    "event_type": "integrated_account:active",
    "tenant_id": "acme-1",
    "handler": "handlers.integrated_account.start_first_sync",
    "outcome": "done",
    "milliseconds": 121.6,
}


def lines(**record: Any) -> list[str]:
    return BriefLine("worker")(None, record["level"], {**record}).splitlines()


def test_an_event_is_one_line_with_process_event_tenant_handler_outcome_and_time() -> None:
    (line,) = lines(**HANDLED)
    words = line.split()[1:]
    assert words == ["worker", "integrated_account:active", "acme-1", "start_first_sync", "done", "122", "ms"]


def test_an_event_that_is_ignored_says_so_in_its_line() -> None:
    (line,) = lines(**{**HANDLED, "why": "ignored"})
    assert " ignored" in line


def test_a_failure_says_why_and_when_it_runs_again() -> None:
    _, why = lines(**{**HANDLED, "outcome": "retried", "error": "ValueError: no", "in_seconds": 1.5})
    assert why.strip() == "error: ValueError: no; again in 1.5 s"


@given(st.text(min_size=1, max_size=300).filter(str.isprintable), st.text(max_size=300).filter(str.isprintable))
def test_no_line_of_an_event_is_wider_than_the_terminal(event_type: str, why: str) -> None:
    told = lines(**{**HANDLED, "event_type": event_type, "tenant_id": event_type, "handler": why, "why": why})
    assert all(len(line) <= WIDTH for line in told)


@pytest.mark.parametrize("event", ["worker_started", "delivery_accepted", "handlers_loaded"])
def test_what_is_routine_is_not_shown(event: str) -> None:
    with pytest.raises(structlog.DropEvent):
        lines(event=event, level="info", source="truto")


def test_a_warning_is_shown_with_its_fields_and_what_to_do() -> None:
    first, hint = lines(event="setting_unknown", level="warning", setting="PROT", hint="did you mean PORT?")
    assert first.split()[1:] == ["worker", "setting_unknown", "setting=PROT"]
    assert hint.strip() == "hint: did you mean PORT?"


def test_what_a_handler_logs_is_shown() -> None:
    (line,) = lines(event="visit_seen", level="info", handler="acme.visit.made", number=3, event_id="e-1")
    assert line.split()[1:] == ["worker", "visit_seen", "number=3"]


@pytest.mark.parametrize(("built_in", "shown"), [(True, 0), (False, 1)])
def test_only_handlers_of_ones_own_are_said_to_be_loaded(*, built_in: bool, shown: int) -> None:
    record = {"event": "handler_loaded", "level": "info", "handler": "acme.visit.made", "patterns": ("a:b", "c:*")}
    try:
        told = lines(**record, file="acme/visit.py", built_in=built_in)
    except structlog.DropEvent:
        told = []
    assert len(told) == shown
    assert all("acme.visit.made handles a:b c:* (acme/visit.py)" in line for line in told)
