"""The way of a delivery from any configured source: transform, handshake, signature, events.

The order is that of Truto's API schema (seed: Environment Integrations object) unless the source chooses another one.
A handshake runs on what strangers send; nothing is queued before the signature has been checked.
"""

from __future__ import annotations

import hmac
from collections import ChainMap
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from events import MalformedEvent, Verified
from events.event import checked_name, event_id, event_name
from events.naming import name_from
from ingress.answers import Refusal, not_authentic, wrong_method
from ingress.sources.configured import WEBHOOK_SECRET, ConfiguredSource
from ingress.verification.contents import write_json
from ingress.verification.context import Account, Delivery, DeliveryContext
from ingress.verification.evidence import Evidence
from ingress.verification.handshake import Decision, read_decision
from ingress.verification.head import kept
from ingress.verification.outcome import NOTHING, Accepted, Ignored, Outcome, Unusable
from ingress.verification.references import text_or_none
from truto.errors import SignatureError
from truto.placeholders import Template, UnusableValue

UNNAMED = "unnamed"
"""The type of an event that neither its body nor its source's configuration names."""

_MOST_EVENTS = 1000
_GO_ON = Decision("payload")


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
    try:
        if not source.lets_in(context):
            return not_authentic("client_not_allowed", "the address is not in ip_allow_list")
        return _Walk(source, context, now, keys).outcome()
    except SignatureError as exc:
        return not_authentic(exc.reason, str(exc))
    except MalformedEvent as exc:
        return Refusal(400, exc.reason, f"The delivery cannot be taken: {exc}.", detail=str(exc))
    except Unusable as exc:
        return Refusal(400, exc.reason, "The delivery does not fit the configuration of its source.", detail=exc.detail)


def evidence_of(
    source: ConfiguredSource, delivery: Delivery, account: Account, *, now: float, keys: Mapping[str, Any] = NOTHING
) -> Evidence:
    """What *source*'s verifier is given of *delivery*. Raises :class:`Unusable` when a transform fails."""
    walk = _Walk(source, context_of(source, delivery, account), now, keys)
    if source.steps[0] == "transform":
        walk.transform()
    return Evidence(walk.context, account.secrets, now, keys)


def context_of(source: ConfiguredSource, delivery: Delivery, account: Account) -> DeliveryContext:
    """The context in which *source* looks at *delivery*."""
    return DeliveryContext(delivery, account, public_url=source.public_url, signature_header=source.signature_header)


