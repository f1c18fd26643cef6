"""What goes out: one request to the API, checked and encoded before anything is sent. Performs no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias
from urllib.parse import quote, unquote, urlencode

import orjson

QueryValue: TypeAlias = str | int | float | bool | Sequence[str | int] | None
"""A query value: ``None`` leaves the parameter out, a sequence is joined with commas (``id[in]=a,b``)."""

_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_DOT_SEGMENTS = frozenset({".", ".."})
# Everything RFC 3986 allows in a path, and "%" so that what segment() has encoded stays as it is.
_PATH_CHARACTERS = "/%:@!$&'()*+,;=-._~"
_MAX_KEY_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Call:
    """A request that can be sent as it stands, any number of times."""

    method: str
    path: str
    query: str = field(default="", repr=False)
    body: object = field(default=None, repr=False)
    content: bytes | None = field(default=None, repr=False)
    idempotency_key: str | None = None

    @property
    def target(self) -> str:
        """Path and query, to be put behind the base URL."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def headers(self) -> dict[str, str]:
        """The headers that belong to this request alone."""
        headers = {"Content-Type": "application/json"} if self.content is not None else {}
        if self.idempotency_key is not None:
            headers["Idempotency-Key"] = self.idempotency_key
        return headers

    def __str__(self) -> str:
        return f"{self.method} {self.path[:200]}"


def build_call(
    method: str,
    path: str,
    *,
    params: Mapping[str, QueryValue] | None = None,
    body: object = None,
    idempotency_key: str | None = None,
) -> Call:
    """Make a :class:`Call`. *path* starts with one slash and is taken from the API's root; *body* is sent as JSON.

    Raises :class:`ValueError` for a method or path that could reach another host or route than it says, and
    :class:`TypeError` for a body that is not JSON.
    """
    verb = method.upper()
    if verb not in _METHODS:
        raise ValueError("the method is none that the API knows")
    return Call(
        method=verb,
        path=_checked_path(path),
        query=_encoded_query(params or {}),
        body=body,
        content=None if body is None else orjson.dumps(body),
        idempotency_key=None if idempotency_key is None else header_safe(idempotency_key),
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


def _checked_path(path: str) -> str:
    # "@host", "//host" and "https://host" would send the token elsewhere.
    if not path.startswith("/") or path.startswith("//"):
        raise ValueError("a path starts with exactly one slash; the base URL is set on the client")
    if "?" in path or "#" in path or "\\" in path:
        raise ValueError("a path holds no query, fragment or backslash; query parameters go into params")
    # URL parsers resolve "%2e%2e" like "..".
    if any(unquote(part) in _DOT_SEGMENTS for part in path.split("/")):
        raise ValueError("a path holds no dot segments")
    return quote(path, safe=_PATH_CHARACTERS)


def _encoded_query(params: Mapping[str, QueryValue]) -> str:
    return urlencode([(name, _text(value)) for name, value in params.items() if value is not None])


def _text(value: QueryValue) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str() | int() | float():
            return str(value)
        case _:
            return ",".join(str(item) for item in value or ())
