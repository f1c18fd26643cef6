"""``truto-worker send``: sign a sample and deliver it, as Truto or the sender of a configured source would."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console

from cli.dev_folder import read_dev_address, read_dev_secret
from cli.opening import read_stored_secret
from cli.sandbox_settings import SenderSettings
from cli.settings import STORED, read_settings
from events import ConfigError
from truto import EVENT_TYPES, TEST_EVENT_TYPE, DeliveryAnswer, deliver, delivery_client, sample_event
from truto.delivery import post
from truto.faults import did_you_mean

if TYPE_CHECKING:  # a delivery of Truto needs none of the sources
    from ingress.sources.sampling import Sample


def ingress_here() -> str:
    """The base URL of the ingress to send to, where none is named."""
    return read_dev_address("ingress") or "http://127.0.0.1:8000"


def list_event_types(*, as_json: bool) -> None:
    """Print the catalogue, by entity."""
    names = [*sorted(EVENT_TYPES), TEST_EVENT_TYPE]
    print(orjson.dumps(names).decode() if as_json else "\n".join(names))


def is_configured(source: str, file: Path | None) -> bool:
    """Whether *source* is to be looked for in a file of sources, rather than be signed as Truto signs."""
    from cli.sources import TRUTO, sources_file

    return source != TRUTO and sources_file(file) is not None


def send_to_source(
    name: str, *, event: str | None, data: Path | None, url: str, file: Path | None, as_json: bool
) -> int:
    """Deliver one event as the sender of the source *name* would; 0 when it was accepted, else 1.

    Raises ``ConfigError`` for a source that is not there, and for one whose sender alone can sign.
    """
    from cli.sources import enrolment_of, find_source, read_configured
    from ingress.errors import CannotSign
    from ingress.sources.drafting import draft
    from ingress.sources.sampling import signed_sample

    source, entry = find_source(name, file), read_configured(name, file)
    event_id = f"sample-{uuid.uuid4()}"
    try:
        body, now = None if data is None else _read(data), time.time()
        written = draft(entry, name=name, now=now, event_id=event_id, event=event, body=body)
        account = source.account(enrolment_of(source).context)
        sample = signed_sample(source, entry, account, now=now, draft=written)
    except CannotSign as exc:
        raise ConfigError(f"{name}: {exc}") from None
    target = f"{url.rstrip('/')}/webhooks/{name}"
    envelope = {"event": event or "sample", "id": event_id}
    answer = asyncio.run(_post(target, sample, envelope))
    if as_json:
        print(orjson.dumps(_summary(envelope, target, answer)).decode())
    else:
        _print_answer(envelope, target, answer)
    return 0 if answer.accepted else 1


def send_event(event_type: str, *, data: Path | None, url: str, source: str, as_json: bool) -> int:
    """Deliver one event and print the answer; 0 when it was accepted, else 1."""
    secret = _secret()
    envelope = sample_event(event_type, data=_payload(data))
    target = f"{url.rstrip('/')}/webhooks/{source}"
    answer = asyncio.run(_deliver(target, envelope, secret))
    if as_json:
        print(orjson.dumps(_summary(envelope, target, answer)).decode())
    else:
        _note_unknown(event_type)
        _print_answer(envelope, target, answer)
    return 0 if answer.accepted else 1


async def _deliver(target: str, envelope: Mapping[str, Any], secret: str) -> DeliveryAnswer:
    async with delivery_client() as client:
        answer = await deliver(client, target, orjson.dumps(envelope), secret)
    await _report(envelope, target, answer)
    return answer


async def _post(target: str, sample: Sample, envelope: Mapping[str, Any]) -> DeliveryAnswer:
    async with delivery_client() as client:
        answer = await post(client, target, sample.body, sample.headers)
    await _report(envelope, target, answer)
    return answer


async def _report(envelope: Mapping[str, Any], target: str, answer: DeliveryAnswer) -> None:
    """List the delivery in the sandbox of a ``dev`` in this folder. Nothing depends on it, so it may fail."""
    if sandbox := read_dev_address("sandbox"):
        row = {"event_id": envelope["id"], "event": envelope["event"], "target_url": target}
        row |= {"status": answer.status, "error": answer.error, "milliseconds": round(answer.seconds * 1000)}
        body = orjson.dumps({name: value for name, value in row.items() if value is not None})
        async with delivery_client() as client:
            await post(client, f"{sandbox}/sandbox/deliveries", body, {"content-type": "application/json"})


def _secret() -> str:
    first = read_settings(SenderSettings).first_secret
    if first == STORED:
        first = read_stored_secret()
    if secret := first or read_dev_secret():
        return secret
    raise ConfigError("TRUTO_WEBHOOK_SECRET is not set, and no `truto-worker dev` has run in this folder")


def _payload(data: Path | None) -> Mapping[str, Any] | None:
    if data is None:
        return None
    try:
        payload = orjson.loads(_read(data))
    except orjson.JSONDecodeError as exc:
        raise ConfigError(f"--data {data}: not JSON: {exc}") from None
    if not isinstance(payload, dict):
        raise ConfigError(f"--data {data}: the payload must be a JSON object")
    return payload


def _read(data: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(data) == "-" else data.read_bytes()
    except OSError as exc:
        raise ConfigError(f"--data {data}: {exc.strerror}") from None


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


def _note_unknown(event_type: str) -> None:
    known = EVENT_TYPES | {TEST_EVENT_TYPE}
    if event_type not in known:
        hint = did_you_mean(event_type, sorted(known)) or "."
        print(f"Note: {event_type!r} is not a name Truto is known to send{hint}", file=sys.stderr)


def _print_answer(envelope: Mapping[str, Any], target: str, answer: DeliveryAnswer) -> None:
    console = Console(highlight=False, soft_wrap=True, stderr=not answer.accepted)
    if answer.status is None:
        console.print(f"No answer from {target}: {answer.error}. Is the ingress running there?", markup=False)
        return
    console.print(f"{envelope['event']}  id {envelope['id']}  ->  {target}", markup=False)
    text = answer.body.decode(errors="replace")
    console.print(f"{answer.status} in {answer.seconds * 1000:.1f} ms  {text}", markup=False)
