"""Read what a product answers: its body, whether it limits the rate, whether it is an error."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import orjson

from truto import javascript
from truto.errors import ApiError, IntegrationFailed, error_for
from truto.integration.definition import Config, Method, RateLimit
from truto.integration.expressions import Tell, evaluate, truthy
from truto.integration.paging import Reply
from truto.integration.rendering import Scope
from truto.integration.requests import Request
from truto.integration.wire import Answer
from truto.retry import RATE_LIMIT_SECONDS

_MAX_MESSAGE = 500
_EPOCH = 1_000_000_000
_DOTTED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")


@dataclass(frozen=True, slots=True)
class RateState:
    """The window of a rate limit; ``reset`` in seconds from now."""

    limit: Any = None
    remaining: Any = None
    reset: float | None = None

    def headers(self) -> dict[str, str]:
        """The ``RateLimit-*`` headers that Truto forwards (seed)."""
        reset = None if self.reset is None else round(self.reset)
        found = {"RateLimit-Limit": self.limit, "RateLimit-Remaining": self.remaining, "RateLimit-Reset": reset}
        texts = {name: javascript.text(value) for name, value in found.items() if value is not None}
        return {name: text for name, text in texts.items() if text.isascii() and text.isprintable() and len(text) < 100}


NO_RATE = RateState()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer is worth: ``data`` where it is a success, ``error`` where it is none."""

    data: Any = field(default=None, repr=False)
    error: ApiError | None = None
    rate: RateState = NO_RATE
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


async def read_reply(answer: Answer, method: Method, at: str, tell: Tell) -> Reply:
    """The answer with its body parsed: by ``api_response_format``, else as its type and its beginning say.

    Raises :class:`IntegrationFailed` for what cannot be parsed where the method says ``throw_error_on_parse_error``;
    otherwise the body is text then.
    """
    text = answer.content.decode(errors="replace")
    kind = method.api_response_format or _kind(answer)
    if not answer.content.strip():
        return Reply(answer.status, answer.headers, None)
    try:
        match kind:
            case "json":
                data = orjson.loads(answer.content)
                orjson.dumps(data)  # what cannot be written again is nested deeper than anything that is done with it
                return Reply(answer.status, answer.headers, data)
            case "xml":
                options = method.body_format_config if method.body_format == "xml" else {}
                scope = {"text": text, "options": {"compact": True, **options}}
                return Reply(answer.status, answer.headers, await evaluate("$xmlToJs(text, options)", at, scope, tell))
    except orjson.JSONEncodeError:
        raise IntegrationFailed(f"the answer ({answer.status}) is nested too deeply", at=at) from None
    except (orjson.JSONDecodeError, IntegrationFailed):
        if method.throw_error_on_parse_error:
            raise IntegrationFailed(f"the answer ({answer.status}) is not {kind}", at=at) from None
    return Reply(answer.status, answer.headers, text)


def _kind(answer: Answer) -> str:
    media_type = answer.headers.get("content-type", "").partition(";")[0].lower()
    if "json" in media_type or answer.content.lstrip()[:1] in (b"{", b"["):
        return "json"
    return "xml" if media_type.endswith(("/xml", "+xml")) else "text"


async def judge(
    reply: Reply, request: Request, config: Config, method: Method, scope: Scope, at: str, tell: Tell
) -> Verdict:
    """Whether *reply* to the method at *at* is a success.

    A rate limit comes first, then ``error_expression``, then the status, which also counts where the expression gives
    nothing: to turn a status of 400 and above into a success, it has to say so.
    """
    seen = {**scope, **reply.members()}
    limit = method.rate_limit or config.rate_limit or RateLimit()
    place = f"{at}.rate_limit" if method.rate_limit else "rate_limit"
    rate = await _rate(limit, reply, seen, place, tell)
    if await _is_limited(limit, reply, seen, place, tell):
        wait = await _wait(limit, reply, seen, place, tell, rate)
        error = _error(429, "the product limits the rate", request, reply.data, wait)
        return Verdict(error=error, rate=rate)
    source = method.error_expression or config.error_expression
    if source is not None:
        place = f"{at}.error_expression" if method.error_expression else "error_expression"
        value = await evaluate(source, place, seen, tell)
        if value is not None and value is not False:
            return _of_expression(value, reply, request, rate)
    if reply.status >= 400:
        return Verdict(error=_error(reply.status, _message(reply.data, reply.status), request, reply.data), rate=rate)
    return Verdict(data=reply.data, rate=rate)


