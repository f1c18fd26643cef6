"""Bytes, headers and a source in; a verified event or one refusal out."""

from __future__ import annotations

import base64
import hmac
import unicodedata

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Verified
from events.event import KEPT_HEADERS
from ingress import Source, truto_source
from ingress.answers import Refusal
from ingress.sources.loading import read_source
from ingress.verification import check_head
from tests.unit.ingress.sources.senders import event_of
from truto.signature import sign

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
OLD_SECRET = "0c0f4a56-3a2f-4f0e-93f8-9d7a5a0f0c11"
TRUTO = truto_source([SECRET, OLD_SECRET])
BODY = b'{"id":"e-1","event":"ping"}'
JSON_TYPE = (b"content-type", b"application/json")


def signature(body: bytes, secret: str = SECRET, *, encoding: str = "hex") -> tuple[bytes, bytes]:
    return b"x-truto-signature", sign(body, secret, encoding=encoding).encode()


def refused(source: Source, headers: list[tuple[bytes, bytes]], body: bytes) -> Refusal:
    outcome = event_of(source, headers, body)
    assert isinstance(outcome, Refusal)
    return outcome


def taken(headers: list[tuple[bytes, bytes]], body: bytes) -> Verified:
    outcome = event_of(TRUTO, headers, body)
    assert isinstance(outcome, Verified)
    return outcome


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param([], id="none"),
        pytest.param([JSON_TYPE], id="json"),
        pytest.param([(b"content-type", b"application/json; charset=utf-8")], id="json-with-charset"),
        pytest.param([(b"content-type", b"Application/JSON")], id="json-in-capitals"),
        pytest.param([(b"content-type", b"application/cloudevents+json")], id="plus-json"),
        pytest.param([(b"content-type", b"multipart/form-data; boundary=b")], id="multipart"),
        pytest.param([(b"content-type", b"")], id="empty-type"),
        pytest.param([(b"content-encoding", b"identity")], id="identity"),
        pytest.param([(b"content-encoding", b"")], id="empty-encoding"),
        pytest.param([(b"x", b"y")] * 100, id="a-hundred-headers"),
        pytest.param([(b"x", b"y" * (32 * 1024 - 1))], id="largest"),
    ],
)
def test_a_usual_head_is_fine(headers: list[tuple[bytes, bytes]]) -> None:
    assert check_head(headers) is None


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        pytest.param([(b"x", b"y")] * 101, 431, "headers_too_large", id="too-many"),
        pytest.param([(b"x", b"y" * 32 * 1024)], 431, "headers_too_large", id="too-large"),
        pytest.param([(b"y" * 32 * 1024, b"x")], 431, "headers_too_large", id="name-too-large"),
        pytest.param([(b"content-encoding", b"gzip")], 415, "unsupported_encoding", id="gzip"),
        pytest.param([(b"content-encoding", b"GZIP ")], 415, "unsupported_encoding", id="gzip-in-capitals"),
        pytest.param([(b"content-encoding", b"identity, br")], 415, "unsupported_encoding", id="nested"),
        pytest.param(
            [(b"content-encoding", b""), (b"content-encoding", b"zstd")], 415, "unsupported_encoding", id="second"
        ),
        pytest.param([(b"content-type", b"text/plain")], 415, "unsupported_media_type", id="text"),
        pytest.param(
            [(b"content-type", b"application/x-www-form-urlencoded")], 415, "unsupported_media_type", id="form"
        ),
        pytest.param([(b"content-type", b"application/jsonp")], 415, "unsupported_media_type", id="jsonp"),
        pytest.param([(b"content-type", b"text/x+json")], 415, "unsupported_media_type", id="text-plus-json"),
        pytest.param([(b"content-type", b"application/json,text/html")], 415, "unsupported_media_type", id="list"),
        pytest.param([(b"content-type", b"\xff")], 415, "unsupported_media_type", id="no-ascii"),
        pytest.param([(b"content-type", b"multipart/mixed; boundary=b")], 415, "unsupported_media_type", id="mixed"),
    ],
)
def test_an_unusable_head_is_refused_before_its_body(
    headers: list[tuple[bytes, bytes]], status: int, reason: str
) -> None:
    refusal = check_head(headers)
    assert refusal is not None
    assert (refusal.status, refusal.reason, refusal.close) == (status, reason, True)


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_an_authentic_delivery_is_verified(encoding: str) -> None:
    verified = taken([JSON_TYPE, signature(BODY, encoding=encoding)], BODY)
    assert verified == Verified(
        source="truto",
        type="ping",
        id="e-1",
        body=BODY,
        headers={"content-type": "application/json"},
        platform=True,
        subject=(None, None),
    )


