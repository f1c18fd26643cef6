"""How each sender signs, written down from its own documents and not from what verifies it here."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import jwt
import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from events import Verified
from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.context import Delivery
from ingress.verification.head import RawHeaders
from ingress.verification.outcome import Accepted, Outcome
from ingress.verification.pipeline import verify_delivery
from ingress.verification.tokens import key_set
from tests.unit.ingress.sources.certified import ADDRESS_OF, CERTIFICATES, PAYPAL, SNS, signed_message

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


def as_secrets(secrets: Sequence[str]) -> dict[str, Any]:
    return {"secrets": list(secrets)}


@dataclass(frozen=True)
class Sender:
    """A preset with a sender's way to sign; ``binds`` says whether the signature covers the body.

    ``settings`` is how an operator gives the keys, ``keys`` what a JWKS holds, ``in_body`` the event of a sender that
    puts its signature there, ``query`` what stands in the address.
    """

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
    settings: Callable[[Sequence[str]], dict[str, Any]] = as_secrets
    keys: Mapping[str, Any] = field(default_factory=dict)
    in_body: Callable[[str], Any] | None = None
    query: Callable[[str], bytes] = lambda secret: b""

    @property
    def raw(self) -> bytes:
        return self.raw_by(self.secret)

    def raw_by(self, secret: str) -> bytes:
        """The body as whoever holds *secret* would send it."""
        if self.in_body is not None:
            return orjson.dumps(self.in_body(secret))
        return (self.body or orjson.dumps(self.event)).replace(self.secret.encode(), secret.encode())

    def given(self, *secrets: str) -> dict[str, Any]:
        """What ``sources.yaml`` says of it."""
        return {"preset": self.preset, **self.settings(secrets or (self.secret,))}

    def source(self, *secrets: str) -> Source:
        return read_source("sender", self.given(*secrets), {}, public_url="https://you.example")

    def verify(self, delivery: Delivery, *secrets: str, now: float = NOW) -> Outcome:
        """What comes of *delivery*, with its own secret or with *secrets*."""
        return verify(self.source(*secrets), delivery, now=now, keys=self.keys)

    def delivery(self, body: bytes, secret: str, *, signed: bytes | None = None, **more: str) -> Delivery:
        """A delivery of *body*, signed with *secret* (as if it were *signed*)."""
        headers = {"content-type": self.content_type, **self.sign(body if signed is None else signed, secret), **more}
        return of_headers(headers, body, query=self.query(secret))


def of_headers(headers: Mapping[str, str], body: bytes, **more: Any) -> Delivery:
    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    return Delivery(raw, body, **{"path": "/webhooks/sender", **more})


def event_of(source: Source, headers: RawHeaders, body: bytes, now: float = NOW) -> Verified | Refusal:
    """The one event of a delivery, or its refusal."""
    outcome = verify(source, Delivery(headers, body), now=now)
    if isinstance(outcome, Accepted):
        (event,) = outcome.events
        return event
    assert isinstance(outcome, Refusal)
    return outcome


def verify(
    source: Source,
    delivery: Delivery,
    *,
    now: float = NOW,
    keys: Mapping[str, Any] | None = None,
    **kept: Any,
) -> Outcome:
    return verify_delivery(source, delivery, source.account(kept), now=now, keys=keys or {})


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


EC_KEYS = [ec.derive_private_key(number, ec.SECP256R1()) for number in (7, 8)]
HIGHLEVEL_KEYS = [Ed25519PrivateKey.from_private_bytes(letter * 32) for letter in (b"h", b"l")]


def public_der(key: Any) -> str:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return b64(key.public_key().public_bytes(serialization.Encoding.DER, spki))


def public_pem(key: Any) -> str:
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, spki).decode())


PRIVATE: dict[str, Any] = {
    **{public_der(key): key for key in EC_KEYS},
    **{public_pem(key): key for key in (*HIGHLEVEL_KEYS, PAYPAL, SNS)},
}


def sendgrid(body: bytes, secret: str) -> Mapping[str, str]:
    made = PRIVATE[secret].sign(str(int(NOW)).encode() + body, ec.ECDSA(hashes.SHA256()))
    name = "x-twilio-email-event-webhook"
    return {f"{name}-signature": b64(made), f"{name}-timestamp": str(int(NOW))}


def by_rsa(header: str) -> Sign:
    return lambda body, secret: {header: b64(PRIVATE[secret].sign(body, padding.PKCS1v15(), hashes.SHA256()))}


def highlevel(body: bytes, secret: str) -> Mapping[str, str]:
    return {"x-ghl-signature": b64(PRIVATE[secret].sign(body))}


def paypal(body: bytes, secret: str, *, transmission: str = "69cd13f0-d67a") -> Mapping[str, str]:
    content = f"{transmission}|{ISO}|{secret}|{crc32(body)}".encode()
    return {
        "paypal-auth-algo": "SHA256withRSA",
        "paypal-cert-url": ADDRESS_OF["paypal"],
        "paypal-transmission-id": transmission,
        "paypal-transmission-time": ISO,
        "paypal-transmission-sig": b64(PAYPAL.sign(content, padding.PKCS1v15(), hashes.SHA256())),
    }


ADYEN_KEYS = ("44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056", "0f" * 32)


def adyen_signature(item: Mapping[str, Any], key: str) -> str:
    """As ``generate_notification_sig`` of Adyen's Python library."""
    values = {**item, **item["amount"]}
    names = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference", "value", "currency")
    content = ":".join(str(values.get(name, "")) for name in (*names, "eventCode", "success"))
    return b64(hmac.new(bytes.fromhex(key), content.encode(), "sha256").digest())


