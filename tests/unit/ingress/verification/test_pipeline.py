"""Transform, handshake, signature, events: in the right order, and never past a proof that fails."""

from __future__ import annotations

import hmac
import re
from typing import Any

import orjson
import pytest

from events import MalformedEvent
from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.contents import write_json
from ingress.verification.outcome import Accepted, Handshake, Ignored
from ingress.verification.pipeline import context_of
from tests.unit.ingress.sources.senders import OTHER, SECRET, of_headers, verify

HMAC: dict[str, Any] = {
    "format": "hmac",
    "config": {"compare_with": "{{headers.x-signature}}", "parts": ["raw_body"]},
}
BODY = b'{"event":"ping","id":"e-1","n":18446744073709551616}'


def source(webhook: dict[str, Any] | None = None, **more: Any) -> Source:
    options = {key: value for key, value in more.items() if key not in ("secrets", "context", "environment_variables")}
    own = {key: value for key, value in more.items() if key not in options}
    block = {"signature_verification": HMAC, **(webhook or {})}
    block = {key: value for key, value in block.items() if value is not None}
    return read_source("s", {"webhook": block, "secrets": [SECRET], **own, "options": options}, {})


def config(**fields: Any) -> dict[str, Any]:
    merged = {**HMAC["config"], **fields}
    return {"signature_verification": {"format": "hmac", "config": {k: v for k, v in merged.items() if v is not None}}}


def signed(body: bytes, secret: str = SECRET, **headers: str) -> dict[str, str]:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"x-signature": hmac.digest(secret.encode(), body, "sha256").hex(), **given}


def cause(outcome: Any) -> tuple[int, str]:
    assert isinstance(outcome, Refusal), outcome
    return outcome.status, outcome.logged_reason


# -- signatures --------------------------------------------------------------------------------------------------------


def test_the_bytes_of_an_accepted_event_are_the_bytes_that_came() -> None:
    outcome = verify(source(), of_headers(signed(BODY), BODY))
    assert isinstance(outcome, Accepted)
    (event,) = outcome.events
    assert (event.body, event.raw, event.type) == (BODY, b"", "ping")


def test_the_signature_of_one_source_does_not_open_another() -> None:
    other = source(secrets=[OTHER])
    assert cause(verify(other, of_headers(signed(BODY), BODY))) == (401, "signature_mismatch")


def test_upper_case_hex_is_accepted() -> None:
    headers = {"x-signature": signed(BODY)["x-signature"].upper()}
    assert isinstance(verify(source(), of_headers(headers, BODY)), Accepted)


GOOD = signed(BODY)["x-signature"]
SIXTY_FOUR = "A" * 64


@pytest.mark.parametrize(
    "value",
    [
        "",
        " ",
        GOOD[:16],
        " ".join([GOOD[:32], GOOD[32:]]),
        "sha256=" + GOOD,
        GOOD + ",",
        GOOD + "00",
        "\uff46" * 64,
        "{{headers.x-signature}}",
        SIXTY_FOUR,
    ],
    ids=["empty", "space", "cut", "spaced", "prefixed", "comma", "longer", "full-width", "template", "wrong"],
)
def test_anything_but_the_digest_is_refused(value: str) -> None:
    raw = [(b"x-signature", value.encode("utf-8"))]
    delivery = of_headers({}, BODY)
    assert cause(verify(source(), type(delivery)(raw, BODY)))[0] == 401


@pytest.mark.parametrize(
    ("string_type", "spoil"),
    [
        ("base64", lambda t: t.replace("+", "-").replace("/", "_").rstrip("=")),
        ("base64", lambda t: t + "AA"),
        ("base64", lambda t: t[:20] + "\n" + t[20:]),
        ("base64url", lambda t: t + "=="),
        ("hex", lambda t: t + "="),
    ],
    ids=["urlsafe-for-base64", "after-padding", "junk-inside", "too-much-padding", "hex-with-padding"],
)
def test_only_the_canonical_spelling_counts(string_type: str, spoil: Any) -> None:
    import base64

    made = hmac.digest(SECRET.encode(), BODY, "sha256")
    text = {
        "hex": made.hex(),
        "base64": base64.b64encode(made).decode(),
        "base64url": base64.urlsafe_b64encode(made).decode().rstrip("="),
    }[string_type]
    on = source(config(string_type=string_type))
    assert isinstance(verify(on, of_headers({"x-signature": text}, BODY)), Accepted)
    spoiled = spoil(text)
    if spoiled != text:
        assert cause(verify(on, of_headers({"x-signature": spoiled}, BODY)))[0] == 401