def test_what_a_delivery_is_about_is_known_from_its_verification() -> None:
    body = orjson.dumps(
        {"id": "e", "event": "record:created", "payload": {"integrated_account_id": "a", "tenant_id": "t"}}
    )
    assert taken([JSON_TYPE, signature(body)], body).subject == ("a", "t")


def test_while_secrets_rotate_both_count_and_it_is_told_which_one_did() -> None:
    assert taken([signature(BODY, SECRET)], BODY).secret_position == 0
    assert taken([signature(BODY, OLD_SECRET)], BODY).secret_position == 1


NFC, NFD = (b'{"event":"' + unicodedata.normalize(form, "é").encode() + b'"}' for form in ("NFC", "NFD"))
DIGEST = hmac.digest(SECRET.encode(), BODY, "sha256")
FORGED = [
    pytest.param([], "signature_missing", id="no-header"),
    pytest.param([b""], "signature_missing", id="empty"),
    pytest.param([sign(BODY, "another").encode()], "signature_mismatch", id="another-secret"),
    pytest.param([sign(BODY + b" ", SECRET).encode()], "signature_mismatch", id="one-byte-more"),
    pytest.param(
        [sign(orjson.dumps({"event": "ping", "id": "e-1"}), SECRET).encode()], "signature_mismatch", id="reordered"
    ),
    pytest.param([sign(BODY, SECRET).encode()] * 2, "signature_duplicate", id="twice"),
    pytest.param([sign(BODY, SECRET).encode(), b"format=sha256,v=x"], "signature_duplicate", id="good-then-bad"),
    pytest.param([b"format=sha256,v=x", sign(BODY, SECRET).encode()], "signature_duplicate", id="bad-then-good"),
    pytest.param([b"format=sha256,v=\xe9"], "signature_malformed", id="no-ascii"),
    pytest.param([b"format=sha256,v="], "signature_malformed", id="no-digest"),
    pytest.param(
        [b"format=sha1,v=" + hmac.digest(SECRET.encode(), BODY, "sha1").hex().encode()], "signature_format", id="sha1"
    ),
    pytest.param([b"sha256=" + DIGEST.hex().encode()], "signature_malformed", id="another-scheme"),
    pytest.param([b"format=sha256,v=" + base64.b64encode(DIGEST) + b"AA"], "signature_malformed", id="after-padding"),
    pytest.param([b"format=sha256,v=" + DIGEST.hex()[:16].encode()], "signature_malformed", id="cut"),
    pytest.param([b",".join([b"v=" + b"0" * 64] * 1000)], "signature_malformed", id="thousand"),
]


@pytest.mark.parametrize(("presented", "cause"), FORGED)
def test_a_delivery_that_is_not_authentic_is_refused_alike_whatever_the_cause(
    presented: list[bytes], cause: str
) -> None:
    refusal = refused(TRUTO, [(b"x-truto-signature", value) for value in presented], BODY)
    assert (refusal.status, refusal.reason, refusal.logged_reason) == (401, "signature_mismatch", cause)
    assert refusal.message == "The delivery is not authentic."


