"""``ecdsa``, ``rsa`` and ``ed25519``: what the private key signed, and nothing else."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from hypothesis import given as chosen
from hypothesis import strategies as st

from ingress.answers import Refusal
from ingress.errors import Faults
from ingress.sources.loading import read_source
from ingress.sources.source import Source
from ingress.verification.outcome import Accepted
from ingress.verification.pipeline import verify_delivery
from tests.unit.ingress.sources.certified import PAYPAL, SNS
from tests.unit.ingress.sources.senders import NOW, b64, of_headers, public_der, public_pem, verify

BODY = b'{"event":"ping"}'
P256, P384, P521 = (ec.generate_private_key(curve()) for curve in (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1))
K256 = ec.generate_private_key(ec.SECP256K1())
ED = ed25519.Ed25519PrivateKey.generate()
SHORT_RSA = rsa.generate_private_key(public_exponent=65537, key_size=1024)


def source(form: str, *keys: str, options: dict[str, Any] | None = None, **config: Any) -> Source:
    block = {"format": form, "config": {"parts": ["raw_body"], "compare_with": "{{headers.x-signature}}", **config}}
    given = {"webhook": {"signature_verification": block}, "secrets": list(keys), "options": options or {}}
    return read_source("s", given, {})


def sent(on: Source, signature: bytes | str, body: bytes = BODY) -> Any:
    text = signature if isinstance(signature, str) else b64(signature)
    return verify(on, of_headers({"x-signature": text}, body))


def cause(outcome: Any) -> str:
    assert isinstance(outcome, Refusal), outcome
    assert outcome.status == 401
    return outcome.logged_reason


def raw(der: bytes, size: int) -> bytes:
    return b"".join(number.to_bytes(size) for number in decode_dss_signature(der))


def pss(key: Any, chosen_hash: hashes.HashAlgorithm, salt: int) -> bytes:
    return bytes(key.sign(BODY, padding.PSS(padding.MGF1(chosen_hash), salt), chosen_hash))


SHA256, SHA384, SHA512 = hashes.SHA256(), hashes.SHA384(), hashes.SHA512()
GOOD: dict[str, tuple[Source, bytes]] = {
    "p-256": (source("ecdsa", public_der(P256)), P256.sign(BODY, ec.ECDSA(SHA256))),
    "p-256-pem": (source("ecdsa", public_pem(P256)), P256.sign(BODY, ec.ECDSA(SHA256))),
    "p-384": (source("ecdsa", public_der(P384), curve="P-384", algorithm="SHA-384"), P384.sign(BODY, ec.ECDSA(SHA384))),
    "p-521": (source("ecdsa", public_der(P521), curve="P-521", algorithm="sha512"), P521.sign(BODY, ec.ECDSA(SHA512))),
    "raw": (source("ecdsa", public_der(P256), signature_format="raw"), raw(P256.sign(BODY, ec.ECDSA(SHA256)), 32)),
    "rsa": (source("rsa", public_pem(PAYPAL)), PAYPAL.sign(BODY, padding.PKCS1v15(), SHA256)),
    "rsa-der": (source("rsa", public_der(PAYPAL)), PAYPAL.sign(BODY, padding.PKCS1v15(), SHA256)),
    "rsa-512": (source("rsa", public_pem(PAYPAL), algorithm="sha512"), PAYPAL.sign(BODY, padding.PKCS1v15(), SHA512)),
    "pss": (source("rsa", public_pem(PAYPAL), padding="pss"), pss(PAYPAL, SHA256, 32)),
    "pss-long-salt": (source("rsa", public_pem(PAYPAL), padding="pss"), pss(PAYPAL, SHA256, 64)),
    "ed25519-pem": (source("ed25519", public_pem(ED), string_type="base64"), ED.sign(BODY)),
    "ed25519-der": (source("ed25519", public_der(ED), string_type="base64"), ED.sign(BODY)),
}
EACH = pytest.mark.parametrize("name", GOOD)


@EACH
def test_what_the_key_signed_is_taken(name: str) -> None:
    assert isinstance(sent(*GOOD[name]), Accepted)


def test_the_published_delivery_of_sendgrid_is_taken() -> None:
    """Key, signature, time and payload as in the tests of SendGrid's own libraries."""
    key = (
        "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1F"
        "wCM/QmGUhA=="
    )
    signature = "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0="
    body = b'{"category":"example_payload","event":"test_event","message_id":"message_id"}'
    on = read_source("s", {"preset": "sendgrid", "secrets": [key]}, {})
    name = "x-twilio-email-event-webhook"
    headers = {f"{name}-signature": signature, f"{name}-timestamp": "1588788367"}
    assert isinstance(verify(on, of_headers(headers, body), now=1588788367.0), Accepted)
    assert cause(verify(on, of_headers(headers, body + b" "), now=1588788367.0)) == "signature_mismatch"


