"""The steps of ``connect``: nothing is changed in Truto before everything here has been found to work."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar

import orjson

from cli.env_file import set_in_file
from cli.errors import CheckFailedError, UnprovenError
from cli.opening import SECRET
from cli.reach import Reached, check_clock, reach
from cli.steps import Steps
from cli.subscription import Plan, plan
from events import HistoryEntry, Store, StoreUnavailable
from events.naming import PLATFORM_SOURCE
from ingress.probe import KEPT as PROBE_KEY
from truto import TEST_EVENT_TYPE, ApiError, AsyncTruto, TransportError, TrutoError, Unauthorized, Webhook

WEBHOOK_ID = "webhook_id"
"""Where the id of the webhook is kept."""

_LEARNING_SECONDS = 6.0
_PROBE_KEY_SECONDS = 3.0
_HANDLING_SECONDS = 10.0
_AGAIN_SECONDS = 0.05
_MAX_LOOKED_AT = 200
_ENDS = frozenset({"done", "discarded", "retried", "dead", "parked"})
_ANSWERED_401 = re.compile(r"\b401\b")

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be there in the end, and what becomes of the secret: written to a file, shown."""

    target: str
    wanted: frozenset[str] | None
    write: Path | None = None
    show: bool = False
    new_secret: bool = False


@dataclass(frozen=True, slots=True)
class Platform:
    """What Truto's first answer tells: the environment of the token, and the time there."""

    environment: str
    now: float


async def look_at_platform(truto: AsyncTruto) -> Platform:
    """Whose token it is. Raises :class:`CheckFailedError` where Truto takes no token, or does not answer."""
    try:
        async with truto.download("GET", "/environment", max_bytes=1 << 20) as answer:
            date = answer.headers.get("date")
            rows = orjson.loads(b"".join([chunk async for chunk in answer])).get("result") or [{}]
    except Unauthorized:
        raise CheckFailedError(
            "Truto does not accept TRUTO_API_TOKEN",
            "make an API token in Truto's dashboard (of this environment), and set it",
        ) from None
    except TransportError as exc:
        raise CheckFailedError(f"Truto does not answer: {exc}", "look at TRUTO_API_URL and at the network") from None
    except (orjson.JSONDecodeError, AttributeError):
        raise CheckFailedError("what answers at TRUTO_API_URL is not Truto", "correct TRUTO_API_URL") from None
    name = rows[0].get("name") or rows[0].get("id") or "unknown"
    return Platform(str(name), parsedate_to_datetime(date).timestamp() if date else time.time())


