"""What goes out: one request to the API, checked and encoded before anything is sent. Performs no I/O."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeAlias
from urllib.parse import quote, unquote, urlencode

import orjson

QueryValue: TypeAlias = str | int | float | bool | datetime | Sequence[str | int] | None
"""A query value: ``None`` leaves the parameter out, a sequence is joined with commas (``id[in]=a,b``), a moment with a
zone is written in UTC (``2026-01-05T10:00:00.000Z``).

The official SDKs write lists as ``a[0]=1&a[1]=2`` (sdk: ts) and ``a[]=1&a[]=2`` (sdk: py), which contradict each other;
all documents that show one show commas, for filters (skill: conventions) and for ``tags`` and ``methods`` alike.
"""

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_DOT_SEGMENTS = frozenset({".", ".."})
# Everything RFC 3986 allows in a path, and "%" so that what segment() has encoded stays as it is.
_PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"
# Nothing in such a path needs a second look, and nearly all are such.
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_-]+)+")
_MAX_KEY_CHARACTERS = 200
_ACCOUNT = "integrated_account_id"


@dataclass(frozen=True, slots=True)
class RawBody:
    """A body that is sent as it is. An iterator is sent in chunks, once, so its call is never repeated."""

    content: bytes | AsyncIterator[bytes] = field(repr=False)
    content_type: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that can be sent as it stands, any number of times unless it is ``one_shot``.

    ``account_id`` is the integrated account that the query or the body names. ``shown`` replaces a path that holds a
    secret wherever the call is named.
    """

    method: str
    path: str = field(repr=False)
    query: str = field(default="", repr=False)
    body: object = field(default=None, repr=False)
    content: bytes | AsyncIterator[bytes] | None = field(default=None, repr=False)
    content_type: str = "application/json"
    idempotency_key: str | None = None
    account_id: str | None = None
    shown: str = ""

    @property
    def target(self) -> str:
        """Path and query, to be put behind the base URL."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to this request alone."""
        headers = {"Content-Type": self.content_type} if self.content is not None else {}
        if self.idempotency_key is not None:
            headers["Idempotency-Key"] = self.idempotency_key
        return headers

    @property
    def route(self) -> str:
        """The first segment of the path: the name of a group of endpoints in Truto's documents."""
        return self.path[1:].partition("/")[0]

    @property
    def one_shot(self) -> bool:
        """Whether the body is used up by sending it."""
        return self.content is not None and not isinstance(self.content, bytes)

    def __str__(self) -> str:
        return f"{self.method} {self.shown}"


def build_call(
    method: str,
    path: str,
    *,
    params: Mapping[str, QueryValue] | None = None,
    body: object = None,
    raw: RawBody | None = None,
    idempotency_key: str | None = None,
    shown: str | None = None,
) -> Call:
    """Make a :class:`Call`. *path* starts with one slash and is taken from the API's root; *body* is sent as JSON.

    Raises :class:`ValueError` for an unknown method, for a path that could reach another host or route, and for a
    query value that Truto would read differently; :class:`TypeError` for a body that is not JSON.
    """
    verb = method.upper()
    if verb not in _METHODS:
        raise ValueError("the method must be GET, HEAD, OPTIONS, POST, PUT, PATCH or DELETE")
    if raw is None:
        raw = RawBody(orjson.dumps(body), "application/json") if body is not None else None
    elif body is not None:
        raise ValueError("a request has one body: JSON or raw")
    checked = _checked_path(path)
    return Call(
        method=verb,
        path=checked,
        query=_encoded_query(params) if params else "",
        body=body,
        content=None if raw is None else raw.content,
        content_type="" if raw is None else header_value(raw.content_type),
        idempotency_key=None if idempotency_key is None else header_safe(idempotency_key),
        account_id=_account(params, body),
        shown=(checked if shown is None else shown)[:200],
    )


def segment(value: str) -> str:
    """*value* as one path segment, percent-encoded. An empty one would name another route: :class:`ValueError`."""
    if not value or value in _DOT_SEGMENTS:
        raise ValueError("an id or name in a path is neither empty nor a dot segment")
    return quote(value, safe="")


def header_safe(key: str) -> str:
    """*key* itself where a header can carry it, else its SHA-256: event ids are opaque and may hold anything."""
    if not key:
        raise ValueError("an idempotency key is not empty")
    plain = key.isascii() and key.isprintable() and key == key.strip() and len(key) <= _MAX_KEY_CHARACTERS
    return key if plain else hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def header_value(text: str) -> str:
    """*text* if a header can carry it; :class:`ValueError` otherwise."""
    if not text or not text.isascii() or not text.isprintable():
        raise ValueError("a content type is printable ASCII and not empty")
    return text


def _checked_path(path: str) -> str:
    if _PLAIN_PATH.fullmatch(path):
        return path
    # "@host", "//host" and "https://host" would send the token elsewhere.
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("a path starts with exactly one slash; the base URL is set on the client")
    if "?" in path or "#" in path or "\\" in path:
        raise ValueError("a path holds no query, fragment or backslash; query parameters go into params")
    # URL parsers resolve "%2e%2e" like "..".
    if any(unquote(part) in _DOT_SEGMENTS for part in path.split("/")):
        raise ValueError("a path holds no dot segments")
    return quote(path, safe=_PATH_CHARACTERS)


def _account(params: Mapping[str, QueryValue] | None, body: object) -> str | None:
    for place in (params, body):
        found = place.get(_ACCOUNT) if isinstance(place, Mapping) else None
        if isinstance(found, str) and found:
            return found
    return None


def _encoded_query(params: Mapping[str, QueryValue]) -> str:
    return urlencode([(name, _text(value)) for name, value in params.items() if value is not None])


def _text(value: QueryValue) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case datetime():
            return _moment(value)
        case _:
            return ",".join(_item(item) for item in value or ())


def _moment(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a time in a query has a zone")
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _item(item: str | int) -> str:
    text = str(item)
    if "," in text:
        raise ValueError("a value of a list in a query holds no comma: it would be read as two")
    return text