def adyen(key: str, **more: str) -> Any:
    payment = {**PAYMENT, **more}
    item = {**payment, "additionalData": {"hmacSignature": adyen_signature(payment, key)}}
    return {"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}


def sns(topic: str, **more: str) -> Any:
    told = {"Type": "Notification", "MessageId": "m-1", "TopicArn": topic, "Message": "hi", "Timestamp": ISO}
    return signed_message({**told, **more})


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


def decoded_key(decode: Callable[[str], bytes], header: str, prefix: str = "", time_header: str = "") -> Sign:
    """A digest in hex, keyed with what the secret spells, over the time (where there is one) and the body."""

    def sign(body: bytes, secret: str) -> Mapping[str, str]:
        moment = str(int(NOW)) if time_header else ""
        made = hmac.new(decode(secret), moment.encode() + body, "sha256").hexdigest()
        return {header: prefix + made, **({time_header: moment} if time_header else {})}

    return sign


def lever(secret: str) -> Any:
    token, moment = "8b0a40e2cc7dbdd2", int(NOW * 1000)
    signature = digest(secret, f"{token}{moment}").hex()
    event = {"event": "candidateHired", "data": {"opportunityId": "o-1"}}
    return {**event, "token": token, "triggeredAt": moment, "signature": signature}


def mailgun(secret: str) -> Any:
    token, moment = "e0b5477167110d68991efc6b9f89f0a11066af27834600e123", str(int(NOW))
    signed = {"token": token, "timestamp": moment, "signature": digest(secret, moment, token).hex()}
    return {"signature": signed, "event-data": {"event": "delivered", "id": "G9Bn5sl1TC6nu79C8C0bwg"}}


RSA_KEYS = [rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2)]
PEMS = [key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for key in RSA_KEYS]
ACCOUNT = "gmail-push@project.iam.gserviceaccount.com"
AUDIENCE = "https://you.example/webhooks/sender"
GOOGLE = key_set([{**jwt.algorithms.RSAAlgorithm.to_jwk(RSA_KEYS[0].public_key(), as_dict=True), "kid": "k-1"}])


def gong(body: bytes, secret: str) -> Mapping[str, str]:
    claims = {"webhook_url": URL, "body_sha256": hashlib.sha256(body).hexdigest(), "exp": int(NOW) + 60}
    return {"authorization": jwt.encode(claims, RSA_KEYS[PEMS.index(secret)], algorithm="RS256")}


def gmail(body: bytes, secret: str, **more: Any) -> Mapping[str, str]:
    claims = {"iss": "https://accounts.google.com", "aud": AUDIENCE, "email": ACCOUNT, "email_verified": True}
    times = {"iat": int(NOW), "exp": int(NOW) + 3600}
    key = RSA_KEYS[PEMS.index(secret)]
    signed = jwt.encode({**claims, **times, **more}, key, algorithm="RS256", headers={"kid": "k-1"})
    return {"authorization": f"Bearer {signed}"}


