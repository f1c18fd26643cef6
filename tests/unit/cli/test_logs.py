"""One event a line, without escape sequences a sender could have chosen."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from cli.logs import configure_logging


class Terminal:
    """What was written to standard error."""

    def __init__(self, capture: pytest.CaptureFixture[str]) -> None:
        self._capture = capture

    def lines(self) -> list[str]:
        return self._capture.readouterr().err.splitlines()


@pytest.fixture
def terminal(capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(capsys)


def test_json_records_are_one_line_with_event_level_and_fields(terminal: Terminal) -> None:
    configure_logging("info", "json")
    structlog.get_logger().info("delivery", source="truto")
    (line,) = terminal.lines()
    record = json.loads(line)
    assert (record["event"], record["level"], record["source"]) == ("delivery", "info", "truto")
    assert record["timestamp"].endswith("Z")


def test_a_record_is_stamped_with_its_own_time_in_utc(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    configure_logging("info", "json")
    for nanoseconds in (1_798_761_599_000_042_999, 1_798_761_599_999_999_999, 1_798_761_600_000_000_000):
        monkeypatch.setattr("time.time_ns", lambda now=nanoseconds: now)
        structlog.get_logger().info("delivery")
    assert [json.loads(line)["timestamp"] for line in terminal.lines()] == [
        "2026-12-31T23:59:59.000042Z",
        "2026-12-31T23:59:59.999999Z",
        "2027-01-01T00:00:00.000000Z",
    ]


def test_records_below_the_level_are_not_written(terminal: Terminal) -> None:
    configure_logging("warning", "json")
    structlog.get_logger().info("delivery")
    assert terminal.lines() == []


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_forged_line_stays_one_escaped_line(terminal: Terminal, style: str) -> None:
    configure_logging("info", style)  # type: ignore[arg-type]  # the two styles
    structlog.get_logger().info("delivery", event_id="x\r\n2026 INFO fake \x1b[31m")
    (line,) = terminal.lines()
    assert "\x1b[31m" not in line


@pytest.mark.parametrize("style", ["json", "console"])
def test_warnings_of_libraries_take_the_same_way(terminal: Terminal, style: str) -> None:
    configure_logging("info", style)  # type: ignore[arg-type]  # the two styles
    logging.getLogger("somebody").warning("beware of %s", "this")
    (line,) = terminal.lines()
    assert "beware of this" in line
    assert "warning" in line


def test_what_libraries_say_at_info_is_left_out_since_it_holds_urls_and_arguments(terminal: Terminal) -> None:
    configure_logging("debug", "json")
    logging.getLogger("httpx").info("GET https://token@host")
    assert terminal.lines() == []


def test_a_second_call_does_not_double_the_lines(terminal: Terminal) -> None:
    configure_logging("info", "json")
    configure_logging("info", "json")
    logging.getLogger("somebody").warning("once")
    assert len(terminal.lines()) == 1


def test_bound_fields_and_those_of_the_context_are_in_every_record(terminal: Terminal) -> None:
    configure_logging("info", "json")
    with structlog.contextvars.bound_contextvars(request="r"):
        structlog.get_logger().bind(worker="w").info("ran %s", "well", worker="other")
        structlog.get_logger("named", run=1).warning("again")
    first, second = map(json.loads, terminal.lines())
    assert (first["request"], first["worker"], first["event"]) == ("r", "other", "ran well")
    assert (second["request"], second["run"], second["level"]) == ("r", 1, "warning")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_a_record_is_told_its_level(terminal: Terminal, level: str) -> None:
    configure_logging("debug", "json")
    getattr(structlog.get_logger(), level)("delivery")
    assert json.loads(terminal.lines()[0])["level"] == level


def test_a_test_may_capture_the_records(terminal: Terminal) -> None:
    configure_logging("info", "json")
    logger = structlog.get_logger().bind(worker="w")
    with structlog.testing.capture_logs() as captured:
        logger.info("delivery")
    assert captured == [{"worker": "w", "event": "delivery", "log_level": "info"}]
    assert terminal.lines() == []


def test_values_that_json_does_not_know_do_not_lose_the_record(terminal: Terminal) -> None:
    configure_logging("info", "json")
    structlog.get_logger().info("odd", value={1, 2} - {1})
    assert json.loads(terminal.lines()[0])["value"] == "{2}"


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_traceback_shows_no_local_values(terminal: Terminal, style: str) -> None:
    configure_logging("info", style)  # type: ignore[arg-type]  # the two styles
    try:
        token = "s3cret-" + "token"
        raise RuntimeError("it broke")
    except RuntimeError:
        structlog.get_logger().exception("our_own")
        logging.getLogger("library").exception("theirs")
    written = "\n".join(terminal.lines())
    assert "it broke" in written
    assert "test_a_traceback_shows_no_local_values" in written
    assert token not in written
