"""The API's resources: what they have in common once, and the few methods of their own.

A new resource is a model and one property of :class:`truto.AsyncTruto`. Paths and fields are those of Truto's API
reference (docs: api-reference; skill: sync-jobs, webhooks-and-notifications, connection-flow).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Generic, Protocol

from truto.answers import read_model, read_object
from truto.calls import QueryValue, segment
from truto.models import CronTrigger, IntegratedAccount, LinkToken, ModelT, Webhook
from truto.pages import iterate


class Requester(Protocol):
    """What a resource asks of the client: :meth:`truto.AsyncTruto.request`."""

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
    ) -> Any:
        """Send one request and answer its parsed JSON."""
        ...


class Resource(Generic[ModelT]):
    """List, get, create, update and delete one kind of object.

    Every method raises the errors of :mod:`truto.errors`. Fields and filters are passed under Truto's own names; a
    name that is no Python word goes through a dict: ``list(**{"id[in]": "a,b"})``.
    """

    def __init__(self, request: Requester, name: str, model: type[ModelT]) -> None:
        self._request = request
        self._path = f"/{name}"
        self._model = model

    async def list(self, **filters: QueryValue) -> AsyncIterator[ModelT]:
        """Every object that matches, fetched page by page while you iterate; ``limit`` is the page's size.

        Operators are ``eq ne gt gte lt lte in nin like``, written ``field[op]`` (skill: conventions).
        """
        async for record in _walk(self._request, self._path, filters):
            yield read_model(f"GET {self._path}", self._model, record)

    async def get(self, resource_id: str, /) -> ModelT:
        """The object with this id; :class:`truto.NotFound` if there is none."""
        return self._read("GET", await self._request("GET", self._one(resource_id)))

    async def create(self, **fields: Any) -> ModelT:
        """Make one. Not repeated by the client when the answer is lost: a second call makes a second one."""
        return self._read("POST", await self._request("POST", self._path, json=fields))

    async def update(self, resource_id: str, /, **fields: Any) -> ModelT:
        """Change the given fields; ``None`` is sent as null."""
        return self._read("PATCH", await self._request("PATCH", self._one(resource_id), json=fields))

    async def delete(self, resource_id: str, /) -> None:
        """Delete it. A second call raises :class:`truto.NotFound`; the client's own repetition of a call does not."""
        await self._request("DELETE", self._one(resource_id))

    def _one(self, resource_id: str, *more: str) -> str:
        return "/".join((self._path, segment(resource_id), *more))

    def _read(self, method: str, answer: object) -> ModelT:
        return read_model(f"{method} {self._path}", self._model, answer)

    async def _succeeds(self, path: str, body: Mapping[str, Any] | None = None) -> bool:
        answer = await self._request("POST", path, json=body)
        return read_object(f"POST {path}", answer).get("success") is True


class IntegratedAccounts(Resource[IntegratedAccount]):
    """The tenants' connections."""

    async def refresh_credentials(self, resource_id: str, /) -> bool:
        """Have Truto refresh the account's OAuth credentials now; answers whether it says ``success``."""
        return await self._succeeds(f"{self._path}/refresh-credentials", {"id": resource_id})


class SyncJobCronTriggers(Resource[CronTrigger]):
    """The timers of sync jobs."""

    async def schedule(self, resource_id: str, /) -> bool:
        """Put the trigger on Truto's timer; answers whether it says ``success``."""
        return await self._succeeds(self._one(resource_id, "schedule"))


class Webhooks(Resource[Webhook]):
    """Where Truto delivers events. ``create`` is the only answer with the ``secret``."""

    async def test(self, resource_id: str, /) -> bool:
        """Have Truto send a ``test`` event; raises :class:`truto.ApiError` when the target does not take it."""
        return await self._succeeds(f"{self._path}/test", {"id": resource_id})


class LinkTokens:
    """Tickets for connection attempts in the browser."""

    def __init__(self, request: Requester) -> None:
        self._request = request

    async def create(
        self,
        *,
        tenant_id: str | None = None,
        integrated_account_id: str | None = None,
        **fields: Any,
    ) -> LinkToken:
        """A ticket for a new connection (*tenant_id*) or for reconnecting one (*integrated_account_id*).

        When reconnecting, ``persist_previous_context=True`` keeps what the tenant entered before. Raises
        :class:`ValueError` unless exactly one of the two is given: Truto would silently pick one
        (skill: connection-flow).
        """
        if bool(tenant_id) == bool(integrated_account_id):
            raise ValueError("give exactly one of tenant_id and integrated_account_id")
        target = {"tenant_id": tenant_id} if tenant_id else {"integrated_account_id": integrated_account_id}
        answer = await self._request("POST", "/link-token", json={**fields, **target})
        return read_model("POST /link-token", LinkToken, answer)


class UnifiedResource:
    """One resource of a unified model, for example contacts of the CRM model. Records are plain dicts.

    Query parameters such as ``truto_exclude_fields`` go along as keywords (docs: unified api).
    """

    def __init__(self, request: Requester, model: str, resource: str) -> None:
        self._request = request
        self._path = f"/unified/{segment(model)}/{segment(resource)}"

    async def list(self, *, integrated_account_id: str, **filters: QueryValue) -> AsyncIterator[dict[str, Any]]:
        """Every record that matches, fetched page by page while you iterate."""
        query = {**filters, "integrated_account_id": integrated_account_id}
        async for record in _walk(self._request, self._path, query):
            yield record

    async def get(self, record_id: str, /, *, integrated_account_id: str, **params: QueryValue) -> dict[str, Any]:
        """The record with this id."""
        return await self._send("GET", integrated_account_id, params, record_id=record_id)

    async def create(
        self, record: Mapping[str, Any], /, *, integrated_account_id: str, **params: QueryValue
    ) -> dict[str, Any]:
        """Make a record in the tenant's product. On a keyed client, Truto answers a repetition from its cache."""
        return await self._send("POST", integrated_account_id, params, body=record)

    async def update(
        self,
        record_id: str,
        record: Mapping[str, Any],
        /,
        *,
        integrated_account_id: str,
        **params: QueryValue,
    ) -> dict[str, Any]:
        """Change the given fields of a record."""
        return await self._send("PATCH", integrated_account_id, params, record_id=record_id, body=record)

    async def delete(self, record_id: str, /, *, integrated_account_id: str, **params: QueryValue) -> None:
        """Delete a record from the tenant's product."""
        await self._send("DELETE", integrated_account_id, params, record_id=record_id)

    async def _send(
        self,
        method: str,
        integrated_account_id: str,
        params: Mapping[str, QueryValue],
        *,
        record_id: str | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        path = self._path if record_id is None else f"{self._path}/{segment(record_id)}"
        query = {**params, "integrated_account_id": integrated_account_id}
        answer = await self._request(method, path, params=query, json=body)
        return read_object(f"{method} {self._path}", answer)


async def _walk(request: Requester, path: str, filters: Mapping[str, QueryValue]) -> AsyncIterator[dict[str, Any]]:
    async def fetch(query: Mapping[str, QueryValue]) -> Any:
        return await request("GET", path, params=query)

    async for record in iterate(fetch, filters, what=f"GET {path}"):
        yield record
