"""Compile what the events of a source are known by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ingress.sources.coverage import named_in
from ingress.sources.description import Description
from ingress.sources.schema import Sns, StandardWebhooks, TrutoHeader
from ingress.sources.source import BY_ID, Identity

if TYPE_CHECKING:  # it brings JSONata, which sources without expressions never load
    from ingress.verification.expressions import Step as CompiledStep


def compile_identity(draft: Description) -> Identity:
    """What two deliveries of one event have in common."""
    path, stated = _stated_identity(draft)
    rest: Literal["body", "time", "none"] = "time" if draft.options.timestamp else "none"
    match draft.entry.webhook.signature_verification:
        case StandardWebhooks() if stated is None:
            stated = ["{{headers.webhook-id|headers.svix-id}}"]
        case Sns() if stated is None:
            stated = ["{{body.MessageId}}"]
        case TrutoHeader():
            stated, rest = stated or list(BY_ID), "body"
    if isinstance(stated, str):
        return Identity(rest="body" if stated == "body" else "none")
    references = tuple(draft.template(path, text) for text in stated or ())
    if references and all(draft.is_constant(template) for template in references):
        draft.fault(path, "is the same for every delivery, so that all but the first would be duplicates")
    holds_body = any(path == "raw_body" for names in named_in(references) for path in names)
    return Identity(references, rest, tuple(stated or ()), holds_body)


def is_envelope(draft: Description, identity: Identity, transform: CompiledStep | None) -> bool:
    """Whether a delivery is an event as Truto's own source sends it, and nothing is said of it but that."""
    by_truto = isinstance(draft.entry.webhook.signature_verification, TrutoHeader) and draft.options.platform_events
    says_more = transform is not None or draft.options.event.type is not None
    return by_truto and not says_more and identity.texts == BY_ID


def _stated_identity(draft: Description) -> tuple[tuple[str, ...], list[str] | str | None]:
    event_id = draft.options.event.id
    if event_id:
        return ("options", "event", "id"), [event_id]
    return ("options", "identity"), draft.options.identity
