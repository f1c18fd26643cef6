"""How each sender signs, written down from its own documents and not from what verifies it here."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ingress.sources.configured import ConfiguredSource
from ingress.sources.loading import read_source
from ingress.verification.context import Delivery
from ingress.verification.outcome import Outcome
from ingress.verification.pipeline import verify_delivery

SECRET = "a secret of more than sixteen bytes"
OTHER = "another secret of more than sixteen bytes"
NOW = 1_700_000_000.0
URL = "https://you.example/webhooks/sender"
EVENT = {"id": "e-1", "event": "thing.happened"}
BODY = orjson.dumps(EVENT)

DISCORD = Ed25519PrivateKey.from_private_bytes(b"d" * 32)
WHSEC = "whsec_" + base64.b64encode(SECRET.encode()).decode()
OTHER_WHSEC = "whsec_" + base64.b64encode(OTHER.encode()).decode()

Sign = Callable[[bytes, str], Mapping[str, str]]


def digest(secret: str, *parts: bytes | str, algorithm: str = "sha256") -> bytes:
    content = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    return hmac.new(secret.encode(), content, algorithm).digest()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@dataclass(frozen=True)
class Sender:
    """A preset with a sender's way to sign; ``binds`` says whether the signature covers the body."""

    preset: str
    sign: Sign
    event: Any = field(default_factory=lambda: dict(EVENT))
    type: str = "thing.happened"
    id: str | None = None
    secret: str = SECRET
    other: str = OTHER
    binds: bool = True
    body: bytes = b""
    content_type: str = "application/json"

    @property
    def raw(self) -> bytes:
        return self.body or orjson.dumps(self.event)

    def source(self, *secrets: str) -> ConfiguredSource:
        given = {
            "preset": self.preset,
            "secrets": list(secrets or (self.secret,)),
            "options": {"public_url": "https://you.example"},
        }
        return read_source("sender", given, {})

    def delivery(self, body: bytes, secret: str, *, signed: bytes | None = None, **more: str) -> Delivery:
        """A delivery of *body*, signed with *secret* (as if it were *signed*)."""
        headers = {"content-type": self.content_type, **self.sign(body if signed is None else signed, secret), **more}
        return of_headers(headers, body)


def of_headers(headers: Mapping[str, str], body: bytes, **more: Any) -> Delivery:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Delivery(raw, body, **{"path": "/webhooks/sender", **more})


def verify(source: ConfiguredSource, delivery: Delivery, *, now: float = NOW, **kept: Any) -> Outcome:
    return verify_delivery(source, delivery, source.account(kept), now=now)


def hmac_header(
    header: str,
    prefix: str = "",
    *,
    encode: Callable[[bytes], str] = bytes.hex,
    algorithm: str = "sha256",
    also: Mapping[str, str] | None = None,
) -> Sign:
    return lambda body, secret: {header: prefix + encode(digest(secret, body, algorithm=algorithm)), **(also or {})}


def timed(
    header: str,
    time_header: str,
    pattern: str,
    prefix: str = "",
    *,
    moment: str = str(int(NOW)),
    encode: Callable[[bytes], str] = bytes.hex,
) -> Sign:
    """Signs *pattern* with ``T`` replaced by the time and ``B`` by the body."""

    def sign(body: bytes, secret: str) -> Mapping[str, str]:
        before, _, after = pattern.partition("B")
        content = before.replace("T", moment).encode() + body + after.replace("T", moment).encode()
        return {header: prefix + encode(digest(secret, content)), time_header: moment}

    return sign


def listed(header: str) -> Sign:
    """``t=…,v1=…`` over ``t.body``."""
    return lambda body, secret: {header: f"t={int(NOW)},v1={digest(secret, f'{int(NOW)}.', body).hex()}"}


def token(body: bytes, secret: str) -> Mapping[str, str]:
    claims = {"iat": int(NOW), "exp": int(NOW) + 60}
    return {"authorization": "JWT " + jwt.encode(claims, secret, algorithm="HS256")}