def test_a_base64_digest_whose_last_character_has_other_spare_bits_is_refused() -> None:
    import base64

    text = base64.b64encode(hmac.digest(SECRET.encode(), BODY, "sha256")).decode()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    spoiled = text[:-2] + alphabet[alphabet.index(text[-2]) ^ 1] + "="
    assert base64.b64decode(spoiled) == base64.b64decode(text)
    on = source(config(string_type="base64"))
    assert cause(verify(on, of_headers({"x-signature": spoiled}, BODY)))[0] == 401


@pytest.mark.parametrize("algorithm", ["sha1", "SHA-1", "sha256", "SHA256", "sha-384", "sha512"])
def test_every_algorithm_is_known_in_every_spelling(algorithm: str) -> None:
    made = hmac.digest(SECRET.encode(), BODY, algorithm.lower().replace("-", "")).hex()
    on = source(config(algorithm=algorithm))
    assert isinstance(verify(on, of_headers({"x-signature": made}, BODY)), Accepted)
    assert (
        cause(verify(source(config(algorithm="sha256")), of_headers({"x-signature": "0" * len(made)}, BODY)))[0] == 401
    )


def test_md5_works_where_it_was_asked_for() -> None:
    made = hmac.digest(SECRET.encode(), BODY, "md5").hex()
    on = source(config(algorithm="md5"), allow_md5=True)
    assert isinstance(verify(on, of_headers({"x-signature": made}, BODY)), Accepted)


@pytest.mark.parametrize(
    ("encoding", "text"), [("base64", "a2V5IG9mIG1vcmUgdGhhbiBzaXh0ZWVu"), ("hex", b"key of more than sixteen".hex())]
)
def test_a_secret_may_be_written_encoded(encoding: str, text: str) -> None:
    on = source(secrets=[text], secret_encoding=encoding)
    assert isinstance(verify(on, of_headers(signed(BODY, "key of more than sixteen"), BODY)), Accepted)


MANY: dict[str, Any] = {"signature_separator": ",", "compare_prefix": "v1="}


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        (f"v1={GOOD}", True),
        (f"v1={'0' * 64}, v1={GOOD}", True),
        (f"v1={GOOD},v1={'0' * 64}", True),
        (f"v0={GOOD}", False),
        (f"v1={'0' * 64}", False),
        ("v1=", False),
        ("v1=,v1=", False),
        (f"V1={GOOD}", False),
        (f"v1=={GOOD}", False),
        (",".join([f"v1={'0' * 64}"] * 1000), False),
    ],
    ids=["one", "second", "first", "v0-only", "wrong", "empty", "empties", "capital", "equals", "thousand"],
)
def test_of_several_signatures_one_has_to_be_right(value: str, taken: bool) -> None:
    outcome = verify(source(**MANY), of_headers({"x-signature": value}, BODY))
    assert isinstance(outcome, Accepted) is taken
    assert taken or cause(outcome)[0] == 401


def test_a_placeholder_that_finds_nothing_is_refused_whoever_signs_its_text() -> None:
    on = source(config(parts=None, verification_content=["{{headers.x-time}}", "{{raw_body}}"]))
    forged = hmac.digest(SECRET.encode(), b"{{headers.x-time}}" + BODY, "sha256").hex()
    assert cause(verify(on, of_headers({"x-signature": forged}, BODY))) == (401, "signed_content_missing")


def test_a_secret_cannot_come_from_the_delivery() -> None:
    on = source({"payload_transform": "$merge([$$, {'context': {'webhook_secret': body.k}, 'raw_body': raw_body}])"})
    body = orjson.dumps({"event": "x", "k": OTHER})
    assert cause(verify(on, of_headers(signed(body, OTHER), body))) == (401, "signature_mismatch")
    assert isinstance(verify(on, of_headers(signed(body), body)), Accepted)


