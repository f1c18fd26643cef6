"""Before a signature is checked, nothing answers with the secret, and no payload decides what is signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events import Verified
from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.layers import presets
from ingress.sources.loading import read_source
from ingress.sources.source import MAX_HANDSHAKE_BYTES, Source, truto_source
from ingress.verification.complexity import MAX_PARTS, check_complexity
from ingress.verification.expressions import LIMITS, UNPROVEN_SECONDS
from ingress.verification.outcome import Accepted, Handshake, Ignored
from tests.unit.ingress.sources.senders import NOW, SECRET, SENDERS, event_of, of_headers, verify

MOMENT = str(int(NOW))
HMAC: dict[str, Any] = {
    "format": "hmac",
    "config": {"compare_with": "{{headers.x-signature}}", "parts": ["raw_body"]},
}


def source(webhook: dict[str, Any], *, secrets: list[str] | None = None, **more: Any) -> Source:
    own: dict[str, Any] = {key: more.pop(key) for key in ("context", "environment_variables") if key in more}
    block = {"signature_verification": HMAC, **webhook}
    block = {key: value for key, value in block.items() if value is not None}
    live = [SECRET] if secrets is None else secrets
    given: dict[str, Any] = {"webhook": block, "secrets": live, **own, "options": more}
    return read_source("s", given, {})


def digest(*parts: bytes | str, secret: str = SECRET) -> str:
    content = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
    return hmac.digest(secret.encode(), content, "sha256").hex()


def signed(body: bytes) -> dict[str, str]:
    return {"x-signature": digest(body)}


def as_zoom(body: bytes) -> dict[str, str]:
    return {"x-zm-request-timestamp": MOMENT, "x-zm-signature": "v0=" + digest(f"v0:{MOMENT}:", body)}


def cause(outcome: Any) -> tuple[int, str]:
    assert isinstance(outcome, Refusal), outcome
    return outcome.status, outcome.logged_reason


# -- handshakes that compute with the secret ---------------------------------------------------------------------------

ZOOM = read_source("zoom", {"preset": "zoom", "secrets": [SECRET]}, {})


def validation(token: str) -> bytes:
    return orjson.dumps({"event": "endpoint.url_validation", "payload": {"plainToken": token}})


@pytest.mark.bad_input(150)
def test_zoom_s_validation_signs_nothing_for_a_stranger() -> None:
    forged = f'v0:{MOMENT}:{{"event":"meeting.deleted"}}'
    for headers in ({}, {"x-zm-request-timestamp": MOMENT}, as_zoom(b"another body")):
        assert cause(verify(ZOOM, of_headers(headers, validation(forged))))[0] == 401


def test_zoom_s_own_validation_is_answered() -> None:
    body = validation("qgg8vlvZRS6UYooatFL8Aw")
    outcome = verify(ZOOM, of_headers(as_zoom(body), body))
    assert isinstance(outcome, Handshake)
    assert orjson.loads(outcome.body) == {
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": digest("qgg8vlvZRS6UYooatFL8Aw"),
    }


def test_slack_s_own_verification_is_answered_and_a_stranger_s_is_not() -> None:
    slack = read_source("slack", {"preset": "slack", "secrets": [SECRET]}, {})
    body = b'{"type":"url_verification","challenge":"c"}'
    made = {"x-slack-request-timestamp": MOMENT, "x-slack-signature": "v0=" + digest(f"v0:{MOMENT}:", body)}
    outcome = verify(slack, of_headers(made, body))
    assert isinstance(outcome, Handshake)
    assert outcome.body == b'{"challenge":"c"}'
    assert cause(verify(slack, of_headers({}, body)))[0] == 401


ANSWER = "{{'type': 'verify', 'verification_response': {{'body': {{'made': {}}}}}}}"
ORACLES = {
    "sign": "$sign(body.text, 'SHA-256', context.webhook_secret, 'hex')",
    "digest": "$digest(context.webhook_secret & body.text, 'SHA-256', 'hex')",
    "echo": "context.webhook_secret",
    "encoded": "$base64encode($$.context.webhook_secret)",
    "cut": "$substring($.context.webhook_secret, 0, 4)",
    "quoted": 'context."webhook_secret"',
    "in-a-function": "(function($t) { $sign($t, 'SHA-256', context.webhook_secret, 'hex') })(body.text)",
    "in-a-path": "body.($sign(text, 'SHA-256', $$.context.webhook_secret, 'hex'))",
    "whole": "context",
    "looked-up": "$lookup(context, 'webhook_secret')",
    "looked-up-twice": "$lookup($lookup($$, 'context'), 'webhook_secret')",
    "root": "$$",
    "bound": "( $r := $; $r.context.webhook_secret )",
    "wildcard": "*.webhook_secret",
    "descendants": "**.webhook_secret",
    "spread": "$spread(context)",
    "each": "$each(context, function($v) { $v })",
    "eval": "$eval('context.webhook_secret')",
    "text-of-everything": "$string()",
    "parent": "body.text.%.%.context",
}


@pytest.mark.bad_input(151)
@pytest.mark.parametrize("name", ORACLES)
def test_a_handshake_that_works_with_the_secret_before_the_signature_does_not_start(name: str) -> None:
    with pytest.raises(Faults, match=r"s\.webhook\.handle_verification: .*signature_first"):
        source({"handle_verification": ANSWER.format(ORACLES[name])})


@pytest.mark.bad_input(151)
@pytest.mark.parametrize(
    "more",
    [
        {"secrets": [], "environment_variables": {"KEY": SECRET}},
        {"secrets": [], "environment_variables": {"KEY": SECRET}, "order": "transform_last"},
    ],
    ids=["truto", "transform_last"],
)
def test_a_secret_under_another_name_is_known_as_one(more: dict[str, Any]) -> None:
    config = {**HMAC["config"], "secret": "{{environment_variables.KEY}}"}
    block = {"signature_verification": {"format": "hmac", "config": config}}
    for named in ("environment_variables.KEY", "env.KEY", "$$.env"):
        with pytest.raises(Faults, match="before the signature is checked"):
            source({**block, "handle_verification": ANSWER.format(named)}, **more)


def test_a_transform_that_signs_before_the_signature_does_not_start() -> None:
    expression = "$merge([$$, {'body': {'challenge': $sign(body.x, 'SHA-256', context.webhook_secret, 'hex')}}])"
    with pytest.raises(Faults, match=r"s\.webhook\.payload_transform: names the secret"):
        source({"payload_transform": expression, "handle_verification": ANSWER.format("body.challenge")})


@pytest.mark.parametrize("order", ["signature_first", "handshake_last"])
def test_a_handshake_may_sign_once_its_own_signature_was_checked(order: str) -> None:
    on = source({"handle_verification": ANSWER.format(ORACLES["sign"])}, order=order)
    body = b'{"text":"t"}'
    outcome = verify(on, of_headers(signed(body), body))
    assert isinstance(outcome, Handshake)
    assert orjson.loads(outcome.body) == {"made": digest("t")}
    assert cause(verify(on, of_headers({}, body))) == (401, "signature_missing")


def test_truto_s_own_words_for_zoom_work_with_the_handshake_last() -> None:
    on = source(
        {
            "payload_transform": "$merge([$$, {'signature': $substringAfter(headers.`x-zm-signature`, 'v0=')}])",
            "handle_verification": "body.event = 'endpoint.url_validation' ? {'type':'verify','verification_response':"
            "{'status_code':200,'body':{'plainToken':body.payload.plainToken,'encryptedToken':"
            "$sign(body.payload.plainToken,'SHA-256',context.webhook_secret,'hex')}}} : {'type':'payload'}",
            "signature_verification": {
                "format": "hmac",
                "config": {
                    "compare_with": "{{signature}}",
                    "verification_content": ["v0:", "{{headers.x-zm-request-timestamp}}", ":", "{{raw_body}}"],
                },
            },
        },
        order="handshake_last",
    )
    body = validation("t")
    outcome = verify(on, of_headers(as_zoom(body), body))
    assert isinstance(outcome, Handshake)
    assert orjson.loads(outcome.body)["encryptedToken"] == digest("t")
    assert cause(verify(on, of_headers({}, body)))[0] == 401


def test_a_handshake_may_use_a_secret_of_its_own() -> None:
    expression = "query.token = context.verify_token ? {'body': query.challenge} : {'type': 'payload'}"
    on = source({"handle_verification": expression}, context={"verify_token": "meta's"}, get_handshake=True)
    outcome = verify(on, of_headers({}, b"", method="GET", query=b"token=meta%27s&challenge=c"))
    assert isinstance(outcome, Handshake)
    assert outcome.body == b"c"
    assert cause(verify(on, of_headers({}, b"", method="GET", query=b"token=x&challenge=c"))) == (
        405,
        "method_not_allowed",
    )


@pytest.mark.parametrize(
    "hidden",
    [SECRET, f"Bearer {SECRET}", {"inner": [SECRET]}],
    ids=["itself", "in-a-text", "deep"],
)
def test_a_copy_of_the_secret_is_not_there_before_the_proof(hidden: Any) -> None:
    on = source({"handle_verification": ANSWER.format("$string(context.copy)")}, context={"copy": hidden})
    outcome = verify(on, of_headers({}, b"{}"))
    assert isinstance(outcome, Handshake)
    assert SECRET.encode() not in outcome.body


def test_what_a_handshake_has_left_is_not_there_either_before_the_proof() -> None:
    on = source({"handle_verification": ANSWER.format("$string(context.token)")})
    outcome = verify(on, of_headers({}, b"{}"), token=SECRET)
    assert isinstance(outcome, Handshake)
    assert SECRET.encode() not in outcome.body


def test_expressions_see_everything_once_the_sender_is_proven() -> None:
    on = source({"handle_verification": ANSWER.format("context.webhook_secret")}, order="signature_first")
    outcome = verify(on, of_headers(signed(b"{}"), b"{}"))
    assert isinstance(outcome, Handshake)
    assert SECRET.encode() in outcome.body


@pytest.mark.parametrize("preset", [name for name in presets() if name not in ("asana", "notion", "gusto")])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_no_preset_answers_a_stranger_with_anything_the_secret_makes(preset: str, data: Any) -> None:
    sender = next(one for one in SENDERS if one.preset == preset)
    text = data.draw(st.text(max_size=20) | st.just(f"v0:{MOMENT}:{{}}"))
    shapes = [
        {"event": "endpoint.url_validation", "payload": {"plainToken": text}},
        {"type": "url_verification", "challenge": text},
        {"challenge": text},
        {"type": 1, "text": text},
        {"value": [{"clientState": text}]},
    ]
    body = orjson.dumps(data.draw(st.sampled_from(shapes)))
    method = data.draw(st.sampled_from(["GET", "POST"]))
    headers = {"content-type": "application/json", "x-okta-verification-challenge": "c"}
    outcome = verify(sender.source(), of_headers(headers, body, method=method, query=b"challenge=q&validationToken=q"))
    assert not isinstance(outcome, Accepted | Ignored)
    if isinstance(outcome, Handshake):
        algorithms = ("sha1", "sha256")
        digests = [hmac.digest(sender.secret.encode(), text.encode(), name) for name in algorithms]
        digests += [hashlib.sha256(sender.secret.encode() + text.encode()).digest()]
        spelled = [each for made in digests for each in (made.hex().encode(), base64.b64encode(made))]
        assert not any(each in outcome.body for each in [*spelled, sender.secret.encode()])


# -- an expression that is the proof -----------------------------------------------------------------------------------


def judged(answer: str) -> Source:
    expression = (
        "$digest(context.webhook_secret & raw_body, 'SHA-256', 'hex') = headers.`x-proof` ? {'type': 'payload'} : "
        + answer
    )
    block = {"signature_verification": None, "handle_verification": expression}
    return source(block, verified_by_expression=True)


@pytest.mark.bad_input(152)
@pytest.mark.parametrize("name", [name for name in ORACLES if name != "parent"])
@pytest.mark.parametrize("status", [200, 401])
def test_an_expression_that_is_the_proof_never_answers_with_the_secret(name: str, status: int) -> None:
    answer = f"{{'type': 'verify', 'verification_response': {{'status_code': {status}, 'body': [{ORACLES[name]}]}}}}"
    body = b'{"text":"t"}'
    outcome = verify(judged(answer), of_headers({}, body))
    told = outcome.body if isinstance(outcome, Handshake) else b""
    made = [digest("t"), hashlib.sha256(SECRET.encode() + b"t").hexdigest(), SECRET, SECRET[:4] + '"']
    assert not any(each.encode() in told for each in [*made, base64.b64encode(SECRET.encode()).decode()])


@pytest.mark.bad_input(152)
def test_a_proof_that_holds_without_the_secret_is_none() -> None:
    body = b"{}"
    headers = {"x-proof": hashlib.sha256(body).hexdigest()}
    assert cause(verify(judged("{'type': 'verify'}"), of_headers(headers, body))) == (401, "not_verified")


def test_an_expression_that_is_the_proof_still_proves_and_shakes_hands() -> None:
    on = judged("$exists(query.token) ? {'body': query.token} : {'status_code': 401}")
    body = b'{"event":"x"}'
    made = hashlib.sha256(SECRET.encode() + body).hexdigest()
    assert isinstance(verify(on, of_headers({"x-proof": made}, body)), Accepted)
    shaken = verify(on, of_headers({}, body, query=b"token=q"))
    assert isinstance(shaken, Handshake)
    assert (shaken.status, shaken.body) == (200, b"q")
    refused = verify(on, of_headers({}, body))
    assert isinstance(refused, Handshake)
    assert refused.status == 401


# -- transforms: a context or events -----------------------------------------------------------------------------------

GENUINE = b'{"event":"invoice.paid","id":"inv_1","amount":1}'


def wrapped(**more: Any) -> bytes:
    """A payload shaped like a context, around an old delivery with its old signature."""
    context = {
        "raw_body": GENUINE.decode(),
        "headers": signed(GENUINE),
        "body": {"event": "invoice.paid", "amount": 9},
        **more,
    }
    return orjson.dumps(context)


@pytest.mark.bad_input(153)
@pytest.mark.parametrize("order", ["truto", "transform_last", "handshake_last", "signature_first"])
@pytest.mark.parametrize(
    "expression", ["body", "$merge([body, {'seen': true}])", "body ~> |$|{'seen': true}|", "$$.body"]
)
def test_a_payload_that_looks_like_a_context_is_a_payload(expression: str, order: str) -> None:
    on = source({"payload_transform": expression}, order=order)
    assert cause(verify(on, of_headers({}, wrapped()))) == (401, "signature_missing")
    body = wrapped()
    outcome = verify(on, of_headers(signed(body), body))
    assert isinstance(outcome, Accepted)
    assert orjson.loads(outcome.events[0].body)["raw_body"] == GENUINE.decode()


@pytest.mark.bad_input(153)
@pytest.mark.parametrize(
    "expression",
    ["$merge([$$, body])", "$merge([body, {'headers': headers}])", "$merge([$$, body, {'raw_body': body.inner}])"],
)
def test_a_transform_that_lets_the_payload_into_what_is_signed_does_not_start(expression: str) -> None:
    with pytest.raises(Faults, match=r"s\.webhook\.payload_transform: merges data"):
        source({"payload_transform": expression})
    on = source({"payload_transform": expression}, order="transform_last")
    assert cause(verify(on, of_headers({}, wrapped()))) == (401, "signature_missing")


@pytest.mark.bad_input(154)
def test_what_stands_around_a_signed_body_is_no_event() -> None:
    on = source({"payload_transform": "$merge([$$, {'raw_body': $base64decode(body.wrapped)}])"})
    outer = {"event": "forged", "wrapped": base64.b64encode(GENUINE).decode()}
    outcome = verify(on, of_headers(signed(GENUINE), orjson.dumps(outer)))
    assert isinstance(outcome, Accepted)
    assert [one.type for one in outcome.events] == ["invoice.paid"]


@pytest.mark.bad_input(155)
def test_a_transform_that_may_give_either_has_to_say_which() -> None:
    either = "( $f := function($c) { $merge([$c, {'note': 1}]) }; $f($$) )"
    with pytest.raises(Faults, match=r"s\.webhook\.payload_transform: .*options\.transform_gives"):
        source({"payload_transform": either})
    on = source({"payload_transform": either}, transform_gives="context")
    outcome = verify(on, of_headers(signed(GENUINE), GENUINE))
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].body == GENUINE
    assert cause(verify(on, of_headers({}, wrapped())))[0] == 401


@pytest.mark.parametrize(("expression", "says"), [("body", "context"), ("$merge([$$, {'a': 1}])", "events")])
def test_what_the_expression_says_is_not_to_be_contradicted(expression: str, says: str) -> None:
    with pytest.raises(Faults, match=r"s\.options\.transform_gives: contradicts"):
        source({"payload_transform": expression}, transform_gives=says)


def test_a_context_that_is_none_is_no_way_in() -> None:
    on = source({"payload_transform": "body.x ? $merge([$$, {'a': 1}])"})
    assert cause(verify(on, of_headers(signed(GENUINE), GENUINE))) == (400, "transform_unusable")


# -- the order of things -----------------------------------------------------------------------------------------------

MONDAY = read_source("monday", {"preset": "monday", "secrets": [SECRET]}, {})


def test_an_unsigned_challenge_is_echoed() -> None:
    outcome = verify(MONDAY, of_headers({}, b'{"challenge":"c"}'))
    assert isinstance(outcome, Handshake)
    assert outcome.body == b'{"challenge":"c"}'


@pytest.mark.bad_input(162)
def test_a_handshake_without_proof_is_small() -> None:
    body = orjson.dumps({"challenge": "c" * MAX_HANDSHAKE_BYTES})
    assert cause(verify(MONDAY, of_headers({"authorization": "x"}, body)))[0] == 401


def test_a_large_delivery_of_such_a_sender_is_taken() -> None:
    sender = next(one for one in SENDERS if one.preset == "monday")
    body = orjson.dumps({"event": {"type": "x", "text": "y" * MAX_HANDSHAKE_BYTES}})
    assert isinstance(verify(sender.source(), sender.delivery(body, sender.secret)), Accepted)


# -- what unproven expressions may cost --------------------------------------------------------------------------------

MAKES_WHAT_IS_SIGNED = "{'raw_body': raw_body, 'body': {'event': 'x', 'found': body.items[id in $$.body.wanted].id}}"
"""Grows with the product of two lists."""
LEAVES_WHAT_IS_SIGNED = "$merge([$$, {'body': {'event': 'x', 'found': body.items[id in $$.body.wanted].id}}])"
MAKES_OBJECTS = "body.items.{'event': 'x', 'a': $}"
COMPARES = (
    "$count(body.items[id in $$.body.wanted]) = 0 and headers.`x-key` = context.webhook_secret"
    " ? {'type': 'payload'} : {'type': 'verify', 'verification_response': {'status_code': 401}}"
)


def lists(items: int, wanted: int) -> bytes:
    rows = [{"id": f"id-{number}", "name": f"Name {number}", "tags": ["a", "b"]} for number in range(items)]
    return orjson.dumps({"event": "x", "items": rows, "wanted": [f"no-{number}" for number in range(wanted)]})


LARGE = lists(11_000, 60_000)


@pytest.mark.bad_input(301)
@pytest.mark.parametrize("signature", [{}, {"x-signature": "0" * 64}, signed(LARGE)], ids=["none", "forged", "genuine"])
def test_what_comes_before_the_proof_ends_after_two_seconds(signature: dict[str, str]) -> None:
    on = source({"payload_transform": MAKES_WHAT_IS_SIGNED})
    began = time.thread_time()
    outcome = verify(on, of_headers(signature, LARGE))
    assert cause(outcome) == (400, "expression_failed")
    assert "limit_time" in outcome.detail  # type: ignore[union-attr]  # a refusal
    assert time.thread_time() - began < 2 * UNPROVEN_SECONDS


@pytest.mark.bad_input(301)
def test_an_expression_that_is_the_proof_ends_after_two_seconds() -> None:
    on = source(
        {"signature_verification": None, "handle_verification": COMPARES},
        verified_by_expression=True,
        order="transform_last",
    )
    assert isinstance(verify(on, of_headers({"x-key": SECRET}, lists(10, 10))), Accepted)
    began = time.thread_time()
    assert cause(verify(on, of_headers({"x-key": "x"}, LARGE)))[1] == "expression_failed"
    assert time.thread_time() - began < 2 * UNPROVEN_SECONDS


def test_a_large_delivery_whose_transform_makes_what_is_signed_is_taken() -> None:
    """It takes more than a small one may."""
    each = "{'raw_body': raw_body, 'body': {'event': 'x', 'found': body.items.(id & ' ' & name & ' ' & $join(tags))}}"
    body = lists(11_000, 0)
    began = time.thread_time()
    assert isinstance(verify(source({"payload_transform": each}), of_headers(signed(body), body)), Accepted)
    assert time.thread_time() - began > LIMITS.seconds


FULL = {
    "objects": b'{"event":"x","items":[' + b",".join([b'{"x":"7"}'] * 99_000) + b"]}",
    "values": b'{"event":"x","items":[' + b",".join([b"7"] * 990_000) + b"]}",
    "bytes": orjson.dumps({"event": "x", "items": [{"id": number, "text": "y" * 400} for number in range(24_000)]}),
}
"""Bodies that have nearly as much of something as the ingress reads."""
OUT_OF_A_HEADER = {
    "prefix": ("$merge([$$, {'signature': $substringAfter(headers.`x-signature`, 'v=')}])", "v="),
    "pairs": (
        "( $p := $split(headers.`x-signature`, ','); $g := function($k){ ($p[$trim($substringBefore($, '=')) = $k]"
        ".$substringAfter($, '='))[0] }; $merge([$$, {'timestamp': $g('t'), 'signature': $g('v1')}]) )",
        "t=1,v1=",
    ),
}
"""As Truto's samples do it for GitHub and for Stripe."""