@EACH
@chosen(data=st.data())
def test_no_change_of_body_or_signature_is_taken(name: str, data: st.DataObject) -> None:
    on, signature = GOOD[name]
    place = data.draw(st.integers(0, len(BODY) - 1))
    other = data.draw(st.integers(1, 255))
    changed = BODY[:place] + bytes([BODY[place] ^ other]) + BODY[place + 1 :]
    assert cause(sent(on, signature, changed)) == "signature_mismatch"
    place = data.draw(st.integers(0, len(signature) - 1))
    spoiled = signature[:place] + bytes([signature[place] ^ other]) + signature[place + 1 :]
    assert cause(sent(on, spoiled)) in ("signature_mismatch", "signature_malformed")


@pytest.mark.bad_input(260)
@EACH
@chosen(signature=st.binary(max_size=300))
def test_no_bytes_for_a_signature_break_anything(name: str, signature: bytes) -> None:
    assert cause(sent(GOOD[name][0], signature)) in ("signature_mismatch", "signature_malformed", "signature_missing")


@pytest.mark.bad_input(260)
@EACH
@chosen(text=st.text(alphabet=st.characters(max_codepoint=255, exclude_characters="\r\n\0"), min_size=1))
def test_no_text_for_a_signature_breaks_anything(name: str, text: str) -> None:
    assert cause(sent(GOOD[name][0], text)) in ("signature_mismatch", "signature_malformed", "signature_missing")


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
NUMBERS = [(0, 0), (0, 1), (1, 0), (ORDER, 1), (1, ORDER), (ORDER, ORDER), (2**256 - 1, 2**256 - 1), (2**2000, 1)]


@pytest.mark.bad_input(261)
@pytest.mark.parametrize(("r", "s"), NUMBERS)
def test_numbers_that_are_no_signature_are_refused(r: int, s: int) -> None:
    assert cause(sent(GOOD["p-256"][0], encode_dss_signature(r, s))) == "signature_mismatch"


@pytest.mark.bad_input(261)
@pytest.mark.parametrize("length", [1, 63, 64, 65, 128, 1000])
def test_raw_numbers_of_another_length_are_refused(length: int) -> None:
    assert cause(sent(GOOD["raw"][0], bytes(length))) in ("signature_malformed", "signature_mismatch")


@pytest.mark.bad_input(261)
@EACH
@pytest.mark.parametrize("other", GOOD)
def test_a_signature_of_another_kind_is_refused(name: str, other: str) -> None:
    alike = {name, f"{name}-der", f"{name}-pem", name.removesuffix("-der"), name.removesuffix("-pem")}
    if other in alike or {name, other} <= {"pss", "pss-long-salt"} or {name, other} <= {"ed25519-pem", "ed25519-der"}:
        assert isinstance(sent(GOOD[name][0], GOOD[other][1]), Accepted)
    else:
        assert cause(sent(GOOD[name][0], GOOD[other][1])) in ("signature_mismatch", "signature_malformed")


@pytest.mark.bad_input(263)
@pytest.mark.parametrize("name", GOOD)
def test_a_huge_signature_is_not_even_decoded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on = GOOD[name][0]
    delivery, account = of_headers({"x-signature": "A" * 100_000}, BODY), on.account({})
    monkeypatch.setattr(base64, "b64decode", lambda *_, **__: pytest.fail("it was decoded"))
    assert cause(verify_delivery(on, delivery, account, now=NOW)) == "signature_malformed"


def pkcs8(key: Any) -> str:
    plain = serialization.NoEncryption()
    return str(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain).decode())


INFINITY = b64(bytes.fromhex("3019301306072a8648ce3d020106082a8648ce3d03010703020000"))
OFF_CURVE = b64(base64.b64decode(public_der(P256))[:-32] + bytes(32))
NO_KEYS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("another-curve", "ecdsa", public_der(P384), {}),
    ("secp256k1", "ecdsa", public_der(K256), {}),
    ("p-256-for-p-384", "ecdsa", public_der(P256), {"curve": "P-384"}),
    ("rsa-for-ecdsa", "ecdsa", public_pem(PAYPAL), {}),
    ("ecdsa-for-rsa", "rsa", public_pem(P256), {}),
    ("ed25519-for-rsa", "rsa", public_pem(ED), {}),
    ("ecdsa-for-ed25519", "ed25519", public_pem(P256), {"string_type": "base64"}),
    ("infinity", "ecdsa", INFINITY, {}),
    ("off-the-curve", "ecdsa", OFF_CURVE, {}),
    ("private", "rsa", pkcs8(PAYPAL), {}),
    ("private-ec", "ecdsa", pkcs8(P256), {}),
    ("text", "rsa", "not a key at all, but long", {}),
    ("empty-pem", "rsa", "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----", {}),
    ("cut", "ecdsa", public_der(P256)[:80], {}),
]


