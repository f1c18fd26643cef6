"""Truto is a preset like the other senders; its own source is made in code, so that the ingress starts in a blink."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import Verified
from ingress import truto_source
from ingress.answers import Refusal
from ingress.quotas import Quota
from ingress.sources.loading import read_source
from ingress.verification.outcome import Accepted
from tests.unit.ingress.sources.senders import NOW, SENDERS, event_of, of_headers, verify
from truto.signature import sign

SECRET = "6e17561c-a20c-44ce-b8b5-caff0bf786fe"
OWN = truto_source([SECRET])
PRESET = read_source("truto", {"preset": "truto", "secrets": [SECRET], "options": {"allow_short_secret": True}}, {})
FORM = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n{"event":"a","id":"1"}\r\n--b--\r\n'


def sent(body: bytes, *, media: bytes = b"application/json", signatures: int = 1) -> list[tuple[bytes, bytes]]:
    return [(b"content-type", media), *[(b"x-truto-signature", sign(body, SECRET).encode())] * signatures]


def test_the_source_made_in_code_is_what_the_preset_describes() -> None:
    assert replace(PRESET, description=OWN.description) == OWN


@given(st.binary(max_size=60), st.sampled_from([b"application/json", b"multipart/form-data; boundary=b", b""]))
def test_whatever_is_signed_the_preset_says_the_same(body: bytes, media: bytes) -> None:
    headers = sent(body, media=media)
    assert event_of(PRESET, headers, body) == event_of(OWN, headers, body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b'{"id":"1"}', "event_name_missing"), (b"null", "not_an_object"), (b"", "not_json"), (b"{", "not_json")],
    ids=["no-name", "null", "empty", "cut-off"],
)
@pytest.mark.parametrize("name", ["truto", "truto-eu"])
def test_truto_under_any_name_refuses_what_is_no_event(name: str, body: bytes, reason: str) -> None:
    source = read_source(name, {"preset": "truto", "secrets": [SECRET]}, {})
    refusal = event_of(source, sent(body), body)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.reason) == (400, reason)


def test_another_sender_s_event_may_still_be_without_a_name() -> None:
    intercom = next(sender for sender in SENDERS if sender.preset == "intercom")
    outcome = verify(intercom.source(), intercom.delivery(b'{"a":1}', intercom.secret))
    assert isinstance(outcome, Accepted)
    assert outcome.events[0].type == "unnamed"


def test_truto_under_another_name_reads_forms_too() -> None:
    source = read_source("truto-eu", {"preset": "truto", "secrets": [SECRET]}, {})
    event = event_of(source, sent(FORM, media=b"multipart/form-data; boundary=b"), FORM)
    assert isinstance(event, Verified)
    assert (event.source, event.type, event.id, event.body, event.raw) == (
        "truto-eu",
        "a",
        "1",
        b'{"event":"a","id":"1"}',
        FORM,
    )


def test_truto_under_another_name_takes_no_second_signature() -> None:
    source = read_source("truto-eu", {"preset": "truto", "secrets": [SECRET]}, {})
    refusal = event_of(source, sent(b'{"event":"a"}', signatures=2), b'{"event":"a"}')
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.logged_reason) == (401, "signature_duplicate")


def test_an_identity_of_your_own_counts_for_truto_as_well() -> None:
    given = {"preset": "truto", "secrets": [SECRET], "options": {"identity": ["{{body.payload.id}}"]}}
    source = read_source("truto-eu", given, {})
    body = b'{"event":"a","id":"1","payload":{"id":"p"}}'
    event = event_of(source, sent(body), body)
    assert isinstance(event, Verified)
    assert event.id == "p"


def test_an_id_that_cannot_be_used_is_told() -> None:
    body = b'{"event":"a","id":{"b":1}}'
    outcome = verify(OWN, of_headers({"x-truto-signature": sign(body, SECRET)}, body))
    assert isinstance(outcome, Accepted)
    assert outcome.unusable == {"id"}
    assert outcome.events[0].id.startswith("sha256:")


def test_a_request_of_another_method_brings_no_event() -> None:
    body = b'{"event":"a"}'
    outcome = verify(OWN, of_headers({"x-truto-signature": sign(body, SECRET)}, body, method="PUT"))
    assert isinstance(outcome, Refusal)
    assert outcome.status == 405


def test_an_old_event_is_refused_after_its_signature_and_its_name() -> None:
    source = truto_source([SECRET], tolerance_seconds=300)
    unnamed, old = b'{"created_at":"2001-01-01"}', b'{"event":"a","created_at":"2001-01-01"}'
    found = [event_of(source, sent(body), body, NOW) for body in (unnamed, old)]
    found.append(event_of(source, [(b"x-truto-signature", b"v=1")], old, NOW))
    assert [one.logged_reason for one in found if isinstance(one, Refusal)] == [
        "event_name_missing",
        "timestamp_out_of_tolerance",
        "signature_malformed",
    ]


@pytest.mark.parametrize("secret", [" padded", '"quoted"'])
def test_a_secret_with_something_around_it_is_refused_at_start(secret: str) -> None:
    with pytest.raises(ValueError, match=r"source 'truto': a secret (begins|is in quotes)"):
        truto_source([secret])


@pytest.mark.parametrize(
    ("options", "bounded"),
    [
        ({}, False),
        ({"quota": {"deliveries": 5}}, True),
        ({"quota": {"deliveries": 0}}, False),
        ({"platform_events": False}, True),
    ],
    ids=["as-it-is", "with-a-quota", "with-none", "not-trutos"],
)
def test_only_a_source_of_truto_s_without_a_quota_is_unbounded(options: dict[str, object], bounded: bool) -> None:
    assert read_source("s", {"preset": "truto", "secrets": [SECRET], "options": options}, {}).is_bounded is bounded
    assert Quota().bounds is False


@pytest.mark.parametrize(
    ("preset", "plain"),
    [("truto", True), ("github", True), ("stripe", True), ("shopify", True), ("slack", False), ("aws-sns", False)],
)
def test_a_source_that_only_proves_and_reads_takes_the_short_way(preset: str, plain: bool) -> None:
    sender = next(sender for sender in SENDERS if sender.preset == preset)
    assert sender.source().is_plain is plain


def test_it_is_made_without_yaml_presets_and_expressions() -> None:
    program = (
        "import sys\nfrom ingress import truto_source\nfrom ingress.sources.table import SourceTable\n"
        "from ingress.verification.context import Delivery\nfrom ingress.verification.pipeline import verify_delivery\n"
        "from truto.signature import sign\n"
        "source, body = truto_source(['s']), b'{\"event\":\"a\"}'\n"
        "delivery = Delivery([(b'x-truto-signature', sign(body, 's').encode())], body)\n"
        "print(type(verify_delivery(source, delivery, source.account({}), now=0)).__name__,\n"
        "      [name for name in ('yaml', 'jsonata', 're2', 'truto.expressions', 'ingress.sources.layers',\n"
        "                         'ingress.sources.schema', 'ingress.sources.compiling') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[4], capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n")[0] == "Accepted []"


STORED = truto_source([], stored=True)


def test_a_stored_secret_verifies_as_one_of_the_environment_does() -> None:
    account = STORED.account({"webhook_secret": f"{SECRET},the-one-before-it"})
    assert (account.secrets, account.fault) == ((SECRET.encode(), b"the-one-before-it"), "")


def test_until_a_secret_is_stored_everything_is_refused() -> None:
    assert STORED.account({}).fault == "secret_missing"
    assert STORED.account({"webhook_secret": ["no", "text"]}).fault != ""


def test_secrets_of_the_environment_follow_the_stored_one() -> None:
    source = truto_source(["of-the-environment"], stored=True)
    assert source.account({}).secrets == (b"of-the-environment",)
    assert source.account({"webhook_secret": SECRET}).secrets == (SECRET.encode(), b"of-the-environment")


def test_what_is_in_redis_is_no_secret_unless_that_is_said() -> None:
    source = truto_source(["of-the-environment"])
    assert source.account({"webhook_secret": SECRET}).secrets == (b"of-the-environment",)
    assert not source.learns
