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


REFUSED_CODINGS: dict[str, list[str]] = {
    "list": ["gzip, gzip"],
    "lines": ["gzip", "gzip"],
    "mixed": ["deflate,identity, GZip"],
    "brotli": ["br"],
    "zstd": ["zstd"],
}


@pytest.mark.parametrize("name", REFUSED_CODINGS)
async def test_an_answer_that_may_unpack_to_any_size_is_not_unpacked(name: str) -> None:
    """By gzip, a thousand bytes come of one: of 64 KiB that are packed twice, 64 GiB."""
    closed = 0

    class Closing(httpx.ByteStream):
        async def aclose(self) -> None:
            nonlocal closed
            closed += 1

    def handle(_request: httpx.Request) -> httpx.Response:
        headers = [("content-encoding", coding) for coding in REFUSED_CODINGS[name]]
        return httpx.Response(200, headers=headers, stream=Closing(gzip.compress(gzip.compress(b"{}"))))

    async with make(handle) as client:
        with pytest.raises(ProtocolError, match="Content-Encoding"):
            await client.request("GET", "/x")
        with pytest.raises(ProtocolError, match="Content-Encoding"):
            await client.download("GET", "/x").__aenter__()
    assert closed == 2


@pytest.mark.parametrize("coding", ["identity", "aws-chunked", "UTF-8", "", "gzip, aws-chunked"])
async def test_what_is_no_packing_is_let_through(coding: str) -> None:
    """Providers name all kinds of things there."""
    content = gzip.compress(b"as it is") if "gzip" in coding else b"as it is"

    def handle(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-encoding": coding}, stream=httpx.ByteStream(content))

    async with make(handle) as client, client.download("GET", "/x") as file:
        assert await file.read() == b"as it is"


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


KEYED_WITHOUT_ASKING: dict[str, tuple[Callable[[AsyncTruto], Any], bool]] = {
    "unified-create": (lambda t: t.unified("crm", "contacts").create({}, integrated_account_id="a"), True),
    "proxy-update": (lambda t: t.proxy("contacts").update("1", {}, integrated_account_id="a"), True),
    "custom-post": (lambda t: t.custom.request("post", "x", integrated_account_id="a"), True),
    "batch": (lambda t: t.batch([], integrated_account_id="a"), True),
    "unified-delete": (lambda t: t.unified("crm", "contacts").delete("1", integrated_account_id="a"), False),
    "unified-model": (lambda t: t.unified_models.create(name="x"), False),
    "run": (lambda t: t.sync_job_runs.create(sync_job_id="j"), False),
}


@pytest.mark.parametrize("name", KEYED_WITHOUT_ASKING)
async def test_a_call_has_a_key_of_its_own_where_truto_heeds_one(name: str) -> None:
    act, keyed = KEYED_WITHOUT_ASKING[name]
    api = Api(ok())
    async with make(api) as client:
        await act(client)
        await act(client)
    first, second = api.keys()
    assert (first is not None, second is not None) == (keyed, keyed)
    assert first != second or not keyed


async def test_a_key_of_its_own_stays_the_same_when_the_answer_was_lost() -> None:
    api = Api(httpx.ReadTimeout("x"), httpx.Response(502), ok())
    async with make(api) as client:
        await client.proxy("contacts").create({"name": "x"}, integrated_account_id="a")
    assert len(api.keys()) == 3
    assert len(set(api.keys())) == 1


async def test_an_account_that_needs_its_tenant_is_named() -> None:
    api = Api(httpx.Response(401, json={"message": "expired", "truto_is_remote_error": True}))
    async with make(api) as client:
        with pytest.raises(truto.NeedsReauth) as caught:
            await client.unified("crm", "contacts").get("1", integrated_account_id="account-1")
        assert caught.value.integrated_account_id == "account-1"
        with pytest.raises(truto.NeedsReauth) as caught:
            await client.batch([], integrated_account_id="account-2")
        assert caught.value.integrated_account_id == "account-2"
        with pytest.raises(truto.NeedsReauth) as caught:
            await client.sync_jobs.get("1")
        assert caught.value.integrated_account_id is None
    assert len(api.requests) == 3


async def test_a_view_can_have_other_bounds() -> None:
    clock = Clock()
    async with make(Api(httpx.Response(429)), clock) as client:
        with pytest.raises(RateLimited):
            await client.within(5).sync_jobs.get("1")
        assert clock.waits == []
        with pytest.raises(ValueError, match="deadline_seconds"):
            client.within(0)
        with pytest.raises(ValueError, match="timeout_seconds"):
            client.within(5, timeout_seconds=-1)
        with pytest.raises(RateLimited):
            await client.sync_jobs.get("1")
    assert clock.waits == [10.0, 10.0]


class Gate:
    """Notes who is admitted; raises or waits when told to."""

    def __init__(self, *outcomes: Exception | float | None, clock: Clock | None = None) -> None:
        self._outcomes = list(outcomes)
        self._clock = clock
        self.asked: list[str | None] = []

    async def __call__(self, account_id: str | None) -> None:
        self.asked.append(account_id)
        match self._outcomes.pop(0) if self._outcomes else None:
            case Exception() as error:
                raise error
            case float() as seconds if self._clock is not None:
                await self._clock.sleep(seconds)
            case float() as seconds:
                await asyncio.sleep(seconds)


async def test_each_attempt_is_admitted_for_the_account_whose_limit_it_uses() -> None:
    gate = Gate()
    api = Api(httpx.Response(502), ok())
    async with make(api, admit=gate) as client:
        await client.unified("crm", "contacts").get("1", integrated_account_id="a")
        await client.custom.request("GET", "x", integrated_account_id="b")
        await client.sync_job_runs.create(sync_job_id="j", integrated_account_id="c")
        await client.keyed("k").webhooks.delete("1")
    assert gate.asked == ["a", "a", "b", None, None]


async def test_a_refused_admission_ends_the_call_before_anything_is_sent() -> None:
    api = Api(ok())
    async with make(api, admit=Gate(PermissionError("budget"))) as client:
        with pytest.raises(PermissionError, match="budget"):
            await client.sync_jobs.get("1")
    assert api.requests == []


async def test_a_timeout_of_the_admissions_own_stays_what_it_is() -> None:
    async with make(Api(ok()), admit=Gate(TimeoutError("redis"))) as client:
        with pytest.raises(TimeoutError, match="redis"):
            await client.sync_jobs.get("1")


async def test_waiting_for_admission_uses_up_the_deadline() -> None:
    api = Api(ok())
    async with make(api, admit=Gate(30.0)) as client:
        with pytest.raises(CallTimeout, match="not admitted") as caught:
            await client.request("GET", "/x", deadline_seconds=0.05)
    assert api.requests == []
    assert not caught.value.sent


async def test_who_is_admitted_after_the_deadline_is_too_late() -> None:
    clock = Clock()
    api = Api(httpx.Response(502))
    async with make(api, clock, admit=Gate(None, 100.0, clock=clock)) as client:
        with pytest.raises(CallTimeout, match="too late") as caught:
            await client.request("GET", "/x")
    assert len(api.requests) == 1
    assert caught.value.sent


async def _chunks() -> AsyncIterator[bytes]:
    yield b"a"
    yield b"b"


async def test_a_body_that_is_used_up_is_not_sent_again() -> None:
    api = Api(httpx.Response(429), ok())
    async with make(api) as client:
        with pytest.raises(RateLimited):
            await client.proxy("files").upload(_chunks(), content_type="image/png", integrated_account_id="a")
        await client.proxy("files").upload(_chunks(), content_type="image/png", integrated_account_id="a")
    assert [request.content for request in api.requests] == [b"ab", b"ab"]
    assert [request.headers["content-type"] for request in api.requests] == ["image/png"] * 2


async def test_a_body_of_bytes_is_sent_again() -> None:
    api = Api(httpx.Response(502), ok())
    async with make(api) as client:
        await client.proxy("files").upload(b"ab", content_type="image/png", integrated_account_id="a")
    assert [request.content for request in api.requests] == [b"ab", b"ab"]


async def test_a_download_begins_again_until_its_answer_is_there() -> None:
    api = Api(httpx.Response(502), httpx.Response(200, content=b"file", headers={"content-type": "image/png"}))
    async with make(api) as client, client.proxy("files").download("1", integrated_account_id="a") as file:
        assert (file.content_type, file.headers["Content-Type"]) == ("image/png", "image/png")
        assert b"".join([chunk async for chunk in file]) == b"file"
    assert api.requests[0].headers["accept"] == "*/*"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404), NotFound),
        (httpx.Response(302, headers={"location": "http://evil.test"}), ProtocolError),
        (httpx.Response(401, json={"truto_is_remote_error": True}), truto.NeedsReauth),
    ],
    ids=["404", "302", "401"],
)
async def test_a_download_that_is_none_is_the_error_it_is(answer: httpx.Response, error: type[Exception]) -> None:
    async with make(Api(answer)) as client:
        with pytest.raises(error):
            await client.proxy("files").download("1", integrated_account_id="a").__aenter__()


async def test_a_download_is_bounded_on_request() -> None:
    async with (
        make(lambda _: httpx.Response(200, stream=_Endless())) as client,
        client.proxy("files").download("1", integrated_account_id="a", max_bytes=5000) as file,
    ):
        with pytest.raises(ProtocolError, match="larger than 5000"):
            await file.read()


async def test_a_download_is_read_inside_its_block_and_entered_once() -> None:
    async with make(Api(ok())) as client:
        download = client.proxy("files").download("1", integrated_account_id="a")
        assert repr(download) == "Download(GET /proxy/files/1)"
        with pytest.raises(RuntimeError, match="enter the download"):
            await download.read()
        async with download:
            with pytest.raises(RuntimeError, match="once"):
                await download.__aenter__()


async def test_the_exported_names_exist() -> None:
    assert all(hasattr(truto, name) for name in truto.__all__)
