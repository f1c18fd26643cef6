"""Put values into the texts of a definition: into URLs, headers, and whatever else has placeholders.

Outside of what decides about trust, a placeholder that finds nothing stays in the text, as in Truto. In a host, a path,
and what authorizes, that is a failure, and a value cannot leave the place it was put into.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote

from truto import javascript
from truto.errors import IntegrationFailed, PlaceholderError, RequestRefused
from truto.placeholders import NO_VALUE, PLACEHOLDER, compile_template

_AUTHORITY = re.compile(
    r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252}[A-Za-z0-9])?(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?"
)
_BASE = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#\\]*)(?P<path>/[^?#\\]*)?", re.IGNORECASE)
_LITERAL_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_SEGMENT = "~:@!$&'()*+,;="
_PATH = f"/%{_SEGMENT}"
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SECRET_HEADER = re.compile(
    r"(?i)authorization|cookie|secret|api-?key|password|signature|^(?!.*(?:page|next|cursor|continuation)).*token"
)

Scope = Mapping[str, Any]


def render(template: Any, scope: Scope, at: str) -> Any:
    """*template* with its placeholders resolved; ``NO_VALUE`` where the whole has none."""
    if not isinstance(template, str | Mapping | list):
        return template
    try:
        return compile_template(template).render(scope)
    except PlaceholderError as exc:
        raise IntegrationFailed(str(exc), at=at) from None


def render_required(template: str, scope: Scope, at: str) -> str:
    """A text that authorizes: every placeholder has a value. Text without placeholders stays, even an empty one."""
    if not PLACEHOLDER.search(template):
        return template
    try:
        return compile_template(template).render_text_or_fail(scope)
    except PlaceholderError as exc:
        raise IntegrationFailed(str(exc), at=at) from None


def render_base(template: str, scope: Scope, at: str) -> tuple[str, str]:
    """Origin and path of a base URL. A value can fill in a part of the host's name, and nothing beyond the host.

    Raises :class:`RequestRefused` for a value with a slash, ``@``, ``#`` … in the host, and for what is no URL.
    """
    literal = _LITERAL_SCHEME.match(template)
    if literal is None:
        return _whole_base(render_required(template, scope, at).strip(), at)
    masked = _masked(template)
    end = masked.find("/", literal.end())
    end = len(template) if end < 0 else end
    authority = render_required(template[literal.end() : end], scope, at)
    if not _AUTHORITY.fullmatch(authority):
        raise RequestRefused("a value does not fit into the name of a host", at=at)
    return f"{literal[0]}{authority}".lower(), render_path(template[end:], scope, at).rstrip("/")


def _whole_base(text: str, at: str) -> tuple[str, str]:
    found = _BASE.fullmatch(text)
    if found is None or not _AUTHORITY.fullmatch(found["authority"]):
        raise RequestRefused("is not an http or https URL without user, query and fragment", at=at)
    path = quote(found["path"] or "", safe=_PATH)
    _check_segments(path, at)
    return f"{found['scheme']}://{found['authority']}".lower(), path.rstrip("/")


def _masked(template: str) -> str:
    """The same text with nothing to be found inside of its placeholders."""
    return PLACEHOLDER.sub(lambda found: "\x00" * len(found[0]), template)


def render_path(template: str, scope: Scope, at: str) -> str:
    """A path whose values stay within their segment: what is put in is percent-encoded, slashes as well.

    Raises :class:`IntegrationFailed` for a placeholder without a value, :class:`RequestRefused` for dot segments.
    """
    pieces = []
    for literal, placeholder in _pieces(template):
        pieces.append(quote(literal, safe=_PATH))
        if placeholder:
            pieces.append(quote(_path_value(placeholder, scope, at), safe=_SEGMENT))
    path = "".join(pieces)
    _check_segments(path, at)
    return path


def _check_segments(path: str, at: str) -> None:
    # Servers resolve "%2e%2e" like "..".
    if any(unquote(part) in (".", "..") for part in path.split("/")):
        raise RequestRefused("a path has no dot segments", at=at)


def _path_value(placeholder: str, scope: Scope, at: str) -> str:
    value = render(placeholder, scope, at)
    if value is NO_VALUE:
        return ""
    if value is None or value == placeholder:
        raise IntegrationFailed(f"{placeholder} has no value", at=at)
    return javascript.text(value)


def split_query(template: str) -> tuple[str, list[tuple[str, str]]]:
    """A path as it is written, and the query that is written behind it; a ``?`` inside a placeholder is none."""
    end = _masked(template).find("?")
    if end < 0:
        return template, []
    pairs = (each.partition("=") for each in template[end + 1 :].split("&") if each)
    return template[:end], [(unquote(name), unquote(value)) for name, _, value in pairs]


def _pieces(template: str) -> Iterator[tuple[str, str]]:
    """The literals of a text, each with the placeholder behind it."""
    at = 0
    for found in PLACEHOLDER.finditer(template):
        yield template[at : found.start()], found[0]
        at = found.end()
    yield template[at:], ""


def render_headers(layers: list[Mapping[str, Any]], scope: Scope, at: str) -> dict[str, str]:
    """The headers of all *layers*, later ones on top, by lower-case name; null takes a header away for good (skill)."""
    removed = {name.lower() for layer in layers for name, value in layer.items() if value is None}
    written = {name.lower(): (name, value) for layer in layers for name, value in layer.items() if value is not None}
    found = {}
    for key, (name, template) in written.items():
        if key in removed:
            continue
        place = f"{at}.{name}"
        if isinstance(template, str) and _SECRET_HEADER.search(name):
            found[key] = checked_header(name, render_required(template, scope, place), place)
        elif (value := render(template, scope, place)) is not NO_VALUE and value is not None:
            found[key] = checked_header(name, javascript.text(value), place)
    return found


def checked_header(name: str, value: str, at: str) -> str:
    """*value* if a header can carry it; :class:`RequestRefused` where it would begin another header or request."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
        raise RequestRefused("is not the name of a header", at=at)
    if re.search(r"[\ud800-\udfff]", value):
        raise RequestRefused("a value has half of a character", at=at)
    if _UNPRINTABLE.search(value):
        raise RequestRefused("a value has a line break or another control character", at=at)
    if name.lower() in ("host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"):
        raise RequestRefused("is set by the connection, not by a definition", at=at)
    return value.strip()


def is_secret_header(name: str) -> bool:
    """Whether a header called so carries what must not be shown."""
    return bool(_SECRET_HEADER.search(name))
