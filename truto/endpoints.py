"""The one pattern of all resources: a path, a model, and the operations that Truto documents for it.

A class takes the operations it has: ``class Teams(Lists[Team], Gets[Team], Updates[Team])``.
:class:`Resource` has all five. The table in :class:`truto.AsyncTruto` names each resource, its path and its model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, Protocol, TypeVar, overload

from truto.answers import read_model, read_object
from truto.calls import QueryValue, RawBody, segment
from truto.downloads import Download
from truto.models import ModelT
from truto.pages import Listing

EndpointT = TypeVar("EndpointT")
_OwnerT = TypeVar("_OwnerT", bound="Requester")


class Requester(Protocol):
    """What a resource asks of the client: four methods of :class:`truto.AsyncTruto`."""

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
        raw: RawBody | None = None,
        shown: str | None = None,
    ) -> Any:
        """Send one request and answer its parsed JSON."""
        ...

    async def request_text(self, method: str, path: str, *, params: Mapping[str, QueryValue] | None = None) -> str:
        """Send one request and answer its text."""
        ...

    async def request_nothing(self, method: str, path: str, *, json: object = None) -> None:
        """Send one request whose answer is of no interest."""
        ...

    def download(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: object = None,
        max_bytes: int | None = None,
    ) -> Download:
        """An answer that is read in chunks."""
        ...


class Route(Generic[EndpointT]):
    """A line of the client's table: the attribute that gives the resource, bound to the client it is read from."""

    def __init__(
        self, kind: Callable[[Requester, str, type[ModelT]], EndpointT], name: str, model: type[ModelT]
    ) -> None:
        self._make = partial(self._bind, kind, name, model)

    @overload
    def __get__(self, client: None, owner: type[_OwnerT]) -> Route[EndpointT]: ...
    @overload
    def __get__(self, client: _OwnerT, owner: type[_OwnerT]) -> EndpointT: ...
    def __get__(self, client: _OwnerT | None, owner: type[_OwnerT]) -> Route[EndpointT] | EndpointT:
        return self if client is None else self._make(client)

    @staticmethod
    def _bind(
        kind: Callable[[Requester, str, type[ModelT]], EndpointT], name: str, model: type[ModelT], client: Requester
    ) -> EndpointT:
        return kind(client, name, model)


class Endpoint(Generic[ModelT]):
    """A place in the API and the type of what lives there. *params* go along with every call."""

    def __init__(
        self, client: Requester, name: str, model: type[ModelT], params: Mapping[str, QueryValue] | None = None
    ) -> None:
        self._client = client
        self._path = f"/{name}"
        self._model = model
        self._params = params or {}

    def _one(self, resource_id: str, *more: str) -> str:
        return "/".join((self._path, segment(resource_id), *more))

    async def _send(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> Any:
        return await self._client.request(method, path, params=self._params, json=fields)

    async def _read(self, method: str, path: str, fields: Mapping[str, Any] | None = None) -> ModelT:
        return self._as_model(method, await self._send(method, path, fields))

    def _as_model(self, method: str, answer: object) -> ModelT:
        return read_model(f"{method} {self._path}", self._model, answer)

    async def _succeeds(self, path: str, fields: Mapping[str, Any] | None = None) -> bool:
        return read_object(f"POST {path}", await self._send("POST", path, fields)).get("success") is True

    def _listing(self, path: str, model: type[ModelT], filters: Mapping[str, QueryValue]) -> Listing[ModelT]:
        what = f"GET {path}"
        return Listing(
            lambda query: self._client.request("GET", path, params=query),
            {**filters, **self._params},
            partial(read_model, what, model),
            what=what,
        )


class Lists(Endpoint[ModelT]):
    """Has a list."""

    def list(self, **filters: QueryValue) -> Listing[ModelT]:
        """Every object that matches, fetched page by page while you iterate; ``limit`` is the page's size.

        Operators are ``eq ne gt gte lt lte in nin like``, written ``field[op]`` (skill: conventions). A name that is
        no Python word goes through a dict: ``list(**{"id[in]": ["a", "b"]})``.
        """
        return self._listing(self._path, self._model, filters)


class Gets(Endpoint[ModelT]):
    """Can be read by id."""

    async def get(self, resource_id: str, /) -> ModelT:
        """The object with this id; :class:`truto.NotFound` if there is none."""
        return await self._read("GET", self._one(resource_id))


class Creates(Endpoint[ModelT]):
    """Can be made."""

    async def create(self, **fields: Any) -> ModelT:
        """Make one. Not repeated by the client when the answer is lost: a second call makes a second one."""
        return await self._read("POST", self._path, fields)


class Updates(Endpoint[ModelT]):
    """Can be changed."""

    async def update(self, resource_id: str, /, **fields: Any) -> ModelT:
        """Change the given fields; ``None`` is sent as null."""
        return await self._read("PATCH", self._one(resource_id), fields)


class Deletes(Endpoint[ModelT]):
    """Can be deleted."""

    async def delete(self, resource_id: str, /) -> None:
        """Delete it. A second call raises :class:`truto.NotFound`; the client's own repetition of a call does not."""
        await self._send("DELETE", self._one(resource_id))


class ReadOnly(Lists[ModelT], Gets[ModelT]):
    """List and get one kind of object."""


class Resource(Lists[ModelT], Gets[ModelT], Creates[ModelT], Updates[ModelT], Deletes[ModelT]):
    """List, get, create, update and delete one kind of object.

    Every method raises the errors of :mod:`truto.errors`. Fields and filters are passed under Truto's own names.
    """
