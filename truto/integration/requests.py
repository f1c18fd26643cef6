"""Build the request of a method: URL, query, headers and body. Performs no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
import orjson

from truto import javascript
from truto.errors import IntegrationFailed, RequestRefused
from truto.integration.definition import ArrayFormat, Config, Method
from truto.integration.rendering import (
    Scope,
    checked_header,
    render,
    render_base,
    render_headers,
    render_path,
    split_query,
)
from truto.placeholders import NO_VALUE, PLACEHOLDER

USER_AGENT = "truto-worker"
DEFAULT_ARRAYS: ArrayFormat = "repeat"
"""Truto states none (seed). Repeated names are what most servers read as a list."""

_CONTENT_TYPES = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "raw": "text/plain; charset=utf-8",
    "xml": "application/xml",
}
_WITHOUT_BODY = frozenset({"get", "delete"})


class _Nothing:
    def __bool__(self) -> bool:
        return False


NO_BODY: Any = _Nothing()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caller asks of a method. ``limit`` is the size of a page; ``cursor`` where it begins."""

    id: str | None = None
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = NO_BODY
    headers: Mapping[str, str] = field(default_factory=dict)
    limit: int | None = None
    cursor: str | None = None

    def members(self) -> dict[str, Any]:
        """The roots of placeholders and expressions that this fills."""
        body = {} if self.body is NO_BODY else self.body
        return {"query": dict(self.query), "body": body, **({} if self.id is None else {"id": self.id})}


@dataclass(slots=True)
class Draft:
    """A request that can still change: pagination writes into it."""

    verb: str
    origin: str
    path: str
    query: dict[str, Any]
    headers: dict[str, str]
    body: Any
    body_format: str = "json"
    body_format_config: Mapping[str, Any] = field(default_factory=dict)
    arrays: ArrayFormat = DEFAULT_ARRAYS

    @property
    def url(self) -> str:
        """The whole URL, with its query."""
        query = encode_query(self.query, self.arrays)
        return f"{self.origin}{self.path or '/'}{'?' if query else ''}{query}"

    def take_url(self, url: str) -> None:
        """Replace origin, path and query by those of *url*. Raises :class:`RequestRefused` for what is no URL."""
        self.origin, self.path, self.query = split_url(url)

    def members(self) -> dict[str, Any]:
        """What expressions see of it (skill: ``url``, ``requestOptions``)."""
        body = None if self.body is NO_BODY else self.body
        options = {"method": self.verb.upper(), "headers": dict(self.headers), "body": body}
        return {"url": self.url, "requestOptions": options}


@dataclass(frozen=True, slots=True)
class Request:
    """What goes onto the wire. Header names are in lower case."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    content: bytes = field(default=b"", repr=False)


def build_draft(config: Config, method: Method, wish: Wish, scope: Scope, at: str, *, path: str | None = None) -> Draft:
    """The request of *method* before pagination and authorization. *path* is another one than the method's."""
    written, behind = split_query(method.path if path is None else path)
    origin, prefix = _base(config, method, written, scope, at)
    rest = _rest(written, scope, at)
    query = {**config.query, **dict(behind), **method.query}
    rendered = render(query, scope, f"{at}.query")
    body = _body(method, wish, scope, at)
    headers = render_headers([config.headers, method.headers], scope, f"{at}.headers")
    headers |= {name.lower(): checked_header(name, value, name) for name, value in wish.headers.items()}
    return Draft(
        verb=method.method,
        origin=origin,
        path=f"{prefix}/{rest.lstrip('/')}" if rest else prefix,
        query=rendered if method.add_query_to_body else {**rendered, **_unused(wish.query, written)},
        headers=headers,
        body=body,
        body_format=method.body_format,
        body_format_config=method.body_format_config,
        arrays=method.query_array_format or config.query_array_format or DEFAULT_ARRAYS,
    )


