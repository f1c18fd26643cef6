"""Vectors that senders publish, and others computed from their documents; for presets and for Truto's schema."""

from __future__ import annotations

import base64
import hmac
from typing import Any

import orjson
import pytest

from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.verification.outcome import Accepted
from ingress.verification.pipeline import context_of, evidence_of
from tests.unit.ingress.sources.senders import of_headers, verify
from truto.errors import SignatureError

PAYLOAD = '{"id":"evt_1","object":"event"}'
SLACK = (
    "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    "&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack."
    "com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc8"
    "87a14d10d2c447fce8b6703c"
)
HUBSPOT_SECRET = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
HUBSPOT_V1 = (
    '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":'
    '"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM","changeFlag":"NEW","appId":54321}]'
)
TWILIO = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
SHARED = "34795808f8a80a6b9af6da8cff4da514a750acf118a47a4c6d00a01bd7660626"
SHARED_64 = base64.b64encode(bytes.fromhex(SHARED)).decode()
ZOOM = "382508ebbbb7d7511b0e997248528faecf58f1bf493aa1b87818c2bc18f60af3"

FORM = "application/x-www-form-urlencoded"

# preset, secret, body, headers, where and how it was sent
VECTORS = {
    "github": (
        "github",
        "It's a Secret to Everybody",
        "Hello, World!",
        {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        {},
    ),
    "jira": (
        "jira",
        "It's a Secret to Everybody",
        "Hello World!",
        {"x-hub-signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"},
        {},
    ),
    "slack": (
        "slack",
        "8f742231b10e8888abcd99yyyzzz85a5",
        SLACK,
        {
            "x-slack-request-timestamp": "1531420618",
            "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
            "content-type": FORM,
        },
        {},
    ),
    "hubspot-v3": (
        "hubspot",
        HUBSPOT_SECRET,
        '{"example_field":"example_value"}',
        {
            "x-hubspot-request-timestamp": "1640995200000",
            "x-hubspot-signature-v3": "7eFw/PMuKZUdJZlqO3BC4PMDFGWQx5nyhfCo72tqIGk=",
        },
        {"path": "/webhook_uri"},
    ),
    "twilio": (
        "twilio",
        "12345",
        TWILIO,
        {"x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "content-type": FORM},
        {"path": "/myapp.php", "query": b"foo=1&bar=2"},
    ),
    "svix": (
        "svix",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        '{"test": 2432232314}',
        {
            "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "svix-timestamp": "1614265330",
            "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        },
        {},
    ),
    "stripe": (
        "stripe",
        "whsec_test",
        PAYLOAD,
        {"stripe-signature": "t=1492774577,v1=da4a28bb1e8ecf97feff14bd141aa183c9cbe6a13dcfb1a2ace8dc472e62593b"},
        {},
    ),
    "shopify": (
        "shopify",
        "hush",
        PAYLOAD,
        {"x-shopify-hmac-sha256": "Y5yh1MBcvmylNdRGRmMjSnWMAU5vK6ZYOwIowkFMvRk="},
        {},
    ),
    "zendesk": (
        "zendesk",
        "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==",
        PAYLOAD,
        {
            "x-zendesk-webhook-signature-timestamp": "2021-03-25T05:09:27Z",
            "x-zendesk-webhook-signature": "0QQZ6xka5giivPI/AiQPVT8qlkJb7E1zeqlnBG11BIU=",
        },
        {},
    ),
    "intercom": ("intercom", "s", PAYLOAD, {"x-hub-signature": "sha1=3208f4c50ad61c5ecbc6921a72ad16d7741f0223"}, {}),
    "linear": ("linear", "s", PAYLOAD, {"linear-signature": SHARED}, {}),
    "asana": ("asana", "s", PAYLOAD, {"x-hook-signature": SHARED}, {}),
    "dropbox": ("dropbox", "s", PAYLOAD, {"x-dropbox-signature": SHARED}, {}),
    "typeform": ("typeform", "s", PAYLOAD, {"typeform-signature": "sha256=" + SHARED_64}, {}),
    "xero": ("xero", "s", PAYLOAD, {"x-xero-signature": SHARED_64}, {}),
    "zoom": ("zoom", "s", PAYLOAD, {"x-zm-request-timestamp": "1", "x-zm-signature": "v0=" + ZOOM}, {}),
    "customerio": ("customerio", "s", PAYLOAD, {"x-cio-timestamp": "1", "x-cio-signature": ZOOM}, {}),
    "square": (
        "square",
        "s",
        PAYLOAD,
        {"x-square-hmacsha256-signature": "81ggieAYDaQVnwOfx81Hw5lY2Fdv70nPJAZZVGKEp6I="},
        {"path": "/h", "public_url": "https://e.x"},
    ),
    # The following were made with `openssl dgst`, as each sender's document says.
    "greenhouse": ("greenhouse", "s", PAYLOAD, {"signature": "sha256 " + SHARED}, {}),
    "workable": ("workable", "s", PAYLOAD, {"x-workable-signature": SHARED}, {}),
    "gusto": ("gusto", "s", PAYLOAD, {"x-gusto-signature": SHARED}, {}),
    "ashby": ("ashby", "s", PAYLOAD, {"ashby-signature": "sha256=" + SHARED}, {}),
    "clickup": ("clickup", "s", PAYLOAD, {"x-signature": SHARED}, {}),
    "cal-com": ("cal-com", "s", PAYLOAD, {"x-cal-signature-256": SHARED}, {}),
    "attio": ("attio", "s", PAYLOAD, {"attio-signature": SHARED}, {}),
    "meta": ("meta", "s", PAYLOAD, {"x-hub-signature-256": "sha256=" + SHARED}, {}),
    "quickbooks": ("quickbooks", "s", PAYLOAD, {"intuit-signature": SHARED_64}, {}),
    "docusign": ("docusign", "s", PAYLOAD, {"x-docusign-signature-1": SHARED_64}, {}),
    "bamboohr": (
        "bamboohr",
        "s",
        PAYLOAD,
        {
            "x-bamboohr-timestamp": "1",
            "x-bamboohr-signature": "4b32ec9e5922d98f6aa6b5ac5b43543edd95518db78235b7818857d12b1765a3",
        },
        {},
    ),
    "hibob": (
        "hibob",
        "s",
        PAYLOAD,
        {"bob-signature": "K9VB63XRucCFCk1TbnUihJXAkaljyq+OVq5/ihkIgXt8H979FwNrwLhqkXVvudaKMURWQ3nH1FFd7tSUAra2aQ=="},
        {},
    ),
    "close": (
        "close",
        "00ff10",
        PAYLOAD,
        {
            "close-sig-timestamp": "1",
            "close-sig-hash": "186ea6abe44a013acc44ecd23196c5db96942f26662e9084d44350efaa8a9835",
        },
        {},
    ),
    "airtable": (
        "airtable",
        "AP8Q",
        PAYLOAD,
        {"x-airtable-content-mac": "hmac-sha256=5f9331ece10430e679e586c8907705469c7594e0b35304e34351e79f577f422b"},
        {},
    ),
    "paddle": (
        "paddle",
        "s",
        PAYLOAD,
        {"paddle-signature": "ts=1;h1=c2343419ba5b8cf67fa2876aea91ed7f25ffb49d732ffefb22e1c1f86a0d02a6"},
        {},
    ),
    "box": (
        "box",
        "s",
        PAYLOAD,
        {
            "box-delivery-timestamp": "1970-01-01T00:00:01Z",
            "box-signature-primary": "sck/HaFf3f/kdR1XWwT+tjM+1sgPuuHPLKsPd+m6Dg8=",
        },
        {},
    ),
    "deel": (
        "deel",
        "s",
        PAYLOAD,
        {"x-deel-signature": "c6577f744058b746c7c64f6431a36cf35e283be7e1721750a55aeb9dd096bba8"},
        {},
    ),
    "workos": (
        "workos",
        "s",
        PAYLOAD,
        {"workos-signature": "t=1000, v1=881882a6ba31977c385800a2aa55c8127d94e392b287b90e637aef22bc940566"},
        {},
    ),
    "basic": (
        "pipedrive",
        "Aladdin:open sesame",
        PAYLOAD,
        {"authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
        {},
    ),
}

NOWS = {"svix": 1614265330.0}
URLS = {"hubspot-v3": "https://www.example.com", "twilio": "https://mycompany.com", "square": "https://e.x"}


@pytest.mark.parametrize("name", VECTORS)
def test_a_preset_takes_the_vector_and_not_a_changed_one(name: str) -> None:
    preset, secret, body, headers, sent = VECTORS[name]
    sent = {key: value for key, value in sent.items() if key != "public_url"}  # type: ignore[attr-defined]
    options: dict[str, Any] = {"allow_short_secret": True}
    if name in URLS:
        options["public_url"] = URLS[name]
    source = read_source("v", {"preset": preset, "secrets": [secret], "options": options}, {})
    account = source.account({})
    now = NOWS.get(name, 0.0)
    assert source.verifier is not None
    evidence = evidence_of(source, of_headers(headers, body.encode(), **sent), account, now=now)
    assert source.verifier.check(evidence) == 0
    if name == "basic":
        return
    changed = of_headers(headers, (body + ("&z=1" if name == "twilio" else " ")).encode(), **sent)
    evidence = evidence_of(source, changed, account, now=now)
    with pytest.raises(SignatureError):
        source.verifier.check(evidence)


IN_THE_BODY = {
    "lever": {
        "token": "tok",
        "triggeredAt": 1000,
        "signature": "d69d5a050e8146c36d4ce03e4ffa77de7366d3f2579625f0d8b236f6599dda4d",
    },
    "mailgun": {
        "signature": {
            "timestamp": "1",
            "token": "tok",
            "signature": "09039bf093b958a99622c7642ad32e24f909a0f99c200aee894218b086fda1c4",
        }
    },
}


@pytest.mark.parametrize("preset", IN_THE_BODY)
def test_a_preset_takes_the_vector_that_its_body_holds_and_no_other_token(preset: str) -> None:
    source = read_source("v", {"preset": preset, "secrets": ["s"], "options": {"allow_short_secret": True}}, {})
    body = orjson.dumps(IN_THE_BODY[preset])
    assert isinstance(verify(source, of_headers({}, body), now=1.0), Accepted)
    assert isinstance(verify(source, of_headers({}, body.replace(b"tok", b"kot", 1)), now=1.0), Refusal)


HUBSPOT_DIGESTS = [
    ("hubspot-v1", "POST", HUBSPOT_V1, "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de"),
    ("hubspot-v2", "GET", "", "eee2dddcc73c94d699f5e395f4b9d454a069a6855fbfa152e91e88823087200e"),
    (
        "hubspot-v2",
        "POST",
        '{"example_field":"example_value"}',
        "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900",
    ),
]


@pytest.mark.parametrize(("preset", "method", "body", "digest"), HUBSPOT_DIGESTS, ids=["v1", "v2-get", "v2-post"])
def test_the_older_hubspot_signatures_are_compared_by_their_expression(
    preset: str, method: str, body: str, digest: str
) -> None:
    options = {"public_url": "https://www.example.com"}
    source = read_source("v", {"preset": preset, "secrets": [HUBSPOT_SECRET], "options": options}, {})
    assert source.handle is not None

    def decided(signature: str) -> Any:
        delivery = of_headers({"x-hubspot-signature": signature}, body.encode(), method=method, path="/webhook_uri")
        assert source.handle is not None
        return source.handle.evaluate(context_of(source, delivery, source.account({})), proven=False)

    assert decided(digest) == {"type": "payload"}
    assert decided(digest[::-1])["verification_response"] == {"status_code": 401}


def test_the_token_of_the_jwt_website_is_taken_where_tokens_need_not_expire() -> None:
    token = (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ"
        ".SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"
    )
    webhook = {"signature_verification": {"format": "jwt", "config": {"secret": "your-256-bit-secret"}}}
    source = read_source("v", {"webhook": webhook, "options": {"jwt": {"require_exp": False}}}, {})
    assert isinstance(verify(source, of_headers({"authorization": f"Bearer {token}"}, b"{}")), Accepted)


def test_a_zoom_handshake_is_answered_as_zoom_expects() -> None:
    body = orjson.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": "qgg8vlvZRS6UYooatFL8Aw"}})
    source = read_source("v", {"preset": "zoom", "secrets": ["s"], "options": {"allow_short_secret": True}}, {})
    made = hmac.digest(b"s", b"v0:1700000000:" + body, "sha256").hex()
    headers = {"x-zm-request-timestamp": "1700000000", "x-zm-signature": f"v0={made}"}
    outcome = verify(source, of_headers(headers, body))
    assert orjson.loads(outcome.body) == {  # type: ignore[union-attr]
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": "93aa52bcb22637104b103fa602ee132a2459036070fc4ef715f04d8ce8a99166",
    }


# -- the same senders in nothing but Truto's schema --------------------------------------------------------------------


def strip(header: str, prefix: str) -> str:
    return f"$merge([$$, {{'signature': $substringAfter(headers.`{header}`, '{prefix}')}}])"


def pairs(header: str) -> str:
    return (
        f"( $p := $split(headers.`{header}`, ','); $g := function($k){{ ($p[$trim($substringBefore($, '=')) = $k]"
        ".$substringAfter($, '='))[0] }; $merge([$$, {'timestamp': $g('t'), 'signature': $g('v1')}]) )"
    )


def hmac_block(compare: str, *content: str, algorithm: str = "sha256", string_type: str = "hex", **more: Any) -> Any:
    signed = {"verification_content": list(content)} if content else {"parts": ["raw_body"]}
    config = {
        "algorithm": algorithm,
        "string_type": string_type,
        "secret": "{{context.webhook_secret}}",
        "compare_with": compare,
        **signed,
    }
    return {"signature_verification": {"format": "hmac", "config": config}, **more}


BLOCKS = {
    "github": hmac_block("{{signature}}", payload_transform=strip("x-hub-signature-256", "sha256=")),
    "slack": hmac_block(
        "{{signature}}",
        *("v0:", "{{headers.x-slack-request-timestamp}}", ":", "{{raw_body}}"),
        payload_transform=strip("x-slack-signature", "v0="),
    ),
    "stripe": hmac_block(
        "{{signature}}", "{{timestamp}}", ".", "{{raw_body}}", payload_transform=pairs("stripe-signature")
    ),
    "shopify": hmac_block("{{headers.x-shopify-hmac-sha256}}", string_type="base64"),
    "zendesk": hmac_block(
        "$header.x-zendesk-webhook-signature",
        *("$header.x-zendesk-webhook-signature-timestamp", "$body"),
        string_type="base64",
    ),
    "intercom": hmac_block("{{signature}}", algorithm="SHA-1", payload_transform=strip("x-hub-signature", "sha1=")),
    "linear": hmac_block("$headers.Linear-Signature"),
    "typeform": hmac_block(
        "{{signature}}", string_type="base64", payload_transform=strip("typeform-signature", "sha256=")
    ),
    "square": hmac_block("{{headers.x-square-hmacsha256-signature}}", "{{url}}", "{{raw_body}}", string_type="base64"),
    "zoom": hmac_block(
        "{{signature}}",
        *("v0:{{headers.x-zm-request-timestamp}}:", "{{raw_body}}"),
        payload_transform=strip("x-zm-signature", "v0="),
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_truto_s_schema_alone_takes_the_vector_too(name: str) -> None:
    _, secret, body, headers, sent = VECTORS[name]
    sent = {key: value for key, value in sent.items() if key != "public_url"}  # type: ignore[attr-defined]
    options: dict[str, Any] = {"allow_short_secret": True}
    if name in URLS:
        options["public_url"] = URLS[name]
    source = read_source("v", {"webhook": BLOCKS[name], "secrets": [secret], "options": options}, {})
    account = source.account({})
    assert source.verifier is not None
    if not body.startswith("{"):
        headers = {"content-type": "text/plain", **headers}
    assert source.verifier.check(evidence_of(source, of_headers(headers, body.encode(), **sent), account, now=0)) == 0
    evidence = evidence_of(source, of_headers(headers, body.encode() + b" ", **sent), account, now=0)
    with pytest.raises(SignatureError):
        source.verifier.check(evidence)
