"""How processes log: one event a line, JSON for machines or coloured text for people, on standard error."""

from __future__ import annotations

import logging
import sys
import time
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from cli.brief import BriefLine

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


Style = Literal["json", "console", "brief"]


def configure_logging(level: str, style: Style) -> None:
    """Send our records and those of libraries the same way. A second call replaces the first."""
    chain = _chain(style)
    structlog.configure(
        processors=chain,
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer)
        if style == "json"
        else structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _route_libraries(chain, style)


def _chain(style: Style) -> list[Processor]:
    """What makes a record a line."""
    if style == "json":
        return [_JsonLine()]
    if style == "brief":
        return [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, _escape, BriefLine()]
    # Sender-chosen text could carry escape sequences for the terminal; JSON escapes them by itself.
    # The default prints local variables with a traceback, tokens and bodies included.
    plain = structlog.dev.plain_traceback
    console = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=24, exception_formatter=plain)
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        _Stamper(),
        _escape,
        console,
    ]


class _Stamper:
    """The UTC time of a line in ISO 8601. structlog formats all of it for each line, a third of the cost of a line."""

    def __init__(self) -> None:
        self._last = 0, "1970-01-01T00:00:00"  # in one piece, for handlers log from threads too

    def __call__(self, logger: WrappedLogger, method: str, record: EventDict) -> EventDict:
        second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        last, spelled = self._last
        if second != last:
            spelled = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._last = second, spelled
        record["timestamp"] = f"{spelled}.{nanoseconds // 1000:06d}Z"
        return record


class _JsonLine:
    """All that makes a record a line of JSON, in one step: a chain of five takes twice as long, once for each event."""

    def __init__(self) -> None:
        self._stamp = _Stamper()

    def __call__(self, logger: WrappedLogger, method: str, record: EventDict) -> bytes:
        structlog.contextvars.merge_contextvars(logger, method, record)
        record["level"] = method  # it is named by its level, also where a library's record comes along
        self._stamp(logger, method, record)
        if "exc_info" in record:
            record = structlog.processors.format_exc_info(logger, method, record)
        return orjson.dumps(record, default=repr)


def _escape(logger: WrappedLogger, method: str, record: EventDict) -> EventDict:
    for name, value in record.items():
        if isinstance(value, str) and not value.isprintable():
            record[name] = ascii(value)
    return record


def _route_libraries(chain: list[Processor], style: Style) -> None:
    handler = logging.StreamHandler(sys.stderr)
    as_text = _decode if style == "json" else _as_is
    strip = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[strip, *chain, as_text]))
    root = logging.getLogger()
    root.handlers = [handler]
    # Below this, libraries say things that hold URLs and arguments (httpx, arq).
    root.setLevel(logging.WARNING)


def _decode(logger: WrappedLogger, method: str, line: Any) -> str:
    return bytes(line).decode()


def _as_is(logger: WrappedLogger, method: str, line: Any) -> str:
    return str(line)
