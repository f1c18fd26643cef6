"""The pages for people, and who may use the sandbox's own routes."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.integration.sandbox.conftest import Receiver, open_sandbox
from tests.servers import free_port, serve
from truto.samples import ACCOUNT_ID, TENANT_ID

EVIL = '"><script>alert(1)</script>'
ROUTE = "/api/truto/link-token"
KEY = "0123456789abcdef"


async def test_an_account_s_row_has_what_a_person_can_do_to_it(api: httpx.AsyncClient) -> None:
    page = (await api.get("/")).text
    assert f'data-post="/sandbox/accounts/{ACCOUNT_ID}/revoke"' in page
    assert "Heal</button>" not in page
    await api.post(f"/sandbox/accounts/{ACCOUNT_ID}/revoke")
    assert "Heal</button>" in (await api.get("/")).text


async def test_every_address_on_the_page_exists(api: httpx.AsyncClient) -> None:
    await api.post(f"/sandbox/accounts/{ACCOUNT_ID}/revoke")
    page = (await api.get("/")).text + (await api.get("/connect")).text
    for path in set(re.findall(r'href="([^"]+)"', page)):
        assert (await api.get(path)).status_code == 200
    for path in set(re.findall(r'data-post="([^"]+)"', page)) | {"/connect/sign-in"}:
        assert (await api.post(path, json={})).status_code in (200, 400)


@pytest.mark.parametrize("path", ["/", "/connect"])
async def test_nothing_a_stranger_wrote_runs_on_a_page(api: httpx.AsyncClient, path: str) -> None:
    await api.post("/sandbox/connect", json={"tenant_id": EVIL, "integration": EVIL})
    answer = await api.get(path)
    assert EVIL not in answer.text
    assert answer.text.count("<script>") == 1
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'sha256-" in policy
    assert "http" not in re.sub(r"https?://(127\.0\.0\.1|www\.w3\.org)[^\s\"<]*", "", answer.text).replace(
        "httponly", ""
    )


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": "http://sandbox"},
]
OWN: list[dict[str, str]] = [
    {},
    {"Origin": "http://sandbox"},
    {"Sec-Fetch-Site": "same-origin"},
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("path", ["/sandbox/connect", "/sandbox/faults", "/connect/link-token", "/inbox/acme-1"])
@pytest.mark.parametrize("headers", FOREIGN, ids=str)
async def test_a_page_of_another_origin_cannot_write(
    api: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> None:
    method = "PUT" if path.endswith("faults") else "POST"
    answer = await api.request(method, path, headers=headers, json={"tenant_id": "t", "outage": True})
    assert (answer.status_code, answer.json()["error"]) == (403, "Forbidden")
    assert (await api.get("/sandbox/faults")).json()["outage"] is False


@pytest.mark.parametrize("headers", OWN, ids=str)
async def test_its_own_pages_and_other_programs_can(api: httpx.AsyncClient, headers: dict[str, str]) -> None:
    assert (await api.post("/sandbox/connect", headers=headers, json={"tenant_id": "t"})).status_code == 201


async def seen(request: Request) -> Response:
    if request.headers["authorization"] != f"Bearer {KEY}":
        return JSONResponse({"statusCode": 401, "message": "Wrong key"}, 401)
    wanted = await request.json()
    if wanted.get("tenantId") == "moved":
        return RedirectResponse("/elsewhere", 302)
    if wanted.get("tenantId") == "teapot":
        return PlainTextResponse("I am one", 418)
    if wanted.get("tenantId") == "odd":
        return JSONResponse({"linkToken": 7})
    if wanted.get("tenantId") == "prose":
        return PlainTextResponse("hello")
    return JSONResponse({"linkToken": f"for {wanted}"})


@pytest.fixture
def backend() -> Starlette:
    """A link-token route that answers as told."""
    return Starlette(routes=[Route(ROUTE, seen, methods=["POST"])])


async def ask(url: str | None, key: str | None, body: dict[str, Any], *, tenant: str = TENANT_ID) -> httpx.Response:
    """What the page's backend answers to *body*, for somebody who is signed in as *tenant*."""
    async with open_sandbox(link_token_url=url, link_token_key=key) as api:
        signed_in = await api.post("/connect/sign-in", json={"tenantId": tenant})
        headers = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}
        return await api.post("/connect/link-token", json=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "asked"),
    [({}, {"tenantId": TENANT_ID}), ({"integratedAccountId": ACCOUNT_ID}, {"integratedAccountId": ACCOUNT_ID})],
    ids=["new", "again"],
)
async def test_the_connect_page_asks_the_link_token_route_with_its_key(
    backend: Starlette, body: dict[str, str], asked: dict[str, str]
) -> None:
    async with serve(backend) as url:
        answer = await ask(url + ROUTE, KEY, body)
    assert answer.json() == {"linkToken": f"for {asked}"}