class _Walk:
    """One delivery on its way through the steps of its source, and what is known of it so far."""

    transformed = False
    produced: Any = None
    produces = False
    position: int | None = None
    decision = _GO_ON
    unusable: frozenset[str] = frozenset()

    def __init__(self, source: ConfiguredSource, context: DeliveryContext, now: float, keys: Mapping[str, Any]) -> None:
        self.source = source
        self.context = context
        self.now = now
        self.keys = keys

    def outcome(self) -> Outcome:
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
        events = self._events(self.position)
        return Accepted(events, self.position, update, self.unusable) if events else Ignored("no_events", update)

    def transform(self) -> None:
        if self.source.transform is None:
            return
        value = self.source.transform.evaluate(self.context)
        if isinstance(value, Mapping) and ("headers" in value or "raw_body" in value):
            if not isinstance(value.get("headers", {}), Mapping) or not isinstance(value.get("raw_body", ""), str):
                raise Unusable("transform_unusable", "payload_transform gave a context of another shape")
            before = self.context
            self.context = before.replaced(_without_same_body(value, before))
            self.transformed = any(self.context.get(name) != before.get(name) for name in ("raw_body", "body"))
        elif value is None or isinstance(value, Mapping | list):
            self.produced, self.produces = value, True
        else:
            raise Unusable("transform_unusable", "payload_transform gave neither a context nor events")

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
            return read_decision(handle.evaluate(self.context))
        return self._deciding(handle)

    def _deciding(self, handle: Any) -> Decision:
        """The decision of an expression that is itself the proof: it has to say ``payload`` for one of the secrets."""
        account = self.context.account
        secrets = self.source.credentials.given or (account.context.get(WEBHOOK_SECRET),)
        if account.fault or not all(secrets):
            raise SignatureError(account.fault or "no_secret", account.detail)
        decision = _GO_ON
        for position, secret in enumerate(secrets):
            known = replace(account, context={**account.context, WEBHOOK_SECRET: secret})
            value = handle.evaluate(self.context.known_to(known))
            decision = read_decision(value)
            if decision.type == "payload":
                if not isinstance(value, Mapping) or value.get("type") != "payload":
                    raise SignatureError("not_verified", "handle_verification did not say `payload`")
                self.position = position
                break
            if decision.answer is None or decision.answer.status < 400:
                break
        return decision

    def _prove(self) -> None:
        verifier = self.source.verifier
        if verifier is None:
            return
        account = self.context.account
        if account.fault:
            raise SignatureError(account.fault, account.detail)
        self.position = verifier.check(Evidence(self.context, account.secrets, self.now, self.keys))
        if self.source.freshness is not None:
            self.source.freshness.check(self.context, self.now)

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
        if fault := self.source.account({**account.context, **new}).fault:
            raise SignatureError("secret_unusable", f"update_context would leave no usable secret ({fault})")
        return new

    # -- events --------------------------------------------------------------------------------------------------------

    def _events(self, position: int) -> list[Verified]:
        original = self.context.delivery.body
        if self.produces:
            return self._several(self.produced, position)
        if self.transformed:
            if "body" not in self.context:
                raise MalformedEvent("not_json", "the transformed body cannot be read")
            return self._several(self.context["body"], position)
        value = self.context.read_original()
        if not isinstance(value, Mapping):
            reason = "not_json" if value is None else "not_an_object"
            raise MalformedEvent(reason, "the body is no JSON object")
        # What was JSON stays as it came, byte for byte.
        body = original if original.lstrip()[:1] == b"{" else write_json(value)
        return [self._verified(value, body, b"" if body is original else original, position)]

    def _several(self, value: Any, position: int) -> list[Verified]:
        values = value if isinstance(value, list) else [] if value is None else [value]
        if len(values) > _MOST_EVENTS:
            raise MalformedEvent("too_many_events", f"the delivery holds more than {_MOST_EVENTS} events")
        if not all(isinstance(one, Mapping) for one in values):
            raise MalformedEvent("not_an_object", "an event of the delivery is no JSON object")
        # With several events, each would carry all the others in its copy of the body.
        raw = self.context.delivery.body if len(values) == 1 else b""
        return [self._verified(one, write_json(one), raw, position, split=True) for one in values]

    def _verified(
        self, value: Mapping[str, Any], body: bytes, raw: bytes, position: int, *, split: bool = False
    ) -> Verified:
        context = ChainMap({"body": value}, self.context) if split else self.context  # type: ignore[arg-type]  # only read
        source = self.source
        name = self._field("type", source.event_type, context) or event_name(value) or UNNAMED
        own_id = self._field("id", source.event_id, context)
        if not source.platform_events:
            name = name_from(source.name, name)
        return Verified(
            source=source.name,
            type=checked_name(name),
            id=event_id(source.name, own_id, body),
            body=body,
            headers=kept(self.context.delivery.headers),
            raw=raw,
            secret_position=position,
            platform=source.platform_events,
        )

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


def _without_same_body(value: Mapping[str, Any], context: DeliveryContext) -> Mapping[str, Any]:
    """The transform's fields; a ``raw_body`` that it left alone stays the very bytes that came."""
    raw: bytes = context["raw_body"]
    given = value.get("raw_body")
    return {
        name: field
        for name, field in {"headers": context["headers"], **value}.items()
        if name != "raw_body" or given is None or given.encode("utf-8", "surrogatepass") != raw
    }
