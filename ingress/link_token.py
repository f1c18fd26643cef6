"""``POST /api/truto/link-token``: what a connection UI asks its own backend for (seed: platform guide, step 2)."""

from __future__ import annotations

import asyncio
import hmac
import math
import time
from typing import TYPE_CHECKING

import orjson
import structlog
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from ingress.answers import Refusal
from ingress.body import read_body
from ingress.errors import ClientGone
from ingress.metrics import Metrics
from ingress.refusals import RefusalJournal
from ingress.responses import answer, refuse
from truto.errors import ApiError, BadRequest, NotFound, TrutoError

if TYPE_CHECKING:
    from truto import AsyncTruto, LinkToken

log = structlog.get_logger("ingress")

_MAX_BYTES = 16 * 1024
_RECEIPT_SECONDS = 10.0
_ANSWER_SECONDS = 8.0
"""A person waits in front of a UI, and what stands between usually gives up after 10 s: sooner than the client, which
sits a 429 of Truto out."""

MAX_WRONG_KEYS = 20
"""So many wrong keys within a window are answered with 401 and noted one by one."""

_WINDOW_SECONDS = 60.0
_JOURNAL_NAME = "api/truto/link-token"  # no source can have a name with a slash
_WRONG_KEY = Refusal(
    401,
    "unauthorized",
    "Send Authorization: Bearer <LINK_TOKEN_KEY>.",
    headers={"www-authenticate": "Bearer"},
    close=True,
)


class LinkTokenRequest(BaseModel):
    """What the UI's backend call may say. Strings that are only blanks would make an account nobody owns."""

    model_config = ConfigDict(str_strip_whitespace=True, extra="ignore")

    tenant_id: str | None = Field(
        default=None, validation_alias=AliasChoices("tenantId", "tenant_id"), min_length=1, max_length=256
    )
    integrated_account_id: str | None = Field(
        default=None,
        validation_alias=AliasChoices("integratedAccountId", "integrated_account_id"),
        min_length=1,
        max_length=256,
    )


class WrongKeys:
    """Counts wrong keys, whoever sends them, in windows of a minute."""

    def __init__(self) -> None:
        self._count = 0
        self._ends = -math.inf

    def add(self) -> int:
        """Count one more; how many came within this window."""
        now = time.monotonic()
        if now >= self._ends:
            self._count, self._ends = 0, now + _WINDOW_SECONDS
        self._count += 1
        return self._count

    @property
    def retry_after(self) -> int:
        """Whole seconds until the window ends, at least one."""
        return max(1, math.ceil(self._ends - time.monotonic()))


class LinkTokenRoute:
    """Hands out link tokens to who holds ``LINK_TOKEN_KEY``: a token connects an account to any tenant it names."""

    def __init__(self, truto: AsyncTruto, key: str, metrics: Metrics, journal: RefusalJournal) -> None:
        if not key:
            raise ValueError("the link-token route needs a key")
        self._truto = truto
        self._key = key.encode()
        self._metrics = metrics
        self._journal = journal
        self._wrong = WrongKeys()

    async def __call__(self, request: Request) -> Response:
        """Answer ``{"linkToken": …}``, or within 8 s of the request that Truto has not.

        Safe to call again: each call makes a new token, single use, for 7 days.
        """
        # Before the body is read, and before any limit: whoever has the key is served, however many guess.
        if not self._is_allowed(request.headers.getlist("authorization")):
            return self._refuse_key()
        try:
            body = await read_body(request.scope, request.receive, max_bytes=_MAX_BYTES, seconds=_RECEIPT_SECONDS)
        except ClientGone:
            return Response(status_code=400)
        wanted = body if isinstance(body, Refusal) else _read_request(body)
        if isinstance(wanted, Refusal):
            return self._refuse(wanted)
        return await self._create(wanted)

    def _refuse_key(self) -> Response:
        count = self._wrong.add()
        refusal = _WRONG_KEY if count <= MAX_WRONG_KEYS else _too_many(self._wrong.retry_after)
        # A flood has one line more, and does not push other refusals out of the journal; the figures count all of it.
        if count <= MAX_WRONG_KEYS + 1:
            self._journal.note(_JOURNAL_NAME, refusal)
            log.warning("link_token_refused", status=refusal.status, reason=refusal.reason)
        return self._refuse(refusal)

    def _refuse(self, refusal: Refusal) -> Response:
        self._metrics.link_token(refusal.reason)
        return refuse(refusal)

    def _is_allowed(self, presented: list[str]) -> bool:
        if len(presented) != 1:
            return False
        scheme, _, token = presented[0].partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(token.strip(" ").encode(), self._key)

    async def _create(self, wanted: LinkTokenRequest) -> Response:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                token = await self._ask(wanted)
        except (TrutoError, TimeoutError) as exc:
            refusal = _from_truto(exc) if isinstance(exc, TrutoError) else _UNAVAILABLE
            log.warning("link_token_refused", status=refusal.status, reason=refusal.reason, error=type(exc).__name__)
            return self._refuse(refusal)
        self._metrics.link_token("created")
        log.info("link_token_created", reconnect=bool(wanted.integrated_account_id))
        return answer({"linkToken": token.link_token})

    async def _ask(self, wanted: LinkTokenRequest) -> LinkToken:
        # Truto silently picks one when both kinds of field are sent (skill: connection-flow), so send one.
        if wanted.integrated_account_id:
            return await self._truto.link_tokens.create(
                integrated_account_id=wanted.integrated_account_id, persist_previous_context=True
            )
        return await self._truto.link_tokens.create(tenant_id=wanted.tenant_id)


def _too_many(retry_after: int) -> Refusal:
    message = "Too many wrong keys came; a right one is served at any time."
    return Refusal(429, "too_many_wrong_keys", message, headers={"retry-after": str(retry_after)}, close=True)


_UNAVAILABLE = Refusal(503, "truto_unavailable", "Truto does not answer at the moment.", headers={"retry-after": "10"})


def _read_request(body: bytes) -> LinkTokenRequest | Refusal:
    try:
        wanted = LinkTokenRequest.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError:
        return Refusal(400, "not_json", "The body is not JSON.")
    except ValidationError as exc:
        fields = ", ".join(sorted({str(error["loc"][0]) for error in exc.errors() if error["loc"]})) or "the body"
        return Refusal(400, "malformed", f"Not usable: {fields}. Send tenantId or integratedAccountId as text.")
    if not (wanted.tenant_id or wanted.integrated_account_id):
        return Refusal(400, "malformed", "Send tenantId for a new connection or integratedAccountId to reconnect.")
    return wanted


def _from_truto(error: TrutoError) -> Refusal:
    """The caller's own mistakes come back as such; everything else is between Truto and us."""
    if isinstance(error, NotFound):
        return Refusal(404, "unknown_account", "Truto knows no such integrated account.")
    if isinstance(error, BadRequest):
        return Refusal(400, "refused_by_truto", "Truto refused this request.")
    if isinstance(error, ApiError) and not error.retryable:
        return Refusal(502, "truto_refused", f"Truto answered {error.status}: check TRUTO_API_TOKEN.")
    return _UNAVAILABLE
