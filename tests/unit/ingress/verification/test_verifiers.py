"""For each way to prove a sender: what no live key made is a 401, what one made is accepted, nothing else comes out.

The sources here have no expressions, so that a verifier alone decides.
"""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jwt
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.outcome import Accepted
from ingress.verification.pipeline import verify_delivery
from ingress.verification.tokens import key_set
from tests.unit.ingress.sources.senders import NOW, OTHER, SECRET, of_headers
from truto.signature import sign as sign_as_truto

STRANGER = "the secret of a complete stranger"
MOMENT = str(int(NOW))
CLAIMS = {"iat": int(NOW), "exp": int(NOW) + 60, "iss": "https://issuer.example", "aud": "us"}

Sign = Callable[[bytes, Any], Mapping[str, str]]


@dataclass(frozen=True)
class Scheme:
    """A source, its live keys (newest first) and a stranger's, and how a holder of such a key signs.

    From the character *proof_from* on, everything in the header *proof* matters. *binds* says whether the body does.
    """

    name: str
    source: Source
    sign: Sign
    live: Sequence[Any]
    stranger: Any
    proof: str = "authorization"
    proof_from: int = 0
    binds: bool = True
    keys: Mapping[str, Any] = field(default_factory=dict)

    def outcome(self, headers: Mapping[str, str], body: bytes) -> Any:
        delivery = of_headers(headers, body)
        return verify_delivery(self.source, delivery, self.source.account({}), now=NOW, keys=self.keys)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def configured(verification: dict[str, Any], secrets: Sequence[str] = (), **options: Any) -> Source:
    webhook = {"signature_verification": verification}
    return read_source("s", {"webhook": webhook, "secrets": list(secrets), "options": options}, {})


# -- shared secrets ----------------------------------------------------------------------------------------------------


def hmac_scheme(algorithm: str, string_type: str) -> Scheme:
    spellings: dict[str, Callable[[bytes], str]] = {
        "hex": lambda made: made.hex(),
        "base64": b64,
        "base64url": lambda made: base64.urlsafe_b64encode(made).rstrip(b"=").decode(),
    }
    spell = spellings[string_type]

    def sign(body: bytes, secret: str) -> Mapping[str, str]:
        made = hmac.digest(secret.encode(), f"{MOMENT}.".encode() + body, algorithm)
        return {"x-time": MOMENT, "x-signature": "v1=" + spell(made)}

    config = {
        "algorithm": algorithm,
        "string_type": string_type,
        "verification_content": ["{{headers.x-time}}", ".", "{{raw_body}}"],
        "compare_with": "{{headers.x-signature}}",
    }
    source = configured(
        {"format": "hmac", "config": config}, [SECRET, OTHER], compare_prefix="v1=", timestamp="{{headers.x-time}}"
    )
    return Scheme(f"hmac-{algorithm}-{string_type}", source, sign, [SECRET, OTHER], STRANGER, "x-signature")


def truto_scheme(encoding: str) -> Scheme:
    source = configured({"format": "truto", "config": {}}, [SECRET, OTHER], event={"id": "{{body.id}}"})

    def sign(body: bytes, secret: str) -> Mapping[str, str]:
        return {"x-truto-signature": sign_as_truto(body, secret, encoding=encoding)}

    return Scheme(f"truto-{encoding}", source, sign, [SECRET, OTHER], STRANGER, "x-truto-signature", len("format="))


def bearer_scheme() -> Scheme:
    def sign(body: bytes, secret: str) -> Mapping[str, str]:
        return {"authorization": f"Bearer {secret}"}

    source = configured({"format": "bearer", "config": {}}, [SECRET, OTHER])
    return Scheme("bearer", source, sign, [SECRET, OTHER], STRANGER, proof_from=len("Bearer "), binds=False)


def basic_scheme() -> Scheme:
    def sign(body: bytes, pair: str) -> Mapping[str, str]:
        return {"authorization": f"Basic {b64(pair.encode())}"}

    live = [f"user:{SECRET}", f"user:{OTHER}"]
    source = configured({"format": "basic", "config": {}}, live)
    return Scheme("basic", source, sign, live, f"user:{STRANGER}", proof_from=len("Basic "), binds=False)


def standard_scheme(*, asymmetric: bool) -> Scheme:
    def sign(body: bytes, key: Any) -> Mapping[str, str]:
        content = f"msg_1.{MOMENT}.".encode() + body
        made = (
            "v1a," + b64(key.sign(content)) if asymmetric else "v1," + b64(hmac.digest(key.encode(), content, "sha256"))
        )
        return {"webhook-id": "msg_1", "webhook-timestamp": MOMENT, "webhook-signature": made}

    live: list[Any] = [Ed25519PrivateKey.generate() for _ in range(2)] if asymmetric else [SECRET, OTHER]
    stranger = Ed25519PrivateKey.generate() if asymmetric else STRANGER
    written = [
        "whpk_" + b64(key.public_key().public_bytes_raw()) if asymmetric else "whsec_" + b64(key.encode())
        for key in live
    ]
    source = configured({"format": "standard_webhooks", "config": {}}, written)
    name = "standard-webhooks-" + ("v1a" if asymmetric else "v1")
    return Scheme(name, source, sign, live, stranger, "webhook-signature")


