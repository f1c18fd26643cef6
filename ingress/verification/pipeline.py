"""The way of a delivery from any configured source: transform, handshake, signature, events.

The order is that of Truto's API schema (seed: Environment Integrations object) unless the source chooses another one.
A handshake runs on what strangers send; nothing is queued before the signature has been checked.
"""

from __future__ import annotations

import hmac
from collections import ChainMap
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from events import MalformedEvent, Verified
from events.event import checked_name, event_id, event_name
from events.naming import name_from
from ingress.answers import Refusal, not_authentic, wrong_method
from ingress.errors import Unusable
from ingress.sources.configured import WEBHOOK_SECRET, ConfiguredSource, Expression
from ingress.verification.contents import write_json
from ingress.verification.context import Account, Delivery, DeliveryContext
from ingress.verification.evidence import Evidence, NamesCertificate
from ingress.verification.handshake import Decision, read_decision
from ingress.verification.head import kept
from ingress.verification.outcome import NOTHING, Accepted, Ignored, Outcome
from ingress.verification.references import text_or_none
from ingress.verification.sns import subscription_url
from truto.errors import SignatureError, UnusableValue
from truto.placeholders import Template

UNNAMED = "unnamed"
"""The type of an event that neither its body nor its source's configuration names."""

MAX_CONTEXT_NAMES = 100
"""Of one source: every ingress reads them all once a second, and names may come out of a delivery."""

_MOST_EVENTS = 1000
_GO_ON = Decision("payload")
_SIGNED_OVER = frozenset({"raw_body", "headers"})


def verify_delivery(
    source: ConfiguredSource, delivery: Delivery, account: Account, *, now: float, keys: Mapping[str, Any] = NOTHING
) -> Outcome:
    """Prove the sender of *delivery* and find its events, or say why not.

    *account* is ``source.account(…)``, *now* Unix time (s), *keys* those of the source's JWKS.
    """
    return verify_context(source, context_of(source, delivery, account), now=now, keys=keys)


def verify_context(
    source: ConfiguredSource, context: DeliveryContext, *, now: float, keys: Mapping[str, Any] = NOTHING
) -> Outcome:
    """As :func:`verify_delivery`, for a delivery whose context is there already: ``context_of(source, …)``."""
    return Walk(source, context, now=now, keys=keys).outcome()


def evidence_of(
    source: ConfiguredSource, delivery: Delivery, account: Account, *, now: float, keys: Mapping[str, Any] = NOTHING
) -> Evidence:
    """What *source*'s verifier is given of *delivery*. Raises :class:`Unusable` when a transform fails."""
    walk = Walk(source, context_of(source, delivery, account), now=now, keys=keys)
    if source.steps[0] == "transform":
        walk.transform()
    return Evidence(walk.context, account.secrets, now, keys)


def context_of(source: ConfiguredSource, delivery: Delivery, account: Account) -> DeliveryContext:
    """The context in which *source* looks at *delivery*."""
    return DeliveryContext(
        delivery,
        account,
        public_url=source.public_url,
        signature_header=source.signature_header,
        form_field=source.form_field,
    )


