"""A source: everything that can be decided of a sender before a delivery comes is decided here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal, Protocol

from ingress.quotas import Quota
from ingress.sources.address import MISSING
from ingress.sources.client_address import forwarded_address, read_address
from ingress.sources.concealing import conceal
from ingress.sources.faults import SourceFault
from ingress.verification.context import Account, Delivery, DeliveryContext, Reading
from ingress.verification.digests import TrutoVerifier
from ingress.verification.evidence import LEAST_SECRET_BYTES, Verifier, required
from ingress.verification.freshness import Freshness
from ingress.verification.head import FROM_TRUTO, JSON, RawHeaders
from ingress.verification.outcome import NOTHING
from ingress.verification.references import compile_reference, text_or_none
from truto.errors import SignatureError
from truto.placeholders import Template
from truto.secret_text import wrapping

Step = Literal["transform", "handshake", "signature"]
SecretState = Literal["configured", "enrolled", "unusable", "none"]
Network = IPv4Network | IPv6Network

WEBHOOK_SECRET = "webhook_secret"  # noqa: S105  the name of a field
"""Where the newest of a source's ``secrets`` is found in its context."""

BY_ID = ("{{body.id}}",)
"""What events of Truto's are known by."""

MAX_HANDSHAKE_BYTES = 64 * 1024
"""Of the body of a handshake that nothing signs."""


class Expression(Protocol):
    """A compiled expression; a protocol, so that sources without expressions need not import JSONata."""

    def needs_evaluation(self, context: DeliveryContext) -> bool:
        """Whether its value costs an evaluation; that of most handshakes does not for most deliveries."""
        ...

    def evaluate(self, context: DeliveryContext, *, proven: bool) -> Any:
        """Its value as plain JSON, ``None`` for undefined. Raises :class:`~ingress.verification.outcome.Unusable`.

        Less time is spent on it as long as the sender is not *proven*.
        """
        ...


@dataclass(frozen=True, slots=True)
class Credentials:
    """Where a source's live secrets come from: a list, newest first, or templates over its context.

    *templates* are joined by colons (user and password). *read* turns the text of a secret into its bytes and raises
    :class:`ValueError`. Where they are *public* keys, white space around one makes no other key of it: a PEM ends with
    a line break. With *stored*, the one template names what ``connect`` has put into the store: several with commas
    between, in front of those that are *given*.
    """

    given: tuple[str, ...] = field(default=(), repr=False)
    templates: tuple[Template, ...] = field(default=(), repr=False)
    read: Callable[[str], bytes] = field(default=str.encode, repr=False)
    least_bytes: int = LEAST_SECRET_BYTES
    public: bool = False
    stored: bool = False

    def secrets(self, scope: Mapping[str, Any]) -> tuple[bytes, ...]:
        """The live secrets. Raises :class:`SignatureError` when one is missing, unreadable or too short."""
        return tuple(self._checked(text) for text in self.texts(scope))

    def texts(self, scope: Mapping[str, Any]) -> tuple[str, ...]:
        """The live secrets as they are written. Raises :class:`SignatureError` when one is missing."""
        if self.stored:
            kept = text_or_none(self.templates[0], scope)
            texts = tuple(dict.fromkeys((*(kept.split(",") if kept else ()), *self.given)))
            return texts or (required(self.templates[0], scope, "secret_missing"),)
        if self.given or not self.templates:
            return self.given
        return (":".join(required(template, scope, "secret_missing") for template in self.templates),)

    @property
    def paths(self) -> frozenset[tuple[str, ...]]:
        """Where in a source's context and environment variables its secrets are."""
        named = (path for template in self.templates for paths in template.alternatives for path in paths)
        return frozenset({("context", WEBHOOK_SECRET), *(tuple(path.split(".")) for path in named)})

    def _checked(self, text: str) -> bytes:
        if not self.public and (fault := wrapping(text)):
            raise SignatureError("secret_unreadable", f"a secret {fault}")
        try:
            secret = self.read(text)
        except ValueError as exc:
            raise SignatureError("secret_unreadable", f"a secret cannot be read: {exc}") from None
        if len(secret) < self.least_bytes:
            raise SignatureError("secret_too_short", f"a secret has fewer than {self.least_bytes} bytes")
        return secret


