"""What comes back: turn status, headers and bytes into parsed JSON or one of our errors. Performs no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import orjson
from pydantic import ValidationError

from truto.calls import Call
from truto.errors import ApiError, ProtocolError, error_for
from truto.models import ModelT
from truto.retry import RATE_LIMIT_SECONDS, parse_retry_after

_MAX_MESSAGE_CHARACTERS = 500
# Longer than any message for a reader; masking must see the whole text, so it is left out instead of cut first.
_MAX_RAW_MESSAGE_CHARACTERS = 20_000
# Shorter values ("true", "5") occur in any sentence and give nothing away.
_MIN_MASKED_CHARACTERS = 4


def read_answer(
    call: Call, status: int, headers: Mapping[str, str], body: bytes | None, *, token: str, now: float
) -> bytes:
    """The body of a 2xx answer.

    *body* is ``None`` when it was larger than the client reads; *headers* are case-insensitive; *now* is in unix
    seconds. Raises :class:`ApiError` for 4xx and 5xx, whatever the body looks like, and :class:`ProtocolError` for
    anything else that Truto does not document.
    """
    if status >= 400:
        raise _api_error(call, status, headers, body or b"", token=token, now=now)
    if not 200 <= status < 300:
        raise ProtocolError(f"{call}: {status} where an answer was expected; redirects are not followed")
    if body is None:
        raise ProtocolError(f"{call}: the answer is larger than the client accepts")
    return body


def read_json(what: object, body: bytes) -> Any:
    """*body* parsed, ``{}`` if it is empty (sdk: ts does the same for 204); :class:`ProtocolError` if not JSON."""
    if not body or body.isspace():
        return {}
    with suppress(orjson.JSONDecodeError):
        return orjson.loads(body)
    # Raised out here, because the decoder's error, which would be its context, holds the whole body.
    raise ProtocolError(f"{what}: the answer is not JSON")


def read_text(what: object, body: bytes) -> str:
    """*body* as text; :class:`ProtocolError` if it is not UTF-8."""
    with suppress(UnicodeDecodeError):
        return body.decode()
    raise ProtocolError(f"{what}: the answer is not UTF-8 text")


def read_object(what: object, answer: object) -> dict[str, Any]:
    """*answer* if it is a JSON object; *what* names the request in the :class:`ProtocolError` otherwise."""
    if not isinstance(answer, dict):
        raise ProtocolError(f"{what}: the answer is not a JSON object")
    return answer


def read_model(what: object, model: type[ModelT], answer: object) -> ModelT:
    """*answer* as a *model*; raises :class:`ProtocolError` naming the fields that do not fit, never their values."""
    try:
        return model.model_validate(answer)
    except ValidationError as exc:
        places = sorted({".".join(map(str, error["loc"])) or "the answer" for error in exc.errors()})
    raise ProtocolError(f"{what}: not a {model.__name__}: {', '.join(places)[:200]}")


def _api_error(call: Call, status: int, headers: Mapping[str, str], body: bytes, *, token: str, now: float) -> ApiError:
    envelope = _envelope(body)
    remote = envelope.get("truto_is_remote_error") is True
    retry_after = parse_retry_after(headers.get("retry-after"), now=now)
    if status == 429 and retry_after is None:
        retry_after = RATE_LIMIT_SECONDS
    return error_for(status, remote=remote)(
        status=status,
        message=_message(envelope, call.body, token) or _reason(status),
        method=call.method,
        path=call.shown,
        remote=remote,
        retry_after=retry_after,
        body=envelope,
        integrated_account_id=call.account_id,
    )


def _envelope(body: bytes) -> Mapping[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _message(envelope: Mapping[str, Any], sent: object, token: str) -> str:
    text = envelope.get("message")
    if not isinstance(text, str) or len(text) > _MAX_RAW_MESSAGE_CHARACTERS:
        return ""
    # A validation message may quote what was sent, and messages end up in logs. Longest first: a value may be part
    # of another one.
    for value in sorted({token, *_values(sent)}, key=len, reverse=True):
        text = text.replace(value, "[…]")
    printable = "".join(character if character.isprintable() else " " for character in text)
    return printable[:_MAX_MESSAGE_CHARACTERS].strip()


def _values(sent: object) -> Iterator[str]:
    """Every value in the JSON that was sent, as text; field names may be quoted."""
    pending = [sent]
    while pending:
        match pending.pop():
            case Mapping() as members:
                pending.extend(members.values())
            case list() | tuple() as items:
                pending.extend(items)
            case bool() | None:
                pass
            case value if len(text := str(value)) >= _MIN_MASKED_CHARACTERS:
                yield text


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "no message"
