"""What each sender's documents say of two happenings and of one that is sent again: the facts, preset by preset.

``deliver(n, attempt)`` is the delivery of the n-th happening, sent for the attempt-th time: its event, and the headers
that are not part of the proof. Whatever the documents let be equal for two happenings is equal here. The documents
themselves are named in the presets, beside the identity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import orjson

from ingress.verification.context import Delivery
from tests.unit.ingress.sources.senders import (
    ADYEN_KEYS,
    MS,
    NOTIFICATION,
    NOW,
    OUTBOUND_MESSAGE,
    SECRET,
    SENDERS,
    TOPIC,
    Sender,
    adyen,
    b64,
    digest,
    of_headers,
    paypal,
    sns,
)

Deliver = Callable[[int, int], tuple[Any, Mapping[str, str]]]
AT = datetime.fromtimestamp(NOW, UTC)


@dataclass(frozen=True)
class Facts:
    """``known_again`` is false where a sender gives nothing by which a retry can be told from a new happening."""

    preset: str
    deliver: Deliver
    case: str = ""
    known_again: bool = True
    content_type: str = ""

    @property
    def sender(self) -> Sender:
        return next(one for one in SENDERS if one.preset == self.preset)

    def delivery(self, n: int, attempt: int) -> Delivery:
        event, headers = self.deliver(n, attempt)
        body = event if isinstance(event, bytes) else orjson.dumps(event)
        sender = self.sender
        kind = self.content_type or sender.content_type
        made = {"content-type": kind, **sender.sign(body, sender.secret), **headers}
        return of_headers(made, body, query=sender.query(sender.secret))


def transmitted(event: Any, transmission: str) -> tuple[Any, Mapping[str, str]]:
    body = orjson.dumps(event)
    return body, paypal(body, "1JE4291016473214C", transmission=transmission)


def moment(n: int) -> str:
    """The n-th millisecond."""
    return (AT + timedelta(milliseconds=n)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def plain(event: Callable[[int, int], Any]) -> Deliver:
    return lambda n, attempt: (event(n, attempt), {})


def by_header(event: Any, name: str, *, counter: str = "") -> Deliver:
    """Equal bodies; a header names the happening, another one may count the attempts."""
    return lambda n, attempt: (event, {name: f"id-{n}", **({counter: str(attempt)} if counter else {})})


def svix(family: str) -> Deliver:
    """Signed anew for each attempt, with another time; the id stays."""

    def deliver(n: int, attempt: int) -> tuple[Any, Mapping[str, str]]:
        event = orjson.dumps({"type": "user.created", "data": {}})
        at = int(NOW) + attempt
        made = b64(digest(SECRET, f"msg_{n}.{at}.", event))
        return event, {f"{family}-id": f"msg_{n}", f"{family}-timestamp": str(at), f"{family}-signature": f"v1,{made}"}

    return deliver


def signed_anew(event: Callable[[int], Any], header: str) -> Deliver:
    """``t=…,v1=…``, with another time for each attempt."""

    def deliver(n: int, attempt: int) -> tuple[Any, Mapping[str, str]]:
        body, at = orjson.dumps(event(n)), int(NOW) + attempt
        return body, {header: f"t={at},v1={digest(SECRET, f'{at}.', body).hex()}"}

    return deliver


def timed_anew(event: Callable[[int], Any], header: str, time_header: str) -> Deliver:
    """``v0:time:body``, with another time for each attempt."""

    def deliver(n: int, attempt: int) -> tuple[Any, Mapping[str, str]]:
        given = event(n)
        body = given if isinstance(given, bytes) else orjson.dumps(given)
        at = str(int(NOW) + attempt)
        prefix = "" if header == "x-cio-signature" else "v0="
        return body, {header: prefix + digest(SECRET, f"v0:{at}:", body).hex(), time_header: at}

    return deliver


def hubspot(attempt: int, **fields: Any) -> list[dict[str, Any]]:
    happened = {"eventId": 100, "subscriptionId": 5, "portalId": 33, "occurredAt": int(MS), "objectId": 101}
    kind = {"subscriptionType": "contact.propertyChange", "propertyName": "email"}
    return [{**happened, **kind, "attemptNumber": attempt, **fields}]


def form(**fields: Any) -> bytes:
    return "&".join(f"{name}={value}" for name, value in fields.items()).encode()


def mail(n: int, attempt: int) -> tuple[Any, Mapping[str, str]]:
    """The boundary is another one each time; what stands in the parts is not."""
    mark = f"xYz{attempt}"
    parts = {"headers": f"Message-ID: <{n}@example.com>", "envelope": '{"to":["a@b.example"]}', "subject": "Hi"}
    lines = [f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in parts.items()]
    return ("".join(lines) + f"--{mark}--\r\n").encode(), {"content-type": f"multipart/form-data; boundary={mark}"}


ISSUE = {"webhookEvent": "jira:issue_updated", "timestamp": int(MS), "issue": {"id": "10001"}}
ORDER = {"id": 820982911946154500, "financial_status": "paid"}
CHANGED = {"subscriptionId": "A640", "resource": "/me/drive/root", "changeType": "updated", "clientState": SECRET}
ZEN = {"ticket_id": "123"}
RETRY = "x-atlassian-webhook-retry"
SID = {"MessageSid": "SM1", "From": "1415", "To": "1800"}


def lever(n: int, attempt: int) -> tuple[Any, Mapping[str, str]]:
    made = {"event": "candidateHired", "token": f"{n:016x}", "triggeredAt": int(MS)}
    return {**made, "signature": digest(SECRET, f"{made['token']}{MS}").hex()}, {}


def mailgun(n: int, attempt: int) -> tuple[Any, Mapping[str, str]]:
    token, at = f"t{attempt}", str(int(NOW) + attempt)
    signature = {"token": token, "timestamp": at, "signature": digest(SECRET, at, token).hex()}
    return {"signature": signature, "event-data": {"event": "delivered", "id": f"G9Bn{n}"}}, {}


ATTIO = {"webhook_id": "w", "events": [{"event_type": "record.created"}]}
STAGE = {"action": "candidateStageChange"}


def cloudevent(n: int, attempt: int) -> tuple[Any, Mapping[str, str]]:
    """In binary mode: the body is the data, and all else is in headers."""
    named = {"ce-specversion": "1.0", "ce-type": "com.example.made", "ce-source": "/shop", "ce-id": f"ce-{n}"}
    return {"id": "the same", "type": "of the data"}, {**named, "content-type": "application/json"}


TRELLO = {"type": "updateCard", "date": "2026-01-31T12:00:00.000Z"}

FACTS = [
    Facts("airtable", plain(lambda n, _: {"base": {"id": "a"}, "webhook": {"id": "w"}, "timestamp": moment(n)})),
    Facts("ashby", plain(lambda n, _: {**STAGE, "webhookActionId": f"uuid-{n}"})),
    Facts("attio", by_header(ATTIO, "idempotency-key")),
    Facts("bamboohr", plain(lambda n, _: {"employees": [{"id": str(n), "action": "Updated"}]})),
    Facts("box", plain(lambda n, _: {"type": "webhook_event", "id": f"b-{n}", "trigger": "FILE.UPLOADED"})),
    Facts("cal-com", plain(lambda n, _: {"triggerEvent": "BOOKING_CREATED", "createdAt": moment(n), "payload": {}})),
    Facts("chargebee", plain(lambda n, _: {"id": f"ev_{n}", "event_type": "subscription_changed"})),
    Facts("clickup", plain(lambda n, _: {"event": "taskMoved", "webhook_id": "w", "history_items": [{"id": str(n)}]})),
    Facts(
        "cloudevents",
        plain(
            lambda n, _: {"specversion": "1.0", "type": "com.example.made", "source": "/s", "id": f"ce-{n}", "data": {}}
        ),
        "structured",
    ),
    Facts("cloudevents", cloudevent, "binary"),
    Facts("trello", plain(lambda n, _: {"action": {**TRELLO, "id": f"a{n}"}, "model": {"id": "m-1"}}), "an action"),
    Facts("trello", plain(lambda n, _: {"action": {**TRELLO, "id": "a"}, "model": {"id": f"m{n}"}}), "two webhooks"),
    Facts("close", plain(lambda n, _: {"event": {"id": f"ev_{n}", "object_type": "lead", "action": "updated"}})),
    Facts(
        "deel",
        plain(
            lambda n, _: {
                "data": {"meta": {"event_type": "contract.created", "tracking_id": f"t{n}"}, "resource": {}},
                "timestamp": moment(0),
            }
        ),
    ),
    Facts(
        "docusign",
        plain(
            lambda n, a: {
                "event": "envelope-sent",
                "retryCount": a,
                "generatedDateTime": moment(n),
                "data": {"envelopeId": "e-1"},
            }
        ),
    ),
    Facts("gmail-push", plain(lambda n, _: {"message": {"messageId": str(n)}, "subscription": "projects/p/s"})),
    Facts("gong", plain(lambda n, _: {"callData": {"metaData": {"id": "7"}}}), known_again=False),
    Facts("greenhouse", by_header({"action": "hire_candidate", "payload": {}}, "greenhouse-event-id")),
    Facts("gusto", plain(lambda n, _: {"event_type": "company.onboarded", "uuid": f"uuid-{n}"})),
    Facts("hibob", plain(lambda n, _: {"type": "employee.updated", "triggeredAt": moment(n), "data": {}})),
    Facts("lever", lever),
    Facts("mailgun", mailgun),
    Facts("meta", plain(lambda n, _: {"object": "page", "entry": [{"id": "1", "time": int(NOW) + n}]})),
    Facts(
        "plaid",
        plain(
            lambda n, _: {
                "webhook_type": "TRANSACTIONS",
                "webhook_code": "SYNC_UPDATES_AVAILABLE",
                "item_id": "wz666MB",
            }
        ),
        known_again=False,
    ),
    Facts("paddle", plain(lambda n, _: {"event_id": f"evt_{n}", "event_type": "transaction.billed"})),
    Facts(
        "quickbooks",
        plain(
            lambda n, _: [
                {"id": "88", "type": "qbo.invoice.updated.v1", "time": moment(n), "intuitaccountid": "310687"}
            ]
        ),
    ),
    Facts("salesforce", plain(lambda n, _: (OUTBOUND_MESSAGE % (NOTIFICATION % (f"04l{n}", "Account"))).encode())),
    Facts(
        "docusign",
        plain(
            lambda n, _: (
                "<DocuSignEnvelopeInformation><EnvelopeStatus><EnvelopeID>e-1</EnvelopeID><Status>Sent</Status>"
                f"<TimeGenerated>{moment(n)}</TimeGenerated></EnvelopeStatus></DocuSignEnvelopeInformation>"
            ).encode()
        ),
        "as XML",
        content_type="text/xml",
    ),
    Facts("workable", plain(lambda n, _: {"event_type": "candidate_moved", "id": f"w-{n}"})),
    Facts("workos", plain(lambda n, _: {"id": f"event_{n}", "event": "user.updated"})),
    Facts("truto", plain(lambda n, _: {"id": f"e-{n}", "event": "record:updated", "payload": {}})),
    Facts(
        "asana",
        plain(
            lambda n, _: {
                "events": [
                    {
                        "action": "changed",
                        "created_at": moment(n),
                        "user": {"gid": "1"},
                        "resource": {"gid": "9", "resource_type": "task"},
                    }
                ]
            }
        ),
    ),
    Facts("atlassian", by_header(ISSUE, "x-atlassian-webhook-identifier", counter=RETRY)),
    Facts("jira", by_header(ISSUE, "x-atlassian-webhook-identifier", counter=RETRY)),
    Facts(
        "calendly",
        signed_anew(
            lambda n: {
                "event": "invitee.canceled",
                "created_at": moment(n),
                "payload": {"uri": "https://api.calendly.com/scheduled_events/1/invitees/1"},
            },
            "calendly-webhook-signature",
        ),
    ),
    Facts("clerk", svix("svix")),
    Facts("resend", svix("svix")),
    Facts("svix", svix("svix")),
    Facts("standard-webhooks", svix("webhook")),
    Facts(
        "customerio",
        timed_anew(
            lambda n: {"event_id": f"01E-{n}", "object_type": "email", "metric": "opened"},
            "x-cio-signature",
            "x-cio-timestamp",
        ),
    ),
    Facts("discord", plain(lambda n, _: {"id": str(n), "type": 2})),
    Facts("dropbox", plain(lambda n, _: {"list_folder": {"accounts": ["dbid:A"]}}), known_again=False),
    Facts("github", by_header({"action": "deploy"}, "x-github-delivery")),
    Facts("gitlab", by_header({"object_kind": "push"}, "idempotency-key", counter="x-gitlab-webhook-attempt-number")),
    Facts("hubspot", plain(lambda n, a: hubspot(a, occurredAt=int(MS) + n)), "the same property again"),
    Facts("hubspot", plain(lambda n, a: hubspot(a, objectId=n)), "another record with the same eventId"),
    Facts("hubspot-v1", plain(lambda n, a: hubspot(a, propertyName=f"p{n}")), "another property"),
    Facts("hubspot-v2", plain(lambda n, _: {"callbackId": f"ap-{n}", "inputFields": {}}), "an action"),
    Facts("hubspot-v2", plain(lambda n, _: {"vid": 7}), "a workflow's webhook", known_again=False),
    Facts(
        "intercom",
        plain(lambda n, a: {"topic": "conversation.user.replied", "id": f"notif_{n}", "delivery_attempts": a}),
    ),
    Facts(
        "linear",
        lambda n, a: (
            {"action": "update", "type": "Issue", "data": {"id": "abc"}, "webhookTimestamp": int(MS) + a},
            {"linear-delivery": f"uuid-{n}"},
        ),
    ),
    Facts("microsoft-graph", plain(lambda n, _: {"value": [{**CHANGED, "id": f"n-{n}"}]})),
    Facts("microsoft-graph", plain(lambda n, _: {"value": [CHANGED]}), "without an id", known_again=False),
    Facts("monday", plain(lambda n, _: {"event": {"type": "update_column_value", "triggerUuid": f"u{n}"}})),
    Facts("notion", plain(lambda n, a: {"id": f"uuid-{n}", "type": "page.created", "attempt_number": a})),
    Facts("okta", plain(lambda n, _: {"eventType": "com.okta.event_hook", "eventId": f"uuid-{n}"})),
    Facts("pagerduty", plain(lambda n, _: {"event": {"id": f"01{n}", "event_type": "incident.acknowledged"}})),
    Facts(
        "pipedrive",
        plain(
            lambda n, a: {
                "v": 1,
                "event": "updated.deal",
                "retry": a,
                "meta": {
                    "action": "updated",
                    "object": "deal",
                    "id": 7,
                    "webhook_id": 5,
                    "timestamp": 1_700_000_000,
                    "timestamp_micro": 1_700_000_000_000_000 + n,
                },
            }
        ),
        "v1",
    ),
    Facts(
        "pipedrive",
        plain(
            lambda n, a: {
                "data": {"id": 7},
                "meta": {"action": "change", "entity": "deal", "id": f"u{n}", "attempt": a},
            }
        ),
        "v2",
    ),
    Facts("sendgrid-inbound", mail),
    Facts("shopify", by_header(ORDER, "x-shopify-webhook-id")),
    Facts(
        "slack",
        timed_anew(
            lambda n: {"type": "event_callback", "event_id": f"Ev{n}", "event": {"type": "message"}},
            "x-slack-signature",
            "x-slack-request-timestamp",
        ),
        "an event",
    ),
    Facts(
        "slack",
        timed_anew(
            lambda n: form(command="%2Fdeploy", text="main", trigger_id=f"13345.{n}"),
            "x-slack-signature",
            "x-slack-request-timestamp",
        ),
        "a command",
        content_type="application/x-www-form-urlencoded",
    ),
    Facts(
        "slack",
        timed_anew(
            lambda n: form(payload=quote(f'{{"type":"block_actions","trigger_id":"12466.{n}"}}')),
            "x-slack-signature",
            "x-slack-request-timestamp",
        ),
        "an interaction",
        content_type="application/x-www-form-urlencoded",
    ),
    Facts("square", plain(lambda n, _: {"event_id": f"uuid-{n}", "type": "payment.updated"})),
    Facts("stripe", signed_anew(lambda n: {"id": f"evt_{n}", "type": "charge.succeeded"}, "stripe-signature")),
    Facts("twilio", by_header(form(**SID, MessageStatus="sent"), "i-twilio-idempotency-token"), "with a token"),
    Facts("twilio", plain(lambda n, _: form(**{**SID, "MessageSid": f"SM{n}"}, SmsStatus="received")), "a message"),
    Facts("twilio", plain(lambda n, _: form(**SID, MessageStatus=f"s{n}")), "a status"),
    Facts("twilio", plain(lambda n, _: form(CallSid="CA1", Digits="1")), "a call", known_again=False),
    Facts("typeform", plain(lambda n, _: {"event_id": f"01{n}", "event_type": "form_response"})),
    Facts(
        "xero",
        plain(
            lambda n, _: {
                "events": [{"eventCategory": "INVOICE", "eventType": "UPDATE", "resourceId": "7"}],
                "firstEventSequence": n,
                "lastEventSequence": n,
                "entropy": "S0m3r4Nd0mt3xt",
            }
        ),
    ),
    Facts("zendesk", by_header(ZEN, "x-zendesk-webhook-invocation-id")),
    Facts(
        "zoom",
        timed_anew(
            lambda n: {"event": "meeting.started", "event_ts": int(MS) + n, "payload": {"object": {"id": "1"}}},
            "x-zm-signature",
            "x-zm-request-timestamp",
        ),
    ),
    Facts("sendgrid", plain(lambda n, _: [{"event": "open", "sg_event_id": f"sg-{n}"}])),
    Facts("highlevel", plain(lambda n, _: {"type": "ContactUpdate", "webhookId": f"w-{n}"})),
    Facts("highlevel-ed25519", plain(lambda n, _: {"type": "ContactUpdate", "webhookId": f"w-{n}"})),
    Facts("wise", plain(lambda n, _: {"event_type": "transfers#state-change", "data": {"occurred_at": moment(n)}})),
    Facts("paypal", lambda n, _: transmitted({"id": "WH-1", "event_type": "PAYMENT.SALE.COMPLETED"}, f"69cd-{n}")),
    Facts("aws-sns", plain(lambda n, _: sns(TOPIC, MessageId=f"m-{n}"))),
    Facts("adyen", plain(lambda n, _: adyen(ADYEN_KEYS[0], pspReference=f"{n}"))),
]