def test_both_spellings_of_references_mean_the_same() -> None:
    block = config(parts=["$body"], compare_with="v0=$header.X-Signature", secret="{{credentials.webhook_secret}}")
    made = signed(BODY)["x-signature"]
    on = source(block, compare_prefix="v0=")
    assert isinstance(verify(on, of_headers({"x-signature": made}, BODY)), Accepted)
    other = source(config(secret="{{env.KEY}}"), secrets=[], environment_variables={"KEY": SECRET})
    assert isinstance(verify(other, of_headers(signed(BODY), BODY)), Accepted)


# -- time --------------------------------------------------------------------------------------------------------------

TIMED = config(parts=None, verification_content=["{{headers.x-time}}", ".", "{{raw_body}}"])


def timed(moment: str) -> dict[str, str]:
    return {**signed(moment.encode("latin-1") + b"." + BODY), "x-time": moment}


@pytest.mark.parametrize(
    ("moment", "taken"),
    [
        ("1699999700", True),
        ("1699999699", False),
        ("1700000300", True),
        ("1700000301", False),
        ("nan", False),
        ("inf", False),
        ("1e9", False),
        ("1_700_000_000", False),
        ("+1700000000", False),
        (" 1700000000", False),
        ("1700000000 ", False),
        ("1" * 25, False),
        ("1700000000000", False),
        ("-1700000000", False),
        ("1700000000.0", False),
        ("0x6553f100", False),
        ("1700000000\n", False),
        ("\xb9", False),
    ],
)
def test_a_timestamp_is_a_plain_number_of_seconds_close_to_now(moment: str, taken: bool) -> None:
    outcome = verify(
        source(TIMED, timestamp="{{headers.x-time}}", tolerance_seconds=300), of_headers(timed(moment), BODY)
    )
    assert isinstance(outcome, Accepted) is taken
    assert taken or cause(outcome)[0] == 401


@pytest.mark.parametrize(
    "moment", ["1700000000", "2023-11-14", "2023-11-14T22:13:20Zjunk", "now", "2023-13-14T22:13:20Z"]
)
def test_an_iso_time_is_nothing_else(moment: str) -> None:
    on = source(TIMED, timestamp="{{headers.x-time}}", timestamp_unit="iso")
    assert cause(verify(on, of_headers(timed(moment), BODY))) == (401, "timestamp_malformed")


@pytest.mark.parametrize("moment", ["2023-11-14T22:13:20Z", "2023-11-14T23:13:20+01:00", "2023-11-14 22:13:20.123"])
def test_an_iso_time_is_read_with_and_without_a_zone(moment: str) -> None:
    on = source(TIMED, timestamp="{{headers.x-time}}", timestamp_unit="iso")
    assert isinstance(verify(on, of_headers(timed(moment), BODY)), Accepted)


def test_full_width_digits_are_no_number() -> None:
    body = orjson.dumps({"event": "x", "at": "".join(chr(0xFF10 + int(digit)) for digit in "1700000000")})
    on = source(timestamp="{{body.at}}")
    assert cause(verify(on, of_headers(signed(body), body))) == (401, "timestamp_malformed")


def test_a_missing_timestamp_is_refused() -> None:
    assert cause(verify(source(timestamp="{{body.at}}"), of_headers(signed(BODY), BODY))) == (401, "timestamp_missing")


def test_two_timestamps_in_one_header_are_none() -> None:
    given = {"preset": "stripe", "secrets": [SECRET]}
    made = hmac.digest(SECRET.encode(), b"1700000000." + BODY, "sha256").hex()
    for header in (f"t=1700000000,t=1,v1={made}", f"t=1700000000,v1={made},t=1700000000"):
        outcome = verify(read_source("s", given, {}), of_headers({"stripe-signature": header}, BODY))
        assert cause(outcome)[0] == 401


