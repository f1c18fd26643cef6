"""``X-Truto-Signature``: what is authentic, and that everything else is refused with our own error."""

from __future__ import annotations

import base64
import hmac
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truto.errors import SignatureError
from truto.signature import sign, verify

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
BODY = (
    b'{"id":"3a0da6ba-b2d1-473f-957c-51f6825e3623","event":"integrated_account:active","payload":'
    b'{"id":"79a39d69-e27e-49cb-b9a9-79f5eea7aa26","tenant_id":"acme-1","status":"active"},'
    b'"environment_id":"ac15abdc-b38e-47d0-97a2-69194017c177",'
    b'"webhook_id":"b6d29b9b-3d9d-44fd-aa77-512fd83b28c1","created_at":"2023-06-16T09:21:21.000Z"}'
)
HEX = "3cbb49dd2307c6d1e3930a2bb94a3e1d58f70fc703041e1a7c7c83bad6ecf124"
BASE64 = "PLtJ3SMHxtHjkworuUo+HVj3D8cDBB4afHyDutbs8SQ="


@pytest.mark.parametrize(("encoding", "digest"), [("hex", HEX), ("base64", BASE64)], ids=["hex", "base64"])
def test_signing_gives_the_known_vector(encoding: str, digest: str) -> None:
    assert sign(BODY, SECRET, encoding=encoding) == f"format=sha256,v={digest}"


def test_an_unknown_encoding_is_refused_instead_of_guessed() -> None:
    with pytest.raises(ValueError, match="hex or base64"):
        sign(BODY, SECRET, encoding="hexadecimal")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(f"format=sha256,v={HEX}", id="hex"),
        pytest.param(f"format=sha256,v={BASE64}", id="base64"),
        pytest.param(f"v={BASE64}", id="without-format"),
        pytest.param(f"v={HEX},format=sha256", id="other-order"),
        pytest.param(f" format=sha256 , v={HEX} ", id="spaces-around-parts"),
        pytest.param(f"format=sha256,v={HEX.upper()}", id="upper-case-hex"),
        pytest.param(f"format=sha256,v={'0' * 64},v={HEX}", id="one-of-two-matches"),
        pytest.param(f"t=1,format=sha256,v={HEX}", id="unknown-key"),
    ],
)
def test_an_authentic_header_is_accepted(header: str) -> None:
    assert verify(BODY, header, [SECRET]) == 0


MALFORMED = [
    pytest.param(None, "signature_missing", id="absent"),
    pytest.param("", "signature_missing", id="empty"),
    pytest.param(" ", "signature_malformed", id="blank"),
    pytest.param(HEX, "signature_malformed", id="bare-digest"),
    pytest.param("format=sha256", "signature_malformed", id="format-only"),
    pytest.param("format=sha256,v=", "signature_malformed", id="empty-digest"),
    pytest.param(f"format=sha1,v={HEX}", "signature_format", id="sha1"),
    pytest.param(f"format=SHA256,v={HEX}", "signature_format", id="format-in-upper-case"),
    pytest.param(f"format=sha256,format=md5,v={HEX}", "signature_format", id="two-formats"),
    pytest.param(f"format==sha256,v={HEX}", "signature_format", id="doubled-equals-in-format"),
    pytest.param(f"format=sha256,v=={HEX}", "signature_malformed", id="doubled-equals"),
    pytest.param(f"format=sha256,v0={HEX}", "signature_malformed", id="other-scheme"),
    pytest.param(f"format=sha256,v={HEX[:16]}", "signature_malformed", id="cut-to-8-bytes"),
    pytest.param(f"format=sha256,v={HEX[:-1]}", "signature_malformed", id="one-character-short"),
    pytest.param(f"format=sha256,v={HEX}0", "signature_malformed", id="one-character-long"),
    pytest.param(f"format=sha256,v={HEX[:32]} {HEX[32:]}", "signature_malformed", id="space-in-hex"),
    pytest.param(f"format=sha256,v={HEX[:32]}  {HEX[34:]}", "signature_malformed", id="spaces-for-digits"),
    pytest.param(f"format=sha256,v={HEX[:-1]}g", "signature_malformed", id="no-hex-digit"),
    pytest.param(f"format=sha256,v={BASE64[:10]}!{BASE64[10:]}", "signature_malformed", id="junk-in-base64"),
    pytest.param(f"format=sha256,v={BASE64[:-2]}R=", "signature_malformed", id="non-canonical-base64"),
    pytest.param(f"format=sha256,v={BASE64}AA", "signature_malformed", id="text-after-padding"),
    pytest.param(f"format=sha256,v={BASE64[:-1]}", "signature_malformed", id="padding-missing"),
    pytest.param(f"format=sha256,v={BASE64.replace('+', '-')}", "signature_malformed", id="url-safe-base64"),
    pytest.param("format=sha256,v=\xe9" + HEX[1:], "signature_malformed", id="latin-1-character"),
    pytest.param("format=sha256,v=" + "０" * 64, "signature_malformed", id="full-width-digits"),  # noqa: RUF001 - meant
    pytest.param("v=" + HEX + ",v=" + "0" * 64 * 16, "signature_malformed", id="too-long"),
    pytest.param(",".join([f"v={HEX}"] * 1000), "signature_malformed", id="thousand-digests"),
    pytest.param(f"format=sha256,v={'0' * 64}", "signature_mismatch", id="another-digest"),
]