@pytest.mark.processor_time
@pytest.mark.parametrize("body", FULL.values(), ids=FULL)
@pytest.mark.parametrize(("transform", "prefix"), OUT_OF_A_HEADER.values(), ids=OUT_OF_A_HEADER)
def test_a_signature_is_taken_out_of_a_header_of_the_largest_delivery(transform: str, prefix: str, body: bytes) -> None:
    check_complexity(body)
    compared = {"format": "hmac", "config": {"compare_with": "{{signature}}", "parts": ["raw_body"]}}
    on = source({"payload_transform": transform, "signature_verification": compared})
    assert isinstance(verify(on, of_headers({"x-signature": prefix + digest(body)}, body)), Accepted)


def test_a_look_at_each_of_many_values_is_for_the_proven(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as take longer than what is unproven has, which a fast machine does in less time."""
    monkeypatch.setattr("ingress.verification.expressions.UNPROVEN_SECONDS", 0.05)
    event = "{'event': 'x', 'found': $count(body.items[$ > 5])}"
    body = b'{"event":"x","items":[' + b",".join([b"7"] * 100_000) + b"]}"
    makes_what_is_signed = source({"payload_transform": f"{{'raw_body': raw_body, 'body': {event}}}"})
    assert cause(verify(makes_what_is_signed, of_headers(signed(body), body))) == (400, "expression_failed")
    proven = verify(source({"payload_transform": event}, order="transform_last"), of_headers(signed(body), body))
    assert isinstance(proven, Accepted)
    assert orjson.loads(proven.events[0].body)["found"] == 100_000


@pytest.mark.parametrize("order", ["truto", "transform_last"])
def test_once_the_sender_is_proven_an_expression_has_all_its_time(order: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingress.verification.expressions.UNPROVEN_SECONDS", LIMITS.seconds)
    body = lists(2_000, 8_000)
    proven, unproven = (
        source({"payload_transform": transform}, order=order if transform == LEAVES_WHAT_IS_SIGNED else "truto")
        for transform in (LEAVES_WHAT_IS_SIGNED, MAKES_WHAT_IS_SIGNED)
    )
    assert isinstance(verify(proven, of_headers(signed(body), body)), Accepted)
    assert cause(verify(unproven, of_headers(signed(body), body))) == (400, "expression_failed")


@pytest.mark.bad_input(310)
@pytest.mark.parametrize("transform", [MAKES_OBJECTS, f"{{'body': {{'event': 'x', 'made': ({MAKES_OBJECTS})}}}}"])
def test_an_object_made_of_each_number_of_a_large_body_is_refused(
    transform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingress.verification.expressions.LIMITS", replace(LIMITS, objects=2_000))
    body = orjson.dumps({"items": [1] * 2_100})
    outcome = verify(source({"payload_transform": transform}), of_headers(signed(body), body))
    assert cause(outcome) == (400, "expression_failed")
    assert "limit_size: more than 2000 objects" in outcome.detail  # type: ignore[union-attr]  # a refusal


def test_an_object_made_of_each_object_of_a_large_body_is_taken() -> None:
    body = orjson.dumps({"items": [{"n": number} for number in range(20_000)]})
    check_complexity(body)
    whole = f"{{'body': {{'event': 'x', 'made': ({MAKES_OBJECTS})}}}}"
    assert isinstance(verify(source({"payload_transform": whole}), of_headers(signed(body), body)), Accepted)
    assert LIMITS.objects == MAX_PARTS


# -- transforms that make nothing of the proof -------------------------------------------------------------------------


class Counted:
    """An expression that counts how often it is evaluated."""

    def __init__(self, expression: Any) -> None:
        self.expression = expression
        self.evaluations = 0

    def needs_evaluation(self, context: Any) -> bool:
        return True

    def evaluate(self, context: Any, *, proven: bool) -> Any:
        self.evaluations += 1
        return self.expression.evaluate(context, proven=proven)


APART = {
    "events": "body",
    "the body": "$merge([$$, {'body': body.data}])",
    "a context by name": "{'body': body.data}",
}


@pytest.mark.parametrize("transform", APART.values(), ids=APART)
def test_a_transform_that_makes_nothing_of_the_proof_is_evaluated_for_no_stranger(transform: str) -> None:
    on = source({"payload_transform": transform})
    counted = Counted(on.transform)
    on = replace(on, transform=counted)
    body = orjson.dumps({"event": "x", "data": {"event": "y"}})
    assert cause(verify(on, of_headers({"x-signature": "0" * 64}, body))) == (401, "signature_mismatch")
    assert counted.evaluations == 0
    assert isinstance(verify(on, of_headers(signed(body), body)), Accepted)
    assert counted.evaluations == 1


MAKES = {
    "raw_body": ("{'raw_body': body.inner}", HMAC),
    "headers": ("$merge([$$, {'headers': {'x-signature': body.sig}}])", HMAC),
    "a signed field of the body": (
        "$merge([$$, {'body': body.data}])",
        {"format": "hmac", "config": {"compare_with": "{{headers.x-signature}}", "parts": ["body.inner"]}},
    ),
    "fields of the signature": (
        "$merge([$$, {'signature_fields': {'v': body.sig}}])",
        {"format": "hmac", "config": {"compare_with": "{{signature_fields.v}}", "parts": ["raw_body"]}},
    ),
    "a token in the body": (
        "$merge([$$, {'body': body.data}])",
        {"format": "bearer", "config": {"compare_with": "{{body.token}}"}},
    ),
}


@pytest.mark.parametrize(("transform", "block"), MAKES.values(), ids=MAKES)
def test_a_transform_that_makes_what_is_signed_still_comes_before_the_proof(
    transform: str, block: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"signature_fields": "x-signature"} if "signature_fields" in str(block) else {}
    on = source({"payload_transform": transform, "signature_verification": block}, **options)
    assert not on.proves_early


def test_a_body_that_is_decoded_first_is_verified_as_it_was_signed() -> None:
    inner = orjson.dumps({"event": "y"}).decode()
    on = source({"payload_transform": "{'raw_body': body.inner, 'headers': headers}"})
    body = orjson.dumps({"inner": inner})
    outcome = verify(on, of_headers(signed(inner.encode()), body))
    assert isinstance(outcome, Accepted)
    assert [event.type for event in outcome.events] == ["y"]
    assert cause(verify(on, of_headers(signed(body), body)))[0] == 401


# -- nothing but refusals leaves ---------------------------------------------------------------------------------------


class Broken:
    """A verifier with a defect."""

    def check(self, evidence: Any) -> int:
        raise LookupError(evidence)

    def explain(self, evidence: Any) -> list[str]:
        raise LookupError(evidence)


@pytest.mark.bad_input(159)
def test_a_defect_of_verification_is_a_refusal_that_quotes_nothing() -> None:
    outcome = verify(replace(source({}), verifier=Broken()), of_headers(signed(GENUINE), GENUINE))
    assert cause(outcome) == (401, "verification_failed")
    assert isinstance(outcome, Refusal)
    assert outcome.detail == "LookupError"


@pytest.mark.bad_input(159)
def test_a_defect_behind_the_proof_is_a_refusal_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> str:
        raise LookupError

    monkeypatch.setattr("ingress.verification.events.event_name", broken)
    assert cause(verify(source({}), of_headers(signed(GENUINE), GENUINE))) == (400, "verification_failed")


@pytest.mark.bad_input(159)
def test_a_defect_in_the_way_of_truto_s_own_deliveries_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> tuple[str, str]:
        raise LookupError

    monkeypatch.setattr("ingress.verification.digests.verify", broken)
    outcome = event_of(truto_source([SECRET]), [(b"x-truto-signature", b"x")], GENUINE)
    assert cause(outcome) == (401, "verification_failed")


FORMATS: dict[str, Any] = {
    "hmac": HMAC,
    "timed": {
        "format": "hmac",
        "config": {
            "compare_with": "{{headers.x-signature}}",
            "verification_content": ["{{signature_fields.t}}", ".", "{{body.a}}", "{{sorted_fields}}"],
        },
    },
    "ed25519": {"format": "ed25519", "config": {"compare_with": "{{headers.x-signature}}", "parts": ["raw_body"]}},
    "basic": {"format": "basic"},
    "bearer": {"format": "bearer", "config": {"compare_with": "{{headers.x-signature}}"}},
    "jwt": {"format": "jwt", "config": {"compare_with": "{{headers.x-signature}}"}},
    "standard_webhooks": {"format": "standard_webhooks"},
    "truto": {"format": "truto"},
}
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "order": st.sampled_from(["truto", "transform_last", "handshake_last", "signature_first"]),
        "compare_prefix": st.sampled_from(["", "v1=", "v1,", " "]),
        "signature_separator": st.sampled_from([",", " ", "v"]),
        "signature_fields": st.just("x-signature"),
        "timestamp": st.sampled_from(["{{headers.x-time}}", "{{body.a}}", "{{signature_fields.t}}", "{{path}}"]),
        "timestamp_unit": st.sampled_from(["seconds", "milliseconds", "iso"]),
        "secret_encoding": st.sampled_from(["utf8", "hex", "base64"]),
        "media_types": st.sampled_from([["json"], ["form"], ["multipart"], ["text", "json"]]),
        "get_handshake": st.booleans(),
        "verified_by_expression": st.booleans(),
        "event": st.fixed_dictionaries({"id": st.sampled_from(["{{body.a}}", "{{headers.x-time}}"])}),
        "jwt": st.fixed_dictionaries({"algorithms": st.sampled_from([["HS256"], ["HS512", "HS256"], ["RS256"], []])}),
    },
)
TRANSFORMS = st.sampled_from(
    [None, "body", "$merge([$$, {'a': body}])", "{'raw_body': body.a}", "$$", "body.a.{'x': $}"]
)
HANDLES = st.sampled_from([None, "body.a ? {'body': body.a}", "false", "headers", "{'type': body.a}"])
SECRETS = st.sampled_from([SECRET, "ab" * 32, base64.b64encode(b"k" * 32).decode(), f"user:{SECRET}"])
VALUES = st.sampled_from(
    ["", "a,b", "v1=a,v1=b", "t=1,v1=", "Bearer x", "Basic !", "a.b.c", "\xff", "{{raw_body}}", " , "]
)
BODIES = st.sampled_from(
    [b"", b"{}", b'{"a":1e400}', b'{"a":[1,{}]}', b'{"a":"\\ud800"}', b"a=%zz&b", b"\xff", b"[]", b"{"]
)
TYPES = st.sampled_from(
    ["application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain", ""]
)


@pytest.mark.bad_input(159)
@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_nothing_but_an_outcome_leaves_whatever_is_configured_and_whatever_comes(name: str, data: Any) -> None:
    webhook = {
        "signature_verification": FORMATS[name],
        "payload_transform": data.draw(TRANSFORMS),
        "handle_verification": data.draw(HANDLES),
    }
    try:
        on = source(webhook, secrets=[data.draw(SECRETS)], **data.draw(OPTIONS))
    except Faults:
        return
    names = st.sampled_from(
        ["x-signature", "authorization", "x-time", "x-truto-signature", "webhook-id", "webhook-timestamp"]
    )
    headers = data.draw(st.dictionaries(names, VALUES, max_size=4))
    given_type = data.draw(TYPES)
    delivery = of_headers(
        {**headers, "content-type": given_type}, data.draw(BODIES), method=data.draw(st.sampled_from(["POST", "GET"]))
    )
    outcome = verify(on, delivery)
    if isinstance(outcome, Refusal):
        assert outcome.status in (400, 401, 405)
        assert outcome.logged_reason != "verification_failed"
    else:
        assert isinstance(outcome, Handshake | Ignored)
    assert not isinstance(outcome, Verified)
