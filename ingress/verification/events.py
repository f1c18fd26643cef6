"""Make the events of a delivery whose sender is proven. Nothing else in the ingress makes a :class:`Verified`."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from typing import Any

from events import MalformedEvent, Verified
from events.event import checked_name, entity_in, event_name, read_envelope, subject_of
from events.identity import event_id, own_id
from events.naming import name_from
from ingress.sources.source import Source
from ingress.verification.contents import Contents, write_json
from ingress.verification.context import DeliveryContext
from ingress.verification.head import kept
from ingress.verification.outcome import NOTHING, Accepted
from ingress.verification.references import text_or_none
from truto import parse_time
from truto.errors import SignatureError, UnusableValue
from truto.placeholders import Template

UNNAMED = "unnamed"
"""The type of an event that neither its body nor its source's configuration names."""

_MAX_EVENTS = 1000
_USABLE: frozenset[str] = frozenset()
_UNUSABLE_ID = frozenset({"id"})


def events_of(source: Source, context: DeliveryContext, position: int, now: float) -> Accepted:
    """The events of a delivery that no transform has touched; *position* is that of the secret that proves its sender.

    Raises :class:`MalformedEvent`, and :class:`SignatureError` for an event of Truto's that is not of *now*.
    """
    if not source.is_envelope:
        maker = EventMaker(source, context, position)
        return Accepted(maker.of_delivery(), position, NOTHING, maker.unusable)
    contents, delivery = context.read_original(), context.delivery
    envelope, body, sent = contents
    if type(envelope) is not dict or body is None:
        raise _no_object(contents)
    name, known_by = read_envelope(source.name, envelope, sent)
    if source.created_within_seconds is not None:
        _check_created(envelope, source.created_within_seconds, now)
    headers = kept(delivery.headers, source.kept_headers)
    raw = b"" if body is delivery.body else delivery.body
    event = Verified(
        source.name,
        name,
        known_by,
        body,
        headers,
        raw,
        position,
        source.platform_events,
        about=entity_in(envelope),
        subject=subject_of(name, envelope),
    )
    given = envelope.get("id")
    lost = type(given) is not str and given is not None and own_id(given) is None
    return Accepted([event], position, NOTHING, _UNUSABLE_ID if lost else _USABLE)


class EventMaker:
    """Makes the events of one delivery to *source*, whose sender is proven by the secret at *position*.

    ``unusable`` names the fields, ``id`` or ``type``, that stood where the source says and could not be taken.
    """

    __slots__ = ("_context", "_position", "_source", "unusable")

    def __init__(self, source: Source, context: DeliveryContext, position: int) -> None:
        self._source = source
        self._context = context
        self._position = position
        self.unusable = _USABLE

    def of_delivery(self) -> list[Verified]:
        """The event that the body is; what was JSON stays as it came, byte for byte. Raises :class:`MalformedEvent`."""
        contents = self._context.read_original()
        value = contents.value
        if type(value) is not dict and not isinstance(value, Mapping):
            raise _no_object(contents)
        body = contents.json or write_json(value)
        raw = b"" if body is self._context.delivery.body else self._context.delivery.body
        return [self._verified(value, body, raw, self._context, sent=contents.sent)]

    def of_value(self, value: Any) -> list[Verified]:
        """The events that a transform has made: an object, or a list of them. Raises :class:`MalformedEvent`."""
        values = value if isinstance(value, list) else [] if value is None else [value]
        if len(values) > _MAX_EVENTS:
            raise MalformedEvent("too_many_events", f"the delivery holds more than {_MAX_EVENTS} events")
        if not all(isinstance(one, Mapping) for one in values):
            raise MalformedEvent("not_an_object", "an event of the delivery is no JSON object")
        # With several events, each would carry all the others in its copy of the body.
        raw = self._context.delivery.body if len(values) == 1 else b""
        return [
            self._verified(one, write_json(one), raw, ChainMap({"body": one}, self._context), place)  # type: ignore[arg-type]  # only read
            for place, one in enumerate(values)
        ]

    def _verified(
        self,
        value: Mapping[str, Any],
        body: bytes,
        raw: bytes,
        context: Mapping[str, Any],
        place: int = 0,
        sent: bytes = b"",
    ) -> Verified:
        source = self._source
        name = self._field("type", source.event_type, context) or event_name(value) or UNNAMED
        if not source.platform_events:
            name = name_from(source.name, name)
        checked_name(name)
        known_by = self._id(name, sent or body, context, place)
        headers = kept(self._context.delivery.headers, source.kept_headers)
        return Verified(
            source.name,
            name,
            known_by,
            body,
            headers,
            raw,
            self._position,
            source.platform_events,
            subject=subject_of(name, value) if type(value) is dict else None,
        )

    def _id(self, name: str, body: bytes, context: Mapping[str, Any], place: int) -> str:
        identity = self._source.identity
        named = [self._field("id", reference, context) for reference in identity.references]
        return event_id(named, otherwise=self._rest(name, body, place), hidden=identity.holds_body)

    def _rest(self, name: str, body: bytes, place: int) -> list[bytes]:
        """What the event is known by where no reference leads to anything; empty where nothing tells events apart."""
        source = self._source
        if source.identity.rest == "none":
            return []
        known_by = [source.name.encode(), name.encode("utf-8", "surrogatepass")]
        if source.identity.rest == "body":
            return [*known_by, body]
        signed = self._field("id", source.freshness.timestamp, self._context) if source.freshness else None
        # An event that stands twice in one delivery has happened twice.
        return [*known_by, signed.encode(), str(place).encode(), body] if signed else []

    def _field(self, name: str, template: Template | None, context: Mapping[str, Any]) -> str | None:
        if template is None:
            return None
        try:
            return text_or_none(template, context)
        except UnusableValue:
            self.unusable |= {name}
            return None


def _check_created(envelope: Mapping[str, Any], tolerance: float, now: float) -> None:
    created = parse_time(envelope.get("created_at"))
    if created is None or abs(now - created.timestamp()) > tolerance:
        raise SignatureError("timestamp_out_of_tolerance", "`created_at` is missing, or too far from now")


def _no_object(contents: Contents) -> MalformedEvent:
    if contents.json is not None:
        return MalformedEvent("not_an_object", "the body is JSON but not an object")
    return MalformedEvent("not_json" if contents.value is None else "not_an_object", "the body is no JSON object")
