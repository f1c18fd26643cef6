"""The platform guide's steps, written as the guide writes them; only the base URL is the sandbox's.

What a person does in Truto Link, ``authenticate(linkToken)``, is the one call that Truto has no route for.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import httpx

from sandbox import SandboxConfig, create_app
from tests.integration.sandbox.conftest import Receiver, eventually
from tests.servers import serve

TRUTO_API_TOKEN = "sandbox-token"


class Application:
    """The user's application: a link-token route, a webhook handler, reads and writes."""

    def __init__(self, base_url: str, client: httpx.AsyncClient) -> None:
        self.base_url = base_url
        self.client = client
        self.webhook_secret = ""
        self.ready: list[str] = []

    async def link_token_route(self, body: dict[str, str]) -> str:
        """Step 2: reconnect an existing account, or create a new one."""
        account_id = body.get("integratedAccountId")
        wanted: dict[str, Any] = (
            {"integrated_account_id": account_id, "persist_previous_context": True}
            if account_id
            else {"tenant_id": body["tenantId"]}
        )
        response = await self.client.post(
            f"{self.base_url}/link-token",
            headers={"Authorization": f"Bearer {TRUTO_API_TOKEN}", "Content-Type": "application/json"},
            content=json.dumps(wanted),
        )
        return str(response.json()["link_token"])

    async def authenticate(self, link_token: str) -> str:
        """Step 3, with the person in front of Truto Link played at the sandbox."""
        answer = await self.client.post(f"{self.base_url}/sandbox/connect", json={"link_token": link_token})
        return str(answer.json()["id"])

    def handle_webhook(self, headers: dict[str, str], raw: bytes) -> None:
        """Step 4: verify, then act on the account that is ready."""
        parts = dict(part.split("=", 1) for part in headers["x-truto-signature"].split(","))
        expected = hmac.new(self.webhook_secret.encode(), raw, hashlib.sha256).hexdigest()
        assert parts["format"] == "sha256"
        assert hmac.compare_digest(parts["v"], expected)
        event = json.loads(raw)
        if event["event_type"] == "integrated_account:active":
            self.ready.append(event["payload"]["id"])

    async def call(self, method: str, path: str, account_id: str, **more: Any) -> Any:
        response = await self.client.request(
            method,
            f"{self.base_url}{path}?integrated_account_id={account_id}",
            headers={"Authorization": f"Bearer {TRUTO_API_TOKEN}", "Content-Type": "application/json"},
            **more,
        )
        assert response.status_code == 200, response.text
        return response.json()


async def test_the_guide_works_unchanged_but_for_the_base_url(receiver: Receiver) -> None:
    async with (
        serve(create_app(SandboxConfig(step_seconds=0.005))) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        app = Application(url, client)
        await register_webhook(app, receiver)
        account_id = await app.authenticate(await app.link_token_route({"tenantId": "tenant-123"}))
        await heard(app, receiver, [account_id])
        await read_and_write(app, account_id)
        await client.post(f"{url}/sandbox/accounts/{account_id}/revoke")
        again = await app.authenticate(await app.link_token_route({"integratedAccountId": account_id}))
        assert again == account_id
        await heard(app, receiver, [account_id, account_id])
        assert (await app.call("GET", "/unified/crm/contacts", account_id))["result"]


async def register_webhook(app: Application, receiver: Receiver) -> None:
    answer = await app.client.post(
        f"{app.base_url}/webhook",
        headers={"Authorization": f"Bearer {TRUTO_API_TOKEN}"},
        json={"target_url": receiver.url},
    )
    app.webhook_secret = answer.json()["secret"]


async def heard(app: Application, receiver: Receiver, ready: list[str]) -> None:
    await eventually(lambda: len(receiver.of("integrated_account:active")) == len(ready))
    app.ready.clear()
    for headers, raw in receiver.requests:
        app.handle_webhook(headers, raw)
    assert app.ready == ready


async def read_and_write(app: Application, account_id: str) -> None:
    """Steps 5, 6 and 7."""
    page = await app.call("GET", "/unified/crm/contacts", account_id)
    assert page["result"]
    assert page["next_cursor"]
    jane = {"first_name": "Jane", "last_name": "Doe", "email": "jane@example.com"}
    written = await app.call("POST", "/unified/crm/contacts", account_id, content=json.dumps(jane))
    assert written.items() >= jane.items()
    found = await app.call("GET", f"/unified/crm/contacts/{written['id']}", account_id)
    assert found["email"] == "jane@example.com"
    native = await app.call("GET", "/proxy/contacts", account_id)
    assert native["result"][0]["firstName"]
