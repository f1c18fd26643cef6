"""The webhook in Truto that a ``dev`` makes for itself, and what earlier ones of this folder have left there."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr

from cli.connecting import look_at_platform
from cli.dev_folder import FOLDER
from cli.errors import TunnelFailedError
from cli.settings import ProcessSettings
from cli.subscription import target_of
from truto import AsyncTruto, TrutoError, Webhook

LABEL = "truto-worker-dev"
"""The parameter of a webhook's address that says whose it is: a webhook of Truto's has no name."""

_LABEL_FILE = "dev-label"

Result = TypeVar("Result")


class PlatformSettings(ProcessSettings):
    """Which Truto ``dev --truto`` works with."""

    truto_api_token: SecretStr = Field(description="the API token of your Truto environment")
    truto_api_url: str = "https://api.truto.one"


@dataclass(frozen=True, slots=True)
class DevWebhook:
    """A webhook that leads to this machine: its secret is in no file."""

    id: str
    secret: str
    target: str
    environment: str
    removed: int


@contextmanager
def own_webhook(settings: PlatformSettings, public_url: str) -> Iterator[DevWebhook]:
    """A webhook for all event types that delivers to *public_url*; removed at the end.

    What an earlier ``dev`` of this folder has left, because it was killed, is removed before.
    """
    label = own_label()
    webhook = _ask(settings, lambda truto: _make(truto, public_url, label))
    try:
        yield webhook
    finally:
        try:
            _ask(settings, lambda truto: truto.webhooks.delete(webhook.id))
        except TrutoError as exc:
            print(f"The webhook {webhook.id} is still there ({exc}): the next `dev --truto` removes it.")


def own_label() -> str:
    """What tells the webhooks of this folder from those of others; the same at each start."""
    file = FOLDER / _LABEL_FILE
    try:
        if label := file.read_text().strip():
            return label
    except OSError:
        pass
    FOLDER.mkdir(exist_ok=True)
    label = uuid.uuid4().hex
    file.write_text(label)
    return label


def is_own(webhook: Webhook, label: str) -> bool:
    """Whether a ``dev`` of this folder has made it."""
    return label in parse_qs(urlsplit(webhook.target_url or "").query).get(LABEL, [])


async def _make(truto: AsyncTruto, public_url: str, label: str) -> DevWebhook:
    platform = await look_at_platform(truto)
    left = [webhook async for webhook in truto.webhooks.list() if is_own(webhook, label)]
    for webhook in left:
        await truto.webhooks.delete(webhook.id)
    target = f"{target_of(public_url)}?{LABEL}={label}"
    made = await truto.webhooks.create(target_url=target)
    if made.secret is None:
        await truto.webhooks.delete(made.id)
        raise TunnelFailedError("Truto has made a webhook and shown no secret")
    return DevWebhook(made.id, made.secret.get_secret_value(), target, platform.environment, len(left))


def _ask(settings: PlatformSettings, work: Callable[[AsyncTruto], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        token = settings.truto_api_token.get_secret_value()
        async with AsyncTruto(token=token, base_url=settings.truto_api_url, deadline_seconds=15) as truto:
            return await work(truto)

    return asyncio.run(run())