# -- who may send ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("client", "header", "taken"),
    [
        ("192.0.2.7", None, True),
        ("::ffff:192.0.2.7", None, True),
        ("192.0.3.7", None, False),
        ("2001:db8::1", None, True),
        (None, None, False),
        ("nobody", None, False),
    ],
)
def test_only_listed_addresses_may_send(client: str | None, header: str | None, taken: bool) -> None:
    on = source(ip_allow_list=["192.0.2.0/24", "2001:db8::/32"])
    outcome = verify(on, of_headers(signed(BODY), BODY, client=client))
    assert isinstance(outcome, Accepted) is taken
    assert taken or cause(outcome) == (401, "client_not_allowed")


@pytest.mark.parametrize(
    ("forwarded", "taken"),
    [("192.0.2.7", True), ("203.0.113.9, 192.0.2.7", True), ("192.0.2.7, 203.0.113.9", False), ("", False)],
)
def test_behind_a_proxy_only_its_own_word_counts(forwarded: str, taken: bool) -> None:
    on = source(ip_allow_list=["192.0.2.0/24"], client_ip_header="X-Forwarded-For")
    headers = {**signed(BODY), "x-forwarded-for": forwarded}
    assert isinstance(verify(on, of_headers(headers, BODY, client="192.0.2.1")), Accepted) is taken


@pytest.mark.bad_input(244)
@pytest.mark.parametrize(
    ("forwarded", "taken"), [("192.0.2.7, 10.0.0.9", True), ("6.6.6.6, 10.0.0.9", False), ("192.0.2.7", False)]
)
def test_behind_two_proxies_the_outer_ones_word_counts(forwarded: str, taken: bool) -> None:
    on = source(ip_allow_list=["192.0.2.0/24"], client_ip_header="X-Forwarded-For", trusted_proxies=2)
    headers = {**signed(BODY), "x-forwarded-for": forwarded}
    assert isinstance(verify(on, of_headers(headers, BODY, client="192.0.2.1")), Accepted) is taken


# -- handshakes --------------------------------------------------------------------------------------------------------


def decided(expression: str, body: bytes = BODY, **more: Any) -> Any:
    return verify(source({"handle_verification": expression}, **more), of_headers({}, body))


@pytest.mark.parametrize(
    ("expression", "status", "content"),
    [
        ("{'type':'verify'}", 200, b""),
        ("{'type':'verify','verification_response':{'status_code':204,'body':'gone'}}", 204, b""),
        ("{'type':'verify','verification_response':{'body':{'challenge':body.id}}}", 200, b'{"challenge":"e-1"}'),
        ("{'type':'verify','verification_response':{'statusCode':202,'body':body.id}}", 202, b"e-1"),
        ("{'statusCode':200,'body':'ok'}", 200, b"ok"),
        ("{'status_code':418}", 418, b""),
        ("{'body':[1]}", 200, b"[1]"),
        ("{'verification_response':{'body':'x'}}", 200, b"x"),
    ],
)
def test_a_handshake_is_answered_as_the_expression_says(expression: str, status: int, content: bytes) -> None:
    outcome = decided(expression)
    assert isinstance(outcome, Handshake), outcome
    assert (outcome.status, outcome.body) == (status, content)
    assert outcome.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("expression", ["{'type':'meta'}", "false"])
def test_a_meta_delivery_is_taken_and_queues_nothing(expression: str) -> None:
    assert decided(expression) == Ignored("meta")


@pytest.mark.parametrize(
    "expression", ["{'type':'payload'}", "null", "nothing.here", "true", "{}", "{'type':null}", "{'update_context':{}}"]
)
def test_everything_else_that_is_documented_goes_on_to_the_signature(expression: str) -> None:
    assert cause(decided(expression)) == (401, "signature_missing")
    on = source({"handle_verification": expression})
    assert isinstance(verify(on, of_headers(signed(BODY), BODY)), Accepted)


