"""Read what ``handle_verification`` gave (seed: Environment Integrations object; skill: customizing integrations)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ingress.errors import Unusable
from ingress.verification.contents import write_json
from ingress.verification.outcome import Handshake

_STATUS_KEYS = ("status_code", "statusCode")
_OWN_HEADERS = frozenset({"content-length", "transfer-encoding", "connection", "set-cookie", "upgrade", "trailer"})
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_VALUE = re.compile(r"[\x20-\x7e\x80-\xff]{0,1024}")
_MAX_CONTEXT_BYTES = 16 * 1024
_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do with a delivery: answer it (``verify``), take it and queue nothing (``meta``), or go on."""

    type: Literal["verify", "meta", "payload"]
    answer: Handshake | None = None
    update_context: Mapping[str, Any] = field(repr=False, default_factory=dict)


def read_decision(value: Any) -> Decision:
    """The decision in *value*.

    Both documented forms are read: ``{type, verification_response, update_context}``, and the response itself.
    ``null`` and ``true`` go on, ``false`` is ``meta``. Raises :class:`Unusable` for everything else: an unknown type
    never goes on.
    """
    match value:
        case None | True:
            return Decision("payload")
        case False:
            return Decision("meta")
        case {"type": None, **rest}:
            return read_decision(rest)
        case {"type": "payload" | "meta" as kind}:
            return Decision(kind, None, _update(value))
        case {"type": "verify"}:
            return Decision("verify", _answer(value.get("verification_response")), _update(value))
        case {"type": _}:
            raise Unusable("handshake_unusable", "handle_verification gave an unknown type")
        case {"verification_response": Mapping() as response}:
            return Decision("verify", _answer(response), _update(value))
        case {"status_code": _} | {"statusCode": _} | {"body": _}:
            return Decision("verify", _answer(value), _update(value))
        case Mapping():
            return Decision("payload", None, _update(value))
        case _:
            raise Unusable("handshake_unusable", "handle_verification gave neither an object nor a yes or no")


def _update(value: Mapping[str, Any]) -> Mapping[str, Any]:
    update = value.get("update_context") or {}
    if not isinstance(update, Mapping):
        raise Unusable("handshake_unusable", "update_context is no object")
    if any(not name or len(name) > _LONGEST_NAME for name in update) or len(write_json(update)) > _MAX_CONTEXT_BYTES:
        raise Unusable("handshake_unusable", f"update_context is larger than {_MAX_CONTEXT_BYTES} bytes")
    return update


def _answer(response: Any) -> Handshake:
    if response is None:
        response = {}
    if not isinstance(response, Mapping):
        raise Unusable("handshake_unusable", "verification_response is no object")
    status = next((response[key] for key in _STATUS_KEYS if response.get(key) is not None), 200)
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise Unusable("handshake_unusable", "the status code is not between 200 and 599")
    body, media_type = answer_content(response.get("body"))
    headers = _headers(response.get("headers") or {})
    if body and "content-type" not in headers:
        headers["content-type"] = media_type
    # What a stranger sent comes back in the body: no browser shall take it for a page.
    headers["x-content-type-options"] = "nosniff"
    return Handshake(status, headers, b"" if status in (204, 304) else body)


def answer_content(body: Any) -> tuple[bytes, str]:
    """The bytes of an answer and their media type: nothing, text, or JSON for anything else."""
    match body:
        case None:
            return b"", ""
        case str():
            return body.encode("utf-8", "replace"), "text/plain; charset=utf-8"
        case _:
            return write_json(body), "application/json"


def _headers(given: Any) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise Unusable("handshake_unusable", "the headers of the answer are no object")
    headers: dict[str, str] = {}
    for name, value in given.items():
        text = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        if not isinstance(text, str) or not _NAME.fullmatch(name) or not _VALUE.fullmatch(text):
            raise Unusable("handshake_unusable", "a header of the answer cannot be sent")
        if name.lower() in _OWN_HEADERS:
            raise Unusable("handshake_unusable", f"an answer cannot set {name.lower()}")
        headers[name.lower()] = text
    return headers