@pytest.mark.bad_input(262)
@pytest.mark.parametrize(("form", "key", "config"), [row[1:] for row in NO_KEYS], ids=[row[0] for row in NO_KEYS])
def test_what_is_no_such_public_key_is_refused_at_load(form: str, key: str, config: dict[str, Any]) -> None:
    with pytest.raises(Faults, match=r"s\.secrets\.0: ") as told:
        source(form, key, **config)
    assert key[:20] not in str(told.value)


@pytest.mark.bad_input(264)
def test_a_short_rsa_key_is_refused_at_load() -> None:
    with pytest.raises(Faults, match="it has 1024 bits, and must have 2048 to 8192"):
        source("rsa", public_pem(SHORT_RSA))


def test_a_key_in_an_environment_variable_may_have_its_line_breaks_spelled_out() -> None:
    on = source("rsa", public_pem(PAYPAL).replace("\n", "\\n"))
    assert isinstance(sent(on, GOOD["rsa"][1]), Accepted)


def test_the_key_may_come_from_the_environment() -> None:
    given = {"preset": "wise", "secrets": ["${KEY}"]}
    on = read_source("s", given, {"KEY": public_pem(PAYPAL)})
    made = PAYPAL.sign(BODY, padding.PKCS1v15(), SHA256)
    assert isinstance(verify(on, of_headers({"x-signature-sha256": b64(made)}, BODY)), Accepted)


def test_the_key_may_come_from_the_context() -> None:
    config = {"parts": ["raw_body"], "compare_with": "{{headers.x-signature}}"}
    block = {"signature_verification": {"format": "rsa", "config": config}}
    on = read_source("s", {"webhook": block, "context": {"public_key": public_pem(PAYPAL)}}, {})
    assert isinstance(sent(on, GOOD["rsa"][1]), Accepted)
    with pytest.raises(Faults, match="public_key"):
        read_source("s", {"webhook": block}, {})


@pytest.mark.parametrize("padded", ["rsa", "pss"])
def test_one_padding_is_not_taken_for_the_other(padded: str) -> None:
    other = source("rsa", public_pem(PAYPAL), padding="pkcs1" if padded == "pss" else "pss")
    assert cause(sent(other, GOOD[padded][1])) == "signature_mismatch"


def test_several_keys_are_live_at_once_and_told_apart() -> None:
    on = source("rsa", public_pem(SNS), public_pem(PAYPAL))
    outcome = sent(on, GOOD["rsa"][1])
    assert isinstance(outcome, Accepted)
    assert outcome.secret_position == 1


@pytest.mark.parametrize("form", ["ecdsa", "rsa"])
def test_the_bound_on_checks_of_one_delivery_holds(form: str) -> None:
    key = public_pem(P256 if form == "ecdsa" else PAYPAL)
    on = source(form, key, options={"signature_separator": ","})
    assert cause(sent(on, ",".join(["AAAA"] * 5))) == "too_many_signatures"
    with pytest.raises(Faults, match="hold more than 16 public keys"):
        source(form, *[key] * 17)


@pytest.mark.parametrize("form", ["ecdsa", "rsa"])
def test_a_time_has_to_be_among_what_is_signed(form: str) -> None:
    key = public_pem(P256 if form == "ecdsa" else PAYPAL)
    timed = {"timestamp": "{{headers.x-time}}"}
    with pytest.raises(Faults, match=r"`headers\.x-time` is not covered by the signature"):
        source(form, key, options=timed)
    config = {"parts": None, "verification_content": ["{{headers.x-time}}", "{{raw_body}}"]}
    on = source(form, key, options=timed, **config)
    content = str(int(NOW)).encode() + BODY
    made = P256.sign(content, ec.ECDSA(SHA256)) if form == "ecdsa" else PAYPAL.sign(content, padding.PKCS1v15(), SHA256)
    headers = {"x-signature": b64(made), "x-time": str(int(NOW))}
    assert isinstance(verify(on, of_headers(headers, BODY)), Accepted)
    assert cause(verify(on, of_headers(headers, BODY), now=NOW + 301)) == "timestamp_out_of_tolerance"
