"""The data plane: unified, proxy and custom calls, which Truto answers from a tenant's account."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from typing import Any, Generic, NotRequired, Required, TypedDict, TypeVar

from truto.answers import read_object
from truto.calls import QueryValue, RawBody, segment
from truto.downloads import Download
from truto.endpoints import Requester
from truto.pages import Listing

AnswerT = TypeVar("AnswerT")


class BatchCall(TypedDict, total=False):
    """One call of a batch (skill: batch requests). Further keys are passed on."""

    resource: Required[str]
    """What is called, and the name under which the answer comes."""
    method: Required[str]
    id: NotRequired[str]
    query: NotRequired[Mapping[str, Any]]
    body: NotRequired[Any]
    depends_on: NotRequired[Any]
    """What has to be there before this call is made."""
    loop_on: NotRequired[Any]
    """Call once for each of these."""
    persist: NotRequired[bool]
    response_format: NotRequired[str]
    """``raw``, ``unified`` or ``normalized``."""


class Records(ABC, Generic[AnswerT]):
    """Records of one resource in a tenant's account.

    *integrated_account_id* names the account; ``None`` only with an integrated account token, which implies it.
    Truto's query parameters go along as keywords: ``truto_ignore_remote_data=True``, ``truto_exclude_fields="a,b"``,
    ``truto_response_format="normalized"``, ``truto_key_by="id"``, ``truto_super_query="wnam"`` (docs: unified api).
    """

    def __init__(self, client: Requester, path: str) -> None:
        self._client = client
        self._path = path

    def list(self, *, integrated_account_id: str | None, **filters: QueryValue) -> Listing[AnswerT]:
        """Every record that matches, fetched page by page while you iterate; ``limit`` is the page's size."""
        what = f"GET {self._path}"
        return Listing(
            lambda query: self._client.request("GET", self._path, params=query),
            {**filters, "integrated_account_id": integrated_account_id},
            lambda record: self._checked(what, record),
            what=what,
        )

    async def get(self, record_id: str, /, *, integrated_account_id: str | None, **params: QueryValue) -> AnswerT:
        """The record with this id."""
        return await self._send("GET", record_id, integrated_account_id, params)

    async def create(
        self, record: Mapping[str, Any], /, *, integrated_account_id: str | None, **params: QueryValue
    ) -> AnswerT:
        """Make a record in the tenant's product, once: Truto knows a repetition by its ``Idempotency-Key``."""
        return await self._send("POST", None, integrated_account_id, params, record)

    async def update(
        self,
        record_id: str | None,
        record: Mapping[str, Any],
        /,
        *,
        integrated_account_id: str | None,
        **params: QueryValue,
    ) -> AnswerT:
        """Change the given fields of a record. Some integrations have a single one, without id: ``None``."""
        return await self._send("PATCH", record_id, integrated_account_id, params, record)

    async def delete(
        self, record_id: str | None, /, *, integrated_account_id: str | None, **params: QueryValue
    ) -> None:
        """Delete a record from the tenant's product. Some integrations have a single one, without id: ``None``."""
        await self._send("DELETE", record_id, integrated_account_id, params)

    async def call(
        self, method: str, body: object = None, /, *, integrated_account_id: str | None, **params: QueryValue
    ) -> Any:
        """A method of the resource's own; answers the whole answer, for unified ones ``{"result": …}``."""
        path = f"{self._path}/{segment(method)}"
        return await self._client.request("POST", path, params=_named(params, integrated_account_id), json=body)

    async def upload(
        self,
        content: bytes | AsyncIterator[bytes],
        /,
        *,
        content_type: str,
        integrated_account_id: str | None,
        **params: QueryValue,
    ) -> Any:
        """Create with a body that reaches the provider as it is (``truto_body_passthrough``).

        An iterator is sent in chunks; it is used up by that, so the call is not repeated.
        """
        query = _named({**params, "truto_body_passthrough": True}, integrated_account_id)
        return await self._client.request("POST", self._path, params=query, raw=RawBody(content, content_type))

    def download(
        self,
        record_id: str,
        /,
        *,
        integrated_account_id: str | None,
        max_bytes: int | None = None,
        **params: QueryValue,
    ) -> Download:
        """A record that is no JSON, such as a file, in chunks (``truto_body_passthrough``)."""
        query = _named({**params, "truto_body_passthrough": True}, integrated_account_id)
        return self._client.download("GET", self._one(record_id), params=query, max_bytes=max_bytes)

    def _one(self, record_id: str | None) -> str:
        return self._path if record_id is None else f"{self._path}/{segment(record_id)}"

    @abstractmethod
    def _checked(self, what: str, answer: Any) -> AnswerT:
        """*answer* if it is a record; *what* names the request otherwise."""

    async def _send(
        self,
        method: str,
        record_id: str | None,
        integrated_account_id: str | None,
        params: Mapping[str, QueryValue],
        body: Mapping[str, Any] | None = None,
    ) -> AnswerT:
        query = _named(params, integrated_account_id)
        answer = await self._client.request(method, self._one(record_id), params=query, json=body)
        return self._checked(f"{method} {self._path}", answer)