class Walk:
    """One delivery on its way through the steps of its source, and what is known of it so far.

    :meth:`begin` proves the sender where that takes no expression, :meth:`outcome` goes on to the end. Whatever fails
    on the way becomes a refusal.
    """

    transformed = False
    produced: Any = None
    produces = False
    position: int | None = None
    decision = _GO_ON
    unusable: frozenset[str] = frozenset()
    _begun = False
    _failure: SignatureError | None = None

    def __init__(
        self, source: ConfiguredSource, context: DeliveryContext, *, now: float, keys: Mapping[str, Any] = NOTHING
    ) -> None:
        self.source = source
        self.context = context
        self.now = now
        self.keys = keys

    @property
    def size(self) -> int:
        """The bytes of the body, as it came."""
        return len(self.context.delivery.body)

    @property
    def proven(self) -> bool:
        """Whether the sender is proven by now."""
        return self.position is not None

    def begin(self) -> Outcome | None:
        """Look at the sender as far as that takes no expression; the outcome where that is the end."""
        return self._refusing(self._begin)

    def outcome(self) -> Outcome:
        """Go all the way."""
        outcome = self._refusing(self._finish)
        assert outcome is not None
        return outcome

    def evaluates(self) -> bool:
        """Whether an expression has to be evaluated for the rest of the way."""
        try:
            return self.source.evaluates_for(self._seen())
        except Exception:  # noqa: BLE001  what fails here fails again, where it becomes a refusal
            return True

    def certificate_url(self) -> str | None:
        """Where the certificate is that the delivery names; ``None`` where it names none that is the sender's."""
        verifier = self.source.verifier
        if not isinstance(verifier, NamesCertificate):
            return None
        try:
            return verifier.certificate_url(self.context)
        except SignatureError:
            return None

    def _refusing(self, step: Callable[[], Outcome | None]) -> Outcome | None:
        try:
            return step()
        except SignatureError as exc:
            return not_authentic(exc.reason, str(exc))
        except MalformedEvent as exc:
            return Refusal(400, exc.reason, f"The delivery cannot be taken: {exc}.", detail=str(exc))
        except Unusable as exc:
            message = "The delivery does not fit the configuration of its source."
            return Refusal(400, exc.reason, message, detail=exc.detail)
        except Exception as exc:  # noqa: BLE001  the net: nothing a stranger sends may look like a defect of ours
            return verification_failed(exc, proven=self.proven)

    def _begin(self) -> Outcome | None:
        self._begun = True
        if not self.source.lets_in(self.context):
            return not_authentic("client_not_allowed", "the address is not in ip_allow_list")
        if self.source.proves_early:
            try:
                self._prove()
            except SignatureError as exc:
                if not self.source.may_shake_hands(self.context.delivery):
                    raise
                self._failure = exc
        return None

    def _finish(self) -> Outcome:
        if not self._begun and (refused := self._begin()) is not None:
            return refused
        for step in self.source.steps:
            if step == "transform":
                self.transform()
            elif step == "signature":
                self._prove()
            elif (ended := self._decide()) is not None:
                return ended
        update = self._permitted(self.decision.update_context)
        if self.position is None:
            raise SignatureError("not_verified", "nothing has proven the sender")
        if self.source.confirms and (url := subscription_url(self.context.get("body"))) is not None:
            return Ignored("subscription_confirmation", update, visit=url)
        events = self._events(self.position)
        return Accepted(events, self.position, update, self.unusable) if events else Ignored("no_events", update)

    def _seen(self) -> DeliveryContext:
        """What expressions see: before the proof, nothing that could make or reveal one."""
        return self.context if self.proven else self.context.concealed()

    def transform(self) -> None:
        """Put what the transform gives into the place of the context, or keep it as the events."""
        source = self.source
        if source.transform is None:
            return
        value = source.transform.evaluate(self._seen(), proven=self.proven)
        if source.transform_writes is not None:
            self._take_context(value, source.transform_writes)
        elif value is None or isinstance(value, Mapping | list):
            self.produced, self.produces = value, True
        else:
            raise Unusable("transform_unusable", "payload_transform gave neither a context nor events")

    def _take_context(self, value: Any, writes: frozenset[str]) -> None:
        if not isinstance(value, Mapping) or not _has_the_shape(value):
            raise Unusable("transform_unusable", "payload_transform gave a context of another shape")
        before = self.context
        self.context = before.replaced(_replacing(value, before, writes))
        self.transformed = any(self.context.get(name) != before.get(name) for name in ("raw_body", "body"))

    def _decide(self) -> Outcome | None:
        """What ends here; ``None`` to go on."""
        decision = self._decision()
        self.decision = decision
        if decision.answer is not None:
            update = {} if decision.answer.status >= 400 else self._permitted(decision.update_context)
            return replace(decision.answer, update_context=update, enrols=self._enrols(update))
        if self.context.delivery.method != "POST":
            return wrong_method("POST")
        if decision.type == "meta":
            update = self._permitted(decision.update_context)
            return Ignored("meta", update, self._enrols(update))
        return None

    def _decision(self) -> Decision:
        handle = self.source.handle
        if handle is None:
            return _GO_ON
        if self.source.verifier is not None:
            return read_decision(handle.evaluate(self._seen(), proven=self.proven))
        return self._deciding(handle)

    def _deciding(self, handle: Expression) -> Decision:
        """The decision of an expression that is itself the proof: it has to say ``payload`` for one of the secrets.

        With a secret at hand it says yes or no, and nothing else counts. What is answered to anybody else is what it
        says without one.
        """
        account = self.context.account
        secrets = self.source.credentials.given or (account.context.get(WEBHOOK_SECRET),)
        if account.fault or not all(secrets):
            raise SignatureError(account.fault or "no_secret", account.detail)
        for position, secret in enumerate(secrets):
            known = replace(account, context={**account.context, WEBHOOK_SECRET: secret})
            decision = _said(handle.evaluate(self.context.known_to(known), proven=False))
            if decision.type == "payload":
                self.position = position
                return decision
            if decision.answer is None or decision.answer.status < 400:
                break
        decision = _said(handle.evaluate(self.context.concealed(), proven=False))
        if decision.type == "payload":
            raise SignatureError("not_verified", "handle_verification says `payload` without the secret alone")
        return decision

    def _prove(self) -> None:
        verifier = self.source.verifier
        if verifier is None or self.proven:
            return
        if self._failure is not None:
            raise self._failure
        account = self.context.account
        if account.fault:
            raise SignatureError(account.fault, account.detail)
        position = verifier.check(Evidence(self.context, account.secrets, self.now, self.keys))
        if self.source.freshness is not None:
            self.source.freshness.check(self.context, self.now)
        self.position = position

    def _enrols(self, update: Mapping[str, Any]) -> bool:
        return bool(update) and self.position is None

    def _permitted(self, update: Mapping[str, Any]) -> Mapping[str, Any]:
        """What of *update* is new. Raises :class:`SignatureError` when it must not be kept.

        Without proof, it may replace what an earlier enrolment has left, for then an operator has to let it in.
        """
        if not update:
            return update
        account = self.context.account
        new = {name: value for name, value in update.items() if not _same(account.context, name, value)}
        if not new and not account.fault:
            return new
        fixed = self.source.account(NOTHING).context if self.position is None else account.context
        if not self.source.may_overwrite and any(name in fixed for name in new):
            raise SignatureError("context_overwrite", "update_context would overwrite what is known already")
        if len(account.context.keys() | new.keys()) > max(MAX_CONTEXT_NAMES, len(account.context)):
            raise SignatureError("context_full", "update_context would leave more names than a source may have")
        if fault := self.source.account({**account.context, **new}).fault:
            raise SignatureError("secret_unusable", f"update_context would leave no usable secret ({fault})")
        return new

    # -- events --------------------------------------------------------------------------------------------------------

    def _events(self, position: int) -> list[Verified]:
        original = self.context.delivery.body
        if self.produces:
            if self.produced is None:  # for want of events, or of anything that can be read
                self.context.read_original()
            return self._several(self.produced, position)
        if self.transformed:
            if "body" not in self.context:
                raise MalformedEvent("not_json", "the transformed body cannot be read")
            return self._several(self.context["body"], position)
        value, known = self.context.read_original()
        if not isinstance(value, Mapping):
            reason = "not_json" if value is None else "not_an_object"
            raise MalformedEvent(reason, "the body is no JSON object")
        # What was JSON stays as it came, byte for byte.
        body = known or write_json(value)
        raw = b"" if body is original else original
        return [self._verified(value, body, raw, position, self.context, sent=raw if known else b"")]

    def _several(self, value: Any, position: int) -> list[Verified]:
        values = value if isinstance(value, list) else [] if value is None else [value]
        if len(values) > _MOST_EVENTS:
            raise MalformedEvent("too_many_events", f"the delivery holds more than {_MOST_EVENTS} events")
        if not all(isinstance(one, Mapping) for one in values):
            raise MalformedEvent("not_an_object", "an event of the delivery is no JSON object")
        # With several events, each would carry all the others in its copy of the body.
        raw = self.context.delivery.body if len(values) == 1 else b""
        return [
            self._verified(one, write_json(one), raw, position, ChainMap({"body": one}, self.context), place)  # type: ignore[arg-type]  # only read
            for place, one in enumerate(values)
        ]

    def _verified(
        self,
        value: Mapping[str, Any],
        body: bytes,
        raw: bytes,
        position: int,
        context: Mapping[str, Any],
        place: int = 0,
        sent: bytes = b"",
    ) -> Verified:
        source = self.source
        name = self._field("type", source.event_type, context) or event_name(value) or UNNAMED
        if not source.platform_events:
            name = name_from(source.name, name)
        return Verified(
            source=source.name,
            type=checked_name(name),
            id=self._id(name, sent or body, context, place),
            body=body,
            headers=kept(self.context.delivery.headers, source.kept_headers),
            raw=raw,
            secret_position=position,
            platform=source.platform_events,
        )

    def _id(self, name: str, body: bytes, context: Mapping[str, Any], place: int) -> str:
        named = [self._field("id", reference, context) for reference in self.source.identity.references]
        return event_id(named, otherwise=self._rest(name, body, place), hidden=self.source.identity.holds_body)

    def _rest(self, name: str, body: bytes, place: int) -> list[bytes]:
        """What the event is known by where no reference leads to anything; empty where nothing tells events apart."""
        source = self.source
        known_by = [source.name.encode(), name.encode("utf-8", "surrogatepass")]
        match source.identity.rest:
            case "body":
                return [*known_by, body]
            case "time" if source.freshness is not None:
                signed = self._field("id", source.freshness.timestamp, self.context)
                # An event that stands twice in one delivery has happened twice.
                return [*known_by, signed.encode(), str(place).encode(), body] if signed else []
            case _:
                return []

    def _field(self, name: str, template: Template | None, context: Mapping[str, Any]) -> str | None:
        if template is None:
            return None
        try:
            return text_or_none(template, context)
        except UnusableValue:
            self.unusable |= {name}
            return None


