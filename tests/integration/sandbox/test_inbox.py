"""The tenant's inbox and the page for people."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.integration.sandbox.conftest import Receiver, eventually, open_sandbox
from truto.samples import ACCOUNT_ID, SYNC_JOB_ID
from truto.signing_keys import SigningKeys
from worker.signing import signed_headers

TENANT_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_b3RoZXItb3RoZXItb3RoZXItb3RoZXI="


def signed(body: str, secret: str = TENANT_SECRET, tenant: str = "acme-1") -> dict[str, str]:
    return signed_headers(SigningKeys.parse(secret, "tenant"), tenant, "msg_1", body.encode())


async def test_an_authentic_delivery_is_taken_and_shown() -> None:
    body = json.dumps({"type": "account.connected", "data": {"id": 1}})
    async with open_sandbox(tenant_secret=TENANT_SECRET) as api:
        assert (await api.post("/inbox/acme-1", content=body, headers=signed(body))).status_code == 204
        (entry,) = (await api.get("/inbox")).json()["result"]
        assert entry.pop("received_at") > 0
        assert entry == {
            "tenant_id": "acme-1",
            "verified": True,
            "id": "msg_1",
            "type": "account.connected",
            "data": {"id": 1},
        }
        assert "account.connected" in (await api.get("/")).text


@pytest.mark.parametrize("body", ["not json", "[1]"])
async def test_an_authentic_body_need_not_be_an_object(body: str) -> None:
    async with open_sandbox(tenant_secret=TENANT_SECRET) as api:
        assert (await api.post("/inbox/acme-1", content=body, headers=signed(body))).status_code == 204
        assert (await api.get("/inbox")).json()["result"][0]["data"] is None


@pytest.mark.parametrize("secret", [TENANT_SECRET, None], ids=["with-secret", "without-secret"])
async def test_what_is_not_authentic_is_refused_and_not_kept(secret: str | None) -> None:
    body = '{"type": "forged", "data": "forged"}'
    async with open_sandbox(tenant_secret=secret) as api:
        answer = await api.post("/inbox/acme-1", content=body, headers=signed(body, OTHER_SECRET))
        assert (answer.status_code, answer.json()["statusCode"]) == (401, 401)
        listed = await api.get("/inbox")
        assert listed.json()["result"][0]["verified"] is False
        assert "forged" not in listed.text


async def test_what_another_tenant_could_have_signed_is_refused() -> None:
    body = '{"type": "forged", "data": null}'
    async with open_sandbox(tenant_secret=TENANT_SECRET) as api:
        assert (await api.post("/inbox/acme-1", content=body, headers=signed(body, tenant="acme-2"))).status_code == 401


@pytest.mark.parametrize(("until", "status"), [("9999-12-31", 204), ("2020-01-01", 401)])
async def test_an_old_secret_is_taken_until_its_day(until: str, status: int) -> None:
    body = '{"type": "old"}'
    async with open_sandbox(tenant_secret=f"{TENANT_SECRET},{OTHER_SECRET}@{until}") as api:
        answer = await api.post("/inbox/acme-1", content=body, headers=signed(body, OTHER_SECRET))
    assert answer.status_code == status


async def test_the_page_shows_what_happened_and_escapes_it(wired: httpx.AsyncClient, receiver: Receiver) -> None:
    evil = "<script>alert(1)</script>"
    await wired.post("/sandbox/connect", json={"tenant_id": evil, "integration": evil})
    await wired.post("/sync-job-run", json={"sync_job_id": SYNC_JOB_ID, "integrated_account_id": ACCOUNT_ID})
    receiver.answers["sync_job_run:created"] = [500]
    await eventually(lambda: len(receiver.events) >= 3)
    page = await wired.get("/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert evil not in page.text
    assert "&lt;script&gt;" in page.text
    assert ACCOUNT_ID in page.text
    assert receiver.url in page.text
