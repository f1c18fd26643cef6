"""``truto-worker send``: sign a sample and deliver it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from cli.dev import read_dev_secret
from truto import EVENT_TYPES, TEST_EVENT_TYPE, DeliveryAnswer, deliver, delivery_client, sample_event
from worker.errors import ConfigError


def list_event_types(*, as_json: bool) -> None:
    """Print the catalogue, by entity."""
    names = [*sorted(EVENT_TYPES), TEST_EVENT_TYPE]
    print(orjson.dumps(names).decode() if as_json else "\n".join(names))


def send_event(event_type: str, *, data: Path | None, url: str, source: str, as_json: bool) -> int:
    """Deliver one event and print the answer; 0 when it was accepted, else 1."""
    secret = _secret()
    envelope = sample_event(event_type, data=_payload(data))
    target = f"{url.rstrip('/')}/webhooks/{source}"
    answer = asyncio.run(_deliver(target, orjson.dumps(envelope), secret))
    if as_json:
        print(orjson.dumps(_summary(envelope, target, answer)).decode())
    else:
        _tell(event_type, envelope, target, answer)
    return 0 if answer.accepted else 1


async def _deliver(target: str, body: bytes, secret: str) -> DeliveryAnswer:
    async with delivery_client() as client:
        return await deliver(client, target, body, secret)


def _secret() -> str:
    first = os.environ.get("TRUTO_WEBHOOK_SECRET", "").split(",")[0].strip()
    if secret := first or read_dev_secret():
        return secret
    raise ConfigError("TRUTO_WEBHOOK_SECRET is not set, and no `truto-worker dev` has run in this folder")


def _payload(data: Path | None) -> Mapping[str, Any] | None:
    if data is None:
        return None
    try:
        payload = orjson.loads(sys.stdin.buffer.read() if str(data) == "-" else data.read_bytes())
    except OSError as exc:
        raise ConfigError(f"--data {data}: {exc.strerror}") from None
    except orjson.JSONDecodeError as exc:
        raise ConfigError(f"--data {data}: not JSON: {exc}") from None
    if not isinstance(payload, dict):
        raise ConfigError(f"--data {data}: the payload must be a JSON object")
    return payload


def _summary(envelope: Mapping[str, Any], target: str, answer: DeliveryAnswer) -> dict[str, Any]:
    return {
        "event": envelope["event"],
        "id": envelope["id"],
        "url": target,
        "status": answer.status,
        "milliseconds": round(answer.seconds * 1000, 1),
        "error": answer.error,
        "answer": _json_or_text(answer.body),
    }


def _json_or_text(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")


def _tell(event_type: str, envelope: Mapping[str, Any], target: str, answer: DeliveryAnswer) -> None:
    console = Console(highlight=False, soft_wrap=True, stderr=not answer.accepted)
    if event_type not in EVENT_TYPES | {TEST_EVENT_TYPE}:
        console.print(f"Note: {event_type!r} is not a name Truto is known to send.", markup=False)
    if answer.status is None:
        console.print(f"No answer from {target}: {answer.error}. Is the ingress running there?", markup=False)
        return
    console.print(f"{event_type}  id {envelope['id']}  ->  {target}", markup=False)
    text = answer.body.decode(errors="replace")
    console.print(f"{answer.status} in {answer.seconds * 1000:.1f} ms  {text}", markup=False)