def svix(family: str) -> Sign:
    def sign(body: bytes, secret: str) -> Mapping[str, str]:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        made = hmac.new(key, b"msg_1.%d.%b" % (int(NOW), body), "sha256").digest()
        return {f"{family}-id": "msg_1", f"{family}-timestamp": str(int(NOW)), f"{family}-signature": "v1," + b64(made)}

    return sign


def discord(body: bytes, secret: str) -> Mapping[str, str]:
    key = Ed25519PrivateKey.from_private_bytes(secret[-32:].rjust(32, "x").encode()) if secret == OTHER else DISCORD
    moment = str(int(NOW))
    return {"x-signature-timestamp": moment, "x-signature-ed25519": key.sign(moment.encode() + body).hex()}


def plain_digest(pattern: str) -> Sign:
    """HubSpot's first two: SHA-256 over the secret and more."""
    return lambda body, secret: {
        "x-hubspot-signature": hashlib.sha256(secret.encode() + pattern.encode() + body).hexdigest()
    }


def twilio(body: bytes, secret: str) -> Mapping[str, str]:
    from urllib.parse import parse_qsl

    pairs = sorted(parse_qsl(body.decode(), keep_blank_values=True))
    content = URL + "".join(name + value for name, value in pairs)
    return {"x-twilio-signature": b64(digest(secret, content, algorithm="sha1"))}


def basic(body: bytes, secret: str) -> Mapping[str, str]:
    return {"authorization": "Basic " + b64(secret.encode())}


GRAPH = {"value": [{"changeType": "created", "clientState": SECRET, "resource": "r"}]}
HUBSPOT = [{"eventId": 7, "subscriptionType": "contact.creation"}]
PING = {"type": "event_callback", "event_id": "Ev1", "event": {"type": "message"}}
MS = str(int(NOW * 1000))
ISO = datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
USER, OTHER_USER = f"user:{SECRET}", f"user:{OTHER}"