def _unused(query: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The caller's query without what the path has taken of it: many products refuse a parameter they do not know."""
    taken = {
        name for text in PLACEHOLDER.findall(path) for name in re.findall(r"(?:^|[|\s])query\.([A-Za-z0-9_-]+)", text)
    }
    return {name: value for name, value in query.items() if name not in taken}


def _base(config: Config, method: Method, path: str, scope: Scope, at: str) -> tuple[str, str]:
    if re.match(r"https?://", path, re.IGNORECASE):  # written so in the definition: it is one of its hosts
        scheme, _, rest = path.partition("://")
        return render_base(f"{scheme}://{rest.partition('/')[0]}", scope, f"{at}.path")
    if method.base_url is not None:
        return render_base(method.base_url, scope, f"{at}.base_url")
    if config.base_url is None:
        raise IntegrationFailed("is missing", at="base_url")
    return render_base(config.base_url, scope, "base_url")


def _rest(path: str, scope: Scope, at: str) -> str:
    if re.match(r"https?://", path, re.IGNORECASE):
        path = path.partition("://")[2].partition("/")[2]
    return render_path(path, scope, f"{at}.path")


def _body(method: Method, wish: Wish, scope: Scope, at: str) -> Any:
    """What the definition writes, else what the caller gives; ``add_query_to_body`` adds the caller's query."""
    if method.set_body_to_null:
        return None
    body = NO_BODY if method.ignore_body else wish.body
    if method.body is not None:
        body = render(method.body, scope, f"{at}.body")
        body = NO_BODY if body is NO_VALUE else body
    if method.add_query_to_body and wish.query:
        if body is not NO_BODY and not isinstance(body, Mapping):
            raise IntegrationFailed(
                "the body is no object that a query could be added to", at=f"{at}.add_query_to_body"
            )
        return {**(body or {}), **wish.query}
    return body


def split_url(url: str) -> tuple[str, str, dict[str, Any]]:
    """Origin, path and query. Raises :class:`RequestRefused` for what is no absolute http URL, or has a user in it."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise RequestRefused("a link is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or "\\" in url:
        raise RequestRefused("a link is not an absolute http or https URL without a user")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    origin = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    return origin, quote(parts.path, safe="/%~:@!$&'()*+,;="), read_query(parts.query)


def read_query(text: str) -> dict[str, Any]:
    """A query as it stands in a link: a name that is there several times has a list."""
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name in found:
            found[name] = [*(found[name] if isinstance(found[name], list) else [found[name]]), value]
        else:
            found[name] = value
    return found


def encode_query(query: Mapping[str, Any], arrays: ArrayFormat) -> str:
    """*query* with its arrays as the definition says; nested objects in brackets, null and no value left out."""
    return "&".join(
        f"{name}={value}" for key, value in query.items() for name, value in _pairs(_name(key), value, arrays)
    )


def _name(key: str) -> str:
    return quote(str(key), safe="[]$.:@!*'()")


def _pairs(name: str, value: Any, arrays: ArrayFormat) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case Mapping():
            for key, each in value.items():
                yield from _pairs(f"{name}[{_name(key)}]", each, arrays)
        case list() | tuple():
            yield from _array(name, value, arrays)
        case _:
            yield name, _quoted(value)


def _array(name: str, values: list[Any] | tuple[Any, ...], arrays: ArrayFormat) -> Iterator[tuple[str, str]]:
    if arrays == "comma":
        if values:
            yield name, ",".join(_quoted(each) for each in values if each is not None)
        return
    for index, each in enumerate(values):
        inner = {"brackets": f"{name}[]", "indices": f"{name}[{index}]", "repeat": name}[arrays]
        yield from _pairs(inner, each, arrays)


def _quoted(value: Any) -> str:
    return quote(javascript.text(value).encode("utf-8", "surrogatepass"), safe="-_.~")


def encode(draft: Draft, xml: str | None = None) -> Request:
    """The request of *draft*; *xml* is its body where the format says so, written by an expression."""
    headers = {"accept": "application/json", "user-agent": USER_AGENT, **draft.headers}
    content = b""
    if draft.body is not NO_BODY and not (draft.body is None and draft.verb in _WITHOUT_BODY):
        content, media_type = _content(draft, xml)
        if draft.body_format == "multipart":  # its boundary has to be the one that was written
            headers["content-type"] = media_type
        headers.setdefault("content-type", media_type)
    return Request(draft.verb.upper(), draft.url, headers, content)


def _content(draft: Draft, xml: str | None) -> tuple[bytes, str]:
    body = draft.body
    match draft.body_format:
        case "form":
            if not isinstance(body, Mapping):
                raise IntegrationFailed("a form is an object", at="body")
            arrays = draft.body_format_config.get("arrayFormat", draft.arrays)
            return encode_query(body, arrays).encode(), _CONTENT_TYPES["form"]
        case "multipart":
            return _multipart(body)
        case "raw" if isinstance(body, str | bytes):
            return body.encode() if isinstance(body, str) else body, _CONTENT_TYPES["raw"]
        case "xml":
            return (xml or "").encode(), _CONTENT_TYPES["xml"]
    try:
        return orjson.dumps(body), _CONTENT_TYPES["json"]
    except TypeError as exc:
        raise IntegrationFailed(f"cannot be written as JSON: {exc}", at="body") from None


def _multipart(body: Any) -> tuple[bytes, str]:
    """A form in parts; an object with ``filename`` and ``content`` is a file."""
    if not isinstance(body, Mapping):
        raise IntegrationFailed("a form is an object", at="body")
    files: list[tuple[str, tuple[str | None, bytes, str | None]]] = []
    for name, value in body.items():
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, Mapping) and "content" in each:
                content = each["content"]
                data = content if isinstance(content, bytes) else str(content).encode()
                kind = str(each.get("content_type") or "application/octet-stream")
                files.append(
                    (name, (str(each.get("filename") or name), data, checked_header("content-type", kind, name)))
                )
            elif each is not None:
                files.append((name, (None, javascript.text(each).encode(), None)))
    form = httpx.Request("POST", "http://form", files=files or [("", (None, b"", None))])
    return form.read(), form.headers["content-type"]
