"""What may go out, and how it is written."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from truto.calls import QueryValue, RawBody, build_call, header_safe, segment


@pytest.mark.parametrize(
    "path",
    [
        "",
        "webhook",
        "@evil.test/",
        "//evil.test/",
        "https://evil.test/",
        "/webhook?x=1",
        "/webhook#x",
        "/a\\b",
        "/unified/../api-token",
        "/unified/./crm",
        "/unified/%2e%2E/api-token",
        "/..",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="a path"):
        build_call("GET", path)


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/webhook/test", "/webhook/test"),
        ("/custom/a b\r\nX: y", "/custom/a%20b%0D%0AX:%20y"),
        ("/proxy/a%2Fb", "/proxy/a%2Fb"),
        ("/proxy/é", "/proxy/%C3%A9"),
        ("/proxy/..a", "/proxy/..a"),
    ],
)
def test_a_path_is_percent_encoded_once(path: str, written: str) -> None:
    assert build_call("GET", path).target == written


@pytest.mark.parametrize("method", ["", "TRACE", "GET\r\n", "GET /x"])
def test_an_unknown_method_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match="method"):
        build_call(method, "/ping")


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"limit": 5}, "limit=5"),
        ({"is_active": True}, "is_active=true"),
        ({"is_active": False}, "is_active=false"),
        ({"tenant_id": None, "a": 1.5}, "a=1.5"),
        ({"id[in]": ["a", "b"]}, "id%5Bin%5D=a%2Cb"),
        ({"integration.name": "a&b=c"}, "integration.name=a%26b%3Dc"),
        ({"q": "x\r\ny"}, "q=x%0D%0Ay"),
        ({}, ""),
    ],
    ids=str,
)
def test_query_values_are_encoded(params: dict[str, QueryValue], query: str) -> None:
    assert build_call("GET", "/x", params=params).query == query


def test_a_body_is_sent_as_json_and_an_absent_one_not_at_all() -> None:
    call = build_call("post", "/x", body={"a": None})
    assert (call.method, call.content) == ("POST", b'{"a":null}')
    assert call.headers == {"Content-Type": "application/json"}
    assert build_call("GET", "/x").content is None
    assert build_call("GET", "/x").headers == {}


def test_a_body_that_is_not_json_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(TypeError):
        build_call("POST", "/x", body={"a": object()})


def test_neither_body_nor_query_is_in_the_repr() -> None:
    call = build_call("POST", "/x", params={"q": "private"}, body={"password": "private"})
    assert "private" not in repr(call) + str(call)


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_a_segment_that_would_change_the_route_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="neither empty nor a dot segment"):
        segment(value)


@given(value=st.text(st.characters(codec="utf-8"), min_size=1, max_size=200))
def test_any_other_id_stays_one_segment(value: str) -> None:
    """An id like ``../x`` or ``a?b#c`` names itself and nothing else."""
    assume(value not in (".", ".."))
    url = httpx.URL("https://api.test" + build_call("GET", f"/webhook/{segment(value)}").target)
    prefix, name, last = url.raw_path.decode().split("/")
    assert (prefix, name, unquote(last), url.host) == ("", "webhook", value, "api.test")


@given(path=st.text(max_size=50))
def test_no_path_leaves_the_host(path: str) -> None:
    try:
        call = build_call("GET", path)
    except ValueError:
        return
    assert httpx.URL("https://api.test" + call.target).host == "api.test"


@pytest.mark.parametrize("key", ["event-1:handler", "a b", "x" * 200])
def test_a_plain_key_goes_as_it_is(key: str) -> None:
    assert header_safe(key) == key


@pytest.mark.parametrize("key", ["é", "a\r\nX: y", " padded ", "x" * 201, "\ud800"], ids=ascii)
def test_a_key_that_no_header_can_carry_goes_as_its_digest(key: str) -> None:
    assert len(header_safe(key)) == 64
    assert header_safe(key) == header_safe(key)


def test_different_odd_keys_stay_different() -> None:
    assert header_safe("é") != header_safe("è")


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="not empty"):
        build_call("POST", "/x", idempotency_key="")


def test_a_moment_is_written_in_utc() -> None:
    moment = datetime(2026, 1, 5, 12, 0, tzinfo=timezone(timedelta(hours=2)))
    assert build_call("GET", "/log", params={"created_at[gt]": moment}).query == (
        "created_at%5Bgt%5D=2026-01-05T10%3A00%3A00.000Z"
    )


@pytest.mark.parametrize(
    "value",
    [["a,b", "c"], datetime(2026, 1, 5)],  # noqa: DTZ001 - that is the point
    ids=["comma-in-a-list", "no-zone"],
)
def test_a_value_that_would_be_read_as_another_is_refused(value: list[str] | datetime) -> None:
    with pytest.raises(ValueError, match="query"):
        build_call("GET", "/x", params={"id[in]": value})


def test_a_request_has_one_body() -> None:
    with pytest.raises(ValueError, match="one body"):
        build_call("POST", "/x", body={}, raw=RawBody(b""))


@pytest.mark.parametrize(
    ("params", "body", "account"),
    [
        ({"integrated_account_id": "a"}, {"integrated_account_id": "b"}, "a"),
        (None, {"integrated_account_id": "b"}, "b"),
        ({"integrated_account_id": None}, [{"integrated_account_id": "b"}], None),
        ({}, {"integrated_account_id": 5}, None),
    ],
    ids=["query", "body", "none", "no-text"],
)
def test_a_call_knows_the_account_it_names(params: Any, body: Any, account: str | None) -> None:
    assert build_call("POST", "/x", params=params, body=body).account_id == account


def test_a_path_with_a_secret_is_shown_as_another() -> None:
    call = build_call("POST", "/mcp/secret", raw=RawBody(b"private"), shown="/mcp/…")
    assert str(call) == "POST /mcp/…"
    assert "secret" not in repr(call)
    assert "private" not in repr(call)
