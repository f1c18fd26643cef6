"""Forms: the part that is an event is found, and no form can be built that breaks the search."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import MalformedEvent, Verified
from ingress.multipart import envelope_part, text_parts
from tests.unit.ingress.sources.senders import event_of
from tests.unit.ingress.test_verification import TRUTO, signature

EVENT = b'{"event":"a","id":"1"}'
TYPE = b"multipart/form-data; boundary=b"


def form(*parts: bytes, boundary: bytes = b"b", end: bytes = b"--\r\n") -> bytes:
    head = b'\r\nContent-Disposition: form-data; name="x"\r\n\r\n'
    return b"".join(b"--" + boundary + head + part + b"\r\n" for part in parts) + b"--" + boundary + end


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(form(EVENT), id="alone"),
        pytest.param(form(b"text", b"\0\xff", EVENT), id="after-files"),
        pytest.param(form(b"{", b'{"a":1}', EVENT), id="after-other-objects"),
        pytest.param(form(EVENT, b'{"event":"second"}'), id="first-of-two"),
        pytest.param(form(EVENT, end=b""), id="unfinished"),
        pytest.param(form(EVENT) + b"epilogue", id="before-an-epilogue"),
        pytest.param(form(*[b"x"] * 99, EVENT), id="as-hundredth"),
    ],
)
def test_the_first_part_that_names_an_event_is_the_event(body: bytes) -> None:
    assert envelope_part(TYPE, body) == EVENT


def test_the_event_keeps_its_bytes() -> None:
    spaced = b' \n{ "event" : "a",\r\n\r\n "boundary":"--c" }\n'
    assert envelope_part(TYPE, form(spaced)) == spaced


def test_a_boundary_within_a_part_of_another_boundary_is_only_text() -> None:
    inner = form(b'{"event":"inner"}', boundary=b"inner")
    assert envelope_part(TYPE, form(inner, EVENT)) == EVENT


def test_a_longer_boundary_that_begins_alike_is_only_text() -> None:
    tricky = b'{"event":"a","x":"\r\n--bc"}'.replace(b"\r\n", b"\\r\\n")
    assert envelope_part(TYPE, form(tricky)) == tricky


@pytest.mark.parametrize(
    ("content_type", "body", "reason"),
    [
        pytest.param(b"multipart/form-data", form(EVENT), "multipart_malformed", id="no-boundary"),
        pytest.param(b"multipart/form-data; boundary=", form(EVENT), "multipart_malformed", id="empty-boundary"),
        pytest.param(
            b"multipart/form-data; boundary=" + b"b" * 300, form(EVENT), "multipart_malformed", id="long-boundary"
        ),
        pytest.param(TYPE, b"", "no_envelope_part", id="empty"),
        pytest.param(TYPE, form(), "no_envelope_part", id="no-parts"),
        pytest.param(TYPE, form(EVENT, boundary=b"c"), "multipart_malformed", id="other-boundary"),
        pytest.param(TYPE, EVENT, "multipart_malformed", id="json"),
        pytest.param(TYPE, b"--b\r\nno colon\r\n\r\n{}", "multipart_malformed", id="broken-part-head"),
        pytest.param(TYPE, b"--b\r\nA: " + b"x" * 100_000, "multipart_malformed", id="endless-part-head"),
        pytest.param(TYPE, form(*[b"x"] * 101), "multipart_too_many_parts", id="too-many-parts"),
        pytest.param(TYPE, form(b"text", b'{"a":1}'), "no_envelope_part", id="no-event"),
        pytest.param(TYPE, form(b'["event"]'), "no_envelope_part", id="array"),
        pytest.param(TYPE, form(b'{"event":"a"'), "no_envelope_part", id="cut-off"),
        pytest.param(TYPE, form(b'{"event":7}'), "no_envelope_part", id="name-is-a-number"),
    ],
)
def test_a_form_without_an_event_is_malformed(content_type: bytes, body: bytes, reason: str) -> None:
    with pytest.raises(MalformedEvent) as caught:
        envelope_part(content_type, body)
    assert caught.value.reason == reason


def test_the_delivery_as_it_arrived_stays_beside_the_event() -> None:
    body = form(b"file", EVENT)
    outcome = event_of(TRUTO, [(b"content-type", TYPE), signature(body)], body)
    assert isinstance(outcome, Verified)
    assert (outcome.body, outcome.raw) == (EVENT, body)


@pytest.mark.parametrize(
    "body",
    [form(b"\r" * 1_000_000), form(b"\r\n-" * 300_000), form(b"\r\n--" * 250_000), b"\r\n" * 500_000],
    ids=["returns", "half-boundaries", "near-boundaries", "preamble"],
)
def test_a_form_built_to_be_slow_is_not(body: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(MalformedEvent):
        envelope_part(TYPE, body)
    assert time.perf_counter() - started < 3


@given(st.binary(max_size=60), st.lists(st.sampled_from([b"--b", b"\r\n", b"--", b":", b"{}", EVENT, b"\0", b" "])))
def test_an_arbitrary_form_is_read_or_refused(parameters: bytes, pieces: list[bytes]) -> None:
    for content_type in (TYPE, b"multipart/form-data;" + parameters, TYPE + b";" + parameters):
        try:
            envelope_part(content_type, b"".join(pieces))
        except MalformedEvent:
            continue


def test_named_parts_that_are_text_become_fields_and_files_do_not() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nfirst\r\n'
        b'--b\r\nContent-Disposition: form-data; name="f"; filename="f.txt"\r\nContent-Type: text/plain\r\n\r\nx\r\n'
        b'--b\r\nContent-Disposition: form-data; name="latin"\r\n\r\n\xe9\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nunnamed\r\n"
        b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\nlast\r\n--b--\r\n'
    )
    assert text_parts(b"multipart/form-data; boundary=b", body) == {"a": "last"}
