"""The client's own work: bounds, repetition, keys, and what never shows."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

import truto
from truto import (
    AccountBlocked,
    AsyncTruto,
    CallTimeout,
    NotFound,
    ProtocolError,
    RateLimited,
    RetryPolicy,
    ServerError,
    TransportError,
    TrutoError,
)

TOKEN = "token-of-the-test"
Answer = httpx.Response | Exception


class Api:
    """Gives the prepared answers in turn, the last one for ever; remembers requests."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def keys(self) -> list[str | None]:
        return [request.headers.get("idempotency-key") for request in self.requests]


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def make(api: Callable[[httpx.Request], httpx.Response], clock: Clock | None = None, **options: Any) -> AsyncTruto:
    clock = clock or Clock()
    return AsyncTruto(
        **{
            "token": TOKEN,
            "base_url": "http://api.test",
            "transport": httpx.MockTransport(api),
            "sleep": clock.sleep,
            "clock": clock,
            "draw": lambda: 0.5,
            **options,
        }
    )


def ok() -> httpx.Response:
    return httpx.Response(200, json={"id": "1"})


async def test_a_request_carries_the_token_and_asks_for_json() -> None:
    api = Api(ok())
    async with make(api) as client:
        assert await client.request("GET", "/any/path", params={"a": 1}) == {"id": "1"}
    [request] = api.requests
    assert str(request.url) == "http://api.test/any/path?a=1"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["accept"] == "application/json"


