"""Events: as verified, as stored, and as handlers see them. Performs no I/O."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from events.errors import CorruptEvent, MalformedEvent
from events.identity import MAX_NAME, OWN_IDS, event_key, hashed, own_id, printable_id
from events.naming import PLATFORM_SOURCE, name_from
from events.tolerance import REPLACEMENT
from truto import parse_time

KEPT_HEADERS = ("content-type", "user-agent", "x-request-id", "traceparent", "tracestate")
"""Headers that are stored with an event, to find its delivery again. No credentials, no signatures."""

RECOVERED = "x-truto-worker-recovered"
"""The header that marks a recovered event; the ingress keeps none of that name."""

MAX_INLINE_BYTES = 64 * 1024
"""Larger bodies are stored under a key of their own, and read only when they are needed."""

PENDING_OVERHEAD_BYTES = 1024
"""Bytes of Redis that a pending event takes in addition to body and headers: keys, queue entries, history."""

_TYPE_FIELDS = ("event", "event_type", "eventType")


class Verified(NamedTuple):
    """An event whose sender is proven. Only this can be accepted.

    Only ``ingress.verification.events`` makes one, and workflows that emit events; the spool gives back those it was
    given. ``body`` is the event as JSON; ``raw`` is the delivery's own body where that is something else (a form, XML,
    or JSON that had to be written anew).
    ``secret_position`` says which of the source's live secrets explained the signature, 0 being the newest.
    ``platform`` says that the source is Truto's own: names of Truto's families are believed of no other.
    ``about`` is the id of Truto's entity in it, where it says one: what has not arrived is found by comparing these.
    ``bytes_apart`` counts bodies that the store has been given already, by another way; ``digest_apart`` is theirs.
    ``subject`` is :func:`subject_of` it, where that was found already.
    """

    source: str
    type: str
    id: str
    body: bytes
    headers: Mapping[str, str] = MappingProxyType({})
    raw: bytes = b""
    secret_position: int = 0
    platform: bool = False
    bytes_apart: int = 0
    digest_apart: int | None = None
    about: str = ""
    subject: tuple[str | None, str | None] | None = None

    def __repr__(self) -> str:
        """Source, type and id; never the content."""
        return f"Verified(source={self.source!r}, type={self.type!r}, id={self.id!r})"

    @property
    def key(self) -> str:
        """The event's key in the store, a digest: strangers choose ids, so an id never becomes a Redis key."""
        return event_key(self.source, self.id, self.type, platform=self.platform)

    @property
    def keys(self) -> str:
        """Its key, and where that differs, behind a space, the key without its type that older versions gave it."""
        if self.platform or self.source in OWN_IDS:
            return self.key
        return f"{self.key} {event_key(self.source, self.id)}"

    @property
    def digest(self) -> int:
        """A checksum of type and body, to find conflicts under one key. It proves nothing."""
        if self.digest_apart is not None:
            return self.digest_apart
        kind = self.type
        return zlib.crc32(
            self.body, zlib.crc32(kind.encode() if kind.isascii() else kind.encode("utf-8", "surrogatepass"))
        )

    @property
    def body_bytes(self) -> int:
        """The bytes of the bodies that go to the store with the event."""
        return len(self.body) + len(self.raw)

    @property
    def size(self) -> int:
        """The bytes that the event counts for in the store while it is pending."""
        bodies = self.bytes_apart or len(self.body) + len(self.raw)
        return bodies + (self.head_bytes if self.headers else 0) + PENDING_OVERHEAD_BYTES

    @property
    def head_bytes(self) -> int:
        """The bytes of its stored headers."""
        return sum(map(len, self.headers.values()))

    @property
    def meta(self) -> bytes:
        """The metadata that is stored with the body, as one line of JSON."""
        # The scripts find the first three by their position.
        meta: dict[str, Any] = {
            "source": self.source,
            "bytes": self.size,
            "digest": self.digest,
            "type": self.type,
            "id": self.id,
            "headers": self.headers if type(self.headers) is dict else dict(self.headers),
        }
        if self.about:
            meta["about"] = self.about
        if self.platform and self.source != PLATFORM_SOURCE:
            meta["platform"] = True
        return orjson.dumps(meta)


