"""Uploads and what is served of them."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import sandbox.files_api
from tests.integration.sandbox.conftest import open_sandbox


async def upload(api: httpx.AsyncClient, name: str, content: bytes, kind: str = "text/plain") -> str:
    answer = await api.post("/file", files={"file": (name, content, kind)})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"])


async def test_the_address_serves_the_bytes_back_to_anybody(api: httpx.AsyncClient) -> None:
    url = await upload(api, "notes ü.txt", b"\x00\xffbytes")
    del api.headers["authorization"]
    answer = await api.get(url)
    assert (answer.content, answer.headers["content-type"]) == (b"\x00\xffbytes", "text/plain; charset=utf-8")


async def test_nothing_in_a_served_file_may_run(api: httpx.AsyncClient) -> None:
    answer = await api.get(await upload(api, "x.html", b"<script>alert(1)</script>", "text/html"))
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_uploading_needs_the_token(api: httpx.AsyncClient) -> None:
    del api.headers["authorization"]
    assert (await api.post("/file", files={"file": ("a", b"b")})).status_code == 401


@pytest.mark.parametrize(
    ("request_body", "status"),
    [
        ({"json": {}}, 415),
        ({"files": {"other": ("a", b"b")}}, 400),
        ({"data": {"file": "text"}, "files": {"other": ("a", b"b")}}, 400),
        ({"content": b"garbage", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
        ({"content": b"", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"content": b"a", "headers": {"Content-Type": "multipart/form-data", "Content-Length": "99999999"}}, 413),
    ],
    ids=["json", "other-field", "text-field", "garbage", "no-boundary", "announced-too-large"],
)
async def test_what_is_no_upload_is_refused(api: httpx.AsyncClient, request_body: Any, status: int) -> None:
    answer = await api.post("/file", **request_body)
    assert (answer.status_code, answer.json()["statusCode"]) == (status, status)


async def test_a_file_that_is_too_large_is_refused(api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.files_api, "MAX_BYTES", 10)
    assert (await api.post("/file", files={"file": ("a", b"x" * 11)})).status_code == 413
    await upload(api, "a", b"x" * 10)


async def test_the_oldest_file_goes_when_there_are_too_many(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.files_api, "MAX_FILES", 2)
    urls = [await upload(api, f"{n}", b"x") for n in range(3)]
    assert [(await api.get(url)).status_code for url in urls] == [404, 200, 200]


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(max_size=20), kind=st.text(max_size=10), content=st.binary(max_size=20))
def test_whatever_it_is_called_it_comes_back(name: str, kind: str, content: bytes) -> None:
    """A name or type that cannot be written down at all is refused by the client, not sent."""

    async def play() -> None:
        async with open_sandbox() as api:
            try:
                answer = await api.post("/file", files={"file": (name, content, kind)})
            except (UnicodeError, TypeError, ValueError):
                return
            assert answer.status_code in (200, 400)
            if answer.status_code == 200:
                assert (await api.get(answer.json()["url"])).content == content

    asyncio.run(play())


# Starlette leaves the file of a part that never ends to the garbage collector.
@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(body=b"\r\nnot all of it")
@given(body=st.binary(max_size=80))
def test_no_body_can_crash_an_upload(body: bytes) -> None:
    async def play() -> None:
        async with open_sandbox() as api:
            for prefix in (b"", b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'):
                headers = {"Content-Type": "multipart/form-data; boundary=x"}
                assert (await api.post("/file", content=prefix + body, headers=headers)).status_code in (200, 400)

    asyncio.run(play())