async def test_the_connect_page_takes_no_tenant_from_the_browser(backend: Starlette) -> None:
    async with serve(backend) as url:
        answer = await ask(url + ROUTE, KEY, {"tenantId": "somebody-else"})
    assert answer.json() == {"linkToken": f"for { ({'tenantId': TENANT_ID}) }"}


async def test_an_account_of_another_tenant_is_not_found_by_the_connect_page(backend: Starlette) -> None:
    async with serve(backend) as url:
        answer = await ask(url + ROUTE, KEY, {"integratedAccountId": ACCOUNT_ID}, tenant="somebody-else")
    assert answer.status_code == 404


async def test_the_session_of_the_connect_page_is_for_no_script_and_no_other_site(api: httpx.AsyncClient) -> None:
    cookie = (await api.post("/connect/sign-in", json={"tenantId": "t"})).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")}


@pytest.mark.parametrize(
    ("key", "tenant", "status"),
    [("wrong", "t", 401), (KEY, "moved", 502), (KEY, "teapot", 502), (KEY, "odd", 502), (KEY, "prose", 502)],
)
async def test_what_the_route_refuses_is_told(backend: Starlette, key: str, tenant: str, status: int) -> None:
    async with serve(backend) as url:
        answer = await ask(url + ROUTE, key, {}, tenant=tenant)
    assert (answer.status_code, bool(answer.json()["message"])) == (status, True)
    assert KEY not in answer.text


async def test_a_route_that_does_not_answer_is_named() -> None:
    url = f"http://127.0.0.1:{free_port()}{ROUTE}"
    answer = await ask(url, KEY, {})
    assert (answer.status_code, url in answer.json()["message"]) == (502, True)


@pytest.mark.parametrize(("body", "status"), [({}, 503), ({"integratedAccountId": 7}, 400)])
async def test_without_a_route_or_a_usable_account_there_is_no_token(body: dict[str, Any], status: int) -> None:
    assert (await ask(None, None, body)).status_code == status


async def test_the_connect_page_says_what_it_needs_and_lists_accounts() -> None:
    async with open_sandbox() as api:
        signed_in = await api.post("/connect/sign-in", json={"tenantId": TENANT_ID})
        headers = {"Cookie": signed_in.headers["set-cookie"].partition(";")[0]}
        page = (await api.get("/connect", headers=headers)).text
        assert "LINK_TOKEN_KEY" in page
        assert f'value="{ACCOUNT_ID}"' in page
    async with open_sandbox(link_token_url="http://127.0.0.1:1/x", link_token_key=KEY) as api:
        assert "LINK_TOKEN_KEY" not in (await api.get("/connect")).text


async def test_many_can_look_at_once(api: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(api.get("/") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}


async def test_a_delivery_is_shown_with_its_answer(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    receiver.answers["*"] = [418, 200]
    await wired.patch(f"/integrated-account/{ACCOUNT_ID}", json={"context": {}})
    for _ in range(1000):
        if len((await wired.get("/sandbox/deliveries")).json()["result"]) == 2:
            break
        await asyncio.sleep(0.005)
    page = (await wired.get("/")).text
    assert page.count("integrated_account:updated") == 2
    assert '<td class="bad">418</td>' in page
    assert '<td class="good">200</td>' in page