class UnifiedResource(Records[dict[str, Any]]):
    """One resource of a unified model, for example contacts of the CRM model. Records are plain dicts."""

    async def meta(self, method: str, /, **params: QueryValue) -> dict[str, Any]:
        """What a method takes and answers, for any product (docs: unified api)."""
        return await self._meta(f"{self._path}/meta/{segment(method)}", params)

    async def integration_meta(self, integration: str, method: str, /, **params: QueryValue) -> dict[str, Any]:
        """What a method takes and answers with one product, with its ``response_schema``."""
        return await self._meta(f"{self._path}/{segment(integration)}/meta/{segment(method)}", params)

    async def _meta(self, path: str, params: Mapping[str, QueryValue]) -> dict[str, Any]:
        return read_object(f"GET {path}", await self._client.request("GET", path, params=params))

    def _checked(self, what: str, answer: Any) -> dict[str, Any]:
        return read_object(what, answer)


class ProxyResource(Records[Any]):
    """One resource of the product's own API. Names are case-sensitive; answers are the product's (skill: proxy)."""

    def _checked(self, what: str, answer: Any) -> Any:
        return answer


class Custom:
    """Any call to the product's API, with the account's credentials. *path* is the product's own."""

    def __init__(self, client: Requester) -> None:
        self._client = client

    async def request(
        self,
        method: str,
        path: str,
        /,
        *,
        integrated_account_id: str | None,
        json: Mapping[str, Any] | None = None,
        method_config: Mapping[str, Any] | None = None,
        **params: QueryValue,
    ) -> Any:
        """Make the call; a JSON answer comes as ``{"result", "next_cursor", "prev_cursor"}`` (skill: custom).

        *method_config* is a method definition of an integration config, for this call alone. Truto takes it out of the
        body before it sends the rest on.
        """
        body = json if method_config is None else {**(json or {}), "methodConfig": method_config}
        query = _named(params, integrated_account_id)
        return await self._client.request(method, _custom(path), params=query, json=body)

    def download(
        self,
        method: str,
        path: str,
        /,
        *,
        integrated_account_id: str | None,
        json: Mapping[str, Any] | None = None,
        max_bytes: int | None = None,
        **params: QueryValue,
    ) -> Download:
        """Make a call whose answer is no JSON, and read it in chunks."""
        query = _named(params, integrated_account_id)
        return self._client.download(method, _custom(path), params=query, json=json, max_bytes=max_bytes)


def _custom(path: str) -> str:
    return f"/custom/{path.removeprefix('/')}"


def _named(params: Mapping[str, QueryValue], integrated_account_id: str | None) -> dict[str, QueryValue]:
    return {**params, "integrated_account_id": integrated_account_id}
