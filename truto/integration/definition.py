"""The outbound half of an integration's ``config``, as it is written (seed: Environment Integrations object; skill).

A key that Truto's documents do not name is kept and not executed; :mod:`truto.integration.loading` tells of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from truto.integration.credentials import Authorization, Credentials
from truto.integration.pagination import Pagination
from truto.integration.parts import Part

ArrayFormat = Literal["comma", "brackets", "indices", "repeat"]
CANONICAL = frozenset({"list", "get", "create", "update", "delete"})
LIFECYCLE = frozenset({"post_install", "post_connect_user_form", "refresh_token", "validation"})


class RateLimit(Part):
    """How a rate limit is recognised. A boolean in ``is_rate_limited`` is Truto's sample, and no expression."""

    is_rate_limited: str | StrictBool | None = None
    retry_after_header_expression: str | None = None
    rate_limit_header_expression: str | None = None


class Examples(Part):
    """What was recorded of a method, as text."""

    response: str | None = None
    query: str | None = None
    body: str | None = None


class Method(Part):
    """One request of the product's API."""

    path: str
    method: Annotated[
        Literal["get", "post", "put", "patch", "delete"],
        BeforeValidator(lambda value: value.lower() if isinstance(value, str) else value),
    ] = "get"
    base_url: str | None = None
    headers: dict[str, Any] = Field(default_factory=dict)
    query: dict[str, Any] = Field(default_factory=dict)
    query_array_format: ArrayFormat | None = None
    body: Any = None
    body_format: Literal["json", "form", "multipart", "raw", "xml"] = "json"
    body_format_config: dict[str, Any] = Field(default_factory=dict)
    response_path: str | None = None
    pagination: Pagination | None = None
    pagination_path: str | None = None
    authorization: Authorization | None = None
    rate_limit: RateLimit | None = None
    add_query_to_body: StrictBool = False
    ignore_body_in_pagination: StrictBool = False
    ignore_body: StrictBool = False
    set_body_to_null: StrictBool = False
    no_auth: StrictBool = False
    ignore_credentials_on_redirect: StrictBool = False
    api_response_format: Literal["json", "text", "xml"] | None = None
    throw_error_on_parse_error: StrictBool = False
    error_expression: str | None = None
    description: str | None = None
    api_documentation_url: str | None = None
    scopes: tuple[str, ...] = ()
    examples: Examples = Examples()
    query_schema: Any = None
    body_schema: Any = None
    response_schema: Any = None

    @property
    def disables_pagination(self) -> bool:
        """Whether ``pagination`` is written as null."""
        return self.pagination is None and "pagination" in self.model_fields_set


class Step(Part):
    """One step of an action."""

    type: Literal["request", "transform", "update_context", "set_context", "get_context", "form"]
    config: Any = None


class Action(Part):
    """Steps that run one after the other; one step may stand alone, without ``steps`` (seed)."""

    steps: tuple[Step, ...]

    @model_validator(mode="before")
    @classmethod
    def _single(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and "steps" not in value and "type" in value:
            return {"steps": [value]}
        return value


class Config(Part):
    """The effective config: the override lies over the integration's own."""

    label: str | None = None
    logo: str | None = None
    icon: str | None = None
    base_url: str | None = None
    headers: dict[str, Any] = Field(default_factory=dict)
    query: dict[str, Any] = Field(default_factory=dict)
    query_array_format: ArrayFormat | None = None
    credentials: dict[str, Credentials] = Field(default_factory=dict)
    authorization: Authorization | None = None
    pagination: Pagination | None = None
    rate_limit: RateLimit | None = None
    resources: dict[str, dict[str, Method]] = Field(default_factory=dict)
    actions: dict[str, Action] = Field(default_factory=dict)
    error_expression: str | None = None
    tool_tags: dict[str, Any] | None = None
    webhook: dict[str, Any] | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    show_in_catalog: StrictBool | None = None
    environment_variables: dict[str, Any] = Field(default_factory=dict, repr=False)
    secret_environment_variables: dict[str, Any] = Field(default_factory=dict, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _keyed(cls, value: Any) -> Any:
        """Credentials of one format are those of a map with one entry."""
        found = value.get("credentials") if isinstance(value, Mapping) else None
        if isinstance(found, Mapping) and isinstance(kind := found.get("format"), str):
            return {**value, "credentials": {kind: found}}
        return value
