"""A shop that runs with any version: its sources, handlers and workflows, as processes of that version's code.

Only what the documentation promises is used: settings, HTTP, the command line, and what handlers import.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson

from tests.integration.worker.processes import Team
from tests.servers import free_port
from truto import sample_event
from truto.signature import sign

REPOSITORY = Path(__file__).parents[3]
SECRET = "a-secret-of-many-bytes"
ACCOUNT = "79a39d69-e27e-49cb-b9a9-79f5eea7aa26"

SOURCES = f"""
hub: {{preset: github, secrets: [{SECRET}]}}
asana: {{preset: asana}}
truto-eu: {{preset: truto, secrets: [{SECRET}]}}
own:
  secrets: [{SECRET}]
  webhook:
    signature_verification:
      format: hmac
      config:
        algorithm: sha256
        string_type: hex
        secret: '{{{{context.webhook_secret}}}}'
        parts: [raw_body]
        compare_with: '{{{{headers.x-own-signature}}}}'
  options: {{event: {{type: '{{{{body.kind}}}}', id: '{{{{body.id}}}}'}}}}
"""

HANDLERS = """
from truto import NeedsReauth
from worker import DeadLetter, Retry

try:
    from workflows import action
except ImportError:
    from worker import action

BEFORE = "BEFORE_UPGRADE" in os.environ


async def hold() -> None:
    if BEFORE:
        await asyncio.sleep(3600)


@action("say")
async def speak(config, step):
    say(config["word"])


@on("order:paid", "order:large", "push", "issues")
async def pay(event: Event, ctx: Context) -> None:
    say(f"paid {event.id} {len(event.payload.get('text', ''))}")


@on("order:slow")
async def take_long(event: Event, ctx: Context) -> None:
    say(f"slow {event.id} attempt {ctx.attempt}")
    await hold()


@on("order:failing")
async def fail_first(event: Event, ctx: Context) -> None:
    say(f"failing {event.id} attempt {ctx.attempt}")
    if BEFORE:
        raise Retry(after=60)


@on("order:split")
async def first_half(event: Event, ctx: Context) -> None:
    say(f"first {event.id}")


@on("order:split")
async def second_half(event: Event, ctx: Context) -> None:
    say(f"second {event.id}")
    await hold()


@on("order:revoked")
async def need_account(event: Event, ctx: Context) -> None:
    say(f"revoked {event.id} attempt {ctx.attempt}")
    if BEFORE:
        raise NeedsReauth(
            status=401, message="", method="GET", path="/", remote=True, integrated_account_id=event.account_id
        )


@on("order:keyed", key="account", concurrency=1)
async def one_at_a_time(event: Event, ctx: Context) -> None:
    say(f"keyed {event.id}")
    await hold()


@on("order:ordered", key="account", ordered=True)
async def in_order(event: Event, ctx: Context) -> None:
    say(f"ordered {event.id}")
    await hold()


@on("order:refused")
async def refuse(event: Event, ctx: Context) -> None:
    say(f"refused {event.id} attempt {ctx.attempt}")
    if BEFORE:
        raise DeadLetter("the stock is empty")


@on("order:stepped")
async def go_in_steps(event: Event, ctx: Context) -> None:
    charged = await ctx.step("charge", lambda: say(f"charge {event.id}") or "charged")
    await hold()
    await ctx.step("ship", lambda: say(f"ship {event.id} {charged}"))


if not BEFORE:

    @on("order:new")
    async def know_new(event: Event, ctx: Context) -> None:
        say(f"new {event.id}")


@on("integrated_account:active", "sync_job_run:completed")
async def note_account(event: Event, ctx: Context) -> None:
    say(f"{event.type} {event.source}")
"""

WORKFLOWS = {
    "nap": """
trigger_name: order:napping
config:
  steps:
    - {action: say, config: {word: nap begun}}
    - {action: sleep, config: {seconds: 60}}
    - {action: say, config: {word: nap ended}}
""",
    "waiting": """
trigger_name: order:waiting
config:
  steps:
    - {action: say, config: {word: wait begun}}
    - {action: wait_for_event, config: {event: sync_job_run:failed}}
    - {action: say, config: {word: wait ended}}