@pytest.mark.parametrize(
    "expression",
    [
        "{'type':'Payload'}",
        "{'type':'accept'}",
        "{'type':7}",
        "'payload'",
        "[]",
        "[{'type':'payload'},1]",
        "1",
        "{'type':'verify','verification_response':'ok'}",
        "{'type':'verify','verification_response':{'status_code':99}}",
        "{'type':'verify','verification_response':{'status_code':'200'}}",
        "{'type':'verify','verification_response':{'status_code':true}}",
        "{'type':'verify','verification_response':{'headers':'x'}}",
        "{'type':'verify','verification_response':{'headers':{'a':'b\\r\\nc: d'}}}",
        "{'type':'verify','verification_response':{'headers':{'a b':'c'}}}",
        "{'type':'verify','verification_response':{'headers':{'Content-Length':'7'}}}",
        "{'type':'verify','verification_response':{'headers':{'a':[1]}}}",
        "{'type':'payload','update_context':'x'}",
        "{'type':'verify','update_context':{'':1}}",
        "{'type':'verify','update_context':{'x':$join([1..9000].$string($))}}",
        "$error('no')",
        "$unknown(1)",
    ],
)
def test_a_result_that_is_not_documented_never_goes_on(expression: str) -> None:
    on = source({"handle_verification": expression})
    outcome = verify(on, of_headers(signed(BODY), BODY))
    assert cause(outcome)[0] == 400


def test_without_its_secret_a_source_takes_nothing() -> None:
    on = read_source("s", {"preset": "asana"}, {})
    assert cause(verify(on, of_headers({"x-hook-signature": "0" * 64}, b"{}"))) == (401, "secret_missing")


def test_a_payload_may_update_the_context_once_it_is_authentic() -> None:
    on = source({"handle_verification": "{'type':'payload','update_context':{'seen': body.id}}"})
    assert cause(verify(on, of_headers({}, BODY)))[0] == 401
    outcome = verify(on, of_headers(signed(BODY), BODY))
    assert isinstance(outcome, Accepted)
    assert outcome.update_context == {"seen": "e-1"}


def test_a_get_only_shakes_hands() -> None:
    on = read_source("s", {"preset": "dropbox", "secrets": [SECRET]}, {})
    asked = verify(on, of_headers({}, b"", method="GET", query=b"challenge=c%201"))
    assert isinstance(asked, Handshake)
    assert (asked.body, asked.headers["content-type"]) == (b"c 1", "text/plain")
    made = hmac.digest(SECRET.encode(), BODY, "sha256").hex()
    assert cause(verify(on, of_headers({"x-dropbox-signature": made}, BODY, method="GET"))) == (
        405,
        "method_not_allowed",
    )


def test_a_repeated_query_parameter_is_none() -> None:
    on = read_source("s", {"preset": "dropbox", "secrets": [SECRET]}, {})
    outcome = verify(on, of_headers({}, b"", method="GET", query=b"challenge=a&challenge=b"))
    assert cause(outcome) == (405, "method_not_allowed")


def test_a_discord_ping_is_answered_only_when_it_is_signed() -> None:
    from tests.unit.ingress.sources.senders import DISCORD, discord

    on = read_source("s", {"preset": "discord", "secrets": [DISCORD.public_key().public_bytes_raw().hex()]}, {})
    ping = b'{"type":1}'
    answered = verify(on, of_headers(discord(ping, ""), ping))
    assert isinstance(answered, Handshake)
    assert answered.body == b'{"type":1}'
    assert cause(verify(on, of_headers({**discord(ping, ""), "x-signature-ed25519": "00" * 64}, ping)))[0] == 401
    assert cause(verify(on, of_headers({**discord(ping, ""), "x-signature-ed25519": "zz"}, ping)))[0] == 401


def test_an_expression_that_is_the_proof_has_to_say_so() -> None:
    for expression in ("nothing", "true", "{}", "null"):
        on = source({"signature_verification": None, "handle_verification": expression}, verified_by_expression=True)
        assert cause(verify(on, of_headers({}, BODY))) == (401, "not_verified")


# -- transforms --------------------------------------------------------------------------------------------------------