SENDERS = [
    Sender("truto", hmac_header("x-truto-signature", "format=sha256,v="), id="e-1"),
    Sender("github", hmac_header("x-hub-signature-256", "sha256=", also={"x-github-event": "push"}), type="push"),
    Sender("slack", timed("x-slack-signature", "x-slack-request-timestamp", "v0:T:B", "v0="), PING, "message", "Ev1"),
    Sender("stripe", listed("stripe-signature"), {"id": "evt_1", "type": "charge.ok"}, "charge.ok", "evt_1"),
    Sender(
        "shopify",
        hmac_header("x-shopify-hmac-sha256", encode=b64, also={"x-shopify-topic": "orders/create"}),
        type="orders/create",
    ),
    Sender(
        "hubspot",
        lambda body, secret: {
            "x-hubspot-request-timestamp": MS,
            "x-hubspot-signature-v3": b64(digest(secret, "POST", URL, body, MS)),
        },
        HUBSPOT,
        "contact.creation",
        "7",
    ),
    Sender("hubspot-v1", plain_digest(""), HUBSPOT, "contact.creation", "7"),
    Sender("hubspot-v2", plain_digest("POST" + URL)),
    Sender(
        "zendesk",
        lambda body, secret: {
            "x-zendesk-webhook-signature-timestamp": ISO,
            "x-zendesk-webhook-signature": b64(digest(secret, ISO, body)),
        },
        {"type": "zen:event-type:ticket.created"},
        "zen:event-type:ticket.created",
    ),
    Sender(
        "intercom",
        hmac_header("x-hub-signature", "sha1=", algorithm="sha1"),
        {"topic": "conversation.created", "id": "n-1"},
        "conversation.created",
        "n-1",
    ),
    Sender("linear", hmac_header("linear-signature"), {"type": "Issue", "webhookTimestamp": int(MS)}, "Issue"),
    Sender(
        "jira", hmac_header("x-hub-signature", "sha256="), {"webhookEvent": "jira:issue_created"}, "jira:issue_created"
    ),
    Sender("atlassian", token, {"webhookEvent": "jira:issue_created"}, "jira:issue_created", binds=False),
    Sender("calendly", listed("calendly-webhook-signature"), {"event": "invitee.created"}, "invitee.created"),
    Sender(
        "typeform",
        hmac_header("typeform-signature", "sha256=", encode=b64),
        {"event_id": "t-1", "event_type": "form_response"},
        "form_response",
        "t-1",
    ),
    Sender(
        "sendgrid-inbound",
        basic,
        {"event": "mail"},
        "mail",
        secret=USER,
        other=OTHER_USER,
        binds=False,
        body=b'--b\r\nContent-Disposition: form-data; name="event"\r\n\r\nmail\r\n--b--\r\n',
        content_type="multipart/form-data; boundary=b",
    ),
    Sender(
        "twilio",
        twilio,
        {},
        "unnamed",
        body=b"To=%2B1800&From=%2B1415",
        content_type="application/x-www-form-urlencoded",
    ),
    Sender("standard-webhooks", svix("webhook"), {"type": "user.created"}, "user.created", "msg_1", WHSEC, OTHER_WHSEC),
    Sender("svix", svix("svix"), {"type": "user.created"}, "user.created", "msg_1", WHSEC, OTHER_WHSEC),
    Sender("clerk", svix("svix"), {"type": "user.created"}, "user.created", "msg_1", WHSEC, OTHER_WHSEC),
    Sender("resend", svix("svix"), {"type": "email.sent"}, "email.sent", "msg_1", WHSEC, OTHER_WHSEC),
    Sender(
        "zoom",
        timed("x-zm-signature", "x-zm-request-timestamp", "v0:T:B", "v0="),
        {"event": "meeting.started", "payload": {}},
        "meeting.started",
    ),
    Sender("asana", hmac_header("x-hook-signature"), {"events": []}, "unnamed"),
    Sender("microsoft-graph", lambda body, secret: {}, GRAPH, "created", binds=False),
    Sender("dropbox", hmac_header("x-dropbox-signature"), {"list_folder": {}}, "unnamed"),
    Sender("pipedrive", basic, {"event": "updated.deal"}, "updated.deal", secret=USER, other=OTHER_USER, binds=False),
    Sender(
        "gitlab",
        lambda body, secret: {"x-gitlab-token": secret, "x-gitlab-event": "Push Hook", "idempotency-key": "k-1"},
        {"object_kind": "push"},
        "Push Hook",
        "k-1",
        binds=False,
    ),
    Sender(
        "monday", token, {"event": {"type": "create_pulse", "triggerUuid": "m-1"}}, "create_pulse", "m-1", binds=False
    ),
    Sender(
        "pagerduty",
        hmac_header("x-pagerduty-signature", "v1="),
        {"event": {"id": "p-1", "event_type": "incident.triggered"}},
        "incident.triggered",
        "p-1",
    ),
    Sender(
        "notion",
        hmac_header("x-notion-signature", "sha256="),
        {"id": "n-1", "type": "page.created"},
        "page.created",
        "n-1",
    ),
    Sender(
        "square",
        lambda body, secret: {"x-square-hmacsha256-signature": b64(digest(secret, URL, body))},
        {"event_id": "s-1", "type": "payment.created"},
        "payment.created",
        "s-1",
    ),
    Sender(
        "customerio",
        timed("x-cio-signature", "x-cio-timestamp", "v0:T:B"),
        {"event_id": "c-1", "object_type": "email", "metric": "opened"},
        "email.opened",
        "c-1",
    ),
    Sender("xero", hmac_header("x-xero-signature", encode=b64), {"events": [{"eventCategory": "INVOICE"}]}, "INVOICE"),
    Sender(
        "okta",
        lambda body, secret: {"authorization": secret},
        {"eventType": "com.okta.event_hook", "eventId": "o-1"},
        "com.okta.event_hook",
        "o-1",
        binds=False,
    ),
    Sender(
        "discord",
        discord,
        {"id": "d-1", "type": 2},
        "interaction:2",
        "d-1",
        secret=DISCORD.public_key().public_bytes_raw().hex(),
    ),
]
