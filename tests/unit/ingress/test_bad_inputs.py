"""The inputs of docs/bad-inputs.md that one look at headers and body answers, each under its number there.

Those that need a server, a store or an issuer of keys carry their numbers where they are tested.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import socket
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.loading import read_source
from ingress.sources.source import Source, truto_source
from ingress.verification import check_head
from ingress.verification.context import Delivery
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import NOW, OTHER, OTHER_WHSEC, SECRET, WHSEC, event_of, of_headers, verify
from tests.unit.ingress.verification.test_tokens import (
    CLAIMS,
    HEADER,
    HS,
    JWKS,
    KEYS,
    RSA,
    by_hand,
    by_key,
    outcome_of,
    pem,
    signed,
    with_claims,
    without,
)
from tests.unit.ingress.verification.test_tokens import source as token_source
from truto.signature import sign as sign_as_truto

ROOT = Path(__file__).parents[3]
BODY = b'{"id":"e-1","event":"ping"}'
MOMENT = str(int(NOW))
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
FULL_WIDTH = "".join(chr(0xFF10 + int(digit)) for digit in MOMENT)

GITHUB = read_source("github", {"preset": "github", "secrets": [SECRET]}, {})
SHOPIFY = read_source("shopify", {"preset": "shopify", "secrets": [SECRET]}, {})
STRIPE = read_source("stripe", {"preset": "stripe", "secrets": [OTHER, SECRET]}, {})
STANDARD = read_source("standard", {"preset": "standard-webhooks", "secrets": [OTHER_WHSEC, WHSEC]}, {})
PAGERDUTY = read_source("pagerduty", {"preset": "pagerduty", "secrets": [SECRET]}, {})
SLACK = read_source("slack", {"preset": "slack", "secrets": [SECRET]}, {})
GITLAB = read_source("gitlab", {"preset": "gitlab", "secrets": [SECRET]}, {})


def words(format_name: str, **more: Any) -> Source:
    return read_source("s", {"webhook": {"signature_verification": {"format": format_name}}, **more}, {})


TOKEN = "a-token-of-more-than-sixteen-bytes"
BEARER = words("bearer", secrets=[TOKEN])
PASSWORD = "pass:word:with:colons"
BASIC = words("basic", secrets=[f"user:{PASSWORD}"])


@dataclass(frozen=True)
class Sent:
    """What came to a source, and from when it is."""

    source: Source
    headers: Mapping[str, str] | list[tuple[bytes, bytes]]
    body: bytes = BODY
    query: bytes = b""

    def outcome(self) -> Any:
        if isinstance(self.headers, list):
            return verify(self.source, Delivery(self.headers, self.body, query=self.query))
        return verify(self.source, of_headers(self.headers, self.body, query=self.query))


def digest(body: bytes = BODY, secret: str = SECRET, algorithm: str = "sha256") -> bytes:
    return hmac.digest(secret.encode(), body, algorithm)


def b64(data: bytes | str) -> str:
    return base64.b64encode(data if isinstance(data, bytes) else data.encode()).decode()


def github(value: str, body: bytes = BODY) -> Sent:
    return Sent(GITHUB, {"x-hub-signature-256": value}, body)


def github_twice(first: str, second: str) -> Sent:
    return Sent(GITHUB, [(b"x-hub-signature-256", value.encode()) for value in (first, second)])


def shopify(value: str) -> Sent:
    return Sent(SHOPIFY, {"x-shopify-hmac-sha256": value})


def stripe(value: str) -> Sent:
    return Sent(STRIPE, {"stripe-signature": value})


def linear(body: bytes) -> Sent:
    return Sent(LINEAR, {"linear-signature": digest(body).hex()}, body)


def pagerduty(value: str) -> Sent:
    return Sent(PAGERDUTY, {"x-pagerduty-signature": value})


def slack(moment: str) -> Sent:
    made = digest(b"v0:%b:%b" % (moment.encode("latin-1"), BODY)).hex()
    return Sent(SLACK, {"x-slack-request-timestamp": moment, "x-slack-signature": f"v0={made}"})


def standard(event_id: str, moment: str, body: bytes, content: bytes) -> Sent:
    signature = "v1," + b64(digest(content))
    headers = {"webhook-id": event_id, "webhook-timestamp": moment, "webhook-signature": signature}
    return Sent(STANDARD, headers, body)


def authorization(source: Source, value: str, query: bytes = b"") -> Sent:
    return Sent(source, {"authorization": value}, query=query)


GOOD = "sha256=" + digest().hex()
GOOD_64 = b64(digest())
GOOD_V1 = digest(f"{MOMENT}.".encode() + BODY).hex()
SPARE_BITS = GOOD_64[:-2] + ALPHABET[ALPHABET.index(GOOD_64[-2]) ^ 1] + "="
COMPOSED, DECOMPOSED = (f'{{"event":"{unicodedata.normalize(form, "é")}"}}'.encode() for form in ("NFC", "NFD"))
FULL_WIDTH_BODY = orjson.dumps({"type": "x", "webhookTimestamp": FULL_WIDTH + "000"})
LINEAR = read_source("linear", {"preset": "linear", "secrets": [SECRET]}, {})
TENANT_B = read_source("github", {"preset": "github", "secrets": [OTHER]}, {})
THOUSAND = ",".join([*[f"v1={'0' * 64}"] * 1000, f"v1={digest().hex()}"])
RIGHT = (b"authorization", f"Bearer {TOKEN}".encode())
DOTTED = f"a.1.{MOMENT}.".encode() + BODY
BASIC_GOOD = f"Basic {b64('user:' + PASSWORD)}"

REFUSED: list[tuple[int, str, Sent, str]] = [
    (1, "no-header", Sent(GITHUB, {}), "signature_missing"),
    (2, "empty", github(""), "signature_missing"),
    (3, "wrong-secret", github("sha256=" + digest(secret=OTHER).hex()), "signature_mismatch"),
    (4, "one-byte-more", github(GOOD, BODY + b" "), "signature_mismatch"),
    (
        5,
        "written-anew",
        github(GOOD, orjson.dumps(orjson.loads(BODY), option=orjson.OPT_SORT_KEYS)),
        "signature_mismatch",
    ),
    (7, "spaces-in-hex", github(f"{GOOD[:20]} {GOOD[20:]}"), "signature_mismatch"),
    (8, "junk-in-base64", shopify(f"{GOOD_64[:9]}!\n{GOOD_64[9:]}"), "signature_mismatch"),
    (9, "spare-bits", shopify(SPARE_BITS), "signature_mismatch"),
    (10, "after-the-padding", shopify(GOOD_64 + "AA"), "signature_mismatch"),
    (11, "hex-for-base64", shopify(digest().hex()), "signature_mismatch"),
    (12, "eight-bytes", github("sha256=" + digest()[:8].hex()), "signature_mismatch"),
    (13, "no-digest", github("sha256="), "signature_malformed"),
    (14, "sha1", github("sha1=" + digest(algorithm="sha1").hex()), "signature_malformed"),
    (15, "v0-only", stripe(f"t={MOMENT},v0={GOOD_V1}"), "signature_malformed"),
    (16, "capitals", github("SHA256=" + digest().hex()), "signature_malformed"),
    (16, "doubled-equals", github("sha256==" + digest().hex()), "signature_mismatch"),
    (17, "good-then-bad", github_twice(GOOD, "sha256=" + "0" * 64), "signature_missing"),
    (17, "bad-then-good", github_twice("sha256=" + "0" * 64, GOOD), "signature_missing"),
    (18, "thousand", pagerduty(THOUSAND), "signature_malformed"),
    (20, "e9", github("sha256=\xe9" + digest().hex()[1:]), "signature_mismatch"),
    (24, "other-tenant", Sent(TENANT_B, {"x-hub-signature-256": GOOD}), "signature_mismatch"),
    (25, "composed", github("sha256=" + digest(DECOMPOSED).hex(), COMPOSED), "signature_mismatch"),
    (25, "decomposed", github("sha256=" + digest(COMPOSED).hex(), DECOMPOSED), "signature_mismatch"),
    (26, "dot-in-the-id", standard("a.1", MOMENT, BODY, f"a.1.{MOMENT}.".encode() + BODY), "signature_malformed"),
    (
        26,
        "dot-in-the-time",
        standard("a", f"1.{MOMENT}", BODY, f"a.1.{MOMENT}.".encode() + BODY),
        "signature_malformed",
    ),
    (27, "too-old", slack(str(int(NOW) - 301)), "timestamp_out_of_tolerance"),
    (28, "too-new", slack(str(int(NOW) + 301)), "timestamp_out_of_tolerance"),
    (30, "nan", slack("nan"), "timestamp_malformed"),
    (31, "inf", slack("inf"), "timestamp_malformed"),
    (32, "exponent", slack("1.7e9"), "timestamp_malformed"),
    (33, "underscores", slack("1_700_000_000"), "timestamp_malformed"),
    (
        34,
        "full-width",
        Sent(LINEAR, {"linear-signature": digest(FULL_WIDTH_BODY).hex()}, FULL_WIDTH_BODY),
        "timestamp_malformed",
    ),
    (35, "plus", slack("+" + MOMENT), "timestamp_malformed"),
    (36, "twenty-five-digits", slack("1" * 25), "timestamp_malformed"),
    (37, "milliseconds", slack(MOMENT + "000"), "timestamp_out_of_tolerance"),
    (38, "empty-time", slack(""), "timestamp_missing"),
    (39, "two-times", stripe(f"t={MOMENT},t={int(NOW) - 9},v1={GOOD_V1}"), "signed_content_missing"),
    (45, "no-scheme", authorization(BEARER, TOKEN), "credentials_malformed"),
    (47, "two-spaces", authorization(BEARER, f"Bearer  {TOKEN}"), "signature_mismatch"),
    (48, "half-a-token", authorization(BEARER, f"Bearer {TOKEN[:20]}"), "signature_mismatch"),
    (49, "nul", authorization(BEARER, f"Bearer {TOKEN}\0"), "signature_mismatch"),
    (50, "good-twice", Sent(BEARER, [RIGHT, RIGHT]), "signature_missing"),
    (
        50,
        "two-headers",
        Sent(BEARER, [(b"authorization", v) for v in (b"Bearer x", f"Bearer {TOKEN}".encode())]),
        "signature_missing",
    ),
    (51, "in-the-query", authorization(BEARER, "", b"token=" + TOKEN.encode()), "signature_missing"),
    (52, "no-colon", authorization(BASIC, f"Basic {b64('user')}"), "signature_mismatch"),
    (
        53,
        "another-after-the-colons",
        authorization(BASIC, f"Basic {b64('user:pass:word:with:other')}"),
        "signature_mismatch",
    ),
    (54, "no-base64", authorization(BASIC, "Basic !!!!"), "signature_mismatch"),
    (55, "no-utf8", authorization(BASIC, f"Basic {b64(b'user:' + bytes([0xE9]))}"), "signature_mismatch"),
    (56, "nobody", authorization(BASIC, f"Basic {b64(':')}"), "signature_mismatch"),
    (57, "wrong-password", authorization(BASIC, f"Basic {b64('user:' + 'x' * len(PASSWORD))}"), "signature_mismatch"),
    (57, "wrong-user", authorization(BASIC, f"Basic {b64('resu:' + PASSWORD)}"), "signature_mismatch"),
    (58, "bearer-for-basic", authorization(BASIC, f"Bearer {b64('user:' + PASSWORD)}"), "credentials_malformed"),
]


def numbered(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    return [pytest.param(*row[2:], marks=pytest.mark.bad_input(row[0]), id=f"{row[0]}-{row[1]}") for row in rows]


def assert_not_authentic(outcome: Any, cause: str = "") -> None:
    assert isinstance(outcome, Refusal), outcome
    assert not cause or outcome.logged_reason == cause
    assert (outcome.status, outcome.reason, outcome.message) == (
        401,
        "signature_mismatch",
        "The delivery is not authentic.",
    )


@pytest.mark.parametrize(("sent", "cause"), numbered(REFUSED))
def test_what_is_not_authentic_gets_one_answer_whatever_the_cause(sent: Sent, cause: str) -> None:
    assert_not_authentic(sent.outcome(), cause)


TAKEN: list[tuple[int, str, Sent]] = [
    (6, "capitals-in-hex", github("sha256=" + digest().hex().upper())),
    (19, "old-and-new", stripe(f"t={MOMENT},v1={digest(secret='a third secret').hex()},v1={GOOD_V1}")),
    (25, "its-own-bytes", github("sha256=" + digest(DECOMPOSED).hex(), DECOMPOSED)),
    (29, "300-s-old", slack(str(int(NOW) - 300))),
    (29, "300-s-ahead", slack(str(int(NOW) + 300))),
    (46, "small-letters", authorization(BEARER, f"bearer {TOKEN}")),
    (53, "colons", authorization(BASIC, BASIC_GOOD)),
]


@pytest.mark.parametrize("sent", numbered(TAKEN))
def test_what_is_odd_but_authentic_is_taken(sent: Sent) -> None:
    assert isinstance(sent.outcome(), Accepted)


@pytest.mark.bad_input(18)
def test_a_thousand_signatures_cost_no_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: pytest.fail("nothing is compared"))
    assert_not_authentic(pagerduty(THOUSAND).outcome())


@pytest.mark.bad_input(26)
def test_one_signature_does_not_fit_two_deliveries() -> None:
    content = b"a." + MOMENT.encode() + b"." + BODY
    assert isinstance(standard("a", MOMENT, BODY, content).outcome(), Accepted)
    assert_not_authentic(standard(f"a.{MOMENT}", BODY.decode(), b"", content).outcome())


@pytest.mark.bad_input(57)
def test_a_wrong_user_costs_what_a_wrong_password_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are one text, compared once and in constant time: there is no user to be found out first."""
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def counted(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    wrong_password = authorization(BASIC, f"Basic {b64('user:' + 'x' * len(PASSWORD))}").outcome()
    wrong_user = authorization(BASIC, f"Basic {b64('resu:' + PASSWORD)}").outcome()
    assert compared == [(len(BASIC_GOOD) - len("Basic "),) * 2] * 2
    assert wrong_password == wrong_user


SHORT = [
    {"preset": "github", "secrets": [""]},
    {"preset": "github", "secrets": [SECRET, "fifteen bytes, "]},
    {"preset": "github", "context": {"webhook_secret": "hunter2"}},
    {"preset": "github", "secrets": []},
    {"preset": "github"},
    {"preset": "svix", "secrets": ["whsec_"]},
    {"preset": "pipedrive", "secrets": ["a-long-user-name:short"]},
    {"preset": "monday", "secrets": ["secret"]},
    {"preset": "truto", "secrets": ["secret"]},
]


@pytest.mark.bad_input(22)
@pytest.mark.parametrize("given", SHORT, ids=str)
def test_a_source_without_a_long_secret_does_not_start(given: dict[str, Any]) -> None:
    with pytest.raises(Faults):
        read_source("s", given, {})


@pytest.mark.bad_input(23)
def test_the_prefix_of_a_standard_secret_is_stripped_once() -> None:
    vector = ("whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    headers = {
        "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "svix-timestamp": "1614265330",
        "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    for secret in ("".join(vector), vector[1]):
        on = read_source("s", {"preset": "svix", "secrets": [secret]}, {})
        assert isinstance(verify(on, of_headers(headers, b'{"test": 2432232314}'), now=1614265330.0), Accepted)
    with pytest.raises(Faults, match="must be base64 behind whsec_"):
        read_source("s", {"preset": "svix", "secrets": ["whsec_" + "".join(vector)]}, {})


# -- tokens ------------------------------------------------------------------------------------------------------------

RS = token_source(algorithms=["RS256"], public_keys=[pem(RSA)])
PLAIN_CLAIMS = orjson.dumps(CLAIMS)


def asking(**header: Any) -> str:
    """A token that names where its key is, signed with that very key."""
    return by_hand(orjson.dumps({"alg": "HS256", **header}), PLAIN_CLAIMS, b"k" * 33)


METADATA = "http://169.254.169.254/key"
TOKENS: list[tuple[int, str, str, Source, str]] = [
    (59, "none", by_hand(b'{"alg":"none"}', PLAIN_CLAIMS), HS, "jwt_algorithm"),
    (59, "none-unsigned", by_hand(b'{"alg":"none"}', PLAIN_CLAIMS).rpartition(".")[0] + ".", HS, "jwt_malformed"),
    (60, "none-in-other-case", by_hand(b'{"alg":"nOnE"}', PLAIN_CLAIMS), HS, "jwt_algorithm"),
    (61, "stripped", signed().rpartition(".")[0] + ".", HS, "jwt_malformed"),
    (62, "public-key-as-secret", by_hand(HEADER, PLAIN_CLAIMS, pem(RSA).encode()), RS, "jwt_algorithm"),
    (
        63,
        "jwk",
        asking(jwk={"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode()}),
        HS,
        "signature_mismatch",
    ),
    (64, "jku", asking(jku=METADATA), HS, "signature_mismatch"),
    (64, "x5u", asking(x5u=METADATA), HS, "signature_mismatch"),
    (65, "crit", by_hand(orjson.dumps({"alg": "HS256", "crit": ["x"], "x": 1}), PLAIN_CLAIMS), HS, "jwt_critical"),
    (66, "no-exp", without("exp"), HS, "jwt_no_expiry"),
    (67, "exp-text", with_claims(exp=str(int(NOW) + 60)), HS, "jwt_malformed"),
    (68, "exp-9e99", with_claims(exp=9e99), HS, "jwt_lifetime"),
    (69, "exp-nan", by_hand(HEADER, json.dumps({**CLAIMS, "exp": float("nan")}).encode()), HS, "jwt_malformed"),
    (70, "exp-past", with_claims(exp=int(NOW) - 31), HS, "jwt_expired"),
    (71, "nbf-ahead", with_claims(nbf=int(NOW) + 31), HS, "jwt_not_yet"),
    (71, "iat-ahead", with_claims(iat=int(NOW) + 31), HS, "jwt_not_yet"),
    (72, "no-aud", without("aud"), HS, "jwt_audience"),
    (72, "aud-wrong", with_claims(aud="them"), HS, "jwt_audience"),
    (72, "aud-list-of-others", with_claims(aud=["them", "usher"]), HS, "jwt_audience"),
    (73, "iss-part", with_claims(iss="https://issuer.exampl"), HS, "jwt_issuer"),
    (73, "iss-longer", with_claims(iss="https://issuer.example.evil"), HS, "jwt_issuer"),
    (74, "alg-twice", by_hand(b'{"alg":"none","alg":"HS256"}', PLAIN_CLAIMS), HS, "jwt_malformed"),
    (75, "kid-path", by_key("../../dev/null"), JWKS, "jwt_key_unknown"),
    (75, "kid-sql", by_key("' OR 1=1"), JWKS, "jwt_key_unknown"),
    (75, "kid-number", by_key(1), JWKS, "jwt_malformed"),
    (75, "kid-long", by_key("k" * 10_000), JWKS, "jwt_malformed"),
    (78, "deep-claims", by_hand(HEADER, b'{"a":' * 100_000), HS, "jwt_malformed"),
    (78, "deep-within-the-length", by_hand(HEADER, b'{"exp":' + b"[" * 9_000), HS, "jwt_malformed"),
    (79, "four-segments", signed() + ".x", HS, "jwt_malformed"),
    (80, "two-megabytes", by_hand(HEADER, PLAIN_CLAIMS + b" " * 2_000_000), HS, "jwt_malformed"),
    (81, "id-token", signed(typ="id_token"), HS, "jwt_type"),
]


@pytest.mark.parametrize(("token", "on", "cause"), numbered(TOKENS))
def test_a_bad_token_gets_the_same_answer_and_no_request_leaves(
    token: str, on: Source, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a request left"))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("a name was looked up"))
    assert_not_authentic(outcome_of(token, on, keys=KEYS), cause)


@pytest.mark.bad_input(72)
def test_an_audience_among_others_is_ours() -> None:
    assert isinstance(outcome_of(with_claims(aud=["them", "us"])), Accepted)


@pytest.mark.bad_input(80)
def test_the_header_of_a_huge_token_is_refused_before_it_is_looked_at() -> None:
    refusal = check_head([(b"authorization", b"Bearer " + b"x" * 2_000_000)])
    assert refusal is not None
    assert (refusal.status, refusal.close) == (431, True)


@pytest.mark.bad_input(82)
def test_a_token_without_a_hash_of_the_body_says_nothing_about_it() -> None:
    """What README says; ``body_hash`` asks for the claim."""
    assert isinstance(outcome_of(signed(), body=b'{"event":"anything"}'), Accepted)


# -- bodies ------------------------------------------------------------------------------------------------------------

TRUTO = truto_source([SECRET])
MALFORMED: list[tuple[int, str, bytes, str]] = [
    (106, "empty", b"", "not_json"),
    (107, "not-json", b"event=x", "not_json"),
    (108, "scalar", b"7", "not_an_object"),
    (108, "array", b'[{"event":"x"}]', "not_an_object"),
    (109, "deep", b'{"event":"x","a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not_json"),
    (115, "utf-16-without-a-mark", '{"event":"x"}'.encode("utf-16-le"), "not_json"),
    (118, "nul-in-the-type", b'{"event_type":"a\\u0000b"}', "event_name_malformed"),
    (120, "keys", orjson.dumps({"event": "x", **{str(number): number for number in range(200_000)}}), "too_complex"),
    (121, "ten-megabytes-of-arrays", b'{"event":"x","a":[' + b"[]," * 3_300_000 + b"[]]}", "too_complex"),
]


def answers(body: bytes) -> list[Any]:
    """What Truto's own source and a configured one say of *body*, signed as each of them wants it."""
    own = event_of(TRUTO, [(b"x-truto-signature", sign_as_truto(body, SECRET).encode())], body)
    return [own, github("sha256=" + digest(body).hex(), body).outcome()]


@pytest.mark.parametrize(("body", "reason"), numbered(MALFORMED))
def test_an_authentic_body_that_is_no_event_is_malformed(body: bytes, reason: str) -> None:
    for outcome in answers(body):
        assert isinstance(outcome, Refusal)
        assert (outcome.status, outcome.reason) == (400, reason)


@pytest.mark.parametrize(("body", "reason"), numbered(MALFORMED))
def test_the_same_body_without_a_signature_is_not_even_read(body: bytes, reason: str) -> None:
    assert_not_authentic(event_of(TRUTO, [], body))
    assert_not_authentic(Sent(GITHUB, {}, body).outcome())


KEPT: list[tuple[int, str, bytes, str]] = [
    (112, "id-of-65-bits", b'{"event":"x","id":18446744073709551616}', "x"),
    (113, "two-types", b'{"event_type":"first","event_type":"last"}', "last"),
    (119, "prototype", b'{"event":"x","__proto__":{"event":"y"},"__class__":"z","constructor":1}', "x"),
]


@pytest.mark.parametrize(("body", "name"), numbered(KEPT))
def test_odd_but_valid_objects_are_kept_byte_for_byte(body: bytes, name: str) -> None:
    own, configured = answers(body)
    assert (own.type, own.body) == (name, body)
    (event,) = configured.events
    assert (event.type, event.body) == (name, body)


READ: list[tuple[int, str, bytes, dict[str, Any]]] = [
    (110, "nan", b'{"event":"x","n":NaN}', {"n": None}),
    (110, "infinite", b'{"event":"x","n":[1e400,-Infinity]}', {"n": [None, None]}),
    (111, "five-thousand-digits", b'{"event":"x","n":' + b"7" * 5000 + b"}", {"n": None}),
    (114, "half-an-emoji", b'{"event":"x","n":"Party \\ud83d"}', {"n": "Party \ufffd"}),
    (114, "the-other-half", b'{"event":"x","n":"\\ude00 Party"}', {"n": "\ufffd Party"}),
    (114, "beside-a-whole-one", b'{"event":"x","n":"\\ud83d\\ude00\\ud83d"}', {"n": "\U0001f600\ufffd"}),
    (115, "utf-16", '{"event":"x","n":"\u00e9"}'.encode("utf-16"), {"n": "\u00e9"}),
    (115, "utf-32", '{"event":"x","n":"\u00e9"}'.encode("utf-32"), {"n": "\u00e9"}),
    (116, "byte-order-mark", b'\xef\xbb\xbf{"event":"x","n":1}', {"n": 1}),
    (117, "latin-1", b'{"event":"x","n":"caf\xe9"}', {"n": "caf\ufffd"}),
]


@pytest.mark.parametrize(("body", "fields"), numbered(READ))
def test_what_can_be_read_with_care_is_accepted_and_its_bytes_are_kept(body: bytes, fields: dict[str, Any]) -> None:
    own, configured = answers(body)
    (event,) = configured.events
    for made in (own, event):
        assert orjson.loads(made.body) == {"event": "x", **fields}
        assert made.raw == body


@pytest.mark.bad_input(114)
def test_ids_and_bodies_that_differ_in_what_was_lost_alone_are_two_events() -> None:
    for field in (b"id", b"name"):
        made = [answers(b'{"event":"x","%b":"\\u%b"}' % (field, half)) for half in (b"d83d", b"d83e")]
        assert len({own.id for own, _ in made}) == len({other.events[0].id for _, other in made}) == 2


@pytest.mark.bad_input(112)
def test_ids_that_differ_beyond_64_bits_are_two_events() -> None:
    """Such a number is no longer exact once it is read, so the bytes give the id."""
    ids = [answers(b'{"event":"x","id":%d}' % number)[0].id for number in (2**64, 2**64 + 1)]
    assert len(set(ids)) == 2


# -- the list and its tests --------------------------------------------------------------------------------------------

_LISTED = re.compile(r"^\| (\d+) \|", re.MULTILINE)
_MARKED = re.compile(r"mark\.bad_input\(([0-9, ]+)\)")
_TABLES = (REFUSED, TAKEN, TOKENS, MALFORMED, KEPT, READ)


def test_every_input_of_the_list_has_a_test() -> None:
    listed = [int(number) for number in _LISTED.findall((ROOT / "docs" / "bad-inputs.md").read_text())]
    sources = "".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    marked = {int(number) for numbers in _MARKED.findall(sources) for number in numbers.split(",")}
    rows = {row[0] for table in _TABLES for row in table}
    assert len(listed) == len(set(listed))
    assert marked | rows == set(listed)