""",
}


def checkout(commit: str, folder: Path) -> Path:
    """The code of *commit*, put into *folder*. Raises :class:`LookupError` where the repository has no such commit."""
    found = subprocess.run(["git", "archive", commit], cwd=REPOSITORY, capture_output=True)
    if found.returncode:
        raise LookupError(f"git archive {commit}: {found.stderr.decode()}")
    with tarfile.open(fileobj=io.BytesIO(found.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def shop(folder: Path, redis_url: str) -> Team:
    """The shop's handlers and workflows in *folder*, on this Redis."""
    (folder / "workflows").mkdir()
    for name, text in WORKFLOWS.items():
        (folder / "workflows" / f"{name}.yaml").write_text(text)
    (folder / "sources.yaml").write_text(SOURCES)
    return Team(folder, redis_url, HANDLERS)


class Sender:
    """Delivers to an ingress as Truto, GitHub and Asana do; methods give the answer's ``status``, or its ``reason``."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def deliver(self, kind: str, event_id: str, *, source: str = "truto", **data: Any) -> str:
        """An event of Truto's, with an id of its own; *data* is its payload."""
        body = sample_event(kind, data=data, event_id=event_id)
        # A repetition has the bytes of the first delivery.
        body["created_at"] = "2026-01-01T00:00:00.000Z"
        return self._post(source, orjson.dumps(body), {"x-truto-signature": sign(orjson.dumps(body), SECRET)})

    def deliver_hub(self, kind: str, event_id: str) -> str:
        """An event of GitHub's."""
        body = orjson.dumps({"text": "pushed", "delivery": event_id})
        names = {"x-github-event": kind, "x-github-delivery": event_id}
        return self._post("hub", body, {**names, "x-hub-signature-256": f"sha256={_digest(body)}"})

    def deliver_own(self, kind: str, event_id: str) -> str:
        """An event of the source that no preset describes."""
        body = orjson.dumps({"kind": kind, "id": event_id, "text": "owned"})
        return self._post("own", body, {"x-own-signature": _digest(body)})

    def enrol_asana(self) -> int:
        """Asana's handshake, which brings the secret."""
        return self._http.post("/webhooks/asana", headers={"x-hook-secret": SECRET}).status_code

    def deliver_asana(self) -> str:
        """An event that is signed with the secret of the handshake."""
        event = {"action": "changed", "resource": {"resource_type": "task"}, "created_at": "2026-01-01T00:00:00.000Z"}
        body = orjson.dumps({"events": [event]})
        return self._post("asana", body, {"x-hook-signature": _digest(body)})

    def forge(self) -> str:
        """A delivery that nobody signed."""
        return self._post("hub", b"{}", {"x-github-event": "push", "x-github-delivery": "forged"})

    def _post(self, source: str, body: bytes, headers: dict[str, str]) -> str:
        headers = {"content-type": "application/json", **headers}
        answer = self._http.post(f"/webhooks/{source}", content=body, headers=headers).json()
        return str(answer.get("status") or answer["reason"])


def _digest(body: bytes) -> str:
    return hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()


@contextmanager
def ingress(folder: Path, redis_url: str, code: Path = REPOSITORY, *, spool: str = "") -> Iterator[Sender]:
    """The ingress of this code, once it is ready; it is told to stop at the end of the block."""
    port = free_port()
    settings = {
        "REDIS_URL": redis_url,
        "TRUTO_WEBHOOK_SECRET": SECRET,
        "SOURCES_FILE": str(folder / "sources.yaml"),
        "PORT": str(port),
        "ADMIN_PORT": "off",
        "STORE_CHECK": "off",
        "SPOOL_DIR": spool,
        "PYTHONPATH": str(code),
    }
    with (folder / "ingress.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "ingress"], cwd=folder, env={**os.environ, **settings}, stderr=log
        )
    # Without certificates, whose loading takes long; it tries to connect until the ingress listens.
    transport = httpx.HTTPTransport(verify=False, retries=12)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport, timeout=20) as http:
            http.get("/readyz").raise_for_status()
            yield Sender(http)
    finally:
        process.terminate()
        process.wait(20)