class Connector:
    """One run. Of several *stores* the first keeps what belongs to sources; *secret_texts* are the environment's."""

    def __init__(
        self,
        truto: AsyncTruto,
        stores: Sequence[Store],
        token: str,
        secret_texts: Sequence[str],
        wish: Wish,
        steps: Steps,
    ) -> None:
        self._truto = truto
        self._store = stores[0]
        self._stores = stores
        self._token = token
        self._given = list(secret_texts)
        self._probe_key: str | None = None
        self._wish = wish
        self._steps = steps

    async def run(self) -> None:
        """All steps, each said when it is done. Raises :class:`CheckFailedError` at the first that fails."""
        platform = await self._look_at_platform()
        await self._look_for_workers()
        reached = await self._reach(platform.now)
        webhook = await self._arrange(reached)
        await self._try_out(webhook)

    async def _look_at_platform(self) -> Platform:
        started = time.perf_counter()
        platform = await look_at_platform(self._truto)
        self._steps.say("truto", f"the token is of the environment {platform.environment}", _since(started))
        return platform

    async def _look_for_workers(self) -> None:
        async def look() -> bool:
            overviews = await asyncio.gather(*(store.inspection.overview() for store in self._stores))
            return all(overview.workers > 0 for overview in overviews)

        started = time.perf_counter()
        if not await _within(2.0, look):  # one that was started just now has not claimed yet
            raise CheckFailedError(
                "no worker takes work from this Redis",
                "start `truto-worker worker` with the same REDIS_URL; what comes until then is kept for it",
            )
        self._steps.say("worker", "there is one that takes work from this Redis", _since(started))

    async def _reach(self, now: float) -> Reached:
        ahead = now - time.time()
        # The ingress looks into Redis once a second.
        patience = _PROBE_KEY_SECONDS if await self._share_probe_key() else 0.0
        deadline = time.monotonic() + patience
        while True:
            try:
                reached = await reach(self._wish.target, self._probing(), now=time.time() + ahead)
                break
            except UnprovenError:
                if time.monotonic() >= deadline:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
        check_clock(reached)
        text = f"{self._wish.target} leads to the ingress; body and signature arrive unaltered"
        self._steps.say("ingress", text, reached.seconds)
        return reached

    async def _share_probe_key(self) -> bool:
        """Have a key of probes in Redis, where the ingress finds it; whether it is new."""
        self._probe_key = (await self._store.notes.source_context(PLATFORM_SOURCE)).get(PROBE_KEY)
        if isinstance(self._probe_key, str):
            return False
        self._probe_key = secrets.token_hex(32)
        await self._store.notes.keep_in_context(PLATFORM_SOURCE, {PROBE_KEY: self._probe_key}, overwrite=True)
        return True

    def _probing(self) -> list[str]:
        return [text for text in (self._probe_key, self._token, *self._given) if text]

    # -- the webhook ---------------------------------------------------------------------------------------------------

    async def _arrange(self, reached: Reached) -> Webhook:
        started = time.perf_counter()
        planned = plan(
            self._wish.target,
            [webhook async for webhook in self._truto.webhooks.list()],
            self._wish.wanted,
            anew=self._wish.new_secret,
        )
        kept = await self._kept()
        if self._wish.new_secret and not reached.arrival.stored:
            raise CheckFailedError(
                "the ingress takes the webhook's secret from its environment alone, and would not know a new one",
                "set TRUTO_WEBHOOK_SECRET=stored,<the old one> there, restart it, and run this again",
            )
        if planned.webhook is not None and not reached.arrival.secrets:
            raise _secret_unknown(planned.webhook, self._wish.target)
        webhook = await self._carry_out(planned, active=reached.arrival.stored)
        for change in planned.changes or ("nothing to change",):
            self._steps.say("webhook", f"{webhook.id}: {change}", _since(started))
        self._steps.told |= {"webhook_id": webhook.id, "changes": list(planned.changes)}
        await self._store.notes.keep_in_context(PLATFORM_SOURCE, {WEBHOOK_ID: webhook.id}, overwrite=True)
        if webhook.secret is not None:
            await self._hand_over(webhook.secret.get_secret_value(), kept, reached)
        await self._retire(planned)
        return webhook

    async def _carry_out(self, planned: Plan, *, active: bool) -> Webhook:
        if planned.create is not None:
            # What the ingress cannot verify yet is not to be delivered: failures would switch the webhook off.
            return await self._truto.webhooks.create(**planned.create, is_active=active)
        assert planned.webhook is not None
        if planned.update:
            return await self._truto.webhooks.update(planned.webhook.id, **planned.update)
        return planned.webhook

    async def _kept(self) -> list[str]:
        context = await self._store.notes.source_context(PLATFORM_SOURCE)
        text = context.get(SECRET)
        return text.split(",") if isinstance(text, str) and text else []

    async def _hand_over(self, secret: str, kept: Sequence[str], reached: Reached) -> None:
        """Give the secret, which Truto shows this once, to whom it is meant for."""
        stored = reached.arrival.stored
        if stored:
            await self._keep([secret, *kept[:1]])
        if self._wish.write is not None:
            set_in_file(self._wish.write, "TRUTO_WEBHOOK_SECRET", ",".join([secret, *self._given[:1]]))
        self._say_secret(secret, stored=stored)
        if not stored:
            raise CheckFailedError(
                "the ingress does not have the new webhook's secret yet, so the webhook is still switched off",
                "set TRUTO_WEBHOOK_SECRET there, restart it, and run this again",
            )
        started = time.perf_counter()
        await self._wait_until_known(secret)
        self._steps.say("ingress", "has the secret", _since(started))

    async def _keep(self, texts: Sequence[str]) -> None:
        kept = {SECRET: ",".join(texts)}
        if not await self._store.notes.keep_in_context(PLATFORM_SOURCE, kept, overwrite=True):
            raise CheckFailedError("Redis did not keep the secret", "run this again with --new-secret")

    def _say_secret(self, secret: str, *, stored: bool) -> None:
        where = [f"in {self._wish.write}"] if self._wish.write else []
        where += ["in Redis, where the ingress finds it"] if stored else []
        shows = self._wish.show or not where
        self._steps.say("secret", f"kept {' and '.join(where)}" if where else "shown this once:")
        if shows and self._steps.quiet:
            self._steps.told["secret"] = secret
        elif shows:
            print(f"          TRUTO_WEBHOOK_SECRET={secret}", flush=True)

    async def _wait_until_known(self, secret: str) -> None:
        async def known() -> bool:
            return (await reach(self._wish.target, self._probing())).knows(secret)

        if not await _within(_LEARNING_SECONDS, known):
            raise CheckFailedError(
                "the ingress has not found the new secret in Redis",
                "give ingress and `connect` the same REDIS_URL, and run this again with --new-secret",
            )

    async def _retire(self, planned: Plan) -> None:
        if planned.create is None and planned.others:
            others = ", ".join(planned.others)
            self._steps.say("webhook", f"{others} delivers to the same address too: remove it in Truto's dashboard")
        for other in planned.others if planned.create is not None else ():
            await self._truto.webhooks.delete(other)
            self._steps.say("webhook", f"{other}: removed, its secret with it")

    # -- the test event ------------------------------------------------------------------------------------------------

    async def _try_out(self, webhook: Webhook) -> None:
        began = await self._store.now()
        try:
            accepted = await self._truto.webhooks.test(webhook.id)
        except ApiError as exc:
            if _ANSWERED_401.search(exc.message):
                raise _secret_unknown(webhook, self._wish.target) from None
            raise CheckFailedError(f"Truto's test event was not accepted: {exc.message}", _AGAIN) from None
        if not accepted:
            raise CheckFailedError("Truto did not send its test event", _AGAIN)
        self._steps.say("test", "sent by Truto", 0)
        event_id, history = await self._follow(webhook, began)
        self._steps.told["event_id"] = event_id
        for entry in history:
            self._steps.say("test", _told(entry, event_id), entry.at.timestamp() - began)
        if history[-1].what not in ("done", "discarded"):
            raise CheckFailedError(
                f"the test event was not handled ({history[-1].what})", f"look: truto-worker events {event_id}"
            )

    async def _follow(self, webhook: Webhook, began: float) -> tuple[str, list[HistoryEntry]]:
        seen: list[str] = []

        async def ended() -> tuple[str, list[HistoryEntry]] | None:
            for event_id in await self._candidates(webhook, began):
                history = await self._history(event_id)
                seen.extend([event_id] if history else [])
                if history and history[-1].what in _ENDS:
                    return event_id, history
            return None

        found = await _within(_HANDLING_SECONDS, ended)
        if found:
            return found
        if seen:
            raise CheckFailedError(
                f"the test event {seen[0]} was committed, but no worker has handled it within {_HANDLING_SECONDS:g} s",
                "look at the logs of the workers, and at `truto-worker events`",
            )
        raise CheckFailedError(
            "the test event was answered with 200, but it is not in the Redis of REDIS_URL",
            "give ingress, workers and `connect` the same REDIS_URL",
        )

    async def _history(self, event_id: str) -> list[HistoryEntry]:
        found = [await store.inspection.history(PLATFORM_SOURCE, event_id) for store in self._stores]
        return next(filter(None, found), [])

    async def _candidates(self, webhook: Webhook, began: float) -> list[str]:
        """The ids that the test event may have: Truto does not say. Those that ended here, else those of its log."""
        since = datetime.fromtimestamp(began - 1, UTC)
        found = [
            ended.id
            for store in self._stores
            for ended in await store.inspection.recent(_MAX_LOOKED_AT)
            if ended.source == PLATFORM_SOURCE and ended.type == TEST_EVENT_TYPE and ended.at >= since
        ]
        if found:
            return found
        try:
            logged = self._truto.logs.list(
                "webhook",
                after=since - timedelta(minutes=1),
                before=datetime.now(UTC) + timedelta(minutes=5),
                filters={"webhook_id": webhook.id, "event": TEST_EVENT_TYPE},
            )
            entries = [entry async for entry in logged]
        except (TrutoError, StoreUnavailable):
            return []
        return [entry.id for entry in entries if entry.id and (entry.timestamp is None or entry.timestamp >= since)]


