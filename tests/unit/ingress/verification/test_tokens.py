"""Tokens: what is signed with the pinned algorithm and claims the right things, and nothing else."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given as chosen
from hypothesis import strategies as st

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.outcome import Accepted
from ingress.verification.pipeline import verify_delivery
from ingress.verification.tokens import key_set
from tests.unit.ingress.sources.senders import NOW, OTHER, SECRET, of_headers

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
OTHER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHERS: dict[str, Any] = {
    "RS256": OTHER_RSA,
    "PS384": OTHER_RSA,
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
CLAIMS: dict[str, Any] = {"iat": int(NOW), "exp": int(NOW) + 60, "iss": "https://issuer.example", "aud": "us"}
BODY = b'{"event":"ping"}'


def pem(key: Any) -> str:
    return str(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode())


def source(*, secrets: list[str] | None = None, **options: Any) -> Source:
    given: dict[str, Any] = {
        "webhook": {"signature_verification": {"format": "jwt", "config": {}}},
        "options": {"jwt": options},
    }
    if secrets or not ({"public_keys", "jwks_url", "key_request"} & options.keys()):
        given["secrets"] = secrets or [SECRET]
    return read_source("s", given, {})


HS = source(issuer="https://issuer.example", audience="us")


def outcome_of(token: str, on: Source = HS, *, body: bytes = BODY, keys: Any = None) -> Any:
    delivery = of_headers({"authorization": f"Bearer {token}"}, body)
    return verify_delivery(on, delivery, on.account({}), now=NOW, keys=keys or {})


def cause_of(token: str, on: Source = HS, **more: Any) -> str:
    outcome = outcome_of(token, on, **more)
    assert isinstance(outcome, Refusal), outcome
    assert outcome.status == 401
    return outcome.logged_reason


def signed(claims: dict[str, Any] | None = None, *, secret: str = SECRET, **header: Any) -> str:
    return jwt.encode({**CLAIMS, **(claims or {})}, secret, algorithm="HS256", headers=header or None)


def segment(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_hand(header: bytes, payload: bytes, secret: bytes = SECRET.encode(), algorithm: str = "sha256") -> str:
    """A token that no library would make, with a right signature."""
    content = f"{segment(header)}.{segment(payload)}"
    return f"{content}.{segment(hmac.digest(secret, content.encode(), algorithm))}"


HEADER = b'{"alg":"HS256","typ":"JWT"}'


def with_claims(**claims: Any) -> str:
    return by_hand(HEADER, json.dumps({**CLAIMS, **claims}).encode())


def without(*names: str) -> str:
    return by_hand(HEADER, orjson.dumps({name: value for name, value in CLAIMS.items() if name not in names}))


@pytest.mark.parametrize("word", ["", "Bearer ", "JWT ", "bearer "])
def test_a_good_token_is_taken_behind_any_word(word: str) -> None:
    delivery = of_headers({"authorization": word + signed()}, BODY)
    assert isinstance(verify_delivery(HS, delivery, HS.account({}), now=NOW), Accepted)


BAD = {
    "alg-none": (by_hand(b'{"alg":"none"}', orjson.dumps(CLAIMS)).rpartition(".")[0] + ".", "jwt_malformed"),
    "alg-none-with-signature": (by_hand(b'{"alg":"none"}', orjson.dumps(CLAIMS)), "jwt_algorithm"),
    "alg-nOnE": (by_hand(b'{"alg":"nOnE"}', orjson.dumps(CLAIMS)), "jwt_algorithm"),
    "stripped": (signed().rpartition(".")[0] + ".", "jwt_malformed"),
    "two-segments": (signed().rpartition(".")[0], "jwt_malformed"),
    "four-segments": (signed() + ".x", "jwt_malformed"),
    "other-secret": (signed(secret=OTHER), "signature_mismatch"),
    "other-pinned": (jwt.encode(CLAIMS, SECRET * 2, algorithm="HS512"), "jwt_algorithm"),
    "jwk-in-header": (
        by_hand(b'{"alg":"HS256","jwk":{"kty":"oct","k":"a2tr"}}', orjson.dumps(CLAIMS), b"kkk"),
        "signature_mismatch",
    ),
    "jku-in-header": (
        by_hand(orjson.dumps({"alg": "HS256", "jku": "http://169.254.169.254/k"}), orjson.dumps(CLAIMS), b"k" * 32),
        "signature_mismatch",
    ),
    "crit": (by_hand(orjson.dumps({"alg": "HS256", "crit": ["x"], "x": 1}), orjson.dumps(CLAIMS)), "jwt_critical"),
    "b64": (by_hand(orjson.dumps({"alg": "HS256", "b64": False}), orjson.dumps(CLAIMS)), "jwt_critical"),
    "no-exp": (without("exp"), "jwt_no_expiry"),
    "exp-text": (with_claims(exp=str(int(NOW) + 60)), "jwt_malformed"),
    "exp-true": (with_claims(exp=True), "jwt_malformed"),
    "exp-far": (with_claims(exp=9e99), "jwt_lifetime"),
    "exp-nan": (by_hand(HEADER, b'{"exp":NaN}'), "jwt_malformed"),
    "exp-infinite": (by_hand(HEADER, b'{"exp":1e400}'), "jwt_malformed"),
    "exp-past": (with_claims(exp=int(NOW) - 30), "jwt_expired"),
    "nbf-ahead": (with_claims(nbf=int(NOW) + 31), "jwt_not_yet"),
    "iat-ahead": (with_claims(iat=int(NOW) + 31), "jwt_not_yet"),
    "aud-missing": (without("aud"), "jwt_audience"),
    "aud-wrong": (with_claims(aud="them"), "jwt_audience"),
    "aud-list-wrong": (with_claims(aud=["them", 1, None]), "jwt_audience"),
    "iss-missing": (without("iss"), "jwt_issuer"),
    "iss-part": (with_claims(iss="https://issuer"), "jwt_issuer"),
    "iss-list": (with_claims(iss=["https://issuer.example"]), "jwt_issuer"),
    "alg-twice": (by_hand(b'{"alg":"none","alg":"HS256"}', orjson.dumps(CLAIMS)), "jwt_malformed"),
    "deep-payload": (by_hand(HEADER, b"[" * 5000), "jwt_malformed"),
    "payload-array": (by_hand(HEADER, b"[]"), "jwt_malformed"),
    "payload-text": (by_hand(HEADER, b"nope"), "jwt_malformed"),
    "header-array": (by_hand(b"[]", orjson.dumps(CLAIMS)), "jwt_malformed"),
    "header-deep": (by_hand(b"[" * 3000, orjson.dumps(CLAIMS)), "jwt_malformed"),
    "header-no-json": (by_hand(b"\xff", orjson.dumps(CLAIMS)), "jwt_malformed"),
    "id-token": (signed(typ="id_token"), "jwt_type"),
    "padded": (signed() + "=", "jwt_malformed"),
    "long": ("a" * 20_000 + ".b.c", "jwt_malformed"),
    "one-character": ("a.b.c", "jwt_malformed"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_token_is_refused(name: str) -> None:
    token, cause = BAD[name]
    assert cause_of(token) == cause


def test_a_signature_whose_last_character_has_other_spare_bits_is_refused() -> None:
    token = signed()
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spoiled = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
    assert cause_of(spoiled) in {"jwt_malformed", "signature_mismatch"}


@pytest.mark.parametrize(
    "token",
    [
        signed({"exp": int(NOW) - 29}),
        signed({"nbf": int(NOW) + 30}),
        signed({"aud": ["them", "us"]}),
        signed({"exp": NOW + 60.5}),
        by_hand(b'{"alg":"HS256"}', orjson.dumps(CLAIMS)),
    ],
    ids=["within-leeway", "not-before-within-leeway", "among-audiences", "fraction", "no-typ"],
)
def test_what_is_just_good_enough_is_taken(token: str) -> None:
    assert isinstance(outcome_of(token), Accepted)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(RSA, "RS256"), (RSA, "PS384"), (EC, "ES256"), (ED, "EdDSA")],
    ids=["rs", "ps", "es", "eddsa"],
)
def test_asymmetric_tokens_are_checked_with_the_public_key(key: Any, algorithm: str) -> None:
    other = OTHERS[algorithm]
    on = source(algorithms=[algorithm], public_keys=[pem(other), pem(key)])
    taken = outcome_of(jwt.encode(CLAIMS, key, algorithm=algorithm), on)
    assert isinstance(taken, Accepted)
    assert taken.secret_position == 1
    only_other = source(algorithms=[algorithm], public_keys=[pem(other)])
    assert cause_of(jwt.encode(CLAIMS, key, algorithm=algorithm), only_other) == "signature_mismatch"


def test_the_public_key_is_no_shared_secret() -> None:
    on = source(algorithms=["RS256"], public_keys=[pem(RSA)])
    assert cause_of(by_hand(HEADER, orjson.dumps(CLAIMS), pem(RSA).encode()), on) == "jwt_algorithm"


def test_a_token_for_another_kind_of_key_is_refused() -> None:
    on = source(algorithms=["RS256", "ES256", "EdDSA"], public_keys=[pem(RSA), pem(EC)])
    assert cause_of(jwt.encode(CLAIMS, ED, algorithm="EdDSA"), on) == "signature_mismatch"


KEYS = key_set(
    [
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "k1", "alg": "RS256", "use": "sig"},
        {"kty": "oct", "kid": "hs", "k": segment(b"k" * 32)},
        {"kty": "RSA", "kid": "broken"},
        {"kty": "RSA"},
        {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "enc", "use": "enc"},
    ]
)
JWKS = source(algorithms=["RS256"], jwks_url="https://issuer.example/jwks")


def by_key(kid: Any) -> str:
    header = {"alg": "RS256", "kid": kid} if kid is not None else {"alg": "RS256"}
    content = f"{segment(orjson.dumps(header))}.{segment(orjson.dumps(CLAIMS))}"
    made = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(content.encode(), RSA)
    return f"{content}.{segment(made)}"


def test_only_usable_public_keys_of_a_set_are_kept() -> None:
    assert set(KEYS) == {"k1"}


def test_the_key_of_a_set_is_found_by_its_name() -> None:
    assert isinstance(outcome_of(by_key("k1"), JWKS, keys=KEYS), Accepted)


@pytest.mark.parametrize(
    ("kid", "cause"),
    [
        ("k2", "jwt_key_unknown"),
        ("../../dev/null", "jwt_key_unknown"),
        ("' OR 1=1", "jwt_key_unknown"),
        (1, "jwt_malformed"),
        ("", "jwt_malformed"),
        ("k" * 10_000, "jwt_malformed"),
        (["k1"], "jwt_malformed"),
    ],
    ids=["unknown", "path", "sql", "number", "empty", "long", "list"],
)
def test_any_other_name_of_a_key_is_refused(kid: Any, cause: str) -> None:
    assert cause_of(by_key(kid), JWKS, keys=KEYS) == cause


@pytest.mark.parametrize("kid", [{"kid": "k1"}, {}])
def test_a_token_that_names_no_key_is_checked_with_the_only_one(kid: dict[str, str]) -> None:
    unnamed = {name: value for name, value in RSA_JWK.items() if name != "kid"}
    keys = key_set([{**unnamed, **kid}, {**ED_JWK, "use": "enc"}, {"kty": "oct", "k": "c2VjcmV0", "kid": "s"}])
    assert isinstance(outcome_of(by_key(None), JWKS, keys=keys), Accepted)
    forged = jwt.encode(CLAIMS, OTHER_RSA, algorithm="RS256")
    assert cause_of(forged, JWKS, keys=keys) == "signature_mismatch"


@pytest.mark.bad_input(275)
@pytest.mark.parametrize("names", [("a", "b"), (None, "b"), (None, None)])
def test_a_token_that_names_no_key_is_refused_where_there_are_several(names: tuple[str | None, ...]) -> None:
    keys = key_set([{name: value for name, value in {**RSA_JWK, "kid": kid}.items() if value} for kid in names])
    assert len(keys) == 2
    assert cause_of(by_key(None), JWKS, keys=keys) == "jwt_malformed"


def test_a_token_that_names_no_key_waits_for_a_set_without_any() -> None:
    assert cause_of(by_key(None), JWKS, keys=key_set([])) == "jwt_key_unknown"


@pytest.mark.bad_input(275)
def test_a_token_that_names_a_key_is_not_checked_with_one_that_has_no_name() -> None:
    keys = key_set([{name: value for name, value in RSA_JWK.items() if name != "kid"}])
    assert cause_of(by_key("k1"), JWKS, keys=keys) == "jwt_key_unknown"
    assert cause_of(by_key(next(iter(keys))), JWKS, keys=keys) == "jwt_malformed"


RSA_JWK = {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())), "kid": "k"}
EC_JWK = {**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(EC.public_key())), "kid": "k"}
ED_JWK = {**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(ED.public_key())), "kid": "k"}
MANY = source(algorithms=["RS256", "RS512", "PS256", "ES256", "EdDSA"], jwks_url="https://issuer.example/jwks")


def by_named(key: Any, algorithm: str) -> str:
    return jwt.encode(CLAIMS, key, algorithm=algorithm, headers={"kid": "k"})


@pytest.mark.bad_input(180)
@pytest.mark.parametrize("used", ["RS512", "PS256"])
def test_a_key_that_names_its_algorithm_checks_no_other(used: str) -> None:
    keys = key_set([{**RSA_JWK, "alg": "RS256"}])
    assert isinstance(outcome_of(by_named(RSA, "RS256"), MANY, keys=keys), Accepted)
    assert cause_of(by_named(RSA, used), MANY, keys=keys) == "jwt_algorithm"


@pytest.mark.parametrize("algorithm", ["RS256", "RS512", "PS256"])
def test_a_key_that_names_no_algorithm_checks_those_of_its_kind(algorithm: str) -> None:
    assert isinstance(outcome_of(by_named(RSA, algorithm), MANY, keys=key_set([RSA_JWK])), Accepted)


@pytest.mark.bad_input(180)
@pytest.mark.parametrize(("jwk", "key", "algorithm"), [(EC_JWK, EC, "ES256"), (ED_JWK, ED, "EdDSA")], ids=["ec", "ed"])
def test_a_key_on_a_curve_checks_the_algorithm_of_its_curve(jwk: dict[str, Any], key: Any, algorithm: str) -> None:
    assert isinstance(outcome_of(by_named(key, algorithm), MANY, keys=key_set([jwk])), Accepted)
    assert cause_of(by_named(RSA, "RS256"), MANY, keys=key_set([jwk])) == "jwt_algorithm"


@pytest.mark.bad_input(181)
@pytest.mark.parametrize(
    "said",
    [
        {"use": "enc"},
        {"use": ["sig"]},
        {"use": None},
        {"key_ops": ["sign"]},
        {"key_ops": []},
        {"key_ops": "verify"},
        {"alg": "HS256"},
        {"alg": "ES256"},
        {"alg": "RSA-OAEP"},
        {"alg": None},
        {"alg": ["RS256"]},
        {"kty": "oct"},
        {"kty": "EC"},
        {"kty": ["RSA"]},
        {"kty": None},
    ],
    ids=str,
)
def test_a_key_that_is_for_something_else_is_none_of_ours(said: dict[str, Any]) -> None:
    assert key_set([{**RSA_JWK, **said}]) == {}


@pytest.mark.parametrize(
    "said", [{}, {"use": "sig"}, {"key_ops": ["verify"]}, {"key_ops": ["sign", "verify"]}], ids=str
)
def test_a_key_for_signatures_is_kept(said: dict[str, Any]) -> None:
    assert set(key_set([{**RSA_JWK, **said}])) == {"k"}


@chosen(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.sampled_from(
                ["RSA", "EC", "OKP", "oct", "RS256", "ES256", "EdDSA", "sig", "enc", "verify", "P-256"]
            )
            | st.none()
            | st.lists(st.sampled_from(["verify", "sign"]))
            for name in ("kty", "alg", "use", "key_ops", "crv", "kid", "n", "e", "x", "y")
        },
    )
)
def test_whatever_a_key_set_says_no_key_checks_what_it_does_not_name(said: dict[str, Any]) -> None:
    for key in key_set([{**RSA_JWK, **said}, {**EC_JWK, **said}]).values():
        assert "alg" not in said or key.algorithms == {said["alg"]}
        assert said.get("use", "sig") == "sig"
        assert "verify" in said.get("key_ops", ["verify"])


@pytest.mark.bad_input(179)
def test_two_tokens_in_one_header_are_none() -> None:
    given: dict[str, Any] = {
        "webhook": {"signature_verification": {"format": "jwt", "config": {}}},
        "secrets": [SECRET],
    }
    with pytest.raises(Faults, match="signature_separator: has no meaning"):
        read_source("s", {**given, "options": {"signature_separator": ","}}, {})
    on = read_source("s", given, {})
    for header in (f"Bearer {signed()},Bearer {signed()}", "a,b"):
        outcome = verify_delivery(on, of_headers({"authorization": header}, BODY), on.account({}), now=NOW)
        assert isinstance(outcome, Refusal)
        assert outcome.logged_reason == "jwt_malformed"


@pytest.mark.parametrize("string_type", ["hex", "base64", "base64url"])
def test_a_token_can_be_bound_to_its_body(string_type: str) -> None:
    on = source(body_hash={"claim": "body_sha256", "string_type": string_type})
    made = hashlib.sha256(BODY).digest()
    text = {
        "hex": made.hex(),
        "base64": base64.b64encode(made).decode(),
        "base64url": base64.urlsafe_b64encode(made).rstrip(b"=").decode(),
    }[string_type]
    assert isinstance(outcome_of(signed({"body_sha256": text}), on), Accepted)
    assert cause_of(signed({"body_sha256": text}), on, body=b'{"event":"pong"}') == "jwt_body_mismatch"
    assert cause_of(signed(), on) == "jwt_body_mismatch"


def test_without_such_a_claim_a_token_says_nothing_about_its_body() -> None:
    assert isinstance(outcome_of(signed(), body=b'{"event":"anything"}'), Accepted)


OWN = source(claims={"account": "a-1", "verified": True, "address": "{{path}}"})
CLAIMED: dict[str, Any] = {"account": "a-1", "verified": True, "address": "/webhooks/sender"}


def test_a_token_has_to_claim_what_its_source_asks_for() -> None:
    assert isinstance(outcome_of(signed(CLAIMED), OWN), Accepted)
    for name in CLAIMED:
        without_it = {key: value for key, value in CLAIMED.items() if key != name}
        assert cause_of(signed(without_it), OWN) == "jwt_claim"


@pytest.mark.parametrize("value", ["a-2", "A-1", "a-1 ", "", None, 1, True, ["a-1"], {"a-1": 1}])
def test_another_value_of_a_claim_is_refused(value: Any) -> None:
    assert cause_of(signed({**CLAIMED, "account": value}), OWN) == "jwt_claim"


@pytest.mark.parametrize("value", [False, "true", 1, None, [True]])
def test_only_yes_is_yes(value: Any) -> None:
    assert cause_of(signed({**CLAIMED, "verified": value}), OWN) == "jwt_claim"


def test_a_claim_can_be_held_against_the_delivery_s_own_address() -> None:
    assert cause_of(signed({**CLAIMED, "address": "/webhooks/other"}), OWN) == "jwt_claim"


def test_a_claim_that_refers_to_what_the_delivery_lacks_is_refused() -> None:
    on = source(claims={"account": "{{headers.x-account}}"})
    for value in ("a-1", "{{headers.x-account}}", ""):
        assert cause_of(signed({"account": value}), on) == "jwt_claim"


@pytest.mark.parametrize("options", [{"claims": {"a": ""}}, {"issuer": ""}, {"audience": ["us", ""]}])
def test_an_empty_claim_is_no_claim(options: dict[str, Any]) -> None:
    with pytest.raises(Faults, match="is empty; say what the sender's tokens claim here"):
        source(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["HS256", "RS256"], "public_keys": [pem(RSA)]},
        {"algorithms": ["RS256"]},
        {"algorithms": ["RS256"], "public_keys": [pem(RSA)], "jwks_url": "https://a.example/k"},
        {"algorithms": ["RS256"], "public_keys": ["no key"]},
        {"algorithms": ["RS256"], "public_keys": [pem(EC)]},
        {"algorithms": ["HS256"], "public_keys": [pem(RSA)]},
        {"algorithms": ["RS256"], "jwks_url": "http://a.example/k"},
        {"algorithms": ["RS256"], "jwks_url": "file:///etc/passwd"},
        {"algorithms": ["RS256"], "jwks_url": "https://u:p@a.example/k"},
    ],
    ids=[
        "none",
        "alg-none",
        "mixed",
        "no-key",
        "two-kinds",
        "no-pem",
        "wrong-kind",
        "public-as-secret",
        "http",
        "file",
        "userinfo",
    ],
)
def test_a_configuration_that_pins_nothing_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(Faults):
        source(**options)


def test_a_secret_has_no_meaning_beside_public_keys() -> None:
    with pytest.raises(Faults):
        source(secrets=[SECRET], algorithms=["RS256"], public_keys=[pem(RSA)])


# -- age, and keys that are asked for ----------------------------------------------------------------------------------

AGED = source(require_exp=False, max_age_seconds=300)


@pytest.mark.bad_input(311)
@pytest.mark.parametrize(
    ("claims", "cause"),
    [
        ({"iat": NOW - 300.5}, "jwt_too_old"),
        ({"iat": 0}, "jwt_too_old"),
        ({"iat": None}, "jwt_no_issue_time"),
        ({"iat": "now"}, "jwt_malformed"),
        ({"iat": NOW + 31}, "jwt_not_yet"),
    ],
    ids=str,
)
def test_a_token_that_was_issued_too_long_ago_or_at_no_time_is_refused(claims: dict[str, Any], cause: str) -> None:
    assert cause_of(by_hand(HEADER, json.dumps(claims).encode()), AGED) == cause


@pytest.mark.parametrize("issued", [NOW - 300, NOW, NOW + 29])
def test_a_token_that_was_issued_lately_is_taken(issued: float) -> None:
    assert isinstance(outcome_of(by_hand(HEADER, json.dumps({"iat": issued}).encode()), AGED), Accepted)


@pytest.mark.parametrize("age", [0, -1, 10**9])
def test_an_age_that_is_none_is_refused_at_load(age: int) -> None:
    with pytest.raises(Faults, match="max_age_seconds"):
        source(max_age_seconds=age)


@pytest.mark.bad_input(312)
@pytest.mark.parametrize("seconds", [-86_400, -1, 0])
def test_a_key_that_its_sender_has_let_expire_checks_nothing_any_more(seconds: int) -> None:
    keys = key_set([{**EC_JWK, "expired_at": int(NOW) + seconds}])
    assert cause_of(by_named(EC, "ES256"), MANY, keys=keys) == "jwt_key_expired"


@pytest.mark.parametrize("expiry", [None, int(NOW) + 1])
def test_a_key_that_has_not_expired_yet_checks_tokens(expiry: int | None) -> None:
    keys = key_set([{**EC_JWK, "expired_at": expiry}])
    assert isinstance(outcome_of(by_named(EC, "ES256"), MANY, keys=keys), Accepted)


@pytest.mark.parametrize("expiry", ["", "2026-01-01", True, [], {}])
def test_a_key_whose_expiry_cannot_be_read_is_left_out(expiry: Any) -> None:
    assert key_set([{**EC_JWK, "expired_at": expiry}]) == {}


ASKED: dict[str, Any] = {"url": "https://issuer.example/key", "fields": {"client": "c"}}


def requested(**more: Any) -> Source:
    return source(algorithms=["ES256"], key_request={**ASKED, **more})


def test_a_key_that_is_asked_for_checks_tokens_that_name_it() -> None:
    assert isinstance(outcome_of(by_named(EC, "ES256"), requested(), keys=key_set([EC_JWK])), Accepted)
    assert cause_of(by_named(EC, "ES256"), requested(), keys={}) == "jwt_key_unknown"


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"url": "http://issuer.example/key"}, "key_request.url: must begin with https://"),
        ({"url": "https://u:p@issuer.example/key"}, "key_request.url: must hold no credentials"),
        ({"fields": {"client": " "}}, "key_request.fields.client: is empty"),
        ({"fields": {"client": "{{context.id}}"}}, "key_request.fields.client: is sent as it is written"),
        ({"fields": {"kid": "x"}}, "key_request.fields.kid: is where the `kid` goes"),
        ({"kid_field": ""}, "key_request.kid_field"),
        ({"feilds": {}}, "did you mean fields"),
    ],
    ids=["http", "userinfo", "empty", "reference", "kid", "no-field", "slip"],
)
def test_a_request_for_keys_that_cannot_work_is_refused_at_load(asked: dict[str, Any], told: str) -> None:
    with pytest.raises(Faults) as raised:
        requested(**asked)
    assert told in str(raised.value)


def test_keys_come_from_one_place() -> None:
    with pytest.raises(Faults, match="need one of `public_keys`, `jwks_url` and `key_request`"):
        source(algorithms=["ES256"], key_request=ASKED, jwks_url="https://issuer.example/jwks")
    with pytest.raises(Faults, match="has no meaning for HS algorithms"):
        source(secrets=[SECRET], key_request=ASKED)


def test_a_key_is_not_asked_for_by_what_a_transform_makes() -> None:
    config = {"compare_with": "{{token}}"}
    given = {
        "webhook": {
            "payload_transform": "$merge([$$, {'token': body.token}])",
            "signature_verification": {"format": "jwt", "config": config},
        },
        "options": {"jwt": {"algorithms": ["ES256"], "key_request": ASKED}},
    }
    with pytest.raises(Faults, match="compare_with: has to name what came"):
        read_source("s", given, {})


def test_the_credentials_by_which_keys_are_asked_for_are_shown_nowhere() -> None:
    on = requested(fields={"client": "c-of-mine", "secret": "s-of-mine"})
    assert "of-mine" not in f"{on!r} {on.key_request!r} {on}"