def _same(context: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether *value* is known under *name*; in constant time, for a stranger may ask and a secret may be known."""
    return name in context and hmac.compare_digest(write_json(context[name]), write_json(value))


def verification_failed(error: Exception, *, proven: bool) -> Refusal:
    """The refusal of a delivery on which verification itself broke. Only the error's kind is told: it may quote."""
    kind = type(error).__name__
    if not proven:
        return not_authentic("verification_failed", kind)
    return Refusal(400, "verification_failed", "The delivery cannot be read.", detail=kind)


def _said(value: Any) -> Decision:
    """The decision in *value*, of which ``payload`` has to be said in so many words."""
    decision = read_decision(value)
    if decision.type == "payload" and not (isinstance(value, Mapping) and value.get("type") == "payload"):
        raise SignatureError("not_verified", "handle_verification did not say `payload`")
    return decision


def _has_the_shape(value: Mapping[str, Any]) -> bool:
    return isinstance(value.get("headers", {}), Mapping) and isinstance(value.get("raw_body", ""), str)


def _replacing(value: Mapping[str, Any], context: DeliveryContext, writes: frozenset[str]) -> Mapping[str, Any]:
    """What a transform that gave *value* puts into the place of *context*.

    What the signature is checked over stays as it came unless the transform itself *writes* it. A ``raw_body`` that it
    left alone stays the very bytes that came; the ``body`` of one that it wrote is read from it.
    """
    fields = {name: field for name, field in value.items() if name not in _SIGNED_OVER or name in writes}
    fields.setdefault("headers", context["headers"])
    raw = fields.pop("raw_body", None)
    if raw is not None and raw.encode("utf-8", "surrogatepass") != context["raw_body"]:
        fields["raw_body"] = raw
        if "body" not in writes:
            fields.pop("body", None)
    return fields
