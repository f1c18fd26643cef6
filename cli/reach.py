"""Whether an address leads to an ingress of ours, and what a proxy in between does to deliveries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from cli.errors import CheckFailedError, UnprovenError
from cli.printing import lasting
from ingress.probe import BODY, Arrival, Probe
from truto import DeliveryAnswer, delivery_client
from truto.delivery import post
from truto.signature import HEADER as SIGNATURE

MAX_SKEW_SECONDS = 60.0
"""Clocks that differ by more are a fault: signed times are accepted for minutes only."""

_AGAIN_SECONDS = 0.5
_PATH_OF_OURS = "/webhooks/truto"


@dataclass(frozen=True, slots=True)
class Reached:
    """An ingress of ours behind an address. ``clock`` is what it showed less what was expected then, in seconds."""

    probe: Probe
    arrival: Arrival
    skew: float
    seconds: float

    def knows(self, secret: str) -> bool:
        """Whether deliveries signed with *secret* are verified there."""
        return self.probe.knows(self.arrival, secret)


async def reach(target: str, secret_texts: Sequence[str], *, now: float | None = None, seconds: float = 4.0) -> Reached:
    """Ask the ingress at *target*; *now* is the time by the clock that counts, else by this machine's.

    It has so many *seconds*. Raises :class:`CheckFailedError` that says why what Truto sends there would not be
    accepted by an ingress of ours.
    """
    ahead = 0.0 if now is None else now - time.time()
    probe = Probe.made(secret_texts, time.time() + ahead)
    async with delivery_client(seconds) as client:
        answer = await post(client, target, BODY, probe.headers, deadline_seconds=seconds)
    arrival = probe.read(answer.body) if answer.status == 200 else None
    if arrival is None:
        kind = UnprovenError if answer.status == 401 else CheckFailedError
        raise kind(*_unreached(target, answer, seconds))
    _check_unaltered(target, probe, arrival)
    midway = time.time() + ahead - answer.seconds / 2
    return Reached(probe, arrival, arrival.clock - midway, answer.seconds)


async def reach_patiently(target: str, secret_texts: Sequence[str], *, patience: float = 15.0) -> Reached:
    """As :func:`reach`, for an address that may need some seconds to lead anywhere, as that of a new tunnel does."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return await reach(target, secret_texts)
        except CheckFailedError:
            if time.monotonic() >= deadline:
                raise
            await asyncio.sleep(_AGAIN_SECONDS)


def check_clock(reached: Reached) -> None:
    """Raise :class:`CheckFailedError` where the clock of the ingress is wrong."""
    if abs(reached.skew) > MAX_SKEW_SECONDS:
        word = "ahead of" if reached.skew > 0 else "behind"
        raise CheckFailedError(
            f"the clock of the ingress is {lasting(abs(reached.skew))} {word} Truto's",
            "set the clocks of both machines by NTP (`timedatectl set-ntp true`)",
        )


def _check_unaltered(target: str, probe: Probe, arrival: Arrival) -> None:
    host = urlsplit(target).hostname
    if not probe.arrived_whole(arrival):
        raise CheckFailedError(
            f"a proxy in front of {host} alters the body of deliveries, so no signature can match",
            "have it pass on the body byte for byte (no JSON rewriting, no transformation of the payload)",
        )
    if arrival.signature != probe.headers[SIGNATURE]:
        raise CheckFailedError(
            f"a proxy in front of {host} does not pass on the header {SIGNATURE}",
            f"have it pass on {SIGNATURE} unchanged",
        )


def _unreached(target: str, answer: DeliveryAnswer, seconds: float) -> tuple[str, str]:
    """What is wrong, and what to do about it."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(target))
    if answer.status is None:
        return _unanswered(origin, answer.error or "", seconds)
    ours = b'"reason"' in answer.body and b'"statusCode"' in answer.body
    match answer.status:
        case 401 if ours:
            return (
                f"an ingress answers at {target}, but shares no secret with this environment (or its clock is off)",
                "give it this REDIS_URL with TRUTO_WEBHOOK_SECRET=stored, or this TRUTO_API_TOKEN, and restart it",
            )
        case 404 | 405 if ours or urlsplit(target).path != _PATH_OF_OURS:
            return (
                f"{target} answers {answer.status}: the path does not lead to the ingress",
                f"have the proxy pass {urlsplit(target).path} on as {_PATH_OF_OURS}, or correct --url",
            )
        case 301 | 302 | 303 | 307 | 308:
            return f"{target} answers with a redirect, which no delivery follows", "give the address it redirects to"
        case 502 | 503 | 504:
            return (
                f"a proxy answers at {origin}, but no ingress behind it ({answer.status})",
                "start `truto-worker ingress` there, and let the proxy lead to its PORT",
            )
        case _:
            return (
                f"{target} is somebody else's: what answers there ({answer.status}) is not an ingress of yours",
                "correct --url, or let its proxy lead to your `truto-worker ingress`",
            )


def _unanswered(origin: str, error: str, seconds: float) -> tuple[str, str]:
    if "SSL" in error or "CERTIFICATE" in error.upper():
        why = error.rpartition("]")[2].partition("(_ssl")[0].strip(" :") or "the handshake failed"
        return (
            f"TLS at {origin} is broken, and Truto would not deliver there: {why}",
            "install a valid certificate with its whole chain (for example from Let's Encrypt)",
        )
    if "Name or service" in error or "getaddrinfo" in error or "nodename" in error:
        return f"{origin} does not answer: its name is not known", "correct --url, or add the DNS record"
    if not error or "Timeout" in error:
        return (
            f"{origin} does not answer within {seconds:g} s",
            "open its port in the firewall, and start `truto-worker ingress` behind it",
        )
    return f"{origin} does not answer: nothing listens there", "start `truto-worker ingress`, and let --url lead to it"
