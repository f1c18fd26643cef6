"""How an event is found in a body that a stranger wrote: its name and its id."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import MalformedEvent, Verified
from events.event import event_name, json_object, read_envelope
from events.identity import event_id, event_key

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def body_of(**fields: Any) -> bytes:
    return orjson.dumps(fields)


def envelope(source: str, body: bytes) -> tuple[str, str]:
    return read_envelope(source, json_object(body), body)


def hashed(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("envelope", "name"),
    [
        pytest.param({"event": "a"}, "a", id="event"),
        pytest.param({"event_type": "b"}, "b", id="event_type"),
        pytest.param({"eventType": "c"}, "c", id="eventType"),
        pytest.param({"eventType": "c", "event_type": "b", "event": "a"}, "a", id="event-before-the-others"),
        pytest.param({"eventType": "c", "event_type": "b"}, "b", id="snake-case-before-camel-case"),
        pytest.param({"event": 7, "event_type": "b"}, "b", id="only-text-counts"),
        pytest.param({"event": None, "eventType": "c"}, "c", id="null-does-not-count"),
        pytest.param({"Event": "a"}, None, id="spelled-exactly"),
        pytest.param({"payload": {"event": "a"}}, None, id="at-the-top-only"),
        pytest.param({}, None, id="none"),
    ],
)
def test_the_name_is_read_from_the_first_field_that_is_text(envelope: dict[str, Any], name: str | None) -> None:
    assert event_name(envelope) == name


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(b"", "not_json", id="empty"),
        pytest.param(b" ", "not_json", id="blank"),
        pytest.param(b"event=a", "not_json", id="form"),
        pytest.param(b'{"event":"a"', "not_json", id="cut-off"),
        pytest.param(b'{"event":"a"}{"event":"b"}', "not_json", id="two-documents"),
        pytest.param(b'\xef\xbb\xbf{"event":"a"}', "not_json", id="byte-order-mark"),
        pytest.param('{"event":"a"}'.encode("utf-16"), "not_json", id="utf-16"),
        pytest.param(b'{"event":"\xff"}', "not_json", id="invalid-utf-8"),
        pytest.param(b'{"event":"\\ud800"}', "not_json", id="lone-surrogate"),
        pytest.param(b'{"event":"a","n":NaN}', "not_json", id="nan"),
        pytest.param(b'{"event":"a","n":Infinity}', "not_json", id="infinity"),
        pytest.param(b"[" * 100_000, "not_json", id="a-hundred-thousand-levels-open"),
        pytest.param(b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "not_json", id="five-thousand-levels-deep"),
        pytest.param(b"[]", "not_an_object", id="array"),
        pytest.param(b'"a"', "not_an_object", id="text"),
        pytest.param(b"1", "not_an_object", id="number"),
        pytest.param(b"null", "not_an_object", id="null"),
        pytest.param(b"{}", "event_name_missing", id="no-name"),
        pytest.param(b'{"event":""}', "event_name_missing", id="empty-name"),
        pytest.param(b'{"event":{"a":1}}', "event_name_missing", id="name-is-an-object"),
        pytest.param(b'{"event":true}', "event_name_missing", id="name-is-true"),
        pytest.param(body_of(event="a" * 257), "event_name_malformed", id="name-too-long"),
        pytest.param(body_of(event="a\nb"), "event_name_malformed", id="name-with-newline"),
        pytest.param(body_of(event="a\0"), "event_name_malformed", id="name-with-nul"),
        pytest.param(body_of(event="\x1b[31ma"), "event_name_malformed", id="name-with-terminal-escape"),
        pytest.param(body_of(event="a\u202eb"), "event_name_malformed", id="name-with-direction-override"),
    ],
)
def test_a_body_without_an_event_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(MalformedEvent) as caught:
        envelope("truto", body)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "name",
    ["integrated_account:active", "no.such:thing", "os.system", "../../os", "x" * 256, "événement", "Record:Created"],
    ids=["known", "unknown", "module", "path", "longest", "non-ascii", "upper-case"],
)
def test_any_printable_name_is_taken_as_it_is(name: str) -> None:
    assert envelope("truto", body_of(event=name, id="1")) == (name, "1")


def test_of_two_equal_fields_the_last_one_counts() -> None:
    assert envelope("truto", b'{"event":"a","event":"b","id":"1","id":"2"}') == ("b", "2")


@pytest.mark.parametrize(
    ("given_id", "event_id"),
    [
        pytest.param("3a0da6ba-b2d1-473f-957c-51f6825e3623", "3a0da6ba-b2d1-473f-957c-51f6825e3623", id="uuid"),
        pytest.param("a:b|c d", "a:b|c d", id="separators-and-space"),
        pytest.param("__proto__", "__proto__", id="inert-word"),
        pytest.param("é" * 256, "é" * 256, id="longest"),
        pytest.param(7, "7", id="number"),
        pytest.param(0, "0", id="zero"),
        pytest.param(-7, "-7", id="negative-number"),
        pytest.param(2**64 - 1, "18446744073709551615", id="largest-exact-number"),
        pytest.param("x" * 10_240, hashed("x" * 10_240), id="ten-kilobytes"),
        pytest.param("a\nb", hashed("a\nb"), id="newline"),
        pytest.param("a\0b", hashed("a\0b"), id="nul"),
        pytest.param("\x1b[2J", hashed("\x1b[2J"), id="terminal-escape"),
        pytest.param("\u2028", hashed("\u2028"), id="line-separator"),
    ],
)
def test_an_id_is_kept_or_hashed_when_it_could_do_harm(given_id: object, event_id: str) -> None:
    assert envelope("truto", body_of(event="a", id=given_id)) == ("a", event_id)


@pytest.mark.parametrize(
    "spelled",
    ["null", "true", "false", "1.5", "1.0", "18446744073709551616", '""', "[1]", '{"a":1}'],
    ids=["null", "true", "false", "float", "whole-float", "two-to-64", "empty", "array", "object"],
)
def test_without_a_usable_id_the_body_is_the_id(spelled: str) -> None:
    body = b'{"event":"a","id":' + spelled.encode() + b"}"
    assert envelope("truto", body) == ("a", "sha256:" + hashlib.sha256(b"truto\0" + body).hexdigest())


@pytest.mark.parametrize("spelled", ["1e400", "1" * 5000, "-", "01"], ids=["overflow", "5000-digits", "sign", "octal"])
def test_a_number_beyond_all_bounds_is_refused(spelled: str) -> None:
    with pytest.raises(MalformedEvent):
        envelope("truto", b'{"event":"a","id":' + spelled.encode() + b"}")


def test_a_body_without_id_is_another_event_at_another_source_and_with_another_body() -> None:
    bodies = [b'{"event":"a"}', b'{"event": "a"}']
    ids = {envelope(source, body)[1] for source in ("truto", "github") for body in bodies}
    assert len(ids) == 4


def test_the_same_body_without_id_is_the_same_event() -> None:
    assert envelope("truto", b'{"event":"a"}') == envelope("truto", b'{"event":"a"}')


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        name, event_id = envelope("truto", body)
    except MalformedEvent:
        return
    assert name.isprintable()
    assert event_id.isprintable()


@given(JSON, JSON, JSON)
def test_arbitrary_values_are_read_or_refused(name: object, event_id: object, payload: object) -> None:
    body = json.dumps({"event": name, "id": event_id, "payload": payload}).encode()
    try:
        read_name, read_id = envelope("truto", body)
    except MalformedEvent:
        return
    assert read_name == name
    assert 0 < len(read_id) <= 256


@given(st.text(), st.text())
def test_no_id_becomes_a_redis_key_as_it_is(source: str, event_id: str) -> None:
    key = event_key(source, event_id)
    assert len(key) == 32
    assert set(key) <= set("0123456789abcdef")


def test_sources_do_not_share_ids() -> None:
    assert event_key("a", "b") != event_key("b", "a")
    assert event_key("truto", "1") == Verified("truto", "x", "1", b"{}").key


def test_what_is_stored_beside_the_body_is_one_line() -> None:
    verified = Verified("truto", "a", "line\nbreak", b"{}", headers={"user-agent": "x\ny"})
    assert b"\n" not in verified.meta


def test_neither_body_nor_headers_show_in_a_representation() -> None:
    verified = Verified("truto", "a", "1", b"hidden-body", headers={"user-agent": "hidden-header"}, raw=b"hidden-raw")
    assert "hidden" not in repr(verified)


# -- ids and names -----------------------------------------------------------------------------------------------------


def test_several_parts_are_one_id_that_can_be_read() -> None:
    assert event_id(["100", "1564113600000", "-"]) == "100:1564113600000:-"


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4), st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_different_parts_are_never_one_id(one: list[str], other: list[str]) -> None:
    if len(one) == len(other):
        assert (event_id(one) == event_id(other)) is (one == other)


@pytest.mark.parametrize("named", [[], [None], ["a", None], ["", "b"]], ids=str)
def test_without_all_of_its_parts_an_event_has_an_id_of_its_own(named: list[str | None]) -> None:
    assert event_id(named) != event_id(named)


def test_otherwise_it_is_known_by_what_else_tells_it_apart() -> None:
    assert event_id([None], otherwise=[b"a", b"b"]) == event_id([], otherwise=[b"a", b"b"])
    assert event_id([], otherwise=[b"a", b"b"]) != event_id([], otherwise=[b"a", b"c"])


def test_ids_of_lone_surrogates_and_of_many_parts_are_hashed() -> None:
    assert event_id(["\ud800"]).startswith("sha256:")
    assert len(event_id(["x" * 200, "y" * 200])) == len(hashed(""))


def test_the_name_in_the_store_covers_the_type_of_every_source_but_ours() -> None:
    assert event_key("shop", "1", "a") != event_key("shop", "1", "b")
    assert event_key("truto", "1", "a") == event_key("truto", "1") == event_key("truto", "1", "b")
    assert event_key("shop", "1", "a", platform=True) == event_key("shop", "1")


@given(st.text(), st.binary(), st.text(), st.binary())
def test_the_digest_tells_types_and_bodies_apart(kind: str, body: bytes, other: str, another: bytes) -> None:
    one, two = Verified("s", kind, "1", body), Verified("s", other, "1", another)
    if (kind, body) == (other, another):
        assert one.digest == two.digest
    elif kind == other and len(body) == len(another) <= 4:
        assert one.digest != two.digest