def test_a_transform_may_unwrap_the_body_into_several_events() -> None:
    on = source({"payload_transform": "$merge([$$, {'body': body.list}])"}, event={"id": "{{body.k}}"})
    body = orjson.dumps({"list": [{"event": "a", "k": 1}, {"event": "b", "k": 2}]})
    outcome = verify(on, of_headers(signed(body), body))
    assert isinstance(outcome, Accepted)
    assert [(one.type, one.id, one.body, one.raw) for one in outcome.events] == [
        ("a", "1", b'{"event":"a","k":1}', b""),
        ("b", "2", b'{"event":"b","k":2}', b""),
    ]


def test_a_transform_may_give_events_instead_of_a_context() -> None:
    for order in ("truto", "transform_last"):
        on = source({"payload_transform": "body.list.{'event_type': $, 'from': $$.headers.host}"}, order=order)
        body = b'{"list":["a","b"]}'
        outcome = verify(on, of_headers(signed(body, host="h"), body))
        assert isinstance(outcome, Accepted)
        assert [one.type for one in outcome.events] == ["a", "b"]
        assert cause(verify(on, of_headers({}, body)))[0] == 401


def test_one_event_of_a_transform_keeps_the_delivery_as_it_came() -> None:
    on = source({"payload_transform": "{'event': 'made'}"})
    outcome = verify(on, of_headers(signed(BODY), BODY))
    assert isinstance(outcome, Accepted)
    assert (outcome.events[0].body, outcome.events[0].raw) == (b'{"event":"made"}', BODY)


@pytest.mark.parametrize("expression", ["null", "nothing", "[]"])
def test_a_transform_without_events_is_taken_once_it_is_authentic(expression: str) -> None:
    on = source({"payload_transform": expression})
    assert cause(verify(on, of_headers({}, BODY)))[0] == 401
    assert verify(on, of_headers(signed(BODY), BODY)) == Ignored("no_events")


@pytest.mark.parametrize(
    "expression",
    [
        "1",
        "'x'",
        "true",
        "$error('x')",
        "{'headers': 1}",
        "{'raw_body': 7}",
        "[1]",
        "[{'event':'a'}, 'b']",
        "[1..2000].{'event':'x'}",
    ],
)
def test_a_transform_that_fails_or_gives_something_else_is_no_way_in(expression: str) -> None:
    on = source({"payload_transform": expression})
    assert cause(verify(on, of_headers({}, BODY)))[0] in (400, 401)
    assert cause(verify(on, of_headers(signed(BODY), BODY)))[0] == 400


def test_a_transform_may_decode_a_body_before_it_is_verified() -> None:
    import base64

    inner = b'{"event":"inner"}'
    body = orjson.dumps({"wrapped": base64.b64encode(inner).decode()})
    expression = "$merge([$sift($$, function($v, $k) { $k != 'body' }), {'raw_body': $base64decode(body.wrapped)}])"
    on = source({"payload_transform": expression})
    outcome = verify(on, of_headers(signed(inner), body))
    assert isinstance(outcome, Accepted), outcome
    assert (outcome.events[0].type, outcome.events[0].raw) == ("inner", body)


def test_a_transform_that_leaves_the_body_alone_leaves_its_bytes_alone() -> None:
    body = b'{ "event" : "spaced",  "n": 1.0 }'
    on = source({"payload_transform": "$merge([$$, {'x': 1}])"})
    outcome = verify(on, of_headers(signed(body), body))
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].body == body


def test_a_body_that_is_not_utf8_is_refused_by_expressions_and_signed_by_others() -> None:
    body = b'{"event":"\xff"}'
    assert cause(verify(source({"handle_verification": "null"}), of_headers(signed(body), body))) == (400, "not_utf8")
    assert isinstance(verify(source(), of_headers(signed(body), body)), Accepted)


# -- bodies ------------------------------------------------------------------------------------------------------------

BODIES = {
    "empty": (b"", "not_json"),
    "not-json": (b"nope", "not_json"),
    "scalar": (b"7", "not_an_object"),
    "array": (b"[1]", "not_an_object"),
    "deep": (b"[" * 100_000, "not_json"),
    "nul-in-name": (b'{"event":"a\\u0000b"}', "event_name_malformed"),
    "long-name": (orjson.dumps({"event": "x" * 10_000}), "event_name_malformed"),
    "ten-megabytes-of-arrays": (b"[" + b"[]," * 3_300_000 + b"[]]", "too_complex"),
}