@dataclass(frozen=True, slots=True)
class Event:
    """One event, as handlers see it.

    ``type`` is the sender's name for what happened, ``id`` what its sender knows it by (or a hash where it gave
    nothing), ``payload`` the data, ``raw`` the event's JSON bytes as they arrived. ``account_id`` and ``tenant_id`` are
    found in the payload where the family of events carries them, else ``None``. Times are aware and in UTC;
    ``created_at`` is the sender's, ``received_at`` is Redis' clock. ``platform`` says that Truto itself delivered it; a
    name of Truto's that comes from anybody else reads ``<source>/<name>``. ``by_type`` says that the type is part of
    what the store knows it by.
    """

    id: str
    type: str
    source: str
    payload: Mapping[str, Any] = field(repr=False)
    environment_id: str | None
    webhook_id: str | None
    created_at: datetime | None
    received_at: datetime
    account_id: str | None
    tenant_id: str | None
    headers: Mapping[str, str] = field(repr=False)
    raw: bytes = field(repr=False)
    platform: bool = False
    by_type: bool = field(default=False, repr=False)

    @classmethod
    def sample(cls, event_type: str, **changes: Any) -> Event:
        """An event of Truto's of this type, as the catalogue's sample has it, for tests.

        *changes* replace fields of the event; ``payload`` replaces the sample's, and the account and tenant follow it.
        Raises ``ValueError`` for a type that misspells one of Truto's.
        """
        # For tests alone: no process of ours loads the samples for this.
        from truto.catalogue import EVENT_TYPES
        from truto.faults import misspelt
        from truto.samples import sample_event

        if meant := misspelt(event_type, EVENT_TYPES):
            raise ValueError(f"Truto sends no {event_type}; did you mean {meant}?")
        envelope = sample_event(event_type, data=changes.pop("payload", None))
        meta = {"source": PLATFORM_SOURCE, "type": event_type, "id": envelope["id"], "headers": {}}
        return replace(_event(meta, envelope, orjson.dumps(envelope), received_at=datetime.now(UTC)), **changes)

    @property
    def key(self) -> str:
        """The event's name inside the store: unique per source, type and id; per source and id for Truto's own."""
        # Events of versions that ignored the type keep their key.
        return event_key(self.source, self.id, self.type if self.by_type else "")

    @property
    def recovered(self) -> bool:
        """Whether it was accepted by reconciling, since its delivery had not arrived. Its payload is newer then."""
        return RECOVERED in self.headers

    @property
    def has_body(self) -> bool:
        """False for a large event without its body: ``raw`` and the fields read from it are missing."""
        return self.payload is not _IN_STORE


class _InStore(Mapping[str, Any]):
    """The payload of an event whose body was not read. Every access raises, so that it is not mistaken for empty."""

    def __getitem__(self, name: str) -> Any:
        raise LookupError(_NOT_READ)

    def __iter__(self) -> Iterator[str]:
        raise LookupError(_NOT_READ)

    def __len__(self) -> int:
        raise LookupError(_NOT_READ)


_NOT_READ = "the body of this large event was not read: read it with Store.bodies.whole()"
_IN_STORE = _InStore()


def read_envelope(source: str, envelope: Mapping[str, Any], sent: bytes) -> tuple[str, str]:
    """The type and id of the event in *envelope*, which was *sent* as these bytes.

    The type is read from ``event``, else ``event_type``, else ``eventType`` (three spellings of one field in Truto's
    documents). An id the sender did not give, or not as text or a whole number, becomes a hash of source and body:
    what Truto sends holds the time at which it was made. So does an id of which something was lost. Raises
    :class:`MalformedEvent` when it names no event.
    """
    name = event_name(envelope)
    if not name:
        raise MalformedEvent("event_name_missing", "the body names no event: expected a string in `event`")
    checked_name(name)
    own = envelope.get("id")
    if type(own) is not str or not own:  # nearly all are
        own = own_id(own)
    if own is None or REPLACEMENT in own:
        return name, hashed(source.encode() + b"\0" + sent)
    return name, printable_id(own)


def checked_name(name: str) -> str:
    """*name* itself, when it can be an event's. Raises :class:`MalformedEvent` when it cannot."""
    if len(name) > MAX_NAME or not name.isprintable():
        raise MalformedEvent(
            "event_name_malformed",
            f"the event's name must be printable and at most {MAX_NAME} characters",
        )
    return name


def event_name(envelope: Mapping[str, Any]) -> str | None:
    """The first of the three fields that is text; ``None`` when none is."""
    for field_name in _TYPE_FIELDS:
        if isinstance(name := envelope.get(field_name), str):
            return name
    return None


