"""The context of a delivery: what templates and expressions of a ``webhook`` block can name.

The names are Truto's where a source states them (seed: Environment Integrations object; skill: customizing
integrations). ``method``, ``url`` and ``path`` are in no source, but several senders sign them.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from events import MalformedEvent
from events.event import event_name
from ingress.errors import Unusable
from ingress.verification.contents import Contents, read_body, read_fields, sorted_fields
from ingress.verification.head import FORM, RawHeaders, media_type

_UNREAD: Final = object()

URLS = frozenset({"url", "url_decoded", "url_other_port"})
"""The address that was called, in the spellings that senders sign."""

PROTECTED = frozenset({"context", "environment_variables", "env", "method", *URLS, "path", "query"})
"""What a ``payload_transform`` cannot replace: secrets come from configuration alone."""


@dataclass(slots=True)  # not frozen: that would cost each delivery a microsecond
class Delivery:
    """One HTTP request as it came, the names of its headers in lower case.

    ``query`` is without the question mark; ``client`` is the peer's address.
    """

    headers: RawHeaders = field(repr=False)
    body: bytes = field(repr=False)
    method: str = "POST"
    path: str = "/"
    query: bytes = field(default=b"", repr=False)
    client: str | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """What a source knows besides the delivery. ``secrets`` are the live ones, newest first, as their bytes."""

    context: Mapping[str, Any] = field(repr=False)
    environment_variables: Mapping[str, Any] = field(repr=False)
    secrets: tuple[bytes, ...] = field(repr=False, default=())
    fault: str = ""
    """Why nothing can be proven: every delivery is refused with this cause."""
    detail: str = "no usable secret is configured for this source"
    """More about it, for the operator."""
    concealed: Account | None = field(repr=False, default=None)
    """The same without anything that verifies: what expressions see of it before the proof."""


class Reading(NamedTuple):
    """How the deliveries of a source are read.

    *public_url* is where senders reach the ingress, *signature_header* the header whose ``key=value`` pairs are
    ``signature_fields``, *form_field* the field of a form that holds the event. With *is_envelope*, a delivery is an
    event of Truto's.
    """

    public_url: str = ""
    signature_header: str = ""
    form_field: str = ""
    is_envelope: bool = False


_AS_USUAL = Reading()


class DeliveryContext(Mapping[str, Any]):
    """The fields of one delivery, each read when it is first asked for. A field that cannot be read is absent.

    A header or query parameter that came more than once is absent too: which of them counts would be a guess.
    """

    __slots__ = ("_headers_written", "_known", "_original", "account", "delivery", "reading")

    def __init__(self, delivery: Delivery, account: Account, reading: Reading = _AS_USUAL) -> None:
        self.delivery = delivery
        self.account = account
        self.reading = reading
        self._headers_written = False
        self._original: list[Contents] = []  # shared by all views of one delivery
        self._known: dict[str, Any] = {
            "raw_body": delivery.body,
            "context": account.context,
            "environment_variables": account.environment_variables,
        }

    def __getitem__(self, name: str) -> Any:
        found = self._known.get(name, _UNREAD)
        if found is _UNREAD:
            found = self._known[name] = _FIELDS[name](self)
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """As of any mapping; written out because every reference to a delivery comes this way."""
        found = self._known.get(name, _UNREAD)
        if found is not _UNREAD:
            return found
        try:
            return self[name]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        return iter({**self._known, **_FIELDS})

    def __len__(self) -> int:
        return len({**self._known, **_FIELDS})

    def replaced(self, fields: Mapping[str, Any]) -> DeliveryContext:
        """A context in which *fields* stand instead of what came, except for those that are :data:`PROTECTED`.

        A ``raw_body`` may be given as text; a ``body`` that is not given is read from it.
        """
        written = "headers" in fields and fields["headers"] is not self["headers"]
        return self._view(self.account, fields, headers_written=written)

    def known_to(self, account: Account) -> DeliveryContext:
        """The same delivery as it looks to another *account*."""
        return self._view(account, self._known, headers_written=self._headers_written)

    def _view(self, account: Account, fields: Mapping[str, Any], *, headers_written: bool) -> DeliveryContext:
        view = DeliveryContext(self.delivery, account, self.reading)
        view._headers_written = headers_written
        view._original = self._original
        view._known |= {name: _as_bytes(name, value) for name, value in fields.items() if name not in PROTECTED}
        return view

    def values_of(self, header: bytes) -> list[str]:
        """Every value of *header*, which is in lower case; of one that a transform has written, that."""
        if self._headers_written:
            written = self["headers"].get(header.decode("latin-1"))
            return [written] if isinstance(written, str) else []
        found = []
        for name, value in self.delivery.headers:
            if name == header:
                found.append(value.decode("latin-1"))
        return found

    def concealed(self) -> DeliveryContext:
        """The same delivery without the secrets of its account, for expressions that run before the proof."""
        hidden = self.account.concealed
        return self if hidden is None else self.known_to(hidden)

    def read_original(self) -> Contents:
        """What the body held as it came, whatever has replaced it since. Raises :class:`MalformedEvent`."""
        if not self._original:
            delivery, reading = self.delivery, self.reading
            self._original.append(
                read_body(delivery.headers, delivery.body, reading.form_field, is_envelope=reading.is_envelope)
            )
        return self._original[0]

    def contents(self) -> Any:
        """What the body holds by now. Raises :class:`MalformedEvent`."""
        raw = self["raw_body"]
        if raw is self.delivery.body:
            return self.read_original().value
        return read_body(self.delivery.headers, raw, self.reading.form_field).value

    def plain(self) -> dict[str, Any]:
        """All of it as plain JSON, for expressions. Raises :class:`Unusable` for a body that is not UTF-8."""
        fields = {name: self[name] for name in self if name not in _FOR_TEMPLATES and name in self}
        try:
            fields["raw_body"] = self["raw_body"].decode()
        except UnicodeDecodeError:
            raise Unusable("not_utf8", "expressions read text, and the body is not UTF-8") from None
        return fields


def _as_bytes(name: str, value: Any) -> Any:
    return value.encode("utf-8", "surrogatepass") if name == "raw_body" and isinstance(value, str) else value


def _read_headers(context: DeliveryContext) -> dict[str, str]:
    raw = context.delivery.headers
    found = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw}
    if len(found) < len(raw):
        names = Counter(name.decode("latin-1") for name, _ in raw)
        found = {name: value for name, value in found.items() if names[name] == 1}
    return found


def _read_query(context: DeliveryContext) -> dict[str, str]:
    try:
        pairs = read_fields(context.delivery.query)
    except MalformedEvent:
        return {}
    return {name: value for name, value in pairs.items() if isinstance(value, str)}


def _read_url(context: DeliveryContext) -> str:
    if not context.reading.public_url:
        raise KeyError("url")  # the Host header is the caller's word, and what is signed must not be
    query = context.delivery.query.decode("latin-1")
    return f"{context.reading.public_url}{context.delivery.path}{'?' if query else ''}{query}"


def _read_url_decoded(context: DeliveryContext) -> str:
    """The address without the escapes that HubSpot takes out before it signs (v3: "Validating requests")."""
    return _HUBSPOT_ESCAPES.sub(lambda found: bytes.fromhex(found[1]).decode(), context["url"])


def _read_url_other_port(context: DeliveryContext) -> str:
    """The address without its port, or with the usual one where it names none: Twilio signs either."""
    found = _WHERE.fullmatch(context["url"])
    if found is None:
        raise KeyError("url_other_port")
    port = "" if found[2] else ":443" if found[1].startswith("https") else ":80"
    return f"{found[1]}{port}{found[3]}"


def _read_contents(context: DeliveryContext) -> Any:
    try:
        return context.contents()
    except MalformedEvent:
        raise KeyError("body") from None


def _read_low_bytes(context: DeliveryContext) -> bytes:
    """The body as Node.js knows it as a binary string: of each UTF-16 unit of its text, the lower byte."""
    return context["raw_body"].decode("utf-8", "replace").encode("utf-16-le", "surrogatepass")[::2]  # type: ignore[no-any-return]


def _read_webhook_type(context: DeliveryContext) -> str:
    """``verify`` for a challenge, else ``payload``.

    Truto's sample tests ``webhook_type = 'verify'``, and no source says where that comes from (seed: Environment
    Integrations object). A challenge is a body with a text ``challenge`` that names no event.
    """
    body = context.get("body")
    if isinstance(body, Mapping) and isinstance(body.get("challenge"), str) and not event_name(body):
        return "verify"
    return "payload"


def _read_signature_fields(context: DeliveryContext) -> dict[str, str]:
    """The ``key=value`` pairs of the signature header, between commas or semicolons.

    Keys that came more than once are absent.
    """
    header = context["headers"].get(context.reading.signature_header, "")
    pairs = [part.strip().partition("=") for part in header.replace(";", ",").split(",")]
    if len(pairs) > _MAX_PAIRS:
        return {}
    found = {key: value for key, _, value in pairs}
    if len(found) < len(pairs):
        keys = Counter(key for key, _, _ in pairs)
        found = {key: value for key, value in found.items() if keys[key] == 1}
    return found


def _read_sorted_fields(context: DeliveryContext) -> bytes:
    """What a form holds, as Twilio signs it; nothing for an empty body, or another one whose hash is in the address."""
    raw = context["raw_body"]
    if raw and media_type(context.delivery.headers) != FORM:
        named = context["query"].get("bodySHA256", "").encode("latin-1", "replace")
        if not hmac.compare_digest(named.lower(), hashlib.sha256(raw).hexdigest().encode()):
            raise KeyError("sorted_fields")
        return b""
    try:
        return sorted_fields(raw)
    except MalformedEvent:
        raise KeyError("sorted_fields") from None


_MAX_PAIRS = 50
_HUBSPOT_ESCAPES = re.compile(r"%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)
_WHERE = re.compile(r"(https?://(?:\[[^\]]*\]|[^/:?#\[\]]+))(:[0-9]+)?([/?].*)?", re.IGNORECASE | re.DOTALL)

_FIELDS: Mapping[str, Callable[[DeliveryContext], Any]] = {
    "headers": _read_headers,
    "body": _read_contents,
    "query": _read_query,
    "env": lambda context: context["environment_variables"],
    "method": lambda context: context.delivery.method,
    "path": lambda context: context.delivery.path,
    "url": _read_url,
    "url_decoded": _read_url_decoded,
    "url_other_port": _read_url_other_port,
    "webhook_type": _read_webhook_type,
    "signature_fields": _read_signature_fields,
    "sorted_fields": _read_sorted_fields,
    "low_bytes": _read_low_bytes,
    "crc32": lambda context: str(zlib.crc32(context["raw_body"])),
}
ROOTS = frozenset({*_FIELDS, "raw_body", "context", "environment_variables"})
"""What every delivery's context can hold."""
_FOR_TEMPLATES = frozenset({"sorted_fields", "low_bytes", "crc32", *(URLS - {"url"})})
"""What is there for signatures alone; the first is bytes, which expressions do not take."""