@pytest.mark.parametrize("name", BODIES)
def test_an_authentic_body_without_an_event_is_malformed(name: str) -> None:
    body, reason = BODIES[name]
    assert cause(verify(source(), of_headers(signed(body), body))) == (400, reason)
    assert cause(verify(source(), of_headers({}, body)))[0] == 401


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"event":"first","event":"last"}', "last"),
        (b'{"event":"x","__proto__":{"a":1},"__class__":"y"}', "x"),
        (b'{"event":"x","id":18446744073709551616}', "x"),
        (b'{"eventType":"x"}', "x"),
        (b'{"nothing":"x"}', "unnamed"),
        (b'{"event":7}', "unnamed"),
    ],
    ids=["twice", "prototype", "big-id", "third-spelling", "unnamed", "no-text"],
)
def test_odd_but_valid_objects_are_kept_byte_for_byte(body: bytes, name: str) -> None:
    outcome = verify(source(), of_headers(signed(body), body))
    assert isinstance(outcome, Accepted)
    assert (outcome.events[0].type, outcome.events[0].body) == (name, body)


def test_an_expression_sees_what_could_be_read() -> None:
    body = b'{"event":"x","title":"\\ud83d"}'
    outcome = verify(
        source({"payload_transform": "{'event': body.title}"}, order="transform_last"), of_headers(signed(body), body)
    )
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].type == "\ufffd"


def test_an_event_keeps_the_headers_that_its_source_names_and_no_others() -> None:
    on = source(headers=["X-Delivery", "X-Long"])
    more = {"x-delivery": "d-1", "x-long": "x" * 1025, "x-other": "o", "authorization": "secret"}
    outcome = verify(on, of_headers({**signed(BODY), **more}, BODY))
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].headers == {"x-delivery": "d-1"}


def form(body: bytes, **options: Any) -> Any:
    on = source(media_types=["form"], **options)
    return verify(on, of_headers(signed(body, content_type="application/x-www-form-urlencoded"), body))


def test_the_json_in_a_forms_field_is_the_event() -> None:
    body = b"payload=%7B%22type%22%3A%22view_submission%22%2C%22trigger_id%22%3A%22t%22%7D"
    outcome = form(body, form_field="payload", event={"type": "{{body.type}}", "id": "{{body.trigger_id}}"})
    (event,) = outcome.events
    assert (event.type, event.id) == ("view_submission", "t")
    assert event.body == b'{"type":"view_submission","trigger_id":"t"}'
    assert event.raw == body


@pytest.mark.parametrize("field", [b"&payload=hello", b"&payload=%5B1%5D", b"&payload=%7B", b""])
def test_a_form_without_an_object_in_that_field_is_its_fields(field: bytes) -> None:
    (event,) = form(b"event=x" + field, form_field="payload").events
    assert orjson.loads(event.body)["event"] == "x"


@pytest.mark.parametrize(("keys", "taken"), [(199_998, True), (199_999, False)])
def test_hundreds_of_thousands_of_keys_are_one_too_many(keys: int, taken: bool) -> None:
    """The object itself counts too."""
    body = orjson.dumps({"event": "x", **{str(number): number for number in range(keys - 1)}})
    assert isinstance(verify(source(), of_headers(signed(body), body)), Accepted) is taken


def test_a_form_becomes_an_object_and_keeps_its_body() -> None:
    body = b"event=x&a=1&a=2&a=3&b="
    on = source(media_types=["form"])
    outcome = verify(on, of_headers(signed(body, content_type="application/x-www-form-urlencoded"), body))
    assert isinstance(outcome, Accepted)
    assert orjson.loads(outcome.events[0].body) == {"event": "x", "a": ["1", "2", "3"], "b": ""}
    assert outcome.events[0].raw == body


def test_a_form_of_too_many_fields_is_malformed() -> None:
    body = b"&".join([b"a=1"] * 2000)
    on = source(media_types=["form"])
    outcome = verify(on, of_headers(signed(body, content_type="application/x-www-form-urlencoded"), body))
    assert cause(outcome) == (400, "form_malformed")