PLAID_KID = "bfbd5111-8e33-4643-8ced-b2e642a72f3c"
PLAID_JWK = {**jwt.algorithms.ECAlgorithm.to_jwk(EC_KEYS[0].public_key(), as_dict=True), "kid": PLAID_KID}
PLAID_JWK |= {"alg": "ES256", "use": "sig", "created_at": int(NOW) - 60, "expired_at": None}


def plaid(body: bytes, secret: str, *, at: float = NOW, kid: str = PLAID_KID) -> Mapping[str, str]:
    claims = {"iat": int(at), "request_body_sha256": hashlib.sha256(body).hexdigest()}
    return {"plaid-verification": jwt.encode(claims, PRIVATE[secret], algorithm="ES256", headers={"kid": kid})}


def by_credentials(secrets: Sequence[str]) -> dict[str, Any]:
    fields = {"client_id": "60b7a1d2c9", "secret": SECRET}
    return {"options": {"jwt": {"key_request": {"fields": fields}}}}


OUTBOUND_MESSAGE = """<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"
  xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><soapenv:Body>
<notifications xmlns="http://soap.sforce.com/2005/09/outbound"><OrganizationId>00D24xxx</OrganizationId>
<ActionId>04k08000000TNb5</ActionId><SessionId xsi:nil="true"/>%s</notifications></soapenv:Body></soapenv:Envelope>"""
NOTIFICATION = """<Notification><Id>%s</Id><sObject xsi:type="sf:%s" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
<sf:Id>0010800002ZRa00</sf:Id><sf:Name>Jones &amp; Co</sf:Name></sObject></Notification>"""


def by_account(secrets: Sequence[str]) -> dict[str, Any]:
    return {"options": {"jwt": {"audience": AUDIENCE, "claims": {"email": ACCOUNT}}}}


def basic(body: bytes, secret: str) -> Mapping[str, str]:
    return {"authorization": "Basic " + b64(secret.encode())}


