"""``http_request`` and names: a connection belongs to one scheme, host and port, and its certificate to that host."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.integration.outgoing.test_answers_of_others import MEGABYTE, answering, bomb
from tests.integration.truto.rude import rude
from tests.integration.truto.test_tls import Handshakes, certificate, serving
from tests.integration.worker.workshop import plain
from truto.network import Allowed
from truto.workflows import WorkflowFailed
from workflows.errors import HttpRequestFailed
from workflows.http import HttpRequest, HttpRequests

LOOPBACK = Allowed.parse(["127.0.0.1"])


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """All names below ``.test`` lead to 127.0.0.1, but for what a test says of one."""
    found: dict[str, str] = {}
    real = asyncio.BaseEventLoop.getaddrinfo

    async def resolve(self: asyncio.BaseEventLoop, host: str, port: int, **more: Any) -> Any:
        known = found.get(host, "127.0.0.1") if host.endswith(".test") else None
        return await real(self, known or host, port, **more)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", resolve)
    return found


@asynccontextmanager
async def sending(allowed: Allowed, trusted: Path | None = None) -> AsyncIterator[HttpRequests]:
    verify = ssl.create_default_context(cafile=trusted) if trusted else False
    http = HttpRequests(allowed=allowed, transport=httpx.AsyncHTTPTransport(verify=verify, trust_env=False))
    try:
        yield http
    finally:
        await http.aclose()


def port_of(seen: Handshakes) -> int:
    port = urlsplit(seen.url).port
    assert port is not None
    return port


async def get(http: HttpRequests, url: str, headers: Mapping[str, str] | None = None) -> Any:
    return await http.send(HttpRequest(url=url, method="HEAD", headers=dict(headers or {})), "msg_1", "at")


@pytest.mark.bad_input(229)
async def test_a_connection_for_one_name_is_not_used_for_another_at_the_same_address(tmp_path: Path) -> None:
    path = certificate(tmp_path, "a.test")
    async with serving(path, "a.test") as seen, sending(Allowed.parse(["127.0.0.0/8"]), path) as http:
        assert (await get(http, f"https://a.test:{port_of(seen)}/"))["status"] == 200
        with pytest.raises(HttpRequestFailed, match=r"b\.test did not answer"):
            await get(http, f"https://b.test:{port_of(seen)}/", {"authorization": "Bearer for-b"})
    assert seen.requests == 1
    assert seen.names == ["a.test", "b.test"]


@pytest.mark.bad_input(229)
async def test_an_address_for_a_host_needs_a_certificate_of_its_own(tmp_path: Path) -> None:
    path = certificate(tmp_path, "a.test")
    async with serving(path, "a.test") as seen, sending(Allowed.parse(["127.0.0.0/8"]), path) as http:
        assert (await get(http, f"https://a.test:{port_of(seen)}/"))["status"] == 200
        with pytest.raises(HttpRequestFailed):
            await get(http, f"https://127.0.0.1:{port_of(seen)}/")
    assert seen.requests == 1


async def test_names_that_the_certificate_has_are_served_each_with_its_own_handshake(tmp_path: Path) -> None:
    path = certificate(tmp_path, "a.test,b.test")
    async with serving(path, "a.test") as seen, sending(Allowed.parse(["127.0.0.0/8"]), path) as http:
        for host in ("a.test", "b.test"):
            assert (await get(http, f"https://{host}:{port_of(seen)}/"))["status"] == 200
    assert (seen.requests, seen.names) == (2, ["a.test", "b.test"])


async def test_a_host_s_connection_is_used_again_for_it() -> None:
    async with rude(lambda exchange: exchange.answer()) as server, sending(Allowed.parse(["a.test", "b.test"])) as http:
        base = f"test:{urlsplit(server.url).port}"
        for host in ("a", "a", "b", "a"):
            await http.send(HttpRequest(url=f"http://{host}.{base}/x", method="GET"), "msg_1", "at")
    assert server.connections == 2
    hosts = [line[6:] for head in server.heads for line in head.split("\r\n") if line.startswith("Host: ")]
    assert hosts == [f"{host}.{base}" for host in ("a", "a", "b", "a")]


async def test_what_is_allowed_for_one_name_is_not_for_another_at_the_same_address() -> None:
    async with rude(lambda exchange: exchange.answer()) as server, sending(Allowed.parse(["a.test"])) as http:
        port = urlsplit(server.url).port
        await http.send(HttpRequest(url=f"http://a.test:{port}/", method="GET"), "msg_1", "at")
        with pytest.raises(WorkflowFailed, match="private network"):
            await http.send(HttpRequest(url=f"http://b.test:{port}/", method="GET"), "msg_2", "at")
    assert len(server.heads) == 1


@pytest.mark.bad_input(226)
async def test_a_name_that_has_moved_inside_is_refused_for_the_next_connection(names: dict[str, str]) -> None:
    async def once(exchange: Any) -> None:
        await exchange.answer(headers={"connection": "close"})
        exchange.writer.close()

    async with rude(once) as server, sending(LOOPBACK) as http:
        url = f"http://moving.test:{urlsplit(server.url).port}/"
        await http.send(HttpRequest(url=url, method="GET"), "msg_1", "at")
        names["moving.test"] = "127.0.0.2"
        with pytest.raises(WorkflowFailed, match="private network"):
            await http.send(HttpRequest(url=url, method="GET"), "msg_2", "at")
    assert len(server.heads) == 1


@pytest.mark.bad_input(224)
async def test_a_redirect_into_the_network_is_not_followed() -> None:
    async with rude(lambda exchange: exchange.answer()) as inside:
        redirect = {"location": inside.url}
        async with rude(lambda exchange: exchange.answer(307, headers=redirect)) as server, sending(LOOPBACK) as http:
            with pytest.raises(WorkflowFailed, match="answered 307"):
                await http.send(HttpRequest(url=server.url, json={"a": 1}), "msg_1", "at")
    assert inside.heads == []


async def test_a_host_name_in_unicode_is_one_name_to_the_list_the_lookup_and_the_server() -> None:
    async with rude(lambda exchange: exchange.answer()) as server, sending(Allowed.parse(["münchen.test"])) as http:
        url = f"http://MÜNCHEN.test:{urlsplit(server.url).port}/"
        await http.send(HttpRequest(url=url, method="GET"), "msg_1", "at")
    assert "Host: xn--mnchen-3ya.test:" in server.heads[0]


async def test_a_name_that_nobody_knows_may_be_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(self: object, host: str, port: int, **more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", unknown)
    async with sending(LOOPBACK) as http:
        with pytest.raises(HttpRequestFailed, match=r"nobody\.test cannot be resolved: gaierror"):
            await http.send(HttpRequest(url="http://nobody.test/"), "msg_1", "at")


@pytest.mark.bad_input(213, 214)
@pytest.mark.parametrize("coding", ["gzip", "gzip, gzip"])
async def test_what_unpacks_to_gigabytes_costs_no_more_memory_than_is_read(coding: str) -> None:
    body = bomb(60, layers=coding.count("gzip"))
    async with rude(answering(body, coding)) as server:
        http = HttpRequests(allowed=LOOPBACK, transport=plain())
        tracemalloc.start()
        with pytest.raises(WorkflowFailed):
            await http.send(HttpRequest(url=server.url, method="GET"), "msg_1", "at")
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        await http.aclose()
    assert peak < 8 * MEGABYTE