def test_only_the_bytes_count_and_not_what_they_spell() -> None:
    assert NFC != NFD
    assert refused(TRUTO, [signature(NFC)], NFD).status == 401


def test_a_signature_for_one_source_does_not_open_another() -> None:
    other = read_source("other", {"preset": "truto", "secrets": ["another secret of its own"]}, {})
    assert refused(other, [signature(BODY)], BODY).status == 401


@pytest.mark.parametrize(
    ("created_at", "taken"),
    [
        ("2023-11-14T22:13:20.000Z", True),
        ("2023-11-14 22:13:20", True),
        ("2023-11-14T22:08:20Z", True),
        ("2023-11-14T22:08:19Z", False),
        ("2023-11-14T22:18:21Z", False),
        ("yesterday", False),
        (None, False),
        (1700000000, False),
    ],
)
def test_where_a_tolerance_is_set_an_event_has_to_be_of_now(created_at: object, taken: bool) -> None:
    source = truto_source([SECRET], tolerance_seconds=300)
    body = orjson.dumps({"event": "ping", "id": "e-1", "created_at": created_at})
    outcome = event_of(source, [signature(body)], body, 1_700_000_000.0)
    assert isinstance(outcome, Verified) is taken
    if isinstance(outcome, Refusal):
        assert (outcome.status, outcome.logged_reason) == (401, "timestamp_out_of_tolerance")


def test_without_a_tolerance_an_old_event_is_taken() -> None:
    body = b'{"event":"ping","created_at":"2001-01-01T00:00:00Z"}'
    assert isinstance(taken([signature(body)], body), Verified)


def test_nothing_is_parsed_for_a_stranger() -> None:
    assert refused(TRUTO, [], b"not json").status == 401


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not_json"),
        (b"nope", "not_json"),
        (b"[1]", "not_an_object"),
        (b'{"id":"1"}', "event_name_missing"),
        (b'{"event":"a\\u0000"}', "event_name_malformed"),
    ],
    ids=["empty", "not-json", "array", "no-name", "name-with-nul"],
)
def test_an_authentic_delivery_without_an_event_is_malformed(body: bytes, reason: str) -> None:
    refusal = refused(TRUTO, [signature(body)], body)
    assert (refusal.status, refusal.reason) == (400, reason)
    assert refusal.message.startswith("The delivery is authentic, but ")


def test_only_harmless_headers_are_kept() -> None:
    harmless = [(name.encode(), b"kept \xe9") for name in KEPT_HEADERS if name != "content-type"]
    harmful = [(b"authorization", b"Bearer x"), (b"cookie", b"c=1"), signature(BODY)]
    verified = taken([*harmless, *harmful], BODY)
    assert verified.headers == {name: "kept é" for name in KEPT_HEADERS if name != "content-type"}


@pytest.mark.bad_input(303)
def test_of_the_usual_headers_an_event_keeps_a_kilobyte_each() -> None:
    """Every event of a delivery is stored with them."""
    large = [(name.encode(), b"x" * 1025) for name in KEPT_HEADERS if name != "content-type"]
    assert taken([*large, signature(BODY)], BODY).headers == {}
    fitting = [(name, value[:1024]) for name, value in large]
    assert len(taken([*fitting, signature(BODY)], BODY).headers) == len(large)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"x-truto-signature", b"content-type", b"authorization", b"x"]), st.binary(max_size=120)
        ),
        max_size=4,
    ),
    st.binary(max_size=100) | st.just(BODY),
)
def test_without_a_valid_signature_nothing_is_ever_verified(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    assert refused(TRUTO, headers, body).status == 401


@given(st.binary(max_size=300), st.binary(max_size=80))
def test_whatever_is_signed_is_verified_or_refused(body: bytes, parameters: bytes) -> None:
    for content_type in (b"application/json", b"multipart/form-data; boundary=" + parameters):
        outcome = event_of(TRUTO, [(b"content-type", content_type), signature(body)], body)
        assert isinstance(outcome, Verified) or outcome.status == 400