def test_text_is_taken_where_it_is_json() -> None:
    on = source(media_types=["text"])
    assert isinstance(verify(on, of_headers(signed(BODY, content_type="text/plain"), BODY)), Accepted)
    assert cause(verify(on, of_headers(signed(b"hi", content_type="text/plain"), b"hi"))) == (400, "not_an_object")


@pytest.mark.bad_input(43)
@pytest.mark.parametrize("value", ["x" * 10_000, "a\nb", "a:b\x00"], ids=["long", "newline", "nul"])
def test_an_id_that_is_not_safe_is_hashed(value: str) -> None:
    body = orjson.dumps({"event": "x", "key": value})
    outcome = verify(source(event={"id": "{{body.key}}"}), of_headers(signed(body), body))
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].id.startswith("sha256:")


@pytest.mark.bad_input(43)
def test_an_id_is_never_a_key_of_the_store() -> None:
    body = orjson.dumps({"event": "x", "key": "tw:queue"})
    outcome = verify(source(event={"id": "{{body.key}}"}), of_headers(signed(body), body))
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].id == "tw:queue"
    assert re.fullmatch("[0-9a-f]{32}", outcome.events[0].key)


@pytest.mark.bad_input(42)
def test_without_anything_to_know_it_by_each_delivery_is_an_event() -> None:
    first, second = (verify(source(), of_headers(signed(BODY), BODY)) for _ in "12")
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.events[0].id != second.events[0].id
    assert first.events[0].id.startswith("sha256:")


def test_what_is_compared_by_an_expression_needs_its_secret() -> None:
    given = {"preset": "hubspot-v1", "context": {"webhook_secret": SECRET}}
    on = read_source("s", given, {})
    import hashlib

    made = hashlib.sha256(SECRET.encode() + b"[]").hexdigest()
    assert verify(on, of_headers({"x-hubspot-signature": made}, b"[]")) == Ignored("no_events")
    late = {"signature_verification": None, "handle_verification": "{'type':'payload','update_context':{}}"}
    with pytest.raises(Faults, match=r"s\.secrets: .* has no value"):
        source(late, verified_by_expression=True, secrets=[])


@pytest.mark.parametrize("value", ["\ud800", {"a": ["\udfff"]}, b"bytes"], ids=["text", "nested", "bytes"])
def test_text_that_no_json_can_carry_is_malformed(value: Any) -> None:
    with pytest.raises(MalformedEvent) as caught:
        write_json(value)
    assert caught.value.reason == "not_json"


def test_an_alias_of_the_environment_is_seen_by_expressions() -> None:
    on = source(
        {"handle_verification": "env.MODE = 'meta' ? {'type': 'meta'} : {'type': 'payload'}"},
        environment_variables={"MODE": "meta"},
    )
    assert verify(on, of_headers(signed(BODY), BODY)) == Ignored("meta")


def test_a_context_is_a_mapping_of_everything_that_can_be_named() -> None:
    on = source(public_url="https://you.example")
    context = context_of(on, of_headers({"x-a": "1"}, BODY, query=b"&".join([b"a=1"] * 2000)), on.account({}))
    assert set(context) == {*context.plain(), "sorted_fields", "low_bytes", "crc32", "url_decoded", "url_other_port"}
    assert len(context) == len(set(context))
    assert (context["query"], context.get("nothing", 7)) == ({}, 7)


def test_a_signature_header_of_too_many_pairs_has_no_fields() -> None:
    on = read_source("s", {"preset": "stripe", "secrets": [SECRET]}, {})
    header = ",".join(["x=1"] * 60)
    assert cause(verify(on, of_headers({"stripe-signature": f"t=1700000000,{header}"}, BODY)))[0] == 401


def test_a_transformed_body_that_cannot_be_read_is_malformed() -> None:
    on = source({"payload_transform": "{'headers': headers, 'raw_body': 'nope'}"})
    made = signed(b"nope")
    assert cause(verify(on, of_headers(made, BODY))) == (400, "not_json")