@pytest.mark.parametrize(("header", "reason"), MALFORMED)
def test_a_bad_header_is_refused_with_a_stable_reason(header: str | None, reason: str) -> None:
    with pytest.raises(SignatureError) as caught:
        verify(BODY, header, [SECRET])
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(BODY + b" ", id="one-byte-more"),
        pytest.param(BODY[:-1], id="one-byte-less"),
        pytest.param(BODY.replace(b'","', b'", "'), id="re-serialised"),
        pytest.param(b"", id="empty"),
    ],
)
def test_another_body_than_the_signed_one_is_refused(body: bytes) -> None:
    with pytest.raises(SignatureError, match="no live secret"):
        verify(body, f"format=sha256,v={HEX}", [SECRET])


def test_the_raw_bytes_are_signed_not_the_text() -> None:
    """A normalised spelling of the same text is another body."""
    composed = unicodedata.normalize("NFC", "é").encode()
    decomposed = unicodedata.normalize("NFD", "é").encode()
    with pytest.raises(SignatureError):
        verify(decomposed, sign(composed, SECRET), [SECRET])


@pytest.mark.parametrize("position", [0, 1, 2], ids=["newest", "older", "oldest"])
def test_any_live_secret_verifies_and_is_named_by_position(position: int) -> None:
    secrets = ["newest-secret", "older-secret", "oldest-secret"]
    assert verify(BODY, sign(BODY, secrets[position]), secrets) == position


def test_a_secret_may_be_given_as_its_bytes() -> None:
    secrets: list[str | bytes] = ["another", "geheimnis-é".encode()]
    assert verify(BODY, sign(BODY, "geheimnis-é"), secrets) == 1


def test_the_usual_spelling_may_be_followed_by_more() -> None:
    first, second = sign(BODY, "another"), sign(BODY, SECRET, encoding="base64").removeprefix("format=sha256,")
    assert verify(BODY, f"{first},{second}", [SECRET]) == 0


def test_an_empty_secret_is_passed_over_and_does_not_shift_the_position() -> None:
    assert verify(BODY, sign(BODY, SECRET), ["", SECRET]) == 1


@pytest.mark.parametrize("secrets", [[], [""], ["", ""]], ids=["none", "empty", "two-empty"])
def test_without_a_secret_nothing_is_authentic(secrets: list[str]) -> None:
    """Not even a delivery that is signed with the empty key."""
    forged = "format=sha256,v=" + hmac.digest(b"", BODY, "sha256").hex()
    with pytest.raises(SignatureError) as caught:
        verify(BODY, forged, secrets)
    assert caught.value.reason == "no_secret"


def test_a_delivery_for_another_webhook_is_refused() -> None:
    with pytest.raises(SignatureError):
        verify(BODY, sign(BODY, "another-webhooks-secret"), [SECRET])


def test_the_secret_and_the_digest_are_in_no_message() -> None:
    with pytest.raises(SignatureError) as caught:
        verify(BODY, f"format=sha256,v={'0' * 64}", [SECRET])
    assert SECRET not in repr(caught.value)
    assert HEX not in repr(caught.value)


_digests = st.one_of(
    st.text(max_size=100),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.binary(max_size=40).map(lambda raw: base64.b64encode(raw).decode()),
)
_headers = st.one_of(
    st.none(), st.text(max_size=2000), _digests.map("v={}".format), _digests.map("format=sha256,v={}".format)
)


@given(body=st.binary(max_size=200), header=_headers, secrets=st.lists(st.just(SECRET) | st.just(""), max_size=3))
def test_whatever_a_stranger_sends_the_answer_is_our_own_error(
    body: bytes, header: str | None, secrets: list[str]
) -> None:
    with pytest.raises(SignatureError):
        verify(body, header, secrets)


@given(
    body=st.binary(max_size=500),
    secret=st.text(st.characters(codec="utf-8"), min_size=1),
    encoding=st.sampled_from(["hex", "base64"]),
)
def test_what_was_signed_with_a_live_secret_is_accepted(body: bytes, secret: str, encoding: str) -> None:
    assert verify(body, sign(body, secret, encoding=encoding), ["other", secret]) in (0, 1)
