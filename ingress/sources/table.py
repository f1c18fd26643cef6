"""The sources of a running ingress, with what they know from outside: contexts kept in Redis, and public keys."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

import structlog

from events import Store, StoreUnavailable
from events.background import background
from ingress.answers import RETRY_AFTER_SECONDS, Refusal, not_authentic
from ingress.sources.named_keys import NamedKeys, fetch_certificate, fetch_key
from ingress.sources.shares import BUSY, MAX_PROVEN_WAITING, MAX_WAITING, Share
from ingress.sources.source import MAX_HANDSHAKE_BYTES, Jwks, KeyRequest, Source
from ingress.verification.context import Account, Delivery
from ingress.verification.evidence import CERTIFICATE_UNKNOWN, KEY_UNKNOWN
from ingress.verification.head import JSON, RawHeaders, media_type
from ingress.verification.outcome import NOTHING, Ignored, Outcome
from ingress.verification.pipeline import Walk, context_of, verify_delivery
from truto.errors import TrutoError

if TYPE_CHECKING:  # it brings httpx, which sources without fetched keys never load
    from truto.jwks import JwksClient

log = structlog.get_logger("ingress")

_KEYS_LIVE_SECONDS = 600.0
_PREPARING_SECONDS = 2.0
_CONTEXT_COOLDOWN_SECONDS = 1.0
_THREADS = 2
_UNPROVEN_THREADS = 2
_SWITCH_SECONDS = 0.0005
_WORTH_A_THREAD = 256 * 1024
_WORTH_A_THREAD_UNLESS_JSON = 16 * 1024  # XML takes a microsecond for each byte
_RETRY = {"retry-after": str(RETRY_AFTER_SECONDS)}
_UNCERTIFIED = Refusal(
    503, "certificate_unavailable", "The certificate cannot be fetched now. Send it again.", headers=_RETRY
)
_WITHOUT_KEY = Refusal(503, "key_unavailable", "The key cannot be fetched now. Send it again.", headers=_RETRY)
_UNCONFIRMED = Refusal(
    503, "subscription_unconfirmed", "The subscription cannot be confirmed now. Send it again.", headers=_RETRY
)


class SourceTable:
    """Looks sources up by name, and verifies what came for them.

    Expressions are evaluated in threads, since one may take 0.2 s and more; most of the rest is not worth a thread.
    Those that run before the sender is proven have threads of their own, and each source a share of their time. No
    source has two of them evaluated at once, so that others need not wait for it.
    Use :meth:`running` around the time in which sources are looked at.
    """

    def __init__(self, store: Store, sources: Iterable[Source], *, client: JwksClient | None = None) -> None:
        self._store = store
        self._sources: dict[str, Source] = {}
        self._accounts: dict[str, Account] = {}
        self._kept: dict[str, Mapping[str, Any]] = {}
        self._asked: dict[str, float] = {}
        self._learned = 0
        self._keys: dict[str, _KeySet] = {}
        self._requested: dict[KeyRequest, NamedKeys] = {}
        self._key_tasks: dict[str | KeyRequest, asyncio.Task[None]] = {}
        self._client = client
        self._certificates = NamedKeys(lambda url: fetch_certificate(self._jwks_client(), url), "certificate")
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="expressions")
        self._unproven_threads = ThreadPoolExecutor(_UNPROVEN_THREADS, thread_name_prefix="unproven")
        self._large, self._large_unproven = asyncio.Lock(), asyncio.Lock()
        self._shares: dict[tuple[str, bool], Share] = {}
        self._adopt({source.name: source for source in sources})

    def get(self, name: str) -> Source | None:
        """The source of this name."""
        return self._sources.get(name)

    @property
    def sources(self) -> Mapping[str, Source]:
        """All sources by name."""
        return self._sources

    def account(self, source: Source) -> Account:
        """What is known of *source* now, its secrets included."""
        return self._accounts.get(source.name) or source.account(self._kept.get(source.name, NOTHING))

    def _adopt(self, sources: dict[str, Source]) -> None:
        self._accounts = {
            name: self._account(source, self._kept.get(name, NOTHING)) for name, source in sources.items()
        }
        self._sources = sources

    def _account(self, source: Source, kept: Mapping[str, Any]) -> Account:
        account = source.account(kept)
        if source.secret_state(kept) == "unusable":
            hint = f"every delivery is refused until `truto-worker sources enrol {source.name}` lets in another one"
            log.warning("secret_unusable", source=source.name, fault=account.fault, hint=hint)
        return account

    async def replace(self, sources: Iterable[Source]) -> None:
        """Put *sources* in the place of those that were. Requests that have begun are finished with the old ones."""
        new = {source.name: source for source in sources}
        await self._prepare(new)
        self._adopt(new)
        self._drop_keys()

    async def _prepare(self, sources: Mapping[str, Source]) -> None:
        """Have contexts and keys before the first delivery wants them, if they come soon."""
        soon = [asyncio.create_task(self._load(source)) for source in sources.values() if source.learns]
        for jwks in {source.jwks for source in sources.values() if source.jwks}:
            if jwks.url not in self._keys:
                key_set = self._keys[jwks.url] = _KeySet(jwks)
                self._key_tasks[jwks.url] = asyncio.create_task(key_set.keep(self._jwks_client()))
                soon.append(asyncio.create_task(key_set.first()))
        for request in {source.key_request for source in sources.values() if source.key_request}:
            if request not in self._requested:
                named = self._requested[request] = NamedKeys(partial(fetch_key, self._jwks_client(), request), "kid")
                self._key_tasks[request] = asyncio.create_task(named.keep_fresh(_KEYS_LIVE_SECONDS))
        if soon:
            _, late = await asyncio.wait(soon, timeout=_PREPARING_SECONDS)
            for task in late:
                task.cancel()

    async def _load(self, source: Source) -> None:
        with suppress(StoreUnavailable):  # a refusal asks again
            self._kept[source.name] = await self._store.notes.source_context(source.name)

    def _jwks_client(self) -> JwksClient:
        if self._client is None:
            from truto.jwks import JwksClient

            self._client = JwksClient()
        return self._client

    def _drop_keys(self) -> None:
        sources = self._sources.values()
        wanted = {source.jwks.url for source in sources if source.jwks}
        requested = {source.key_request for source in sources if source.key_request}
        for gone in self._key_tasks.keys() - wanted - requested:
            self._key_tasks.pop(gone).cancel()
        self._keys = {url: keys for url, keys in self._keys.items() if url in wanted}
        self._requested = {request: keys for request, keys in self._requested.items() if request in requested}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load contexts and keys, and keep them fresh until the block ends."""
        await self._prepare(self._sources)
        self._adopt(self._sources)
        before = sys.getswitchinterval()
        # Python lets a thread that computes go on for 5 ms while the event loop waits for it.
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            async with background(self._follow_contexts(), "follow-contexts"):
                yield
        finally:
            sys.setswitchinterval(before)
            tasks = list(self._key_tasks.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for named in (self._certificates, *self._requested.values()):
                await named.aclose()
            if self._client is not None:
                await self._client.aclose()
            for threads in (self._threads, self._unproven_threads):
                threads.shutdown(wait=False, cancel_futures=True)

    # -- one delivery --------------------------------------------------------------------------------------------------

    def verify_at_once(self, source: Source, delivery: Delivery) -> Outcome | None:
        """What *delivery* comes to, where nothing has to be waited for; ``None`` where :meth:`verify` has to tell."""
        account = self._accounts.get(source.name) if source.is_plain else None
        if account is None or (len(delivery.body) >= _WORTH_A_THREAD_UNLESS_JSON and _is_worth_a_thread(delivery)):
            return None
        return verify_delivery(source, delivery, account, now=time.time())

    async def verify(self, source: Source, delivery: Delivery) -> Outcome:
        """What *delivery* comes to."""
        outcome = await self._look(source, delivery)
        if isinstance(outcome, Refusal) and outcome.status == 401:
            outcome = await self._look_again(source, delivery, outcome)
        if isinstance(outcome, Ignored) and outcome.visit:
            return await self._confirm(source, outcome)
        return outcome

    async def _look_again(self, source: Source, delivery: Delivery, refusal: Refusal) -> Outcome:
        """What *delivery* comes to, with what there is to learn after its *refusal*."""
        if source.jwks is not None and refusal.cause == KEY_UNKNOWN:
            # An exchange of the sources may have let go of them meanwhile.
            if source.jwks.url in self._keys:
                self._keys[source.jwks.url].wanted.set()
        elif refusal.cause in (CERTIFICATE_UNKNOWN, KEY_UNKNOWN) and (named := self._named_keys(source)) is not None:
            return await self._look_with_key(source, delivery, refusal, named)
        elif await self._learns_more(source):
            return await self._look(source, delivery)
        return refusal

    def _named_keys(self, source: Source) -> NamedKeys | None:
        """The keys among which those are that deliveries of *source* name, where they are fetched one at a time."""
        if source.certified:
            return self._certificates
        return self._requested.get(source.key_request) if source.key_request is not None else None

    async def _look_with_key(self, source: Source, delivery: Delivery, refusal: Refusal, named: NamedKeys) -> Outcome:
        """What *delivery* comes to once the key that it names is there: to refuse it would be to lose it."""
        name = self._walk(source, delivery).key_name()
        if name is None:
            return refusal
        if await named.learn(name):
            return await self._look(source, delivery)
        return _UNCERTIFIED if source.certified else _WITHOUT_KEY

    async def _confirm(self, source: Source, outcome: Ignored) -> Outcome:
        """Call the address that an authentic delivery wants to see called. Its sender repeats it where that fails."""
        try:
            await self._jwks_client().visit(outcome.visit)
        except TrutoError as exc:
            log.warning("subscription_unconfirmed", source=source.name, error=str(exc))
            return _UNCONFIRMED
        log.info("subscription_confirmed", source=source.name)
        return outcome

    def room_for(self, source: Source, headers: RawHeaders, method: str) -> int | Refusal | None:
        """How many bytes of a body that is still to come are worth reading; ``None`` for all that may come.

        A delivery that cannot be authentic, whatever its body holds, is refused.
        """
        if method != "POST":
            return MAX_HANDSHAKE_BYTES
        if not source.proves_early:
            return BUSY if source.evaluates and self._share(source).is_exhausted() else None
        if not source.lacks_signature(headers):
            return None
        if source.shakes_hands_first and (source.handle_reads_body or self._shakes_hands(source, headers)):
            return MAX_HANDSHAKE_BYTES
        return replace(not_authentic("signature_missing", "the header that its sender signs in is missing"), close=True)

    def _shakes_hands(self, source: Source, headers: RawHeaders) -> bool:
        """Whether *headers* alone may make a handshake."""
        return self._walk(source, Delivery(headers, b"")).evaluates()

    async def _look(self, source: Source, delivery: Delivery) -> Outcome:
        walk = self._walk(source, delivery)
        if _is_worth_a_thread(delivery):
            # A digest of much lets go of the interpreter; it must not queue behind expressions.
            ended = await asyncio.to_thread(walk.begin if source.evaluates else walk.outcome)
        else:
            ended = walk.begin()
            if ended is None and not walk.evaluates():
                ended = walk.outcome()
        if ended is not None:
            return ended
        return await self._share(source, proven=walk.proven).outcome(walk)

    def _walk(self, source: Source, delivery: Delivery) -> Walk:
        named = self._named_keys(source)
        keys = named.keys if named is not None else NOTHING
        if source.jwks is not None and source.jwks.url in self._keys:
            keys = self._keys[source.jwks.url].keys
        return Walk(source, context_of(source, delivery, self.account(source)), time.time(), keys)

    def _share(self, source: Source, *, proven: bool = False) -> Share:
        """Where expressions of *source* are evaluated; what is *proven* has threads of its own."""
        if (share := self._shares.get((source.name, proven))) is None:
            if proven:
                share = Share(self._threads, self._large, MAX_PROVEN_WAITING)
            else:
                share = Share(self._unproven_threads, self._large_unproven, MAX_WAITING)
            self._shares[source.name, proven] = share
        return share

    async def _learns_more(self, source: Source) -> bool:
        """Whether another process has kept something for *source* since this one looked."""
        now = time.monotonic()
        if not source.learns or now - self._asked.get(source.name, -1e9) < _CONTEXT_COOLDOWN_SECONDS:
            return False
        self._asked[source.name] = now
        try:
            kept = await self._store.notes.source_context(source.name)
        except StoreUnavailable:
            return False
        if kept == self._kept.get(source.name, NOTHING):
            return False
        self._remember(source, kept)
        return True

    async def _follow_contexts(self) -> NoReturn:
        """Learn what other processes and operators have changed, also that a secret is none any more."""
        while True:
            await asyncio.sleep(_CONTEXT_COOLDOWN_SECONDS)
            with suppress(StoreUnavailable):
                await self._look_for_changes()

    async def _look_for_changes(self) -> None:
        sources = [source for source in self._sources.values() if source.updates_context]
        learned = self._learned
        enrolments = await self._store.notes.enrolments([source.name for source in sources]) if sources else []
        if learned != self._learned:
            return  # what was read may be older than what is known by now
        for source, enrolment in zip(sources, enrolments, strict=True):
            if enrolment.context != self._kept.get(source.name, NOTHING):
                self._remember(source, enrolment.context)
                log.info("context_changed", source=source.name, names=sorted(enrolment.context))

    async def keep(self, source: Source, update: Mapping[str, Any], *, enrols: bool) -> bool:
        """Keep what a handshake brought; false when it must not be. Raises :class:`StoreUnavailable`.

        With *enrols*, nothing has proven its sender: it is kept only while an enrolment window is open, and closes it.
        """
        if enrols:
            kept = await self._store.notes.enrol(source.name, update)
        else:
            kept = await self._store.notes.keep_in_context(source.name, update, overwrite=source.may_overwrite)
        if kept:
            self._remember(source, await self._store.notes.source_context(source.name))
        return kept

    def _remember(self, source: Source, kept: Mapping[str, Any]) -> None:
        self._learned += 1
        self._kept[source.name] = kept
        if self._sources.get(source.name) is source:
            self._accounts[source.name] = self._account(source, kept)


def _is_worth_a_thread(delivery: Delivery) -> bool:
    size = len(delivery.body)
    return size >= _WORTH_A_THREAD or (size >= _WORTH_A_THREAD_UNLESS_JSON and media_type(delivery.headers) != JSON)


class _KeySet:
    """The keys of one JWKS, fetched at once, when an unknown one is named, and every ten minutes.

    Never more often than the cooldown allows. What was fetched last stays when a fetch fails.
    """

    def __init__(self, jwks: Jwks) -> None:
        self.jwks = jwks
        self.keys: Mapping[str, Any] = NOTHING
        self.wanted = asyncio.Event()
        self._tried = asyncio.Event()

    async def first(self) -> None:
        """Return when the first fetch is over."""
        await self._tried.wait()

    async def keep(self, client: Any) -> None:
        from ingress.verification.tokens import key_set

        while True:
            try:
                self.keys = key_set(await client.fetch(self.jwks.url))
            except TrutoError as exc:
                log.warning("jwks_failed", url=self.jwks.url, error=str(exc))
            self._tried.set()
            await asyncio.sleep(self.jwks.cooldown_seconds)
            self.wanted.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, _KEYS_LIVE_SECONDS - self.jwks.cooldown_seconds)):
                    await self.wanted.wait()