@dataclass(frozen=True, slots=True)
class Jwks:
    """Where a source's public keys are fetched, at most once in *cooldown_seconds*."""

    url: str
    cooldown_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """How a source's public keys are asked for, one at a time: by a POST of *fields*, and of the ``kid`` among them.

    The answer holds the key as its member *key_field*.
    """

    url: str
    fields: tuple[tuple[str, str], ...] = field(repr=False)
    kid_field: str
    key_field: str

    def question(self, kid: str) -> dict[str, str]:
        """What is asked for the key *kid*."""
        return {**dict(self.fields), self.kid_field: kid}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source answers to a delivery that it has taken; fixed, so that nothing a sender wrote is in it."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Identity:
    """What two deliveries of one event have in common, besides source and type.

    All of *references*; where one of them has no value, or there are none: the *rest*. That is the ``body``, or the
    signed ``time`` with the body and the event's place in the delivery, or ``none``: nothing tells events apart, and
    each delivery is one. With *holds_body*, a reference gives the body, which no id may show.
    """

    references: tuple[Template, ...] = field(default=(), repr=False)
    rest: Literal["body", "time", "none"] = "none"
    texts: tuple[str, ...] = ()
    holds_body: bool = False

    def __str__(self) -> str:
        """As ``sources list`` shows it: the references as they are written, else the rest."""
        return ", ".join(self.texts) or {"body": "body", "time": "signed time and body", "none": "none"}[self.rest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A sender, as :func:`truto_source` or ``sources.yaml`` describes it; immutable.

    *steps* is the order of the steps, of which its deliveries take those that are *needed*. Without a *verifier*,
    ``handle_verification`` itself decides whether a delivery is authentic. *transform_writes* are the members of the
    context that the transform writes; without them, it gives events. With *transform_apart*, the proof reads nothing
    that the transform makes. One of *signature_headers* has to be in an authentic delivery. With *certified*, the
    delivery names the certificate that its key is in; with *confirms*, the confirmation of a subscription is answered
    by calling the address in it. With *is_envelope*, its deliveries are events of Truto's, whose ``created_at`` may be
    *created_within_seconds* from now.
    """

    name: str
    verifier: Verifier | None
    credentials: Credentials = field(repr=False)
    description: str = ""
    steps: tuple[Step, ...] = ("transform", "handshake", "signature")
    transform: Expression | None = field(default=None, repr=False)
    transform_writes: frozenset[str] | None = None
    transform_apart: bool = False
    handle: Expression | None = field(default=None, repr=False)
    handle_reads_body: bool = False
    signature_headers: frozenset[bytes] = frozenset()
    freshness: Freshness | None = field(default=None, repr=False)
    created_within_seconds: float | None = None
    media_types: frozenset[str] = frozenset({"", JSON})
    handshake_methods: frozenset[str] = frozenset()
    answer: Answer | None = None
    networks: tuple[Network, ...] = ()
    client_ip_header: str = ""
    trusted_proxies: int = 1
    public_url: str = ""
    signs_url: bool = False
    signature_header: str = ""
    form_field: str = ""
    is_envelope: bool = False
    max_body_bytes: int = 0
    kept_headers: frozenset[bytes] = frozenset()
    event_type: Template | None = field(default=None, repr=False)
    identity: Identity = Identity()
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)
    environment_variables: Mapping[str, Any] = field(default_factory=dict, repr=False)
    may_overwrite: bool = False
    platform_events: bool = False
    updates_context: bool = False
    quota: Quota = field(default_factory=Quota)
    jwks: Jwks | None = None
    key_request: KeyRequest | None = None
    certified: bool = False
    confirms: bool = False

    needed: tuple[Step, ...] = field(init=False, repr=False, compare=False)
    """The steps that a delivery takes."""
    reading: Reading = field(init=False, repr=False, compare=False)
    """How its deliveries are read."""
    evaluates: bool = field(init=False, repr=False, compare=False)
    """Whether a delivery may cost the evaluation of an expression."""
    proves_early: bool = field(init=False, repr=False, compare=False)
    """Whether the sender can be proven before any expression is evaluated."""
    shakes_hands_first: bool = field(init=False, repr=False, compare=False)
    """Whether its handshakes need no signature."""
    is_plain: bool = field(init=False, repr=False, compare=False)
    """Whether a delivery needs nothing but its proof and its events, with what is known of the source already."""
    is_bounded: bool = field(init=False, repr=False, compare=False)
    """Whether anything bounds what it may send."""
    learns: bool = field(init=False, repr=False, compare=False)
    """Whether something of it may be kept in the store."""

    def __post_init__(self) -> None:
        evaluates = self.transform is not None or self.handle is not None
        fetches = bool(self.jwks or self.key_request or self.certified or self.confirms)
        makes_the_proof = self.transform is not None and self.steps[0] == "transform" and not self.transform_apart
        proves = self.verifier is not None
        there = {"transform": self.transform, "handshake": self.handle, "signature": self.verifier}
        for name, value in {
            "needed": tuple(step for step in self.steps if there[step] is not None),
            "reading": Reading(self.public_url, self.signature_header, self.form_field, self.is_envelope),
            "evaluates": evaluates,
            "proves_early": proves and not makes_the_proof,
            "shakes_hands_first": proves and self.handle is not None and self._is_before("handshake", "signature"),
            "is_plain": not (evaluates or fetches or self.networks),
            "learns": self.handle is not None or self.updates_context,
            "is_bounded": not self.platform_events or self.quota.bounds,
        }.items():
            object.__setattr__(self, name, value)

    def _is_before(self, first: Step, second: Step) -> bool:
        return self.steps.index(first) < self.steps.index(second)

    @property
    def unprovable(self) -> SourceFault | None:
        """Why no delivery can be authentic; such a source is loaded, and refuses each of them."""
        if self.signs_url and not self.public_url:
            return SourceFault((self.name, "options", "public_url"), MISSING)
        return None

    def evaluates_for(self, context: DeliveryContext) -> bool:
        """Whether this delivery costs one."""
        if self.transform is not None:
            return True
        return self.handle is not None and self.handle.needs_evaluation(context)

    def may_shake_hands(self, delivery: Delivery) -> bool:
        """Whether *delivery*, which nothing proves, may be a handshake."""
        return self.shakes_hands_first and len(delivery.body) <= MAX_HANDSHAKE_BYTES

    def lacks_signature(self, headers: RawHeaders) -> bool:
        """Whether *headers* are without the one that this source's sender signs in."""
        wanted = self.signature_headers
        return bool(wanted) and all(name not in wanted for name, _ in headers)

    def account(self, kept: Mapping[str, Any]) -> Account:
        """What the source knows, together with what its handshakes have left in the store (*kept*).

        Configuration wins over what was kept, unless the source may overwrite. What is wrong with its secrets becomes
        the account's fault, for a handshake may still bring one. Of what was kept, only text can be a secret.
        """
        context = self._over_configured(kept)
        secrets_from = self._over_configured(_texts_of(kept)) if kept else context
        scope = {"context": secrets_from, "environment_variables": self.environment_variables}
        account = self._verifying(Account(context, self.environment_variables), scope)
        return replace(account, concealed=self._concealed(account, scope)) if self.evaluates else account

    def _verifying(self, account: Account, scope: Mapping[str, Any]) -> Account:
        """*account* with its secrets, or with why nothing can be proven."""
        try:
            account = replace(account, secrets=self.credentials.secrets(scope))
        except SignatureError as exc:
            return replace(account, fault=exc.reason)
        if self.unprovable:
            return replace(account, fault="public_url_missing", detail=str(self.unprovable))
        return account

    def _concealed(self, account: Account, scope: Mapping[str, Any]) -> Account:
        try:
            texts = self.credentials.texts(scope)
        except SignatureError:
            texts = ()
        return conceal(account, self.credentials.paths, texts)

    def _over_configured(self, kept: Mapping[str, Any]) -> dict[str, Any]:
        configured = {**self.context}
        if self.credentials.given:
            configured.setdefault(WEBHOOK_SECRET, self.credentials.given[0])
        return {**configured, **kept} if self.may_overwrite else {**kept, **configured}

    def secret_state(self, kept: Mapping[str, Any]) -> SecretState:
        """Where the secret comes from, with what handshakes have left (*kept*): ``unusable`` is one that locks out."""
        account, configured = self.account(kept), self.account(NOTHING)
        if account.fault:
            return "unusable" if kept else "none"
        return "configured" if account.secrets == configured.secrets else "enrolled"

    def lets_in(self, context: DeliveryContext) -> bool:
        """Whether the sender's address is one of the source's, where it names any."""
        if not self.networks:
            return True
        told = context.delivery.client or ""
        if self.client_ip_header:
            told = forwarded_address(context.delivery.headers, self.client_ip_header, self.trusted_proxies)
        client = read_address(told)
        if client is None:
            return False
        return any(client in network for network in self.networks)


def truto_source(secrets: Iterable[str], *, stored: bool = False, tolerance_seconds: float | None = None) -> Source:
    """The source behind ``/webhooks/truto``: what the preset ``truto`` describes, without reading it.

    *secrets* are live at the same time, newest first, behind the one that ``connect`` has *stored*, if that is to
    count. With *tolerance_seconds*, a delivery is refused whose ``created_at`` is further from now than that, or
    missing. Raises :class:`ValueError` for secrets that are none.
    """
    given = tuple(secrets)
    if not (given or stored) or not all(given):
        raise ValueError("source 'truto' needs at least one secret, and none of them may be empty")
    secret = compile_reference(f"{{{{context.{WEBHOOK_SECRET}}}}}")
    credentials = Credentials(given, (secret,), least_bytes=1, stored=stored)
    try:
        if given:
            credentials.secrets(NOTHING)
    except SignatureError as exc:
        raise ValueError(f"source 'truto': {exc}") from None
    verifier = TrutoVerifier()
    return Source(
        name="truto",
        description="Truto itself",
        verifier=verifier,
        credentials=credentials,
        transform_apart=True,
        signature_headers=verifier.headers,
        created_within_seconds=tolerance_seconds,
        media_types=FROM_TRUTO,
        is_envelope=True,
        identity=Identity(tuple(map(compile_reference, BY_ID)), "body", BY_ID),
        platform_events=True,
        updates_context=stored,
        may_overwrite=stored,
    )


def _texts_of(value: Mapping[str, Any]) -> dict[str, Any]:
    """*value* with nothing in place of what is no text, at any depth: a list or a number would be rendered as text."""
    return {
        name: _texts_of(one) if isinstance(one, Mapping) else one if isinstance(one, str) else None
        for name, one in value.items()
    }
