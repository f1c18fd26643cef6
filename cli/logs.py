"""How processes log: one event a line, JSON for machines or coloured text for people, on standard error."""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logging(level: str, style: Literal["json", "console"]) -> None:
    """Send our records and those of libraries the same way. A second call replaces the first."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, *_rendering(style)],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer)
        if style == "json"
        else structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _route_libraries(shared, style)


def _rendering(style: Literal["json", "console"]) -> list[Processor]:
    if style == "json":
        return [
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("event"),
            structlog.processors.JSONRenderer(serializer=_to_json),
        ]
    # Sender-chosen text could carry escape sequences for the terminal; JSON escapes them by itself.
    # The default would print the values of local variables beside a traceback, tokens and bodies among them.
    plain = structlog.dev.plain_traceback
    colors = sys.stderr.isatty()
    return [_escape, structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=24, exception_formatter=plain)]


def _to_json(record: Any, **_: Any) -> bytes:
    return orjson.dumps(record, default=repr)


def _escape(logger: WrappedLogger, method: str, record: EventDict) -> EventDict:
    for name, value in record.items():
        if isinstance(value, str) and not value.isprintable():
            record[name] = ascii(value)
    return record


def _route_libraries(shared: list[Processor], style: Literal["json", "console"]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    render = [_decode if style == "json" else _as_is]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(style), *render],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    # Below this, libraries say things that hold URLs and arguments (httpx, arq).
    root.setLevel(logging.WARNING)


def _decode(logger: WrappedLogger, method: str, line: Any) -> str:
    return bytes(line).decode()


def _as_is(logger: WrappedLogger, method: str, line: Any) -> str:
    return str(line)
