"""The way of a delivery from any source: transform, handshake, signature, events.

The order is that of Truto's API schema (seed: Environment Integrations object) unless the source chooses another one.
A handshake runs on what strangers send; nothing is queued before the signature has been checked.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from events import MalformedEvent
from ingress.answers import Refusal, not_authentic, wrong_method
from ingress.errors import Unusable
from ingress.sources.source import WEBHOOK_SECRET, Expression, Source
from ingress.verification.contents import write_json
from ingress.verification.context import Account, Delivery, DeliveryContext
from ingress.verification.events import EventMaker, events_of
from ingress.verification.evidence import Evidence, NamesKey
from ingress.verification.handshake import Decision, read_decision
from ingress.verification.outcome import NOTHING, Accepted, Ignored, Outcome
from ingress.verification.sns import subscription_url
from truto.errors import SignatureError

MAX_CONTEXT_NAMES = 100
"""Of one source: every ingress reads them all once a second, and names may come out of a delivery."""

_GO_ON = Decision("payload")
_SIGNED_OVER = frozenset({"raw_body", "headers"})


def verify_delivery(
    source: Source, delivery: Delivery, account: Account, *, now: float, keys: Mapping[str, Any] = NOTHING
) -> Outcome:
    """Prove the sender of *delivery* and find its events, or say why not.

    *account* is ``source.account(…)``, *now* Unix time (s), *keys* those of the source's JWKS.
    """
    context = DeliveryContext(delivery, account, source.reading)
    if not source.is_plain or delivery.method != "POST":
        return Walk(source, context, now, keys).outcome()
    position = None
    try:
        position = prove(source, context, now, keys)
        return events_of(source, context, position, now)
    except Exception as exc:  # noqa: BLE001  the net: nothing a stranger sends may look like a defect of ours
        return refusal_of(exc, proven=position is not None)


def prove(source: Source, context: DeliveryContext, now: float, keys: Mapping[str, Any]) -> int:
    """The position of the secret that proves the sender. Raises :class:`SignatureError`."""
    account = context.account
    if account.fault:
        raise SignatureError(account.fault, account.detail)
    assert source.verifier is not None
    position = source.verifier.check(Evidence(context, account.secrets, now, keys))
    if source.freshness is not None:
        source.freshness.check(context, now)
    return position


def evidence_of(
    source: Source, delivery: Delivery, account: Account, *, now: float, keys: Mapping[str, Any] = NOTHING
) -> Evidence:
    """What *source*'s verifier is given of *delivery*. Raises :class:`Unusable` when a transform fails."""
    walk = Walk(source, context_of(source, delivery, account), now=now, keys=keys)
    if source.needed[0] == "transform":
        walk.transform()
    return Evidence(walk.context, account.secrets, now, keys)


def context_of(source: Source, delivery: Delivery, account: Account) -> DeliveryContext:
    """The context in which *source* looks at *delivery*."""
    return DeliveryContext(delivery, account, source.reading)


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
    _begun = False
    _failure: SignatureError | None = None

    def __init__(self, source: Source, context: DeliveryContext, now: float, keys: Mapping[str, Any] = NOTHING) -> None:
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
        try:
            return self._begin()
        except Exception as exc:  # noqa: BLE001  the net: nothing a stranger sends may look like a defect of ours
            return refusal_of(exc, proven=self.proven)

    def outcome(self) -> Outcome:
        """Go all the way."""
        try:
            return self._finish()
        except Exception as exc:  # noqa: BLE001  as above
            return refusal_of(exc, proven=self.proven)

    def evaluates(self) -> bool:
        """Whether an expression has to be evaluated for the rest of the way."""
        try:
            return self.source.evaluates_for(self._seen())
        except Exception:  # noqa: BLE001  what fails here fails again, where it becomes a refusal
            return True

    def key_name(self) -> str | None:
        """The address of the certificate, or the ``kid``, that the delivery names; ``None`` where it names none."""
        verifier = self.source.verifier
        if not isinstance(verifier, NamesKey):
            return None
        try:
            return verifier.key_name(self.context)
        except SignatureError:
            return None

    def _begin(self) -> Outcome | None:
        self._begun = True
        source = self.source
        if source.networks and not source.lets_in(self.context):
            return not_authentic("client_not_allowed", "the address is not in ip_allow_list")
        if source.handle is None and self.context.delivery.method != "POST":
            return wrong_method("POST")
        if source.proves_early:
            try:
                self._prove()
            except SignatureError as exc:
                if not source.may_shake_hands(self.context.delivery):
                    raise
                self._failure = exc
        return None

    def _finish(self) -> Outcome:
        if not self._begun and (refused := self._begin()) is not None:
            return refused
        for step in self.source.needed:
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
        accepted = self._accepted(self.position)
        return replace(accepted, update_context=update) if accepted.events else Ignored("no_events", update)

    def _seen(self) -> DeliveryContext:
        """What expressions see: before the proof, nothing that could make or reveal one."""
        return self.context if self.proven else self.context.concealed()

    def transform(self) -> None:
        """Put what the transform gives into the place of the context, or keep it as the events."""
        source = self.source
        assert source.transform is not None
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
        if self.source.verifier is None or self.proven:
            return
        if self._failure is not None:
            raise self._failure
        self.position = prove(self.source, self.context, self.now, self.keys)

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

    def _accepted(self, position: int) -> Accepted:
        if not self.produces and not self.transformed:
            return events_of(self.source, self.context, position, self.now)
        maker = EventMaker(self.source, self.context, position)
        return Accepted(maker.of_value(self._made()), position, NOTHING, maker.unusable)

    def _made(self) -> Any:
        """What the transform has put into the place of the event."""
        if self.produces:
            if self.produced is None:  # for want of events, or of anything that can be read
                self.context.read_original()
            return self.produced
        if "body" not in self.context:
            raise MalformedEvent("not_json", "the transformed body cannot be read")
        return self.context["body"]


def _same(context: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether *value* is known under *name*; in constant time, for a stranger may ask and a secret may be known."""
    return name in context and hmac.compare_digest(write_json(context[name]), write_json(value))


def refusal_of(error: Exception, *, proven: bool) -> Refusal:
    """What becomes of a delivery on which verification ended with *error*."""
    match error:
        case SignatureError():
            return not_authentic(error.reason, str(error))
        case MalformedEvent():
            which = "is authentic, but" if proven else "cannot be taken:"
            return Refusal(400, error.reason, f"The delivery {which} {error}.", detail=str(error))
        case Unusable():
            message = "The delivery does not fit the configuration of its source."
            return Refusal(400, error.reason, message, detail=error.detail)
        case _:
            return verification_failed(error, proven=proven)


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
