"""What ``sources.yaml`` may say, as pydantic models.

``webhook`` is Truto's schema and nothing else (seed: Environment Integrations object), with formats of our own:
``standard_webhooks``, ``ed25519``, ``ecdsa``, ``rsa``, ``sns``, ``adyen``, and ``truto`` for Truto's own header. What
Truto's schema cannot say stands beside it, in ``options``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator


class Strict(BaseModel):
    """Unknown keys are faults, and values are not converted: a secret that YAML reads as a number is one too."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class _Signed(Strict):
    """What was signed, in one of two ways."""

    parts: list[str] | None = None
    verification_content: list[str] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> _Signed:
        if bool(self.parts) == bool(self.verification_content):
            raise ValueError("needs one of `parts` and `verification_content`, and not both")
        return self


class HmacConfig(_Signed):
    """``hmac``: sha256 and hex where nothing is said, since Truto states no default."""

    secret: str = "{{context.webhook_secret}}"  # noqa: S105  a placeholder
    compare_with: str
    algorithm: str = "sha256"
    string_type: str = "hex"


class BasicConfig(Strict):
    """``basic``."""

    username: str = "{{context.webhook_username}}"
    password: str = "{{context.webhook_password}}"  # noqa: S105  a placeholder
    compare_with: str = "{{headers.authorization}}"


class BearerConfig(Strict):
    """``bearer``."""

    secret: str = "{{context.webhook_secret}}"  # noqa: S105  a placeholder
    compare_with: str = "{{headers.authorization}}"


class JwtConfig(Strict):
    """``jwt``."""

    secret: str = "{{context.webhook_secret}}"  # noqa: S105  a placeholder
    compare_with: str = "{{headers.authorization}}"


class SecretConfig(Strict):
    """``standard_webhooks``, ``adyen`` and ``truto``, which fix everything but the secret."""

    secret: str = "{{context.webhook_secret}}"  # noqa: S105  a placeholder


class Ed25519Config(_Signed):
    """``ed25519``."""

    public_key: str = "{{context.public_key}}"
    compare_with: str
    string_type: Literal["hex", "base64"] = "hex"


class EcdsaConfig(_Signed):
    """``ecdsa``: P-256 and SHA-256 where nothing is said. ``raw`` is both numbers one behind the other."""

    public_key: str = "{{context.public_key}}"
    compare_with: str
    algorithm: str = "sha256"
    curve: Literal["P-256", "P-384", "P-521"] = "P-256"
    signature_format: Literal["der", "raw"] = "der"
    string_type: Literal["hex", "base64"] = "base64"


class RsaConfig(_Signed):
    """``rsa``: PKCS #1 v1.5 and SHA-256 where nothing is said.

    With ``certificate_url``, the key is in the certificate there, and the source's secrets are what tells its
    deliveries from those that the same sender signs for others.
    """

    public_key: str = "{{context.public_key}}"
    certificate_url: str | None = None
    certificates_under: list[str] = []
    compare_with: str
    algorithm: str = "sha256"
    padding: Literal["pkcs1", "pss"] = "pkcs1"
    string_type: Literal["hex", "base64"] = "base64"

    @model_validator(mode="after")
    def _both_or_neither(self) -> RsaConfig:
        if (self.certificate_url is None) != (not self.certificates_under):
            raise ValueError("needs both of `certificate_url` and `certificates_under`, or neither")
        return self


class SnsConfig(Strict):
    """``sns``: the topics are the source's secrets."""

    topic: str = "{{context.topic_arn}}"


class Hmac(Strict):
    """A keyed digest."""

    format: Literal["hmac"]
    config: HmacConfig


class Basic(Strict):
    """HTTP Basic credentials."""

    format: Literal["basic"]
    config: BasicConfig = BasicConfig()


class Bearer(Strict):
    """A shared token."""

    format: Literal["bearer"]
    config: BearerConfig = BearerConfig()


class Jwt(Strict):
    """A signed token."""

    format: Literal["jwt"]
    config: JwtConfig = JwtConfig()


class StandardWebhooks(Strict):
    """Svix and https://www.standardwebhooks.com (ours)."""

    format: Literal["standard_webhooks"]
    config: SecretConfig = SecretConfig()


class Ed25519(Strict):
    """A signature by a private key (ours)."""

    format: Literal["ed25519"]
    config: Ed25519Config


class Ecdsa(Strict):
    """A signature by a private key on an elliptic curve (ours)."""

    format: Literal["ecdsa"]
    config: EcdsaConfig


class Rsa(Strict):
    """A signature by a private RSA key (ours)."""

    format: Literal["rsa"]
    config: RsaConfig


class Sns(Strict):
    """Amazon SNS (ours)."""

    format: Literal["sns"]
    config: SnsConfig = SnsConfig()


class Adyen(Strict):
    """Adyen's standard webhooks (ours)."""

    format: Literal["adyen"]
    config: SecretConfig = SecretConfig()


class TrutoHeader(Strict):
    """``X-Truto-Signature``, hex or base64 (ours)."""

    format: Literal["truto"]
    config: SecretConfig = SecretConfig()


