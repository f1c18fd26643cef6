"""How a stored event looks to a handler, and that damage is noticed instead of guessed around."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import CorruptEvent, Event
from events.event import head_of, read_stored, with_body
from events.identity import event_key
from truto.samples import ACCOUNT_ID, ENVIRONMENT_ID, TENANT_ID, WEBHOOK_ID, sample_event

META = {"source": "truto", "type": "a", "id": "1", "headers": {}}


def stored(envelope: object, *, received_ms: int = 1_700_000_000_123, **meta: Any) -> bytes:
    return b"%d\n%s\n%s" % (received_ms, orjson.dumps({**META, **meta}), orjson.dumps(envelope))


def read(envelope: object, **meta: Any) -> Event:
    return read_stored(stored(envelope, **meta))


def test_a_truto_event_is_read_back_whole() -> None:
    envelope = sample_event("integrated_account:active", event_id="e-1")
    event = read(envelope, type="integrated_account:active", id="e-1", headers={"user-agent": "truto"})
    assert event == Event(
        id="e-1",
        type="integrated_account:active",
        source="truto",
        payload=envelope["payload"],
        environment_id=ENVIRONMENT_ID,
        webhook_id=WEBHOOK_ID,
        created_at=datetime.fromisoformat(envelope["created_at"]),
        received_at=datetime(2023, 11, 14, 22, 13, 20, 123_000, tzinfo=UTC),
        account_id=ACCOUNT_ID,
        tenant_id=TENANT_ID,
        headers={"user-agent": "truto"},
        raw=orjson.dumps(envelope),
        platform=True,
    )
    assert event.key == event_key("truto", "e-1")


def test_the_raw_body_keeps_its_newlines_and_spacing() -> None:
    body = b'{\n  "event": "a",\n  "id": "1"\n}\n'
    assert read_stored(b"1\n" + orjson.dumps(META) + b"\n" + body).raw == body


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        pytest.param("2023-06-16T09:21:21.000Z", datetime(2023, 6, 16, 9, 21, 21, tzinfo=UTC), id="docs"),
        pytest.param("2024-09-10 12:00:00", datetime(2024, 9, 10, 12, tzinfo=UTC), id="without-zone-is-utc"),
        pytest.param("2024-09-10T12:00:00+02:00", datetime(2024, 9, 10, 10, tzinfo=UTC), id="other-zone"),
        pytest.param("0001-01-01T00:00:00+02:00", None, id="before-all-time-in-utc"),
        pytest.param("9999-12-31T23:59:59-02:00", None, id="after-all-time-in-utc"),
        pytest.param("yesterday", None, id="unreadable"),
        pytest.param("", None, id="empty"),
        pytest.param(1_700_000_000, None, id="number"),
        pytest.param(None, None, id="absent"),
    ],
)
def test_the_senders_time_is_aware_and_in_utc(written: object, moment: datetime | None) -> None:
    created_at = read({"event": "a", "created_at": written}).created_at
    assert created_at == moment
    assert created_at is None or created_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("kind", "payload", "account_id"),
    [
        pytest.param("integrated_account:created", {"id": "acc"}, "acc", id="account"),
        pytest.param("integrated_account:created", {"integrated_account_id": "x"}, None, id="account-by-its-id-only"),
        pytest.param("sync_job_run:completed", {"id": "run", "integrated_account_id": "acc"}, "acc", id="run"),
        pytest.param(
            "sync_job_run:completed", {"id": "run", "args": {"integrated_account_id": "acc"}}, "acc", id="args"
        ),
        pytest.param(
            "sync_job_run:completed",
            {"integrated_account_id": "acc", "args": {"integrated_account_id": "other"}},
            "acc",
            id="field-before-args",
        ),
        pytest.param("sync_job_run:completed", {"args": "text"}, None, id="args-is-text"),
        pytest.param("sync_job_run:completed", {"id": "run"}, None, id="run-id-is-no-account"),
        pytest.param("record:created", {"integrated_account_id": "acc", "record": {}}, "acc", id="record"),
        pytest.param("record:created", {"integrated_account_id": 5}, None, id="number"),
        pytest.param("record:created", {"integrated_account_id": ""}, None, id="empty"),
        pytest.param("ping", {}, None, id="none"),
    ],
)
def test_the_account_is_found_where_its_family_carries_it(
    kind: str, payload: dict[str, Any], account_id: str | None
) -> None:
    assert read({"event": kind, "payload": payload}, type=kind).account_id == account_id


@pytest.mark.parametrize(
    ("envelope", "tenant_id"),
    [
        pytest.param({"payload": {"tenant_id": "t"}}, "t", id="payload"),
        pytest.param({"tenant_id": "t", "payload": {}}, "t", id="envelope"),
        pytest.param({"tenant_id": "outer", "payload": {"tenant_id": "inner"}}, "inner", id="payload-first"),
        pytest.param({"payload": {"tenant_id": ["t"]}}, None, id="not-text"),
        pytest.param({}, None, id="none"),
    ],
)
def test_the_tenant_is_found_in_payload_or_envelope(envelope: dict[str, Any], tenant_id: str | None) -> None:
    assert read(envelope).tenant_id == tenant_id


@pytest.mark.parametrize(
    ("envelope", "payload"),
    [
        pytest.param({"event": "a", "payload": {"x": 1}}, {"x": 1}, id="object"),
        pytest.param({"event": "a", "x": 1}, {"event": "a", "x": 1}, id="absent-means-top-level"),
        pytest.param({"event": "a", "payload": None}, {"event": "a", "payload": None}, id="null-means-top-level"),
        pytest.param({"event": "a", "payload": [1]}, {"payload": [1]}, id="array"),
        pytest.param({"event": "a", "payload": "text"}, {"payload": "text"}, id="text"),
        pytest.param({"event": "a", "payload": 0}, {"payload": 0}, id="number"),
    ],
)
def test_the_payload_is_always_an_object(envelope: dict[str, Any], payload: dict[str, Any]) -> None:
    assert read(envelope).payload == payload


GOOD_META = orjson.dumps(META)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"1", id="one-line"),
        pytest.param(b"1\n" + GOOD_META, id="body-missing"),
        pytest.param(b"soon\n" + GOOD_META + b"\n{}", id="time-is-no-number"),
        pytest.param(b"9" * 30 + b"\n" + GOOD_META + b"\n{}", id="time-beyond-the-calendar"),
        pytest.param(b"9" * 5000 + b"\n" + GOOD_META + b"\n{}", id="time-of-5000-digits"),
        pytest.param(b"1\n{\n{}", id="meta-cut-off"),
        pytest.param(b"1\n[]\n{}", id="meta-is-an-array"),
        pytest.param(b"1\n7\n{}", id="meta-is-a-number"),
        pytest.param(b'1\n{"source":"truto","type":"a","id":"1"}\n{}', id="headers-missing"),
        pytest.param(b'1\n{"source":"truto","type":"a","headers":{}}\n{}', id="id-missing"),
        pytest.param(b'1\n{"source":"truto","type":5,"id":"1","headers":{}}\n{}', id="type-is-a-number"),
        pytest.param(b'1\n{"source":"truto","type":"a","id":5,"headers":{}}\n{}', id="id-is-a-number"),
        pytest.param(b'1\n{"source":null,"type":"a","id":"1","headers":{}}\n{}', id="source-is-null"),
        pytest.param(b'1\n{"source":"truto","type":"a","id":"1","headers":[]}\n{}', id="headers-are-an-array"),
        pytest.param(b"1\n" + GOOD_META + b"\n{", id="body-cut-off"),
        pytest.param(b"1\n" + GOOD_META + b"\n[]", id="body-is-an-array"),
        pytest.param(b"1\n" + GOOD_META + b"\n\xff", id="body-is-no-utf-8"),
    ],
)
def test_damage_is_reported_as_such(damaged: bytes) -> None:
    with pytest.raises(CorruptEvent):
        read_stored(damaged)


def test_the_report_of_damage_quotes_nothing() -> None:
    with pytest.raises(CorruptEvent) as caught:
        read_stored(b"1\n" + GOOD_META + b"\nhidden-payload")
    assert "hidden" not in str(caught.value)


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
def test_arbitrary_bytes_are_read_or_reported(received: bytes, meta: bytes, body: bytes) -> None:
    try:
        event = read_stored(received + b"\n" + meta + b"\n" + body)
    except CorruptEvent:
        return
    assert bool(event.raw) is event.has_body


@given(
    kind=st.sampled_from(["a", "integrated_account:active", "record:updated", "crm/record:updated"]),
    source=st.sampled_from(["truto", "crm"]),
    platform=st.booleans(),
    payload=st.dictionaries(
        st.sampled_from(["id", "tenant_id", "integrated_account_id", "x"]), st.text(max_size=5) | st.none()
    ),
)
def test_an_event_is_the_same_whether_its_body_is_read_with_it_or_later(
    kind: str, source: str, platform: bool, payload: dict[str, Any]
) -> None:
    envelope = {"payload": payload, "created_at": "2024-09-10 12:00:00", "environment_id": "e", "webhook_id": "w"}
    whole = stored(envelope, type=kind, source=source, headers={"user-agent": "x"}, platform=platform)
    light = read_stored(head_of(whole))
    assert not light.has_body
    assert with_body(light, orjson.dumps(envelope)) == read_stored(whole)


def test_the_payload_of_an_event_without_its_body_is_not_taken_for_empty() -> None:
    payload = read_stored(head_of(stored({"payload": {"a": 1}}))).payload
    for look in (len, bool, list, dict, lambda found: found.get("a"), lambda found: "a" in found):
        with pytest.raises(LookupError, match="whole"):
            look(payload)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b"\xff"])
def test_a_body_that_is_no_object_is_reported_without_a_word_of_it(body: bytes) -> None:
    with pytest.raises(CorruptEvent, match="body"):
        with_body(read_stored(head_of(stored({}))), body)


def test_neither_payload_nor_raw_nor_headers_show_in_a_representation() -> None:
    event = read({"event": "a", "payload": {"ssn": "hidden"}}, headers={"x-request-id": "hidden"})
    assert "hidden" not in repr(event)
