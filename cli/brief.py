"""The log as ``truto-worker dev`` shows it: one line for each event, within 100 columns, and what needs attention."""

from __future__ import annotations

import json
import sys
import textwrap
import time

import structlog
from structlog.typing import EventDict, WrappedLogger

WIDTH = 100
_INDENT = " " * 9
_COLUMNS = (34, 10, 20, 9)
_ATTENTION = frozenset({"warning", "error", "critical", "exception"})
_SHOWN = ("why", "error", "hint", "remedy")
_KNOWN = frozenset({"event", "level", "event_id", "event_type", "handler", "attempt", "exc_info", *_SHOWN})


class BriefLine:
    """Renders a record as a line, or drops it: what is routine is for ``-v``.

    Shown are the events, with how each ended; the handlers of the team, and what these log; warnings and errors.
    """

    def __init__(self, process: str | None = None) -> None:
        self._process = process or next((word for word in sys.argv[1:] if not word.startswith("-")), "")

    def __call__(self, logger: WrappedLogger, method: str, record: EventDict) -> str:
        """The record's lines; raises ``DropEvent`` where it is not shown."""
        lines = self._lines(record)
        if not lines:
            raise structlog.DropEvent
        return "\n".join(lines)

    def _lines(self, record: EventDict) -> list[str]:
        name = record["event"]
        if name in ("event_handled", "event_parked"):
            return [self._row(record), *_notes(record)]
        if name == "handler_loaded":
            wanted = " ".join(record["patterns"])
            return [] if record["built_in"] else self._text(f"{record['handler']} handles {wanted} ({record['file']})")
        if record["level"] in _ATTENTION or "handler" in record:
            fields = " ".join(f"{key}={_value(record[key])}" for key in record if key not in _KNOWN)
            return [*self._text(f"{name} {fields}".strip()), *_notes(record), *_trace(record)]
        return []

    def _row(self, record: EventDict) -> str:
        outcome = "ignored" if record.get("why") == "ignored" else record.get("outcome", "parked")
        handler = str(record.get("handler") or "-").rpartition(".")[2]
        cells = (record["event_type"], record.get("tenant_id") or "-", handler, outcome)
        text = " ".join(_fit(str(cell), width) for cell, width in zip(cells, _COLUMNS, strict=True))
        milliseconds = record.get("milliseconds")
        return f"{self._head()}{text} {'' if milliseconds is None else f'{milliseconds:.0f} ms':>6}".rstrip()

    def _head(self) -> str:
        return f"{time.strftime('%H:%M:%S')} {_fit(self._process, 7)} "

    def _text(self, text: str) -> list[str]:
        return textwrap.wrap(f"{self._head()}{text}", WIDTH, subsequent_indent=_INDENT)


def _fit(text: str, width: int) -> str:
    return f"{text:{width}}" if len(text) <= width else f"{text[: width - 1]}…"


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _notes(record: EventDict) -> list[str]:
    """What explains a line, beneath it."""
    again = f"; again in {record['in_seconds']:.3g} s" if record.get("in_seconds") else ""
    said = [f"{key}: {record[key]}{again}" for key in _SHOWN if record.get(key) not in (None, "", "ignored")]
    return [
        line for text in said for line in textwrap.wrap(text, WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)
    ]


def _trace(record: EventDict) -> list[str]:
    if not record.get("exc_info"):
        return []
    return str(
        structlog.processors.format_exc_info(None, "", {"exc_info": record["exc_info"]})["exception"]
    ).splitlines()
