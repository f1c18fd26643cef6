"""Run an integration for one account: methods, pages, records and actions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from truto.errors import ApiError, IntegrationFailed, NeedsReauth, RateLimited
from truto.expressions.tracing import TraceEntry
from truto.integration.accounts import Account, credentials_of, scope_of, secrets_of
from truto.integration.actions import connect_account, run_action
from truto.integration.answers import NO_RATE, RateState, Verdict, as_records, find_result, judge, read_reply
from truto.integration.authorizing import Authorized, authorization_of, authorize, read_fields
from truto.integration.cassettes import TOKEN_SERVER
from truto.integration.definition import Config, Method
from truto.integration.expressions import evaluate
from truto.integration.loading import Integration
from truto.integration.masking import Masker
from truto.integration.oauth1_flow import OAuth1Flow
from truto.integration.paging import Pager, Reply, Turn, pager_of
from truto.integration.rendering import Scope, render_base
from truto.integration.requests import NO_BODY, Draft, Request, Wish, build_draft, encode
from truto.integration.tokens import Tokens
from truto.integration.walking import Loop, Patience
from truto.integration.wire import Answer, Guarded, HttpWire, Wire, origin_of
from truto.network import Allowed

MAX_PAGES = 10_000
"""The longest walk: beyond it, a pagination is taken for one without an end."""


@dataclass(frozen=True, slots=True)
class Page:
    """Records, and the cursors of the pages around them."""

    records: list[Any] = field(repr=False)
    next_cursor: str | None = None
    prev_cursor: str | None = None
    rate: RateState = NO_RATE


@dataclass(frozen=True, slots=True)
class Result:
    """What a method gave: ``data`` is what ``response_path`` points at, ``body`` the whole answer."""

    data: Any = field(repr=False)
    body: Any = field(default=None, repr=False)
    rate: RateState = NO_RATE


@dataclass(frozen=True, slots=True)
class _Exchange:
    """A request that was made, and what came of it."""

    draft: Draft
    request: Request
    reply: Reply
    verdict: Verdict
    scope: Scope


class Session:
    """One account of an integration. Use it as an async context manager, or call :meth:`aclose`.

    *allowed* opens addresses of the own network, and further hosts. A rate limit is waited for at most *wait_seconds*
    in all for each request. *trace* is told of each request, answer and expression, secrets masked.

    Methods raise :class:`truto.ApiError` (``remote``) for what the product refuses, :class:`truto.TransportError` where
    no answer came, :class:`IntegrationFailed` and :class:`RequestRefused` for what the definition cannot do, and
    :class:`BadIntegration` for a name that is not in it.
    """

    def __init__(
        self,
        integration: Integration,
        account: Account,
        *,
        allowed: Allowed | None = None,
        wire: Wire | None = None,
        wait_seconds: float = 0.0,
        trace: Callable[[TraceEntry], None] | None = None,
    ) -> None:
        self.integration = integration.over(account.integration_override)
        self.account = account
        self._allowed = allowed or Allowed()
        self._wire = Guarded(wire or HttpWire(allowed=self._allowed), self._allowed)
        self._wait_seconds = wait_seconds
        self._trace = trace
        self._masker: tuple[Mapping[str, Any], Masker] | None = None
        self._secrets: frozenset[str] = frozenset()
        self._tokens: Tokens | None = None
        credentials = credentials_of(self.config, account)
        if credentials is not None and Tokens.are_used(credentials):
            own = self._refresh_by_action if "refresh_token" in self.config.actions else None
            self._tokens = Tokens(self.config, credentials, account, self._send_to_token_server, own_refresh=own)

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections. A second call does nothing."""
        await self._wire.aclose()

    @property
    def config(self) -> Config:
        """The effective config."""
        return self.integration.config

    @property
    def tokens(self) -> Tokens | None:
        """The account's OAuth 2 tokens, where its credentials have some."""
        return self._tokens

    @property
    def oauth1(self) -> OAuth1Flow | None:
        """Connects the account by OAuth 1.0a, where its credentials are of this kind."""
        credentials = credentials_of(self.config, self.account)
        if credentials is None or credentials.format != "oauth":
            return None
        return OAuth1Flow(self.config, credentials.config, self.account, self._send_to_token_server)

    # -- what callers ask ----------------------------------------------------------------------------------------------

    async def call(self, resource: str, method: str, wish: Wish | None = None) -> Result:
        """Run a method once."""
        at = f"resources.{resource}.{method}"
        return await self.run(self.integration.method(resource, method), wish or Wish(), at)

    async def run(
        self, method: Method, wish: Wish, at: str, *, extra: Mapping[str, Any] | None = None, refreshing: bool = False
    ) -> Result:
        """Run a method that stands at *at*, whose texts also see *extra*.

        *refreshing* says that it is to get a token, and cannot need one.
        """
        exchange = await self._exchange(method, wish, at, extra=extra, refreshing=refreshing)
        assert exchange is not None
        data = await self._result(exchange, method, at)
        return Result(data, exchange.verdict.data, exchange.verdict.rate)

    async def page(self, resource: str, method: str = "list", wish: Wish | None = None) -> Page:
        """One page; ``next_cursor`` is the *cursor* of the wish for the next one."""
        found = self.integration.method(resource, method)
        at = f"resources.{resource}.{method}"
        wish = wish or Wish()
        pager = self._pager(found, at)
        if pager is None:
            result = await self.run(found, replace(wish, cursor=None), at)
            return Page(as_records(result.data), rate=result.rate)
        turn = Turn.of(wish.cursor, wish.limit, pager.max_limit)
        exchange = await self._exchange(found, wish, at, pager=pager, turn=turn)
        if exchange is None:
            return Page([])
        value = await self._result(exchange, found, at)
        records = as_records(value)
        # What is no list says nothing of how far it goes: counted as a record, it would be asked for without an end.
        count = len(records) if isinstance(value, list) else 0
        if value is not None and not isinstance(value, list):
            self.tell({"note": f"{at}: response_path points at no list, which is taken for one record"})
        follow = await pager.follow(exchange.draft, turn, exchange.reply, count, exchange.scope)
        return Page(records, follow.next, follow.prev, exchange.verdict.rate)

    async def pages(self, resource: str, method: str = "list", wish: Wish | None = None) -> AsyncIterator[Page]:
        """All pages from the wish's cursor on, one in memory at a time.

        A page that repeats an earlier one ends the walk and is not given. Raises :class:`IntegrationFailed` after
        10,000 pages.
        """
        wish = wish or Wish()
        pager = self._pager(self.integration.method(resource, method), f"resources.{resource}.{method}")
        loop = Loop(hashes=pager is None or pager.hashes)
        for _ in range(MAX_PAGES):
            page = await self.page(resource, method, wish)
            if loop.closes_with(page.records, page.next_cursor):
                self.tell({"note": "the page is one that came before: the walk ends here"})
                return
            yield page
            if page.next_cursor is None:
                return
            wish = replace(wish, cursor=page.next_cursor)
        raise IntegrationFailed(f"has no end after {MAX_PAGES} pages", at=f"resources.{resource}.{method}.pagination")

    async def records(self, resource: str, method: str = "list", wish: Wish | None = None) -> AsyncIterator[Any]:
        """All records, page by page."""
        async for page in self.pages(resource, method, wish):
            for record in page.records:
                yield record

    async def action(self, name: str, wish: Wish | None = None) -> Any:
        """Run an action; the result of its last step."""
        return await run_action(self, name, self.integration.action(name), wish or Wish())

    async def connect(self) -> str:
        """What happens before an account is used: its first token, ``post_install``, ``validation``; its status then.

        A failure is the account's ``post_install_error`` or ``validation_error``, with ``last_error``.
        """
        return await connect_account(self)

    # -- one request ---------------------------------------------------------------------------------------------------

    def _pager(self, method: Method, at: str) -> Pager | None:
        if method.pagination is not None:
            return pager_of(method.pagination, f"{at}.pagination", self.tell)
        if self.config.pagination is None or method.disables_pagination:
            return None
        return pager_of(self.config.pagination, "pagination", self.tell)

    async def _result(self, exchange: _Exchange, method: Method, at: str) -> Any:
        return await find_result(exchange.verdict.data, method, exchange.scope, at, self.tell)

    async def _exchange(
        self,
        method: Method,
        wish: Wish,
        at: str,
        *,
        pager: Pager | None = None,
        turn: Turn | None = None,
        extra: Mapping[str, Any] | None = None,
        refreshing: bool = False,
    ) -> _Exchange | None:
        """Make the request until its answer counts; ``None`` where a pagination has no such page."""
        tokens = None if refreshing or method.no_auth else self._tokens
        patience = Patience(self._wait_seconds)
        refreshed = False
        while True:
            if tokens is not None:
                await tokens.ensure()
            stale = tokens.current if tokens is not None else None
            exchange = await self._attempt(method, wish, at, pager, turn, extra or {})
            if exchange is None or exchange.verdict.error is None:
                self._is_well()
                return exchange
            error = self._without_secrets(exchange.verdict.error)
            if isinstance(error, NeedsReauth) and tokens is not None and not refreshed:
                refreshed = await tokens.renew(stale)
                if refreshed:
                    continue
            if isinstance(error, RateLimited) and patience.lasts(error.retry_after):
                self.tell({"note": f"the product limits the rate: waiting {error.retry_after:g} s"})
                await asyncio.sleep(error.retry_after or 0)
                continue
            if isinstance(error, NeedsReauth) and not (method.no_auth or refreshing):
                self.account.become("needs_reauth", f"the product answered {error.status}: {error.message}")
            raise error

    def _without_secrets(self, error: ApiError) -> ApiError:
        """The same error, whose message ends up in logs; products like to repeat what they were sent."""
        return type(error)(
            status=error.status,
            message=self.masker.text(error.message),
            method=error.method,
            path=self.masker.text(error.path),
            remote=True,
            retry_after=error.retry_after,
            body=self.masker.value(error.body),
            integrated_account_id=self.account.id,
        )

    def _is_well(self) -> None:
        if self.account.status == "needs_reauth":
            self.account.become("active")

    async def _attempt(
        self, method: Method, wish: Wish, at: str, pager: Pager | None, turn: Turn | None, extra: Mapping[str, Any]
    ) -> _Exchange | None:
        members = {**wish.members(), **extra}
        if pager is not None and turn is not None:
            members["pagination"] = pager.values(turn)
        scope = scope_of(self.config, self.account, members)
        try:
            drafted = await self._draft(method, wish, at, pager, turn, scope)
            if drafted is None:
                return None
            draft, origin = drafted
            request = encode(draft, await self._xml(draft, at))
            authorized = await authorize(request, self.config, method, self.account, scope, at, self.tell)
        except UnicodeError:
            raise IntegrationFailed("a value is no text that can be sent: it has half of a character", at=at) from None
        answer = await self._send(authorized, self._origins(scope) | {origin}, method, at)
        self._tell_answer(answer)
        reply = await read_reply(answer, method, at, self.tell)
        verdict = await judge(reply, request, self.config, method, scope, at, self.tell)
        return _Exchange(draft, request, reply, verdict, scope)

    async def _draft(
        self, method: Method, wish: Wish, at: str, pager: Pager | None, turn: Turn | None, scope: Scope
    ) -> tuple[Draft, str] | None:
        """The request before it is authorized, and the origin that the definition gave it."""
        follows = turn is not None and turn.cursor is not None
        draft = build_draft(self.config, method, wish, scope, at, path=method.pagination_path if follows else None)
        origin = origin_of(draft.origin)
        if follows and method.ignore_body_in_pagination:
            draft.body = NO_BODY
        if pager is not None and turn is not None and not await pager.place(draft, turn, scope):
            return None
        return draft, origin

    async def _xml(self, draft: Draft, at: str) -> str | None:
        if draft.body_format != "xml" or draft.body is NO_BODY or draft.body is None:
            return None
        if isinstance(draft.body, str):
            return draft.body
        scope = {"body": draft.body, "options": {"compact": True, **draft.body_format_config}}
        return str(await evaluate("$jsToXml(body, options)", f"{at}.body", scope, self.tell))

    async def _send(self, authorized: Authorized, origins: frozenset[str], method: Method, at: str) -> Answer:
        self._tell_request(authorized)
        try:
            return await self._wire.send(
                authorized.request, origins, drops_credentials=method.ignore_credentials_on_redirect
            )
        except IntegrationFailed as exc:
            raise type(exc)(str(exc), at=exc.at or at) from None

    async def _send_to_token_server(self, request: Request) -> Answer:
        self._tell_request(Authorized(request, frozenset({"authorization"})))
        answer = await self._wire.send(request, frozenset({origin_of(request.url)}))
        # Tokens are in it: what is told is that it came.
        self.tell({"answer": {"status": answer.status, "from": TOKEN_SERVER}})
        return answer

    async def _refresh_by_action(self) -> None:
        await run_action(self, "refresh_token", self.config.actions["refresh_token"], Wish(), refreshing=True)

    def _origins(self, scope: Scope) -> frozenset[str]:
        """The origins that the definition names, as they are for this account."""
        found = {self.config.base_url, *(m.base_url for each in self.config.resources.values() for m in each.values())}
        return frozenset(_rendered_origins((each for each in found if each is not None), scope))

    # -- the trace -----------------------------------------------------------------------------------------------------

    @property
    def masker(self) -> Masker:
        """Takes the account's secrets out of what is shown; those that it had before as well."""
        if self._masker is None or self._masker[0] is not self.account.context:
            authorizations = [self.config.authorization]
            authorizations += [m.authorization for each in self.config.resources.values() for m in each.values()]
            default, _ = authorization_of(self.config, Method(path=""), self.account, "")
            fields = frozenset[str]().union(*map(read_fields, [*authorizations, default]))
            self._secrets |= secrets_of(self.config, self.account, fields)
            self._masker = (self.account.context, Masker(self._secrets))
        return self._masker[1]

    def tell(self, entry: TraceEntry) -> None:
        """Give *entry* to the trace, without secrets."""
        if self._trace is not None:
            self._trace(self.masker.value(entry))

    def _tell_request(self, authorized: Authorized) -> None:
        if self._trace is None:
            return
        request = authorized.request
        shown = {
            "method": request.method,
            "url": self.masker.text(request.url),
            "headers": self.masker.headers(request.headers, authorized.hidden),
            "body": self.masker.value(_shown(request.content)),
        }
        self._trace({"request": {name: value for name, value in shown.items() if value is not None}})

    def _tell_answer(self, answer: Answer) -> None:
        if self._trace is None:
            return
        body = self.masker.value(_shown(answer.content))
        self._trace({"answer": {"status": answer.status, "headers": self.masker.headers(answer.headers), "body": body}})


def _rendered_origins(bases: Iterator[str], scope: Scope) -> Iterator[str]:
    for base in bases:
        with suppress(IntegrationFailed):  # of another method, which this account may be unable to use
            origin, _ = render_base(base, scope, "base_url")
            yield origin_of(origin)


def _shown(content: bytes) -> Any:
    """A body for people: JSON as such, other text as text."""
    if not content:
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content.decode(errors="replace")
