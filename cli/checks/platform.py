"""Truto: the token and the webhook; and the way from there to the ingress."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from cli.checks.finding import Finding
from cli.connecting import look_at_platform
from cli.errors import CheckFailedError
from cli.printing import lasting
from cli.reach import check_clock, reach
from cli.subscription import missing_types, target_of
from truto import AsyncTruto, Webhook

CERTIFICATE_LEFT = timedelta(days=14)
"""A certificate that ends sooner should have been renewed by now."""

_MAX_SHOWN = 6


@dataclass(frozen=True, slots=True)
class Known:
    """What is known here: the secrets that prove a probe, the webhook's secrets, its id, and what handlers want."""

    probing: Sequence[str] = field(repr=False)
    secrets: Sequence[str] = field(repr=False)
    webhook_id: str | None
    public_url: str | None
    wanted: frozenset[str] | None
    ignored: frozenset[str]


async def check_token(truto: AsyncTruto) -> list[Finding]:
    """Whose token it is, and the time there."""
    platform = await look_at_platform(truto)
    skew = time.time() - platform.now
    found = [Finding("truto", f"the token is of the environment {platform.environment}")]
    if abs(skew) > 60:
        what = f"the clock of this machine is {lasting(abs(skew))} {'ahead of' if skew > 0 else 'behind'} Truto's"
        found.append(Finding("truto", what, "set it by NTP (`timedatectl set-ntp true`)"))
    return found


async def check_webhook(truto: AsyncTruto, known: Known) -> list[Finding]:
    """The webhook in Truto, and the way from its address to the ingress."""
    webhooks = [webhook async for webhook in truto.webhooks.list()]
    webhook = _ours(webhooks, known)
    if webhook is None:
        what = "there is none that delivers here"
        return [Finding("webhook", what, "truto-worker connect --url https://you.example")]
    found = [*_state_of(webhook, webhooks, known), *_types_of(webhook, known)]
    target = webhook.target_url or ""
    ways = await asyncio.gather(_way_to(target, known), check_certificate(target))
    return [*found, *(finding for one in ways for finding in one)]


def _ours(webhooks: Sequence[Webhook], known: Known) -> Webhook | None:
    by_id = {webhook.id: webhook for webhook in webhooks}
    if known.webhook_id in by_id:
        return by_id[known.webhook_id]
    target = target_of(known.public_url) if known.public_url else None
    here = [webhook for webhook in webhooks if webhook.target_url == target]
    return here[0] if here else webhooks[0] if len(webhooks) == 1 and target is None else None


def _state_of(webhook: Webhook, webhooks: Sequence[Webhook], known: Known) -> list[Finding]:
    found = []
    if webhook.is_active is False:
        found.append(Finding("webhook", f"{webhook.id} is switched off", "truto-worker connect switches it on"))
    if known.public_url and webhook.target_url != target_of(known.public_url):
        what = f"{webhook.id} delivers to another address than PUBLIC_URL"
        found.append(Finding("webhook", what, "correct PUBLIC_URL, or run truto-worker connect with the right --url"))
    others = [one.id for one in webhooks if one.target_url == webhook.target_url and one.id != webhook.id]
    if others:
        what = f"{', '.join(others)} delivers to the same address as {webhook.id}"
        found.append(Finding("webhook", what, "remove all but one in Truto's dashboard"))
    return found or [Finding("webhook", f"{webhook.id} is active")]


def _types_of(webhook: Webhook, known: Known) -> list[Finding]:
    if missing := missing_types(webhook, known.wanted):
        what = f"it does not deliver {_some(missing)}, for which there are handlers"
        return [Finding("webhook", what, "truto-worker connect adds them")]
    if known.wanted is None or webhook.event_types is None:
        return [Finding("webhook", "it delivers what the handlers here want")]
    unwanted = sorted(set(webhook.event_types) - known.wanted - known.ignored)
    if unwanted:
        what = f"it delivers {_some(unwanted)}, which nobody here handles"
        return [Finding("webhook", what, "write a handler, `ignore` them, or take them out in Truto: they are parked")]
    return [Finding("webhook", "it delivers what the handlers here want")]


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MAX_SHOWN])
    return shown if len(names) <= _MAX_SHOWN else f"{shown} and {len(names) - _MAX_SHOWN} more"


async def _way_to(target: str, known: Known) -> list[Finding]:
    try:
        reached = await reach(target, known.probing, seconds=2.0)
        check_clock(reached)
    except CheckFailedError as exc:
        return [Finding("way", exc.what, exc.remedy)]
    if not reached.arrival.secrets:
        what = "the ingress has no secret of the webhook, and refuses every delivery"
        return [Finding("way", what, "truto-worker connect --new-secret")]
    if known.secrets and not any(map(reached.knows, known.secrets)):
        what = "the secret here is not one that the ingress has"
        return [Finding("way", what, "give both the same TRUTO_WEBHOOK_SECRET, or truto-worker connect --new-secret")]
    return [Finding("way", f"{target} leads to the ingress in {reached.seconds * 1000:.0f} ms, unaltered")]


async def check_certificate(target: str) -> list[Finding]:
    """How long the certificate at *target* is still good; nothing where there is no TLS, or none that works."""
    parts = urlsplit(target)
    if parts.scheme != "https" or not parts.hostname:
        return []
    try:
        _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443, ssl=ssl.create_default_context())
    except OSError:
        return []  # the probe says what is wrong
    certificate = writer.get_extra_info("peercert") or {}
    writer.close()
    return certificate_findings(str(certificate.get("notAfter", "")), datetime.now(UTC))


def certificate_findings(not_after: str, now: datetime) -> list[Finding]:
    """What to say of a certificate that is good until *not_after*, as OpenSSL writes times."""
    try:
        end = datetime.fromtimestamp(ssl.cert_time_to_seconds(not_after), UTC)
    except ValueError:
        return []
    left = end - now
    if left < CERTIFICATE_LEFT:
        what = f"the certificate ends in {lasting(max(0.0, left.total_seconds()))}"
        return [Finding("way", what, "renew it, and see why that was not done by itself")]
    return [Finding("way", f"the certificate is good until {end:%Y-%m-%d}")]