SignatureVerification = Annotated[
    Hmac | Basic | Bearer | Jwt | StandardWebhooks | Ed25519 | Ecdsa | Rsa | Sns | Adyen | TrutoHeader,
    Field(discriminator="format"),
]


class WebhookBlock(Strict):
    """Truto's ``webhook`` object."""

    payload_transform: str | None = None
    handle_verification: str | None = None
    signature_verification: SignatureVerification | None = None


class BodyHash(Strict):
    """The claim that binds a token to a body."""

    claim: str = Field(min_length=1)
    algorithm: Literal["sha256", "sha384", "sha512"] = "sha256"
    string_type: Literal["hex", "base64", "base64url"] = "hex"


Names = str | list[str]


class KeyRequest(Strict):
    """A public key that is asked for by its ``kid``: a POST of *fields*, whose answer holds it as *key_field*."""

    url: str
    fields: dict[str, str] = Field(default={}, repr=False)
    kid_field: str = Field(default="kid", min_length=1)
    key_field: str = Field(default="key", min_length=1)


class JwtOptions(Strict):
    """What Truto's ``jwt`` format leaves open. Times are in seconds."""

    algorithms: list[str] = ["HS256"]
    public_keys: list[str] = []
    jwks_url: str | None = None
    jwks_cooldown_seconds: float = Field(default=30.0, ge=1, le=86_400, strict=False)
    key_request: KeyRequest | None = None
    issuer: Names = []
    audience: Names = []
    leeway_seconds: float = Field(default=30.0, ge=0, le=600, strict=False)
    max_lifetime_seconds: float = Field(default=86_400.0, gt=0, strict=False)
    max_age_seconds: float | None = Field(default=None, gt=0, le=604_800, strict=False)
    require_exp: bool = True
    claims: dict[str, str | bool] = {}
    typ: str = "JWT"
    body_hash: BodyHash | None = None


class EventOptions(Strict):
    """Where an event's type and id are: placeholders over the delivery, with ``body`` the event itself.

    An id that is stated here is the whole identity (see :class:`Options`).
    """

    type: str | None = None
    id: str | None = None


class QuotaOptions(Strict):
    """How much the source may send and have in the store; 0 is any number."""

    deliveries: int | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=0)
    period_seconds: float = Field(default=60.0, ge=1, le=86_400, strict=False)
    pending_events: int | None = Field(default=None, ge=0)
    pending_bytes: int | None = Field(default=None, ge=0)
    parked_events: int | None = Field(default=None, ge=0)


class AnswerOptions(Strict):
    """What a delivery that was taken is answered with, instead of what became of it: nothing, JSON or text."""

    status: int = Field(default=200, ge=200, le=299)
    body: dict[str, Any] | str | None = None
    content_type: str | None = Field(default=None, pattern=r"^[a-z]+/[a-z0-9.+-]+(; ?[a-z]+=[A-Za-z0-9._-]+)*$")


class Options(Strict):
    """What is ours; nothing of it is Truto's."""

    order: Literal["truto", "transform_last", "handshake_last", "signature_first"] = "truto"
    verified_by_expression: bool = False
    transform_gives: Literal["context", "events"] | None = None
    tolerance_seconds: float | None = Field(default=None, gt=0, le=604_800, strict=False)
    timestamp: str | None = None
    timestamp_unit: Literal["seconds", "milliseconds", "iso"] = "seconds"
    compare_prefix: str = ""
    signature_separator: str = ""
    signature_fields: str | None = None
    secret_encoding: Literal["utf8", "base64", "hex"] = "utf8"  # noqa: S105
    ip_allow_list: list[str] = []
    client_ip_header: str | None = None
    trusted_proxies: int = Field(default=1, ge=1, le=16)
    public_url: str | None = None
    media_types: list[Literal["json", "form", "multipart", "text", "xml"]] = Field(default=["json"], min_length=1)
    get_handshake: bool = False
    form_field: str = ""
    either_port: bool = False
    either_encoding: bool = False
    max_body_bytes: int | None = Field(default=None, ge=1024, le=512 * 1024 * 1024)
    headers: list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,64}$")]] = Field(default=[], max_length=20)
    handshake_methods: list[Literal["GET", "HEAD", "OPTIONS"]] = []
    answer: AnswerOptions | None = None
    confirm_subscriptions: bool = True
    allow_short_secret: bool = False
    allow_md5: bool = False
    allow_context_overwrite: bool = False
    platform_events: bool = False
    quota: QuotaOptions = QuotaOptions()
    event: EventOptions = EventOptions()
    identity: Annotated[list[str], Field(min_length=1)] | Literal["body", "none"] | None = None
    jwt: JwtOptions = JwtOptions()


class Entry(Strict):
    """One source, after presets and environment integrations were resolved."""

    description: str = ""
    webhook: WebhookBlock
    secrets: list[Annotated[str, StringConstraints(strip_whitespace=True)]] = []
    context: dict[str, Any] = {}
    environment_variables: dict[str, Any] = {}
    options: Options = Options()