@pytest.mark.parametrize("base_url", ["http://api.test/v1", "http://api.test/v1/"], ids=["plain", "slash"])
async def test_a_base_url_may_have_a_path(base_url: str) -> None:
    api = Api(ok())
    async with make(api, base_url=base_url) as client:
        await client.request("GET", "/ping")
    assert str(api.requests[0].url) == "http://api.test/v1/ping"


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.test",
        "ftp://api.test",
        "http://",
        "http://u:p@api.test",
        "http://api.test?x=1",
        "http://api.test:port",
        "http://a#b",
    ],
)
def test_a_base_url_that_is_none_is_refused(base_url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        AsyncTruto(token=TOKEN, base_url=base_url)


@pytest.mark.parametrize("token", ["", "a b", "tok\r\nX: y", "tökén"], ids=["empty", "space", "crlf", "non-ascii"])
def test_a_token_that_no_header_can_carry_is_refused_unquoted(token: str) -> None:
    with pytest.raises(ValueError, match="API token") as caught:
        AsyncTruto(token=token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize("name", ["timeout_seconds", "deadline_seconds"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
async def test_a_time_that_is_no_time_is_refused(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=name):
        AsyncTruto(**{"token": TOKEN, name: seconds})  # type: ignore[arg-type] # one of two known names
    async with make(Api(ok())) as client:
        with pytest.raises(ValueError, match=name):
            await client.request("GET", "/ping", **{name: seconds})  # type: ignore[arg-type] # likewise


async def test_the_token_shows_in_no_repr_and_no_error() -> None:
    api = Api(httpx.Response(401, json={"message": f"unknown token {TOKEN}"}))
    async with make(api) as client:
        with pytest.raises(truto.Unauthorized) as caught:
            await client.request("GET", "/ping")
        assert TOKEN not in repr(client) + repr(client.keyed("k")) + repr(caught.value)
        assert "http://api.test" in repr(client)


async def test_a_redirect_is_not_followed() -> None:
    api = Api(httpx.Response(302, headers={"location": "http://evil.test/"}))
    async with make(api) as client:
        with pytest.raises(ProtocolError):
            await client.request("GET", "/ping")
    assert len(api.requests) == 1


@pytest.mark.parametrize("size", [1000, 1001], ids=["at-the-limit", "beyond"])
async def test_an_answer_is_read_up_to_its_limit(size: int) -> None:
    api = Api(httpx.Response(200, content=b'"' + b"x" * (size - 2) + b'"'))
    async with make(api, max_response_bytes=1000) as client:
        if size > 1000:
            with pytest.raises(ProtocolError, match="larger"):
                await client.request("GET", "/x")
        else:
            assert len(await client.request("GET", "/x")) == size - 2


async def test_the_limit_counts_decompressed_bytes() -> None:
    packed = gzip.compress(b'"' + b"x" * 100_000 + b'"')

    def handle(_request: httpx.Request) -> httpx.Response:
        stream = httpx.ByteStream(packed)
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=stream)

    async with make(handle, max_response_bytes=10_000) as client:
        with pytest.raises(ProtocolError, match="larger"):
            await client.request("GET", "/x")


class _Endless(httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b"x" * 1000


@pytest.mark.parametrize(("status", "error"), [(200, ProtocolError), (404, NotFound)])
async def test_an_endless_answer_ends_and_keeps_its_meaning(status: int, error: type[Exception]) -> None:
    async with make(lambda _: httpx.Response(status, stream=_Endless()), max_response_bytes=10_000) as client:
        with pytest.raises(error):
            await client.request("GET", "/x")


async def test_an_encoding_that_cannot_be_undone_is_a_protocol_error() -> None:
    def handle(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": "gzip"}, stream=httpx.ByteStream(b"no gzip"))

    async with make(handle) as client:
        with pytest.raises(ProtocolError, match="Content-Encoding"):
            await client.request("GET", "/x")


async def test_an_overlong_url_is_refused() -> None:
    async with make(Api(ok())) as client:
        with pytest.raises(ValueError, match="too long"):
            await client.webhooks.get("x" * 70_000)


LOST = [httpx.ReadTimeout("x"), httpx.ReadError("x"), httpx.WriteError("x"), httpx.RemoteProtocolError("x")]
UNSENT = [httpx.ConnectError("x"), httpx.ConnectTimeout("x"), httpx.PoolTimeout("x")]


@pytest.mark.parametrize("failure", [*LOST, httpx.Response(500), httpx.Response(502)], ids=repr)
async def test_a_run_whose_answer_was_lost_is_not_started_twice(failure: Answer) -> None:
    api = Api(failure, ok())
    async with make(api) as client:
        with pytest.raises((TransportError, ServerError)):
            await client.keyed("k").sync_job_runs.create(sync_job_id="job")
    assert len(api.requests) == 1


@pytest.mark.parametrize("failure", [*LOST, httpx.Response(500), httpx.Response(502)], ids=repr)
async def test_a_read_is_repeated_after_a_failure_that_may_pass(failure: Answer) -> None:
    api = Api(failure, ok())
    clock = Clock()
    async with make(api, clock) as client:
        assert (await client.sync_jobs.get("1")).id == "1"
    assert clock.waits == [0.25]


@pytest.mark.parametrize("failure", UNSENT, ids=repr)
async def test_a_request_that_never_left_is_repeated_whatever_it_is(failure: Exception) -> None:
    api = Api(failure, failure, ok())
    async with make(api) as client:
        await client.sync_job_runs.create(sync_job_id="job")
    assert len(api.requests) == 3


async def test_a_keyed_unified_call_is_repeated_with_the_same_key() -> None:
    api = Api(httpx.ReadTimeout("x"), httpx.Response(502), ok())
    async with make(api) as client:
        contacts = client.keyed("event:handler").unified("crm", "contacts")
        await contacts.create({"name": "x"}, integrated_account_id="a")
    assert api.keys() == ["event:handler:1"] * 3


async def test_the_attempts_come_to_an_end() -> None:
    api = Api(httpx.Response(500))
    clock = Clock()
    async with make(api, clock) as client:
        with pytest.raises(ServerError):
            await client.request("GET", "/x")
    assert len(api.requests) == 3
    assert clock.waits == [0.25, 0.5]


async def test_the_policy_can_be_another() -> None:
    api = Api(httpx.Response(500))
    async with make(api, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(ServerError):
            await client.request("GET", "/x")
    assert len(api.requests) == 1


async def test_a_rate_limit_is_waited_for_even_by_a_create() -> None:
    api = Api(httpx.Response(429, headers={"retry-after": "4"}), httpx.Response(429), ok())
    clock = Clock()
    async with make(api, clock) as client:
        await client.sync_job_runs.create(sync_job_id="job")
    assert clock.waits == [4.0, 10.0]


async def test_a_rate_limit_beyond_the_deadline_is_raised_at_once() -> None:
    api = Api(httpx.Response(429, headers={"retry-after": "30"}))
    clock = Clock()
    async with make(api, clock, deadline_seconds=20) as client:
        with pytest.raises(RateLimited) as caught:
            await client.request("GET", "/x")
    assert caught.value.retry_after == 30.0
    assert clock.waits == []


async def test_the_deadline_of_one_call_can_be_another() -> None:
    clock = Clock()
    async with make(Api(httpx.Response(429)), clock) as client:
        with pytest.raises(RateLimited):
            await client.request("GET", "/x", deadline_seconds=5)
    assert clock.waits == []


async def test_a_blocked_account_is_not_asked_again() -> None:
    api = Api(httpx.Response(503, json={"message": "blocked"}))
    async with make(api) as client:
        with pytest.raises(AccountBlocked):
            await client.request("GET", "/x")
    assert len(api.requests) == 1


@pytest.mark.parametrize("first", [httpx.ReadTimeout("x"), httpx.Response(502)], ids=["lost", "502"])
async def test_a_repeated_delete_that_finds_nothing_has_done_its_work(first: Answer) -> None:
    async with make(Api(first, httpx.Response(404))) as client:
        await client.webhooks.delete("1")


@pytest.mark.parametrize("first", [httpx.Response(429), httpx.ConnectError("x")], ids=["429", "unsent"])
async def test_a_delete_that_cannot_have_acted_before_reports_what_it_does_not_find(first: Answer) -> None:
    async with make(Api(first, httpx.Response(404))) as client:
        with pytest.raises(NotFound):
            await client.webhooks.delete("1")


async def test_only_a_delete_reads_not_found_as_done() -> None:
    async with make(Api(httpx.Response(502), httpx.Response(404))) as client:
        with pytest.raises(NotFound):
            await client.webhooks.get("1")


async def test_a_view_numbers_its_unsafe_calls() -> None:
    api = Api(ok())
    async with make(api) as client:
        view = client.keyed("k")
        await view.request("POST", "/a")
        await view.request("GET", "/a")
        await view.request("patch", "/a")
        await view.request("DELETE", "/a")
        await client.keyed("k").request("POST", "/a")
        await view.request("POST", "/a", idempotency_key="own")
        await client.request("POST", "/a")
    assert api.keys() == ["k:1", None, "k:2", "k:3", "k:1", "own", None]


async def test_a_view_of_a_view_has_the_new_key() -> None:
    api = Api(ok())
    async with make(api) as client:
        await client.keyed("old").keyed("new").request("POST", "/a")
    assert api.keys() == ["new:1"]


async def test_closing_a_view_leaves_the_connections_open() -> None:
    async with make(Api(ok())) as client:
        async with client.keyed("k"):
            pass
        assert await client.request("GET", "/x") == {"id": "1"}


def _request_errors(kind: type[httpx.RequestError]) -> list[type[httpx.RequestError]]:
    return [kind, *(error for child in kind.__subclasses__() for error in _request_errors(child))]


@pytest.mark.parametrize("kind", _request_errors(httpx.RequestError), ids=lambda kind: kind.__name__)
async def test_every_error_of_httpx_becomes_ours(kind: type[httpx.RequestError]) -> None:
    """Also the ones a later version may add."""
    async with make(Api(kind("quoted answer"))) as client:
        with pytest.raises(TrutoError) as caught:
            await client.request("POST", "/x")
    assert "quoted" not in str(caught.value)


@pytest.mark.parametrize(
    ("failure", "kind", "sent"),
    [
        (httpx.ConnectError("x"), TransportError, False),
        (httpx.ConnectTimeout("x"), CallTimeout, False),
        (httpx.PoolTimeout("x"), CallTimeout, False),
        (httpx.ReadTimeout("x"), CallTimeout, True),
        (httpx.ReadError("x"), TransportError, True),
    ],
    ids=repr,
)
async def test_a_transport_error_tells_whether_truto_may_have_acted(
    failure: Exception, kind: type[TransportError], sent: bool
) -> None:
    async with make(Api(failure)) as client:
        with pytest.raises(TransportError) as caught:
            await client.request("POST", "/x")
    assert type(caught.value) is kind
    assert caught.value.sent is sent


async def test_the_exported_names_exist() -> None:
    assert all(hasattr(truto, name) for name in truto.__all__)