TOPIC, OTHER_TOPIC = (f"arn:aws:sns:us-east-1:123456789012:{name}" for name in ("orders", "others"))
PAYMENT = {
    "eventCode": "AUTHORISATION",
    "success": "true",
    "pspReference": "7914073381342284",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "amount": {"value": 1130, "currency": "EUR"},
}
GRAPH = {"value": [{"changeType": "created", "clientState": SECRET, "resource": "r"}]}
HUBSPOT = [{"eventId": 7, "subscriptionId": 5, "occurredAt": 9, "objectId": 3, "subscriptionType": "contact.creation"}]
PING = {"type": "event_callback", "event_id": "Ev1", "event": {"type": "message"}}
MS = str(int(NOW * 1000))
ISO = datetime.fromtimestamp(NOW, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
TOKEN, OTHER_TOKEN = "a-token-of-more-than-sixteen-bytes", "another-token-of-sixteen-bytes"
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
        "7:9:5:-:3:-:-",
    ),
    Sender("hubspot-v1", plain_digest(""), HUBSPOT, "contact.creation", "7:9:5:-:3:-:-"),
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
    Sender("dropbox", hmac_header("x-dropbox-signature"), {"list_folder": {}}, "list_folder"),
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
    Sender(
        "bamboohr",
        timed("x-bamboohr-signature", "x-bamboohr-timestamp", "BT"),
        {"employees": [{"id": "1", "action": "Updated", "changedFields": ["Job Title"]}]},
        "employees",
    ),
    Sender(
        "greenhouse",
        hmac_header("signature", "sha256 ", also={"greenhouse-event-id": "8d6f"}),
        {"action": "hire_candidate", "payload": {}},
        "hire_candidate",
        "8d6f",
    ),
    Sender(
        "lever",
        lambda body, secret: {},
        type="candidateHired",
        id=f"candidateHired:8b0a40e2cc7dbdd2:{MS}",
        binds=False,
        in_body=lever,
    ),
    Sender(
        "workable",
        hmac_header("x-workable-signature"),
        {"event_type": "candidate_created", "id": "w-1"},
        "candidate_created",
        "w-1",
    ),
    Sender(
        "gusto",
        hmac_header("x-gusto-signature"),
        {"event_type": "company.onboarded", "uuid": "03ffbf0c"},
        "company.onboarded",
        "03ffbf0c",
    ),
    Sender(
        "hibob",
        hmac_header("bob-signature", encode=b64, algorithm="sha512"),
        {"type": "employee.joined", "companyId": 1},
        "employee.joined",
    ),
    Sender(
        "ashby",
        hmac_header("ashby-signature", "sha256="),
        {"action": "candidateStageChange", "webhookActionId": "75395d87"},
        "candidateStageChange",
        "75395d87",
    ),
    Sender(
        "close",
        decoded_key(bytes.fromhex, "close-sig-hash", time_header="close-sig-timestamp"),
        {"event": {"id": "ev_1", "object_type": "opportunity", "action": "updated"}, "subscription_id": "whsub_1"},
        "opportunity.updated",
        "ev_1",
        SECRET.encode().hex(),
        OTHER.encode().hex(),
    ),
    Sender(
        "quickbooks",
        hmac_header("intuit-signature", encode=b64),
        [{"id": "88cd52aa", "type": "qbo.invoice.created.v1", "time": ISO, "intuitaccountid": "310687"}],
        "qbo.invoice.created.v1",
        f"310687:qbo.invoice.created.v1:88cd52aa:-:{ISO}",
    ),
    Sender(
        "chargebee",
        basic,
        {"id": "ev_1", "event_type": "subscription_cancelled"},
        "subscription_cancelled",
        "ev_1",
        secret=USER,
        other=OTHER_USER,
        binds=False,
    ),
    Sender(
        "clickup",
        hmac_header("x-signature"),
        {
            "webhook_id": "7689a169",
            "event": "taskCreated",
            "task_id": "c0j",
            "history_items": [{"id": "2800763136717"}],
        },
        "taskCreated",
        "7689a169:2800763136717",
    ),
    Sender(
        "airtable",
        decoded_key(base64.b64decode, "x-airtable-content-mac", "hmac-sha256="),
        {"base": {"id": "app0"}, "webhook": {"id": "ach0"}, "timestamp": "2022-02-01T21:25:05.663Z"},
        "notification",
        "app0:ach0:2022-02-01T21:25:05.663Z",
        b64(SECRET.encode()),
        b64(OTHER.encode()),
    ),
    Sender("cal-com", hmac_header("x-cal-signature-256"), {"triggerEvent": "BOOKING_CREATED"}, "BOOKING_CREATED"),
    Sender("docusign", hmac_header("x-docusign-signature-1", encode=b64), {"event": "envelope-sent"}, "envelope-sent"),
    Sender(
        "gmail-push",
        gmail,
        {"message": {"messageId": "m-1", "data": "e30="}, "subscription": "projects/p/subscriptions/s"},
        "notification",
        "projects/p/subscriptions/s:m-1",
        PEMS[0],
        PEMS[1],
        binds=False,
        settings=by_account,
        keys=GOOGLE,
    ),
    Sender(
        "gong",
        gong,
        {"isTest": False, "callData": {"metaData": {"id": "7782342274025937895"}}},
        "call",
        secret=PEMS[0],
        other=PEMS[1],
        settings=lambda secrets: {"options": {"jwt": {"public_keys": list(secrets)}}},
    ),
    Sender(
        "plaid",
        plaid,
        {"webhook_type": "TRANSACTIONS", "webhook_code": "SYNC_UPDATES_AVAILABLE", "item_id": "wz666MBjYWTp2PDzzggYhM"},
        "TRANSACTIONS.SYNC_UPDATES_AVAILABLE",
        secret=public_der(EC_KEYS[0]),
        other=public_der(EC_KEYS[1]),
        settings=by_credentials,
        keys=key_set([PLAID_JWK]),
    ),
    Sender(
        "paddle",
        lambda body, secret: {"paddle-signature": f"ts={int(NOW)};h1={digest(secret, f'{int(NOW)}:', body).hex()}"},
        {"event_id": "evt_1", "event_type": "transaction.billed"},
        "transaction.billed",
        "evt_1",
    ),
    Sender(
        "box",
        timed("box-signature-primary", "box-delivery-timestamp", "BT", moment=ISO, encode=b64),
        {"type": "webhook_event", "id": "b-1", "trigger": "FILE.UPLOADED"},
        "FILE.UPLOADED",
        "b-1",
    ),
    Sender(
        "mailgun", lambda body, secret: {}, type="delivered", id="G9Bn5sl1TC6nu79C8C0bwg", binds=False, in_body=mailgun
    ),
    Sender(
        "attio",
        hmac_header("attio-signature", also={"idempotency-key": "a-1"}),
        {"webhook_id": "w", "events": [{"event_type": "record.created"}]},
        "record.created",
        "a-1",
    ),
    Sender(
        "deel",
        lambda body, secret: {"x-deel-signature": digest(secret, "POST", body).hex()},
        {"data": {"meta": {"event_type": "contract.created", "tracking_id": "q8"}, "resource": {}}, "timestamp": ISO},
        "contract.created",
        f"q8:{ISO}:-",
    ),
    Sender("meta", hmac_header("x-hub-signature-256", "sha256="), {"object": "page", "entry": []}, "page"),
    Sender(
        "workos",
        lambda body, secret: {"workos-signature": f"t={MS}, v1={digest(secret, f'{MS}.', body).hex()}"},
        {"id": "event_1", "event": "user.created"},
        "user.created",
        "event_1",
    ),
    Sender(
        "salesforce",
        lambda body, secret: {},
        type="Account",
        id="00D24xxx:04l0800002nrC5BAAU",
        secret="a-token-of-more-than-sixteen-bytes",
        other="another-token-of-sixteen-bytes",
        binds=False,
        body=(OUTBOUND_MESSAGE % (NOTIFICATION % ("04l0800002nrC5BAAU", "Account"))).encode(),
        content_type="text/xml; charset=utf-8",
        query=lambda secret: f"token={secret}".encode(),
    ),
    Sender(
        "sendgrid",
        sendgrid,
        [{"event": "delivered", "sg_event_id": "sg-1"}],
        "delivered",
        "sg-1",
        public_der(EC_KEYS[0]),
        public_der(EC_KEYS[1]),
    ),
    Sender(
        "highlevel",
        by_rsa("x-wh-signature"),
        {"type": "ContactCreate", "webhookId": "w-1"},
        "ContactCreate",
        "w-1",
        public_pem(PAYPAL),
        public_pem(SNS),
    ),
    Sender(
        "highlevel-ed25519",
        highlevel,
        {"type": "ContactCreate", "webhookId": "w-1"},
        "ContactCreate",
        "w-1",
        public_pem(HIGHLEVEL_KEYS[0]),
        public_pem(HIGHLEVEL_KEYS[1]),
    ),
    Sender(
        "wise",
        by_rsa("x-signature-sha256"),
        {"event_type": "transfers#state-change"},
        "transfers#state-change",
        secret=public_pem(PAYPAL),
        other=public_pem(SNS),
    ),
    Sender(
        "paypal",
        paypal,
        {"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED"},
        "PAYMENT.CAPTURE.COMPLETED",
        "69cd13f0-d67a",
        "1JE4291016473214C",
        "2AB4291016473214C",
        keys=CERTIFICATES,
    ),
    Sender(
        "cloudevents",
        lambda body, secret: {"authorization": f"Bearer {secret}"},
        {"specversion": "1.0", "type": "com.example.made", "source": "/shop", "id": "ce-1", "data": {}},
        "com.example.made",
        "/shop:ce-1",
        TOKEN,
        OTHER_TOKEN,
        binds=False,
        content_type="application/cloudevents+json; charset=utf-8",
    ),
    Sender(
        "trello",
        lambda body, secret: {"x-trello-webhook": b64(digest(secret, body, URL, algorithm="sha1"))},
        {"action": {"id": "a-1", "type": "updateCard"}, "model": {"id": "m-1"}},
        "updateCard",
        "a-1:m-1",
    ),
    Sender(
        "aws-sns",
        lambda body, secret: {},
        type="Notification",
        id="m-1",
        secret=TOPIC,
        other=OTHER_TOPIC,
        binds=False,
        content_type="text/plain; charset=UTF-8",
        keys=CERTIFICATES,
        in_body=sns,
    ),
    Sender(
        "adyen",
        lambda body, secret: {},
        type="AUTHORISATION",
        id="7914073381342284:AUTHORISATION:true",
        secret=ADYEN_KEYS[0],
        other=ADYEN_KEYS[1],
        binds=False,
        in_body=adyen,
    ),
]
