"""What is asked of the product behind an account, and what it gives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from sandbox.state import Row

PARAMETERS: Mapping[str, str] = {
    "integrated_account_id": "The account whose data is meant; an integrated account token implies it.",
    "truto_ignore_remote_data": "`true` leaves `remote_data` out.",
    "truto_exclude_fields": "Fields to leave out, with commas.",
    "truto_response_format": "`unified`, `raw` (as the provider writes it) or `normalized` (without `remote_data`).",
    "truto_key_by": "The field by whose value the records of a list are keyed.",
    "truto_body_passthrough": "`true` sends the body to the provider as it came.",
    "truto_super_query": "Region of the synced data, `apac` or `wnam`; allows `sort_by`.",
    "sort_by": "The field to sort by, with `truto_super_query`.",
}
"""The special query parameters (skill: unified-api)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """One operation: *method* of *resource*, in unified words or (``api`` proxy) in the provider's own.

    *verb* and *url* are those of the HTTP request that asked for it, *model* is the unified model.
    """

    api: str
    resource: str
    method: str
    record_id: str | None = None
    query: Sequence[tuple[str, str]] = ()
    body: Mapping[str, Any] = field(default_factory=dict)
    verb: str = "POST"
    url: str = ""
    model: str = ""

    def param(self, name: str) -> str | None:
        """The last value of a query parameter."""
        return next((value for key, value in reversed(self.query) if key == name), None)


class Performed(NamedTuple):
    """What a wish gave, and the headers that the product's rate limit adds to the answer."""

    body: dict[str, Any]
    headers: Mapping[str, str] = {}


class Product(Protocol):
    """A product that is no imitation."""

    def serves(self, account: Row) -> bool:
        """Whether the calls of *account* go there."""
        ...

    async def perform(self, account: Row, wish: Wish) -> Performed:
        """The answer to *wish*, records of a list under ``result``. Raises a :class:`Refusal`."""
        ...

    async def act(self, account: Row, wish: Wish) -> Any:
        """The result of an action. Raises a :class:`Refusal`."""
        ...

    async def custom(self, account: Row, wish: Wish, path: str) -> Any:
        """The answer to a call of *path*; the body of *wish* may have a ``methodConfig``. Raises a :class:`Refusal`."""
        ...

    async def connect(self, account: Row) -> tuple[str, str | None]:
        """The status of a new account, and its ``last_error``."""
        ...

    def batches(self, account: Row, name: str) -> AsyncIterator[list[Any]]:
        """The records of a resource (``contacts``, ``crm/contacts``), page by page. Raises a :class:`Refusal`."""
        ...
