"""Expressions and templates that verify the webhooks of thirty senders, one accepted and one refused delivery each.

The small pipeline below is Truto's: ``payload_transform``, then ``handle_verification``, then the signature (seed:
Environment Integrations object). Rows marked *vector* carry a signature that the sender published.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import pytest

from truto.errors import PlaceholderError
from truto.expressions import UNDEFINED, compile_expression
from truto.placeholders import compile_template

SECRET = "{{context.webhook_secret}}"
BODY = '{"id":"evt_1","object":"event"}'
HUBSPOT = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
HUBSPOT_BODY = (
    '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":'
    '"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]'
)
SLACK_BODY = (
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&"
    "user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    "%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121."
    "803a0bc887a14d10d2c447fce8b6703c"
)
PLAIN_HEX = "34795808f8a80a6b9af6da8cff4da514a750acf118a47a4c6d00a01bd7660626"
PLAIN_BASE64 = "NHlYCPioCmua9tqM/02lFKdQrPEYpHpMbQCgG9dmBiY="
STRIPE_HEX = "da4a28bb1e8ecf97feff14bd141aa183c9cbe6a13dcfb1a2ace8dc472e62593b"
V0_HEX = "382508ebbbb7d7511b0e997248528faecf58f1bf493aa1b87818c2bc18f60af3"
JWT = (
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ."
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
)


def strip(header: str, prefix: str) -> str:
    return f"$merge([$$, {{'signature': $substringAfter(headers.`{header}`, '{prefix}')}}])"


def pairs(header: str) -> str:
    return (
        f"( $p := $split(headers.`{header}`, ','); $g := function($k){{ ($p[$trim($substringBefore($, '=')) = $k]"
        ".$substringAfter($, '='))[0] }; $merge([$$, {'timestamp': $g('t'), 'signature': $g('v1')}]) )"
    )


def signed(
    compare: str, content: list[str] | None = None, algorithm: str = "sha256", form: str = "hex"
) -> dict[str, Any]:
    config = {"algorithm": algorithm, "string_type": form, "secret": SECRET, "compare_with": compare}
    return {"format": "hmac", "config": {**config, "verification_content": content or ["{{raw_body}}"]}}


CHALLENGE = (
    "body.type = 'url_verification' ? {'type':'verify','verification_response':{'status_code':200,'headers':"
    "{'content-type':'application/json'},'body':{'challenge':body.challenge}}} : {'type':'payload'}"
)
MONDAY = CHALLENGE.replace("body.type = 'url_verification'", "$exists(body.challenge)")
ZOOM = (
    "body.event = 'endpoint.url_validation' ? {'type':'verify','verification_response':{'status_code':200,'headers':"
    "{'content-type':'application/json'},'body':{'plainToken':body.payload.plainToken,'encryptedToken':"
    "$sign(body.payload.plainToken,'SHA-256',context.webhook_secret,'hex')}}} : {'type':'payload'}"
)
HUBSPOT_V1 = (
    "$digest(context.webhook_secret & raw_body, 'SHA-256', 'hex') = headers.`x-hubspot-signature` ? {'type':'payload'}"
    " : {'type':'verify','verification_response':{'status_code':401}}"
)
ASANA = (
    "$exists(headers.`x-hook-secret`) ? {'type':'verify','update_context':{'webhook_secret':headers.`x-hook-secret`},"
    "'verification_response':{'status_code':200,'headers':{'X-Hook-Secret':headers.`x-hook-secret`}}} :"
    " {'type':'payload'}"
)
GRAPH = (
    "$exists(query.validationToken) ? {'type':'verify','verification_response':{'status_code':200,'headers':"
    "{'content-type':'text/plain'},'body':query.validationToken}} : ($count(body.value) > 0 and"
    " $count(body.value[clientState = $$.context.webhook_secret]) = $count(body.value)) ? {'type':'payload'} :"
    " {'type':'verify','verification_response':{'status_code':401}}"
)
DROPBOX = (
    "method = 'GET' and $exists(query.challenge) ? {'type':'verify','verification_response':{'status_code':200,"
    "'headers':{'content-type':'text/plain','x-content-type-options':'nosniff'},'body':query.challenge}} :"
    " {'type':'payload'}"
)
NOTION = (
    "$exists(body.verification_token) ? {'type':'verify','update_context':{'webhook_secret':body.verification_token},"
    "'verification_response':{'status_code':200}} : {'type':'payload'}"
)
OKTA = (
    "method = 'GET' and $exists(headers.`x-okta-verification-challenge`) ? {'type':'verify','verification_response':"
    "{'status_code':200,'body':{'verification':headers.`x-okta-verification-challenge`}}} : {'type':'payload'}"
)
TWILIO = "$merge([$$, {'signed': url & $join($sort($keys(body)).($ & $lookup($$.body, $)), '')}])"
PAGERDUTY = "$merge([$$, {'signature': $substringAfter($split(headers.`x-pagerduty-signature`, ',')[0], 'v1=')}])"
V0 = ["v0:", "{{headers.x-t}}", ":", "{{raw_body}}"]


def config(transform: str = "", handle: str = "", signature: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"payload_transform": transform, "handle_verification": handle, "signature_verification": signature}


def delivery(secret: str = "s", raw_body: str = BODY, body: Any = None, **more: Any) -> dict[str, Any]:
    context = {"webhook_secret": secret, "webhook_username": "Aladdin", "webhook_password": "open sesame"}
    headers = more.pop("headers", {})
    return {"context": context, "raw_body": raw_body, "body": body, "headers": headers, "query": {}, **more}


def sender(name: str, settings: dict[str, Any], good: dict[str, Any], **spoiled: Any) -> Any:
    return pytest.param(settings, good, spoiled or {"raw_body": "tampered"}, id=name)


SENDERS = [
    sender(
        "1-truto",
        config(strip("x-truto-signature", "v="), "", signed("{{signature}}")),
        delivery(headers={"x-truto-signature": f"format=sha256,v={PLAIN_HEX}"}),
    ),
    sender(
        "2-github-vector",
        config(strip("x-hub-signature-256", "sha256="), "", signed("{{signature}}")),
        delivery(
            "It's a Secret to Everybody",
            "Hello, World!",
            headers={"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        ),
    ),
    sender(
        "3-slack-vector",
        config(strip("x-slack-signature", "v0="), CHALLENGE, signed("{{signature}}", V0)),
        delivery(
            "8f742231b10e8888abcd99yyyzzz85a5",
            SLACK_BODY,
            headers={
                "x-t": "1531420618",
                "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            },
        ),
    ),
    sender(
        "4-stripe",
        config(pairs("stripe-signature"), "", signed("{{signature}}", ["{{timestamp}}", ".", "{{raw_body}}"])),
        delivery(
            "whsec_test",
            headers={"stripe-signature": f"t=1492774577, v1={STRIPE_HEX},v1=00,v0=11"},
        ),
    ),
    sender(
        "5-shopify",
        config("", "", signed("{{headers.x-shopify-hmac-sha256}}", form="base64")),
        delivery("hush", headers={"x-shopify-hmac-sha256": "Y5yh1MBcvmylNdRGRmMjSnWMAU5vK6ZYOwIowkFMvRk="}),
    ),
    sender(
        "6-hubspot-v3",
        config(
            "",
            "",
            signed(
                "{{headers.x-hubspot-signature-v3}}",
                ["{{method}}", "{{url}}", "{{raw_body}}", "{{headers.x-t}}"],
                form="base64",
            ),
        ),
        delivery(
            HUBSPOT,
            '{"example_field":"example_value"}',
            method="POST",
            url="https://www.example.com/webhook_uri",
            headers={"x-t": "1640995200000", "x-hubspot-signature-v3": "7eFw/PMuKZUdJZlqO3BC4PMDFGWQx5nyhfCo72tqIGk="},
        ),
    ),
    sender(
        "7-hubspot-v1-vector",
        config("", HUBSPOT_V1),
        delivery(
            HUBSPOT,
            HUBSPOT_BODY,
            headers={"x-hubspot-signature": "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"},
        ),
    ),
    sender(
        "7-hubspot-v2-vector",
        config("", HUBSPOT_V1.replace("& raw_body", "& method & url & raw_body")),
        delivery(
            HUBSPOT,
            '{"example_field":"example_value"}',
            method="POST",
            url="https://www.example.com/webhook_uri",
            headers={"x-hubspot-signature": "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900"},
        ),
    ),
    sender(
        "8-zendesk",
        config("", "", signed("{{headers.x-s}}", ["{{headers.x-t}}", "{{raw_body}}"], form="base64")),
        delivery(
            "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==",
            headers={"x-t": "2021-03-25T05:09:27Z", "x-s": "0QQZ6xka5giivPI/AiQPVT8qlkJb7E1zeqlnBG11BIU="},
        ),
    ),
    sender(
        "9-intercom",
        config(strip("x-hub-signature", "sha1="), "", signed("{{signature}}", algorithm="sha1")),
        delivery(headers={"x-hub-signature": "sha1=3208f4c50ad61c5ecbc6921a72ad16d7741f0223"}),
    ),
    sender(
        "10-linear",
        config("", "", signed("{{headers.linear-signature}}")),
        delivery(headers={"linear-signature": PLAIN_HEX}),
    ),
    sender(
        "11-jira-vector",
        config(strip("x-hub-signature", "sha256="), "", signed("{{signature}}")),
        delivery(
            "It's a Secret to Everybody",
            "Hello World!",
            headers={"x-hub-signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"},
        ),
    ),
    sender(
        "12-atlassian-vector",
        config("", "", {"format": "jwt", "config": {"secret": SECRET, "compare_with": "{{headers.authorization}}"}}),
        delivery("your-256-bit-secret", headers={"authorization": f"JWT {JWT}"}),
        headers={"authorization": f"JWT {JWT[:-2]}xx"},
    ),
    sender(
        "13-calendly",
        config(
            pairs("calendly-webhook-signature"), "", signed("{{signature}}", ["{{timestamp}}", ".", "{{raw_body}}"])
        ),
        delivery(
            "whsec_test",
            headers={"calendly-webhook-signature": f"t=1492774577,v1={STRIPE_HEX}"},
        ),
    ),
    sender(
        "14-typeform",
        config(strip("typeform-signature", "sha256="), "", signed("{{signature}}", form="base64")),
        delivery(headers={"typeform-signature": f"sha256={PLAIN_BASE64}"}),
    ),
    sender(
        "15-sendgrid-vector",
        config(
            "",
            "",
            {
                "format": "basic",
                "config": {
                    "username": "{{context.webhook_username}}",
                    "password": "{{context.webhook_password}}",
                    "compare_with": "{{headers.authorization}}",
                },
            },
        ),
        delivery(headers={"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}),
        headers={"authorization": "Basic QWxhZGRpbjpvcGVu"},
    ),
    sender(
        "16-twilio-vector",
        config(TWILIO, "", signed("{{headers.x-twilio-signature}}", ["{{signed}}"], "sha1", "base64")),
        delivery(
            "12345",
            url="https://mycompany.com/myapp.php?foo=1&bar=2",
            body={
                "To": "+18005551212",
                "CallSid": "CA1234567890ABCDE",
                "Caller": "+14158675309",
                "Digits": "1234",
                "From": "+14158675309",
            },
            headers={"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="},
        ),
        body={"To": "+1"},
    ),
    sender(
        "18-zoom",
        config(strip("x-zm-signature", "v0="), ZOOM, signed("{{signature}}", V0)),
        delivery(headers={"x-t": "1", "x-zm-signature": f"v0={V0_HEX}"}),
    ),
    sender(
        "19-asana",
        config("", ASANA, signed("{{headers.x-hook-signature}}")),
        delivery(headers={"x-hook-signature": PLAIN_HEX}),
    ),
    sender(
        "20-graph",
        config("", GRAPH),
        delivery(body={"value": [{"clientState": "s"}, {"clientState": "s"}]}),
        body={"value": [{"clientState": "s"}, {"other": 1}]},
    ),
    sender("20-graph-empty", config("", GRAPH), delivery(body={"value": [{"clientState": "s"}]}), body={"value": []}),
    sender(
        "21-dropbox",
        config("", DROPBOX, signed("{{headers.x-dropbox-signature}}")),
        delivery(method="POST", headers={"x-dropbox-signature": PLAIN_HEX}),
    ),
    sender(
        "22-pipedrive",
        config(
            "",
            "",
            {
                "format": "basic",
                "config": {
                    "username": "{{context.webhook_username}}",
                    "password": "{{context.webhook_password}}",
                    "compare_with": "{{headers.authorization}}",
                },
            },
        ),
        delivery(headers={"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}),
        headers={},
    ),
    sender(
        "23-gitlab",
        config(
            "",
            "",
            {"format": "bearer", "config": {"secret": SECRET, "compare_with": "Bearer {{headers.x-gitlab-token}}"}},
        ),
        delivery(headers={"x-gitlab-token": "s"}),
        headers={"x-gitlab-token": "t"},
    ),
    sender(
        "24-monday",
        config(
            "", MONDAY, {"format": "jwt", "config": {"secret": SECRET, "compare_with": "{{headers.authorization}}"}}
        ),
        delivery("your-256-bit-secret", headers={"authorization": JWT}),
        headers={"authorization": "a.b.c"},
    ),
    sender(
        "25-pagerduty",
        config(PAGERDUTY, "", signed("{{signature}}")),
        delivery(headers={"x-pagerduty-signature": f"v1={PLAIN_HEX},v1=00"}),
    ),
    sender(
        "26-notion",
        config(strip("x-notion-signature", "sha256="), NOTION, signed("{{signature}}")),
        delivery(headers={"x-notion-signature": f"sha256={PLAIN_HEX}"}),
    ),
    sender(
        "27-square",
        config("", "", signed("{{headers.x-s}}", ["{{url}}", "{{raw_body}}"], form="base64")),
        delivery(url="https://e.x/h", headers={"x-s": "81ggieAYDaQVnwOfx81Hw5lY2Fdv70nPJAZZVGKEp6I="}),
    ),
    sender(
        "28-customer.io",
        config("", "", signed("{{headers.x-cio-signature}}", V0)),
        delivery(headers={"x-t": "1", "x-cio-signature": V0_HEX}),
    ),
    sender(
        "29-xero",
        config("", "", signed("{{headers.x-xero-signature}}", form="base64")),
        delivery(headers={"x-xero-signature": PLAIN_BASE64}),
    ),
    sender(
        "30-okta",
        config(
            "",
            OKTA,
            {"format": "bearer", "config": {"secret": SECRET, "compare_with": "Bearer {{headers.authorization}}"}},
        ),
        delivery(method="POST", headers={"authorization": "s"}),
        headers={},
    ),
]


def verdict(settings: Mapping[str, Any], context: dict[str, Any]) -> Any:
    """``True`` or ``False`` for the signature, or the answer that the handshake prescribes."""
    if settings["payload_transform"]:
        context = compile_expression(settings["payload_transform"]).evaluate(context)
    if settings["handle_verification"]:
        handled = compile_expression(settings["handle_verification"]).evaluate(context)
        if handled is not UNDEFINED and handled["type"] == "verify":
            return handled
    if settings["signature_verification"] is None:
        return True
    try:
        return matches(settings["signature_verification"], context)
    except PlaceholderError:
        return False


def matches(signature: Mapping[str, Any], context: dict[str, Any]) -> bool:
    fields = {
        key: compile_template(value).render_text_or_fail(context)
        for key, value in signature["config"].items()
        if isinstance(value, str)
    }
    presented = fields["compare_with"]
    match signature["format"]:
        case "basic":
            expected = base64.b64encode(f"{fields['username']}:{fields['password']}".encode()).decode()
            return presented.split()[1] == expected
        case "bearer":
            return presented.split()[1] == fields["secret"]
        case "jwt":
            content, _, given = presented.split()[-1].rpartition(".")
            mac = hmac.digest(fields["secret"].encode(), content.encode(), "sha256")
            return base64.urlsafe_b64encode(mac).decode().rstrip("=") == given
    parts = [
        compile_template(part).render_bytes_or_fail(context) for part in signature["config"]["verification_content"]
    ]
    mac = hmac.digest(fields["secret"].encode(), b"".join(parts), fields["algorithm"])
    return presented == (mac.hex() if fields["string_type"] == "hex" else base64.b64encode(mac).decode())


@pytest.mark.parametrize(("settings", "good", "spoiled"), SENDERS)
def test_an_authentic_delivery_is_accepted(settings: Any, good: dict[str, Any], spoiled: dict[str, Any]) -> None:
    del spoiled
    assert verdict(settings, good) is True


@pytest.mark.parametrize(("settings", "good", "spoiled"), SENDERS)
def test_a_spoiled_delivery_is_refused(settings: Any, good: dict[str, Any], spoiled: dict[str, Any]) -> None:
    refused = {"type": "verify", "verification_response": {"status_code": 401}}
    assert verdict(settings, {**good, **spoiled}) in (False, refused)


@pytest.mark.parametrize(
    ("expression", "context", "body"),
    [
        (CHALLENGE, delivery(body={"type": "url_verification", "challenge": "c"}), {"challenge": "c"}),
        (MONDAY, delivery(body={"challenge": "c"}), {"challenge": "c"}),
        (
            ZOOM,
            delivery(body={"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}}),
            {
                "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
                "encryptedToken": "93aa52bcb22637104b103fa602ee132a2459036070fc4ef715f04d8ce8a99166",
            },
        ),
        (GRAPH, delivery(query={"validationToken": "t k"}), "t k"),
        (DROPBOX, delivery(method="GET", query={"challenge": "c"}), "c"),
        (OKTA, delivery(method="GET", headers={"x-okta-verification-challenge": "c"}), {"verification": "c"}),
    ],
    ids=["slack", "monday", "zoom", "graph", "dropbox", "okta"],
)
def test_a_handshake_is_answered(expression: str, context: dict[str, Any], body: Any) -> None:
    answer = compile_expression(expression).evaluate(context)
    assert answer["type"] == "verify"
    assert answer["verification_response"]["status_code"] == 200
    assert answer["verification_response"]["body"] == body


@pytest.mark.parametrize(
    ("expression", "context"),
    [
        (ASANA, delivery(headers={"x-hook-secret": "new"})),
        (NOTION, delivery(body={"verification_token": "new"})),
    ],
    ids=["asana", "notion"],
)
def test_a_handshake_hands_over_the_secret(expression: str, context: dict[str, Any]) -> None:
    assert compile_expression(expression).evaluate(context)["update_context"] == {"webhook_secret": "new"}


@pytest.mark.parametrize("expression", [CHALLENGE, MONDAY, ZOOM, ASANA, DROPBOX, NOTION, OKTA], ids=range(7))
def test_what_is_no_handshake_goes_on_to_the_signature(expression: str) -> None:
    context = delivery(body={"event": "other"}, method="POST")
    assert compile_expression(expression).evaluate(context) == {"type": "payload"}


def test_a_transform_keeps_the_rest_of_the_context() -> None:
    context = delivery(headers={"x-hub-signature": "sha256=ab"})
    assert compile_expression(strip("x-hub-signature", "sha256=")).evaluate(context) == {**context, "signature": "ab"}


def test_the_gate_of_the_command_line_document_is_always_false_unless_event_is_bound() -> None:
    gate = compile_expression("$event.event_type = 'created'")
    scope = {"event_type": "created"}
    assert gate.evaluate(scope) is False
    assert gate.evaluate(scope, {"event": scope}) is True


def test_the_digest_of_hubspots_first_version_is_plain_sha256() -> None:
    expected = hashlib.sha256((HUBSPOT + HUBSPOT_BODY).encode()).hexdigest()
    assert compile_expression("$digest(s & b)").evaluate({"s": HUBSPOT, "b": HUBSPOT_BODY}) == expected