_AGAIN = "run this again; where it stays so, look at the ingress' log and at `truto-worker sources refusals`"


def _secret_unknown(webhook: Webhook, target: str) -> CheckFailedError:
    return CheckFailedError(
        f"the ingress does not have the secret of webhook {webhook.id}, which Truto shows only once",
        f"`truto-worker connect --url {target} --new-secret` replaces it by a webhook whose secret is kept",
    )


def _told(entry: HistoryEntry, event_id: str) -> str:
    match entry.what:
        case "received":
            return f"verified and committed to Redis, id {event_id}"
        case "claimed":
            return f"claimed by worker {entry.detail.get('worker')}"
        case "done" if entry.detail.get("why") == "ignored":
            return "handled: done (Truto's test event needs nothing)"
        case what:
            return f"handled: {what} {entry.detail.get('handler', '')}".rstrip()


def _since(started: float) -> float:
    return time.perf_counter() - started


async def _within(seconds: float, look: Callable[[], Awaitable[Found | None]]) -> Found | None:
    """What *look* gives as soon as it gives something; ``None`` where it has not in time."""
    deadline = time.monotonic() + seconds
    pause = _AGAIN_SECONDS
    while not (found := await look()):
        if time.monotonic() + pause >= deadline:
            return None
        await asyncio.sleep(pause)
        pause = min(1.0, 1.5 * pause)
    return found
