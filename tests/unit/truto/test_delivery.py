from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from truto.delivery import DeliveryAnswer, deliver, delivery_client
from truto.signature import HEADER, verify

URL = "http://receiver.test/webhooks/truto"
BODY = b'{"id":"1","event":"test"}'


def _client(answer: httpx.Response | Exception, seen: list[httpx.Request] | None = None) -> httpx.AsyncClient:
    def handle(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return httpx.AsyncClient(transport=httpx.MockTransport(handle))


@pytest.mark.parametrize("encoding", ["hex", "base64"])
async def test_a_delivery_is_one_signed_post_of_the_exact_bytes(encoding: str) -> None:
    seen: list[httpx.Request] = []
    async with _client(httpx.Response(200), seen) as client:
        await deliver(client, URL, BODY, "a-secret", encoding=encoding)
    [request] = seen
    assert request.method == "POST"
    assert request.content == BODY
    assert request.headers["user-agent"] == "truto"
    assert request.headers["content-type"] == "application/json"
    assert verify(request.content, request.headers[HEADER], ["a-secret"]) == 0


@pytest.mark.parametrize(
    ("status", "accepted"), [(200, True), (204, True), (302, False), (400, False), (401, False), (503, False)]
)
async def test_only_a_2xx_counts_as_delivered(status: int, accepted: bool) -> None:
    headers = {"location": "http://127.0.0.1/elsewhere"}
    async with _client(httpx.Response(status, content=b"said", headers=headers)) as client:
        answer = await deliver(client, URL, BODY, "a-secret")
    assert (answer.status, answer.accepted, answer.body) == (status, accepted, b"said")


@pytest.mark.parametrize(
    "failure",
    [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("noise")],
    ids=lambda failure: type(failure).__name__,
)
async def test_a_failing_network_is_an_answer_not_an_exception(failure: Exception) -> None:
    async with _client(failure) as client:
        answer = await deliver(client, URL, BODY, "a-secret")
    assert answer.status is None
    assert not answer.accepted
    assert answer.error is not None
    assert type(failure).__name__ in answer.error


@pytest.mark.parametrize("url", ["http://[bad", "ftp://receiver.test/", "nonsense", "http://a\x00b/"])
async def test_a_target_that_is_no_url_is_an_answer_too(url: str) -> None:
    async with delivery_client() as client:
        assert (await deliver(client, url, BODY, "a-secret")).status is None


class _Endless(httpx.AsyncByteStream):
    """A body that never ends; with a *pause* it also never hurries."""

    def __init__(self, pause: float = 0.0) -> None:
        self._pause = pause

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(self._pause)
            yield b"x" * 1000


async def test_an_endless_answer_is_cut_and_still_counts() -> None:
    async with _client(httpx.Response(200, stream=_Endless())) as client:
        answer = await deliver(client, URL, BODY, "a-secret")
    assert answer.accepted
    assert len(answer.body) == 64 * 1024


async def test_a_trickling_answer_ends_with_the_deadline() -> None:
    async with _client(httpx.Response(200, stream=_Endless(pause=0.02))) as client:
        answer = await deliver(client, URL, BODY, "a-secret", deadline_seconds=0.1)
    assert answer.status is None
    assert answer.error is not None
    assert answer.error.startswith("TimeoutError")
    assert answer.seconds < 1


def test_an_unanswered_delivery_is_not_accepted() -> None:
    assert not DeliveryAnswer(None, b"", 0.1, "ConnectError: refused").accepted