# -- public keys -------------------------------------------------------------------------------------------------------


def ed25519_scheme() -> Scheme:
    def sign(body: bytes, key: Ed25519PrivateKey) -> Mapping[str, str]:
        return {"x-time": MOMENT, "x-signature": key.sign(MOMENT.encode() + body).hex()}

    live = [Ed25519PrivateKey.generate() for _ in range(2)]
    config = {
        "verification_content": ["{{headers.x-time}}", "{{raw_body}}"],
        "compare_with": "{{headers.x-signature}}",
    }
    public = [key.public_key().public_bytes_raw().hex() for key in live]
    source = configured({"format": "ed25519", "config": config}, public, timestamp="{{headers.x-time}}")
    return Scheme("ed25519", source, sign, live, Ed25519PrivateKey.generate(), "x-signature")


def new_key(algorithm: str) -> Any:
    match algorithm[:2]:
        case "ES":
            return ec.generate_private_key({"ES256": ec.SECP256R1, "ES384": ec.SECP384R1}[algorithm]())
        case "Ed":
            return Ed25519PrivateKey.generate()
        case _:
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def token_source(secrets: Sequence[str] = (), **options: Any) -> Source:
    rules = {"issuer": CLAIMS["iss"], "audience": CLAIMS["aud"], **options}
    return configured({"format": "jwt", "config": {}}, secrets, jwt=rules)


def token_scheme(name: str, source: Source, algorithm: str, live: Sequence[Any], stranger: Any) -> Scheme:
    def sign(body: bytes, key: Any) -> Mapping[str, str]:
        return {"authorization": "Bearer " + jwt.encode(CLAIMS, key, algorithm=algorithm)}

    return Scheme(name, source, sign, live, stranger, proof_from=len("Bearer "), binds=False)


def shared_scheme(algorithm: str) -> Scheme:
    live = [SECRET * 2, OTHER * 2]
    source = token_source(live, algorithms=[algorithm])
    return token_scheme(f"jwt-{algorithm}", source, algorithm, live, STRANGER * 2)


def pem_scheme(algorithm: str) -> Scheme:
    live = [new_key(algorithm) for _ in range(2)]
    pems = [key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for key in live]
    source = token_source(algorithms=[algorithm], public_keys=pems)
    return token_scheme(f"jwt-pem-{algorithm}", source, algorithm, live, new_key(algorithm))


def jwks_scheme(algorithm: str) -> Scheme:
    """A JWKS names its keys, so that a stranger has to name one of them."""
    live, stranger = [("k1", new_key(algorithm)), ("k2", new_key(algorithm))], ("k1", new_key(algorithm))
    kinds: dict[str, Any] = {
        "RS": jwt.algorithms.RSAAlgorithm,
        "ES": jwt.algorithms.ECAlgorithm,
        "Ed": jwt.algorithms.OKPAlgorithm,
    }
    to_jwk = kinds[algorithm[:2]].to_jwk

    def sign(body: bytes, named: tuple[str, Any]) -> Mapping[str, str]:
        kid, key = named
        return {"authorization": "Bearer " + jwt.encode(CLAIMS, key, algorithm=algorithm, headers={"kid": kid})}

    public = [{**json.loads(to_jwk(key.public_key())), "kid": kid, "alg": algorithm} for kid, key in live]
    source = token_source(algorithms=[algorithm], jwks_url="https://issuer.example/jwks")
    name = f"jwt-jwks-{algorithm}"
    return Scheme(name, source, sign, live, stranger, proof_from=len("Bearer "), binds=False, keys=key_set(public))


SCHEMES = [
    *(hmac_scheme(algorithm, kind) for algorithm, kind in (("sha256", "hex"), ("sha1", "base64"))),
    *(hmac_scheme(algorithm, kind) for algorithm, kind in (("sha384", "base64url"), ("sha512", "hex"))),
    *(truto_scheme(encoding) for encoding in ("hex", "base64")),
    bearer_scheme(),
    basic_scheme(),
    *(standard_scheme(asymmetric=asymmetric) for asymmetric in (False, True)),
    ed25519_scheme(),
    *(shared_scheme(algorithm) for algorithm in ("HS256", "HS512")),
    *(pem_scheme(algorithm) for algorithm in ("RS256", "PS256", "ES256", "EdDSA")),
    *(jwks_scheme(algorithm) for algorithm in ("RS256", "ES384", "EdDSA")),
]
EACH = pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: scheme.name)
PROPERTY = settings(max_examples=25, deadline=None)

LATIN = st.characters(max_codepoint=255, exclude_categories=[])
NAMED = st.dictionaries(st.text(max_size=8), st.none() | st.integers(-9, 9) | st.text(max_size=20), max_size=4)
OBJECTS = NAMED.map(lambda fields: orjson.dumps({**fields, "event": "x"}))
BODIES = OBJECTS | st.binary(max_size=60)
SAYINGS = st.sampled_from(
    ["", " ", "Bearer ", "Basic Og==", "v1,", "v1=", "{{context.webhook_secret}}", "Bearer {{context.webhook_secret}}"]
)


