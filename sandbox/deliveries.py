"""Deliver events as Truto does: signed, retried, given up, and in the end the webhook is switched off.

Sources: docs, webhooks overview (retries, deactivation); skill, webhooks-and-notifications (envelope,
headers).
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

from sandbox.background import Background
from sandbox.config import SandboxConfig
from sandbox.faults import Fate
from sandbox.state import Row, State, new_id, now_text
from truto.delivery import DeliveryAnswer, deliver, delivery_client
from truto.samples import ENVIRONMENT_ID

# Below the client's pool of 100, so that a burst waits here and not against the client's own timeout.
_CONCURRENT_DELIVERIES = 50
_LOST = DeliveryAnswer(None, b"", 0.0, "lost on the way (sandbox fault)")


_USUAL = Fate()


@dataclass(frozen=True, slots=True)
class _Letter:
    """One event for one webhook.

    Retries send the same bytes, so id and time stay too ([?] in every source).
    """

    event_id: str
    event: str
    webhook: Row
    body: bytes
    fate: Fate = _USUAL


class Sender:
    """Sends events to the webhooks of the environment and keeps the delivery log."""

    def __init__(self, state: State, config: SandboxConfig, background: Background) -> None:
        self._state = state
        self._config = config
        self._background = background
        # Opened at the first delivery: a client loads the CA bundle, the slowest part of a start.
        self._client = functools.cache(delivery_client)
        self._turns = asyncio.Semaphore(_CONCURRENT_DELIVERIES)
        self._given_up: defaultdict[str, int] = defaultdict(int)
        self._numbered = state.faults, 0
        self._observers: list[Callable[[str, Mapping[str, Any]], None]] = []

    def subscribe(self, observer: Callable[[str, Mapping[str, Any]], None]) -> None:
        """Call *observer* with each event that is published, before it is sent."""
        self._observers.append(observer)

    def publish(self, event: str, payload: Mapping[str, Any]) -> None:
        """Send *event* to every subscriber in the background. *payload* is read before this returns."""
        for observe in self._observers:
            observe(event, payload)
        for letter in self._letters(event, payload):
            self._background.spawn(self._send(letter))

    async def converse(
        self,
        event: str,
        payload: Mapping[str, Any],
        *,
        webhook_id: str | None = None,
        decisive: frozenset[int] = frozenset(),
    ) -> list[DeliveryAnswer]:
        """Send *event* and wait for the last answer of each subscriber.

        With the id of an existing webhook, only that one is asked. An answer whose status is in *decisive* is
        not retried and does not count against the webhook.
        """
        letters = self._letters(event, payload, webhook_id)
        return list(await asyncio.gather(*(self._send(letter, decisive) for letter in letters)))

    async def test(self, webhook: Row, event: str, payload: Mapping[str, Any]) -> DeliveryAnswer:
        """One attempt at one webhook, active or not (``POST /webhook/test``)."""
        return await self._attempt(_letter(event, payload, webhook, new_id(), now_text()), 1)

    def forgive(self, webhook_id: str) -> None:
        """Reset the failures of a webhook, when it is switched on again."""
        self._given_up.pop(webhook_id, None)

    async def close(self) -> None:
        """Close the connections; nothing can be sent after."""
        if self._client.cache_info().currsize:
            await self._client().aclose()

    def _letters(self, event: str, payload: Mapping[str, Any], webhook_id: str | None = None) -> list[_Letter]:
        named = self._state.webhooks.get(webhook_id)
        event_id, moment = new_id(), now_text()
        return [
            replace(_letter(event, payload, webhook, event_id, moment), fate=self._next_fate())
            for webhook in ([named] if named else self._state.webhooks.rows())
            if subscribes(webhook, event)
        ]

    def _next_fate(self) -> Fate:
        """What becomes of the next delivery, counted from the last change of the faults."""
        faults, count = self._numbered
        if faults is not self._state.faults:
            faults, count = self._state.faults, 0
        self._numbered = faults, count + 1
        return faults.fate(count)

    async def _send(self, letter: _Letter, decisive: frozenset[int] = frozenset()) -> DeliveryAnswer:
        webhook = letter.webhook
        if letter.fate.delay:
            await asyncio.sleep(letter.fate.delay)
        if letter.fate.late is not None:
            self._background.spawn(self._arrive_late(letter, letter.fate.late))
        answer = await self._attempt(letter, 1)
        if letter.fate.doubled:
            await self._attempt(letter, 2)
        for attempt, delay in enumerate(self._config.retry_delays, start=2):
            if answer.accepted or answer.status in decisive:
                break
            await asyncio.sleep(delay)
            if not self._listens(webhook):
                return answer
            answer = await self._attempt(letter, attempt)
        self._judge(webhook, accepted=answer.accepted or answer.status in decisive)
        return answer

    async def _attempt(self, letter: _Letter, attempt: int) -> DeliveryAnswer:
        webhook = letter.webhook
        target_url = webhook["target_url"]
        async with self._turns:
            at = time.time()
            answer = _LOST if letter.fate.lost else await self._deliver(letter)
        self._state.deliveries.add(
            {
                "event_id": letter.event_id,
                "event": letter.event,
                "webhook_id": webhook["id"],
                "target_url": target_url,
                "attempt": attempt,
                "status": answer.status,
                "error": answer.error,
                "at": at,
                "seconds": answer.seconds,
            }
        )
        return answer

    async def _deliver(self, letter: _Letter) -> DeliveryAnswer:
        return await deliver(
            self._client(),
            letter.webhook["target_url"],
            letter.body,
            letter.webhook["secret"],
            encoding=self._config.signature_encoding,
        )

    async def _arrive_late(self, letter: _Letter, seconds: float) -> None:
        """What was lost comes all the same, and nobody on this side knows."""
        await asyncio.sleep(seconds)
        await self._deliver(letter)

    def _listens(self, webhook: Row) -> bool:
        return self._state.webhooks.get(webhook["id"]) is webhook and webhook["is_active"]

    def _judge(self, webhook: Row, *, accepted: bool) -> None:
        if accepted:
            self.forgive(webhook["id"])
            return
        self._given_up[webhook["id"]] += 1
        if self._given_up[webhook["id"]] >= self._config.deactivate_after:
            webhook["is_active"] = False


def subscribes(webhook: Row, event: str) -> bool:
    """Whether *webhook* is active and gets *event*; without ``event_types`` it gets all."""
    return bool(webhook["is_active"]) and (webhook["event_types"] is None or event in webhook["event_types"])


def _letter(event: str, payload: Mapping[str, Any], webhook: Row, event_id: str, moment: str) -> _Letter:
    envelope = {
        "id": event_id,
        "event": event,
        # The guide's handler reads this name, the docs' sample the other; here both are true.
        "event_type": event,
        "payload": payload,
        "environment_id": ENVIRONMENT_ID,
        "webhook_id": webhook["id"],
        "created_at": moment,
    }
    return _Letter(event_id, event, webhook, orjson.dumps(envelope))
