"""Credentials and authorization, as a definition writes them (seed; skill)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool

from truto.integration.parts import Number, Part, also


class Option(Part):
    """One choice of a field."""

    label: str
    value: str


class FormField(Part):
    """What is asked of a person who connects an account."""

    name: str = Field(min_length=1)
    label: str | None = None
    type: Literal["text", "password", "single_select"] = "text"
    required: StrictBool = False
    default: Any = None
    format: str | None = None
    transform: Literal["lowercase", "uppercase", "sha256"] | None = None
    placeholder: str | None = None
    help_text: str | None = None
    pattern: str | None = None
    options: tuple[Option, ...] = ()


class Client(Part):
    """The OAuth application."""

    id: str
    secret: str = Field(repr=False)


class Auth(Part):
    """Where tokens come from."""

    token_host: str | None = Field(default=None, alias="tokenHost")
    token_path: str | None = Field(default=None, alias="tokenPath")
    refresh_path: str | None = Field(default=None, alias="refreshPath")
    authorize_host: str | None = Field(default=None, alias="authorizeHost")
    authorize_path: str | None = Field(default=None, alias="authorizePath")


class OAuthOptions(Part):
    """How the token server is spoken to."""

    scope_separator: str = Field(default=" ", alias="scopeSeparator")
    authorization_method: Literal["header", "body"] = Field(default="header", alias="authorizationMethod")
    body_format: Literal["form", "json"] = Field(default="form", alias="bodyFormat")


class CredentialsConfig(Part):
    """What all formats of credentials may have; each reads its own part."""

    fields: tuple[FormField, ...] = ()
    documentation_link: str | None = None
    permissions_text: str | None = None
    client: Client | None = None
    auth: Auth = Auth()
    scope: tuple[str, ...] = ()
    options: OAuthOptions = OAuthOptions()
    params: dict[str, Any] = Field(default_factory=dict)
    token_params: dict[str, Any] = Field(default_factory=dict, alias="tokenParams")
    refresh_params: dict[str, Any] = Field(default_factory=dict, alias="refreshParams")
    token_expiry_duration: Number | None = Field(default=None, alias="tokenExpiryDuration")
    request_token_url: str | None = Field(default=None, alias="requestTokenUrl")
    authorize_url: str | None = Field(default=None, alias="authorizeUrl")
    token_url: str | None = Field(default=None, alias="tokenUrl")


CredentialsFormat = Literal["api_key", "oauth2", "oauth2_client_credentials", "oauth", "keka_oauth"]


class Credentials(Part):
    """One way to authenticate."""

    format: CredentialsFormat
    config: CredentialsConfig = CredentialsConfig()


class BearerConfig(Part):
    """The token; without one, that of the credentials."""

    value: str | None = also("value", "token")


class BasicConfig(Part):
    """HTTP Basic."""

    username: str = ""
    password: str = Field(default="", repr=False)


class HeaderConfig(Part):
    """Headers, or JSONata that gives headers or the whole request."""

    headers: dict[str, Any] = Field(default_factory=dict)
    header_name: str | None = None
    header_value: str | None = None
    expression: str | None = None


class Bearer(Part):
    """``Authorization: Bearer …``."""

    format: Literal["bearer"]
    config: BearerConfig = BearerConfig()


class Basic(Part):
    """``Authorization: Basic …``."""

    format: Literal["basic"]
    config: BasicConfig = BasicConfig()


class Header(Part):
    """Headers of the definition's choice."""

    format: Literal["header"]
    config: HeaderConfig = HeaderConfig()


Authorization = Annotated[Bearer | Basic | Header, Field(discriminator="format")]