def assert_refused(outcome: Any) -> None:
    assert isinstance(outcome, Refusal), outcome
    assert (outcome.status, outcome.reason, outcome.message) == (
        401,
        "signature_mismatch",
        "The delivery is not authentic.",
    )


@EACH
@PROPERTY
@given(data=st.data(), body=BODIES)
def test_whatever_stands_in_the_headers_of_a_stranger_is_refused(scheme: Scheme, data: Any, body: bytes) -> None:
    names = sorted(scheme.sign(b"", scheme.live[0]))
    value = SAYINGS | st.text(LATIN, max_size=120) | st.just(MOMENT)
    assert_refused(scheme.outcome(data.draw(st.dictionaries(st.sampled_from(names), value)), body))


@EACH
@PROPERTY
@given(body=BODIES)
def test_what_a_stranger_signs_is_refused(scheme: Scheme, body: bytes) -> None:
    assert_refused(scheme.outcome(scheme.sign(body, scheme.stranger), body))


@EACH
@PROPERTY
@given(data=st.data(), body=OBJECTS)
def test_a_proof_with_another_character_anywhere_is_refused(scheme: Scheme, data: Any, body: bytes) -> None:
    headers = dict(scheme.sign(body, data.draw(st.sampled_from(scheme.live))))
    proof = headers[scheme.proof]
    position = data.draw(st.integers(scheme.proof_from, len(proof) - 1))
    other = data.draw(st.sampled_from("0aAbz9-_+/=., \xe9") | LATIN)
    # Hex is read in either case.
    assume(other.lower() != proof[position].lower())
    headers[scheme.proof] = proof[:position] + other + proof[position + 1 :]
    assert_refused(scheme.outcome(headers, body))


@EACH
@PROPERTY
@given(data=st.data(), body=OBJECTS)
def test_half_a_proof_is_refused(scheme: Scheme, data: Any, body: bytes) -> None:
    headers = dict(scheme.sign(body, scheme.live[0]))
    end = data.draw(st.integers(0, len(headers[scheme.proof]) - 1))
    headers[scheme.proof] = headers[scheme.proof][:end]
    assert_refused(scheme.outcome(headers, body))


@pytest.mark.parametrize("scheme", [one for one in SCHEMES if one.binds], ids=lambda scheme: scheme.name)
@PROPERTY
@given(signed=BODIES, sent=BODIES)
def test_what_was_signed_for_another_body_is_refused(scheme: Scheme, signed: bytes, sent: bytes) -> None:
    assume(signed != sent)
    assert_refused(scheme.outcome(scheme.sign(signed, scheme.live[0]), sent))


@EACH
@PROPERTY
@given(data=st.data(), body=OBJECTS)
def test_what_any_live_key_signs_is_accepted_and_the_key_is_told(scheme: Scheme, data: Any, body: bytes) -> None:
    position = data.draw(st.sampled_from(range(len(scheme.live))))
    outcome = scheme.outcome(scheme.sign(body, scheme.live[position]), body)
    assert isinstance(outcome, Accepted), outcome
    (event,) = outcome.events
    assert (event.body, event.type) == (body, "x")
    # The keys of a JWKS are told apart by their names, not by their order.
    assert outcome.secret_position == (0 if scheme.keys else position)


@EACH
@PROPERTY
@given(body=st.binary(max_size=80))
def test_signed_bytes_that_are_no_event_are_malformed_and_nothing_else(scheme: Scheme, body: bytes) -> None:
    outcome = scheme.outcome(scheme.sign(body, scheme.live[0]), body)
    assert isinstance(outcome, Accepted) or (isinstance(outcome, Refusal) and outcome.status == 400)


TOKENS = [scheme for scheme in SCHEMES if scheme.name.startswith("jwt")]


UNPINNED = [(s, name) for s in TOKENS for name in ("none", "HS256", "HS384", "HS512") if s.name != f"jwt-{name}"]


@pytest.mark.parametrize(("scheme", "algorithm"), UNPINNED, ids=[f"{s.name}-by-{name}" for s, name in UNPINNED])
def test_no_public_part_of_a_key_signs_a_token(scheme: Scheme, algorithm: str) -> None:
    """The configuration pins the algorithm: neither none nor a MAC keyed with what everybody knows."""
    known = next(iter(getattr(scheme.source.verifier, "public_keys", ())), "k1")
    header = orjson.dumps({"alg": algorithm, "typ": "JWT", "kid": "k1"})
    content = ".".join(base64.urlsafe_b64encode(p).rstrip(b"=").decode() for p in (header, orjson.dumps(CLAIMS)))
    made = hmac.digest(known.encode(), content.encode(), "sha" + (algorithm[2:] if algorithm != "none" else "256"))
    token = f"{content}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"
    assert_refused(scheme.outcome({"authorization": f"Bearer {token}"}, b'{"event":"x"}'))