def _of_expression(value: Any, reply: Reply, request: Request, rate: RateState) -> Verdict:
    """An object as Truto's schema has it; text is a message, and ``true`` an error without one (skill)."""
    if not isinstance(value, Mapping):
        message = value if isinstance(value, str) else f"the product answered {reply.status} with an error"
        return Verdict(error=_error(reply.status, message, request, reply.data), rate=rate)
    status = value.get("status", reply.status)
    try:
        status = int(status)
    except (TypeError, ValueError):
        status = reply.status
    headers = value.get("headers")
    given = {str(k): javascript.text(v) for k, v in headers.items()} if isinstance(headers, Mapping) else {}
    if "status" in value and status < 400:
        return Verdict(data=value.get("result", reply.data), rate=rate, headers=given)
    words = value.get("message")
    text = words if isinstance(words, str) else _message(reply.data, status)
    details = {name: value[name] for name in ("metadata", "result") if name in value}
    wait = _seconds(given.get("retry-after") or given.get("Retry-After")) if status == 429 else None
    return Verdict(error=_error(status, text, request, reply.data, wait, details), rate=rate, headers=given)


def _error(
    status: int,
    message: str,
    request: Request,
    data: Any,
    retry_after: float | None = None,
    details: Mapping[str, Any] | None = None,
) -> ApiError:
    printable = "".join(c if c.isprintable() else " " for c in message)[:_MAX_MESSAGE]
    if status == 429 and retry_after is None:
        retry_after = RATE_LIMIT_SECONDS
    return error_for(status, remote=True)(
        status=status,
        message=printable,
        method=request.method,
        path=request.url.partition("?")[0].partition("://")[2].partition("/")[2] or "/",
        remote=True,
        retry_after=retry_after,
        body={"raw_response": data, **(details or {})},
    )


def _message(data: Any, status: int) -> str:
    """The product's own words, where it has some in one of the usual places."""
    for path in ("message", "error.message", "error_description", "error", "errors.0.message", "detail", "title"):
        found = javascript.get_path(data, path)
        if isinstance(found, str) and found:
            return found
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no message"


# -- rate limits -------------------------------------------------------------------------------------------------------


async def _is_limited(limit: RateLimit, reply: Reply, scope: Scope, at: str, tell: Tell) -> bool:
    if isinstance(limit.is_rate_limited, str):
        return truthy(await evaluate(limit.is_rate_limited, f"{at}.is_rate_limited", scope, tell))
    return reply.status == 429


async def _wait(limit: RateLimit, reply: Reply, scope: Scope, at: str, tell: Tell, rate: RateState) -> float | None:
    """Seconds to wait: of the expression, else of ``Retry-After``; a later reset of the window counts (skill)."""
    found = None
    if (source := limit.retry_after_header_expression) is not None:
        found = _seconds(await evaluate(source, f"{at}.retry_after_header_expression", scope, tell))
    if found is None:
        found = _seconds(reply.headers.get("retry-after"))
    if limit.rate_limit_header_expression is None or rate.reset is None:
        return found
    return rate.reset if found is None else max(found, rate.reset)


async def _rate(limit: RateLimit, reply: Reply, scope: Scope, at: str, tell: Tell) -> RateState:
    """The window: of the expression, an object (seed) or the moment of the reset (skill); else of ``RateLimit-*``."""
    if (source := limit.rate_limit_header_expression) is not None:
        value = await evaluate(source, f"{at}.rate_limit_header_expression", scope, tell)
        if isinstance(value, Mapping):
            return RateState(value.get("limit"), value.get("remaining"), _until(value.get("reset")))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return RateState(reset=_until(value))
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset")
    size, remaining, reset = (reply.headers.get(name) for name in names)
    return RateState(size, remaining, _until(reset))


def _until(value: Any) -> float | None:
    """Seconds until a reset, which is given as such, or as a moment in unix seconds or milliseconds."""
    seconds = _seconds(value)
    if seconds is None or seconds < _EPOCH:
        return seconds
    moment = seconds / 1000 if seconds > 100 * _EPOCH else seconds
    return max(0.0, moment - time.time())


def _seconds(value: Any) -> float | None:
    """A number of seconds, or those until an HTTP date."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(str(value)).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError, IndexError):
            return None
    return max(0.0, seconds) if seconds == seconds and seconds < 1e15 else None


# -- where the records are ---------------------------------------------------------------------------------------------


async def find_result(data: Any, method: Method, scope: Scope, at: str, tell: Tell) -> Any:
    """What ``response_path`` points at: a dotted path as in Truto's samples, anything else is JSONata (skill)."""
    path = method.response_path
    if not path:
        return data
    if _DOTTED.issuperset(path):
        return javascript.get_path(data, path)
    roots = {"response": data, "data": data, "body": data, "context": scope.get("context")}
    seen = {**roots, **data} if isinstance(data, Mapping) else roots
    return await evaluate(path, f"{at}.response_path", seen, tell)


def as_records(value: Any) -> list[Any]:
    """The records of a page: those of a list; nothing is none, and anything else is one."""
    return value if isinstance(value, list) else [] if value is None else [value]