def read_stored(stored: bytes, platform_sources: Collection[str] = ()) -> Event:
    """The event behind what the accept script stored: received at (ms), meta and body, a line each.

    A large event has no body there, see :attr:`Event.has_body` and :func:`with_body`. *platform_sources* are Truto's
    own; versions that stored no digest did not say so themselves.
    Raises :class:`CorruptEvent` when that cannot be read back.
    """
    try:
        received, meta_line, body = stored.split(b"\n", 2)
        meta = _meta(orjson.loads(meta_line))
        if meta["source"] in platform_sources and "digest" not in meta:
            meta["platform"] = True
        received_at = datetime.fromtimestamp(int(received) / 1000, UTC)
        if not body:
            return _bodiless(meta, received_at)
        return _event(meta, json_object(body), body, received_at=received_at)
    except (ValueError, KeyError, TypeError, OverflowError, MalformedEvent) as exc:
        raise CorruptEvent(f"{type(exc).__name__} while reading a stored event") from exc


def head_of(stored: bytes) -> bytes:
    """What the accept script stores of a large event: received at and meta, without the body."""
    return b"\n".join([*stored.split(b"\n", 2)[:2], b""])


def with_body(event: Event, body: bytes) -> Event:
    """A large *event* with the *body* that is stored for it. Raises :class:`CorruptEvent` when that cannot be read."""
    meta = {name: getattr(event, name) for name in ("source", "type", "id", "headers", "platform")}
    try:
        return replace(_event(meta, json_object(body), body, received_at=event.received_at), by_type=event.by_type)
    except MalformedEvent as exc:
        raise CorruptEvent(f"{type(exc).__name__} while reading the body of a stored event") from exc


def _meta(meta: dict[str, Any]) -> dict[str, Any]:
    texts = isinstance(meta["source"], str) and isinstance(meta["type"], str) and isinstance(meta["id"], str)
    if not (texts and isinstance(meta["headers"], dict)):
        raise TypeError("a field of another kind")
    return meta


def _bodiless(meta: Mapping[str, Any], received_at: datetime) -> Event:
    return replace(_event(meta, {}, b"", received_at=received_at), payload=_IN_STORE)


def _event(meta: Mapping[str, Any], envelope: dict[str, Any], body: bytes, *, received_at: datetime) -> Event:
    platform = meta["source"] == PLATFORM_SOURCE or meta.get("platform") is True
    # What was accepted before names were looked at has still the sender's own.
    kind = meta["type"] if platform else name_from(meta["source"], meta["type"])
    account_id, tenant_id = subject_of(kind, envelope)
    return Event(
        id=meta["id"],
        type=kind,
        source=meta["source"],
        payload=_payload(envelope),
        environment_id=_text(envelope.get("environment_id")),
        webhook_id=_text(envelope.get("webhook_id")),
        created_at=_utc(parse_time(envelope.get("created_at"))),
        received_at=received_at,
        account_id=account_id,
        tenant_id=tenant_id,
        headers=meta["headers"],
        raw=body,
        platform=platform,
        by_type="digest" in meta and not platform and meta["source"] not in OWN_IDS,
    )


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object that *body* is. Raises :class:`MalformedEvent`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise MalformedEvent("not_json", "the body is not JSON") from exc
    if not isinstance(value, dict):
        raise MalformedEvent("not_an_object", "the body is JSON but not an object")
    return value


_MAX_ABOUT = 64


def entity_in(envelope: Mapping[str, Any]) -> str:
    """The id of the entity in an event of Truto's; empty where it says none."""
    payload = envelope.get("payload")
    found = payload.get("id") if type(payload) is dict else None
    return found if type(found) is str and len(found) <= _MAX_ABOUT and found.isprintable() else ""


def account_of(verified: Verified) -> str | None:
    """The account that an accepted event will belong to; ``None`` where it names none."""
    return subject_of(verified.type, json_object(verified.body))[0]


def subject_of(kind: str, envelope: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """The account and the tenant that an event of this *kind* is about."""
    payload = _payload(envelope)
    return _account_id(kind, payload), _text(payload.get("tenant_id")) or _text(envelope.get("tenant_id"))


def _payload(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    payload = envelope.get("payload")
    if isinstance(payload, dict):
        return payload
    # Senders other than Truto put their data at the top level.
    return envelope if payload is None else {"payload": payload}


def _account_id(kind: str, payload: Mapping[str, Any]) -> str | None:
    """Where a family carries its account (events.md of the platform: 5.1, 5.2, 5.4)."""
    if kind.startswith("integrated_account:"):
        return _text(payload.get("id"))
    args = payload.get("args")
    found = _text(payload.get("integrated_account_id"))
    return found or (_text(args.get("integrated_account_id")) if isinstance(args, dict) else None)


def _utc(moment: datetime | None) -> datetime | None:
    try:
        return moment and moment.astimezone(UTC)
    except OverflowError:  # within a day of the calendar's ends
        return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
