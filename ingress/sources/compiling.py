"""Make a source of its description, or say everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Literal, TypeVar
from urllib.parse import urlsplit

from ingress.errors import Faults
from ingress.quotas import Quota
from ingress.sources.address import read_public_url
from ingress.sources.configured import (
    WEBHOOK_SECRET,
    Answer,
    ConfiguredSource,
    Credentials,
    Identity,
    Jwks,
    Network,
    Step,
)
from ingress.sources.contradictions import contradictions
from ingress.sources.coverage import RAW_BODY, Names, named_in, uncovered
from ingress.sources.faults import SourceFault
from ingress.sources.schema import (
    Adyen,
    Basic,
    Bearer,
    Ecdsa,
    EcdsaConfig,
    Ed25519,
    Ed25519Config,
    Entry,
    Hmac,
    HmacConfig,
    Jwt,
    JwtOptions,
    Options,
    Rsa,
    RsaConfig,
    Sns,
    StandardWebhooks,
    TrutoHeader,
)
from ingress.verification.adyen import AdyenVerifier
from ingress.verification.context import URLS
from ingress.verification.digests import HmacVerifier, TrutoVerifier, algorithm_named, string_type_named
from ingress.verification.evidence import LEAST_SECRET_BYTES, MAX_CHECKS, NamesCertificate, Presented, Verifier, decoded
from ingress.verification.freshness import Freshness
from ingress.verification.handshake import answer_content
from ingress.verification.head import FORM, JSON, MULTIPART, TEXT, XML
from ingress.verification.references import compile_reference
from ingress.verification.sns import COVERED, SnsVerifier, read_topic
from ingress.verification.standard_webhooks import PUBLIC, StandardWebhooksVerifier, read_key
from ingress.verification.words import BasicVerifier, BearerVerifier
from truto.errors import PlaceholderError, SignatureError
from truto.placeholders import Template, compile_template
from truto.references import translate_references
from truto.secret_text import MAX_SECRETS

if TYPE_CHECKING:  # it brings JSONata, which sources without expressions never load
    from ingress.verification.expressions import Step as CompiledStep

DEFAULT_TOLERANCE_SECONDS = 300.0
_MAX_ANSWER_BYTES = 16 * 1024
_CREDENTIAL = re.compile(r"auth|cookie|credential|hmac|key|passw|secret|sig(n|-|$)|token", re.IGNORECASE)
_NO_CREDENTIAL = re.compile(r"idempotency-(key|token)", re.IGNORECASE)

_OTHERWISE = {"either_port": ("{{url}}", "{{url_other_port}}"), "either_encoding": ("{{raw_body}}", "{{low_bytes}}")}
"""The options by which a sender may have signed something else in the place of one piece."""

_STEPS: dict[str, tuple[Step, ...]] = {
    "truto": ("transform", "handshake", "signature"),
    "transform_last": ("handshake", "signature", "transform"),
    "handshake_last": ("transform", "signature", "handshake"),
    "signature_first": ("signature", "handshake", "transform"),
}
_MEDIA_TYPES = {"json": ("", JSON), "form": (FORM,), "multipart": (MULTIPART,), "text": (TEXT, ""), "xml": (XML,)}
_FIELD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_WHOLE = frozenset({".", "body", "headers", "query", "context", "environment_variables", "env", "signature_fields"})
_CALLERS_HOST = frozenset(
    ("headers", name) for name in ("host", "forwarded", "x-forwarded-host", "x-forwarded-server", "x-original-host")
)
_GIVEN = frozenset({"raw_body", "webhook_type", "method", *URLS, "path", *_WHOLE})
_WRITES_BODY = re.compile(r"['\"]body['\"]\s*:")
_REPLACES = re.compile(r"['\"](raw_body|headers)['\"]\s*:")
_AS_IT_CAME = _GIVEN - {".", "body", "webhook_type"}
"""What only a transform that writes it itself changes; the body may come out of it otherwise."""
_FIXED = {"method": "POST", "path": "/", "webhook_type": "payload"}
"""What is the same for all deliveries that bring an event."""

_GIVES = {"context": "a context", "events": "events"}
_BEFORE_THE_PROOF = (
    "and what it makes of it is there for anybody, before the signature is checked; "
    "say `options.order: signature_first` where the sender signs its handshakes too "
    "(`handshake_last` where payload_transform finds the signature), "
    "or give handshakes a secret of their own under another name in `context`"
)
_EMPTY_CLAIM = "is empty; say what the sender's tokens claim here, for anybody could have one with something else"
_CONFIG = ("webhook", "signature_verification", "config")

Value = TypeVar("Value")


def compile_source(name: str, entry: Entry, *, public_url: str = "") -> ConfiguredSource:
    """The source that *entry* describes; *public_url* is the ingress' own. Raises :class:`Faults`."""
    return _Compiler(name, entry, public_url).source()


class _Compiler:
    def __init__(self, name: str, entry: Entry, public_url: str) -> None:
        self.name = name
        self.public_url = public_url
        self.signed: list[Template] = []
        self.proving: list[Template] = []
        self.proving_paths: set[tuple[str, ...]] = set()
        self.entry = entry
        self.options: Options = entry.options
        self.faults: list[SourceFault] = []
        self.presented: Template | None = None

    def source(self) -> ConfiguredSource:
        webhook, options = self.entry.webhook, self.options
        verifier, credentials = self._verification()
        transform = self._expression("payload_transform", webhook.payload_transform)
        handle = self._expression("handle_verification", webhook.handle_verification)
        writes = self._transform_writes(transform)
        apart = self._is_apart(writes)
        source = ConfiguredSource(
            name=self.name,
            description=self.entry.description,
            verifier=verifier,
            credentials=credentials,
            steps=_STEPS[options.order],
            transform=transform,
            transform_writes=writes,
            transform_apart=apart,
            handle=handle,
            handle_reads_body=handle is not None and handle.reads_body,
            signature_headers=self._signature_headers(verifier, apart=apart),
            freshness=self._freshness(),
            media_types=frozenset(media for kind in options.media_types for media in _MEDIA_TYPES[kind]),
            handshake_methods=frozenset([*options.handshake_methods, *(["GET"] if options.get_handshake else [])]),
            answer=self._answer(),
            form_field=options.form_field,
            max_body_bytes=options.max_body_bytes or 0,
            kept_headers=self._kept_headers(),
            networks=self._networks(),
            client_ip_header=(options.client_ip_header or "").lower(),
            trusted_proxies=options.trusted_proxies,
            public_url=self._public_url(),
            signs_url=any(path[0] in URLS for path in self._paths_of_the_proof()),
            signature_header=(options.signature_fields or "").lower(),
            event_type=self._event_template("type", options.event.type),
            identity=self._identity(),
            context=self.entry.context,
            environment_variables=self.entry.environment_variables,
            may_overwrite=options.allow_context_overwrite,
            platform_events=options.platform_events,
            updates_context=self._updates_context,
            quota=Quota(**options.quota.model_dump()),
            jwks=self._jwks(),
            certified=isinstance(verifier, NamesCertificate),
            confirms=self._confirms(),
        )
        for path, reason in contradictions(self.entry):
            self._fault(path, reason)
        self._check_secrets(source)
        self._check_hosts()
        self._check_reach(source, transform, handle)
        if self.faults:
            raise Faults(self.faults)
        return source

    # -- verification --------------------------------------------------------------------------------------------------

    def _verification(self) -> tuple[Verifier | None, Credentials]:
        block = self.entry.webhook.signature_verification
        if self.options.verified_by_expression:
            return None, self._by_expression()
        match block:
            case None:
                self._fault(
                    ("webhook", "signature_verification"),
                    "is missing; without it every delivery would be believed "
                    "(where handle_verification itself decides, say `options.verified_by_expression: true`)",
                )
                return None, self._credentials()
            case Hmac():
                return self._hmac(block.config)
            case Basic():
                return self._basic(block)
            case Bearer():
                presented = self._presented(block.config.compare_with)
                return BearerVerifier(presented), self._credentials(block.config.secret)
            case Jwt():
                return self._jwt(block)
            case Ed25519():
                return self._ed25519(block.config)
            case Ecdsa():
                return self._ecdsa(block.config)
            case Rsa():
                return self._rsa(block.config)
            case Sns():
                return SnsVerifier(), self._credentials(block.config.topic, field="topic", read=read_topic)
            case Adyen():
                return AdyenVerifier(), self._credentials(block.config.secret, read=lambda text: decoded(text, "hex"))
            case StandardWebhooks():
                public = sum(text.startswith(PUBLIC) for text in self.entry.secrets)
                self._check_number_of_keys(("secrets",), public)
                tolerance = self.options.tolerance_seconds or DEFAULT_TOLERANCE_SECONDS
                credentials = self._credentials(block.config.secret, read=_standard_secret)
                return StandardWebhooksVerifier(tolerance), credentials
            case TrutoHeader():
                return TrutoVerifier(), self._credentials(block.config.secret)

    def _by_expression(self) -> Credentials:
        if self.entry.webhook.signature_verification is not None:
            self._fault(("options", "verified_by_expression"), "contradicts webhook.signature_verification")
        if not self.entry.webhook.handle_verification:
            self._fault(("options", "verified_by_expression"), "needs webhook.handle_verification")
        if len(self.entry.secrets) > MAX_CHECKS:
            self._fault(("secrets",), f"are more than {MAX_CHECKS}, for each of which the expression is evaluated")
        if self.options.order in ("signature_first", "handshake_last"):
            self._fault(("options", "order"), "puts a signature first that this source does not have")
        return self._credentials(f"{{{{context.{WEBHOOK_SECRET}}}}}")

    def _hmac(self, config: HmacConfig) -> tuple[Verifier, Credentials]:
        allow_md5 = self.options.allow_md5
        algorithm = self._try(lambda: algorithm_named(config.algorithm, allow_md5=allow_md5), "sha256", "algorithm")
        string_type = self._try(lambda: string_type_named(config.string_type), "hex", "string_type")
        signed = self._signed(config.parts, config.verification_content)
        encoding = self.options.secret_encoding
        credentials = self._credentials(config.secret, read=lambda text: decoded(text, encoding))
        otherwise = self._signed_otherwise(config)
        return HmacVerifier(
            algorithm, string_type, signed, self._presented(config.compare_with), otherwise
        ), credentials

    def _signed_otherwise(self, config: HmacConfig) -> Sequence[Template]:
        content = config.verification_content or [f"{{{{{part}}}}}" for part in config.parts or ()]
        for option, (piece, other) in _OTHERWISE.items():
            if not getattr(self.options, option):
                continue
            if piece not in content:
                self._fault(("options", option), f"has no meaning where no piece of what is signed is `{piece}`")
            elif not self.faults:
                return [compile_reference(other if one == piece else one) for one in content]
        return ()

    def _basic(self, block: Basic) -> tuple[Verifier, Credentials]:
        templates = [
            self._template((*_CONFIG, field), value)
            for field, value in (("username", block.config.username), ("password", block.config.password))
        ]
        least = 1 if self.options.allow_short_secret else LEAST_SECRET_BYTES

        def read(text: str) -> bytes:
            user, colon, password = text.partition(":")
            if not user or not colon:
                raise ValueError("must be `username:password`")
            if len(password.encode()) < least:
                raise ValueError(f"the password has fewer than {least} bytes")
            return text.encode()

        credentials = Credentials(tuple(self.entry.secrets), tuple(templates), read, 1)
        return BasicVerifier(self._presented(block.config.compare_with)), credentials

    def _jwt(self, block: Jwt) -> tuple[Verifier, Credentials]:
        from ingress.verification.tokens import ASYMMETRIC, SYMMETRIC, ClaimRules, TokenVerifier, is_public_key

        options = self.options.jwt
        algorithms = frozenset(options.algorithms)
        path = ("options", "jwt")
        if not algorithms or not (algorithms <= SYMMETRIC or algorithms <= ASYMMETRIC):
            known = "HS256 … HS512 with a secret, or some of RS, PS, ES (256 … 512) and EdDSA with public keys"
            self._fault((*path, "algorithms"), f"must be some of {known}, never of both kinds")
        for field in ("issuer", "audience"):
            if "" in _names(getattr(options, field)):
                self._fault((*path, field), _EMPTY_CLAIM)
        asymmetric = bool(algorithms & ASYMMETRIC)
        self._check_keys(options, asymmetric=asymmetric)
        self._check_number_of_keys((*path, "public_keys"), len(options.public_keys))
        for index, pem in enumerate(options.public_keys):
            if asymmetric and not any(is_public_key(pem, name) for name in algorithms & ASYMMETRIC):
                self._fault((*path, "public_keys", str(index)), "is no public key (PEM) for one of the algorithms")
        rules = ClaimRules(
            issuers=_names(options.issuer),
            audiences=_names(options.audience),
            leeway=options.leeway_seconds,
            longest_life=options.max_lifetime_seconds,
            require_expiry=options.require_exp,
            claims=tuple(self._claim(name, value) for name, value in options.claims.items()),
            typ=options.typ,
            body_claim=options.body_hash.claim if options.body_hash else "",
            body_algorithm=options.body_hash.algorithm if options.body_hash else "sha256",
            body_string_type=options.body_hash.string_type if options.body_hash else "hex",
        )
        verifier = TokenVerifier(
            self._presented(block.config.compare_with),
            tuple(options.algorithms),
            rules,
            tuple(options.public_keys),
            uses_jwks=options.jwks_url is not None,
        )
        return verifier, Credentials() if asymmetric else self._credentials(block.config.secret)

    def _claim(self, name: str, value: str | bool) -> tuple[str, Template | bool]:
        if isinstance(value, bool):
            return name, value
        path = ("options", "jwt", "claims", name)
        if not value:
            self._fault(path, _EMPTY_CLAIM)
            return name, compile_template("")
        template = self._template(path, value)
        self.proving.append(template)
        return name, template

    def _check_keys(self, options: JwtOptions, *, asymmetric: bool) -> None:
        keys = [name for name in ("public_keys", "jwks_url") if getattr(options, name)]
        if asymmetric and len(keys) != 1:
            self._fault(("options", "jwt"), "these algorithms need one of `public_keys` and `jwks_url`")
        if asymmetric and self.entry.secrets:
            self._fault(("secrets",), "have no meaning for these algorithms")
        if not asymmetric and keys:
            # A public key taken for a shared secret is known to everybody.
            self._fault(("options", "jwt", keys[0]), "has no meaning for HS algorithms")

    def _ed25519(self, config: Ed25519Config) -> tuple[Verifier, Credentials]:
        from ingress.verification.asymmetric import Ed25519Verifier, read_ed25519_key

        read = partial(read_ed25519_key, string_type=config.string_type)
        return Ed25519Verifier(**self._scheme(config)), self._public_keys(config.public_key, read)

    def _ecdsa(self, config: EcdsaConfig) -> tuple[Verifier, Credentials]:
        from ingress.verification.asymmetric import EcdsaVerifier, read_ec_key

        verifier = EcdsaVerifier(
            **self._scheme(config),
            algorithm=self._algorithm(config.algorithm),
            signature_format=config.signature_format,
        )
        return verifier, self._public_keys(config.public_key, partial(read_ec_key, curve=config.curve))

    def _rsa(self, config: RsaConfig) -> tuple[Verifier, Credentials]:
        from ingress.verification.asymmetric import RsaVerifier, read_rsa_key

        if config.certificate_url is not None:
            return self._by_certificate(config, config.certificate_url)
        verifier = RsaVerifier(
            **self._scheme(config), algorithm=self._algorithm(config.algorithm), padding=config.padding
        )
        return verifier, self._public_keys(config.public_key, read_rsa_key)

    def _by_certificate(self, config: RsaConfig, url: str) -> tuple[Verifier, Credentials]:
        from ingress.verification.certificates import CertificateVerifier

        if config.public_key != RsaConfig.model_fields["public_key"].default:
            self._fault((*_CONFIG, "public_key"), "has no meaning with `certificate_url`; leave it out")
        for index, start in enumerate(config.certificates_under):
            reason = _wrong_address(start) or ("" if start.endswith("/") else "must end with /")
            if reason:
                self._fault((*_CONFIG, "certificates_under", str(index)), reason)
        verifier = CertificateVerifier(
            **self._scheme(config),
            url=self._template((*_CONFIG, "certificate_url"), url),
            under=tuple(config.certificates_under),
            algorithm=self._algorithm(config.algorithm),
            padding=config.padding,
        )
        if not any(f"context.{WEBHOOK_SECRET}" in names for names in named_in(self.signed)):
            self._fault(
                _CONFIG,
                f"signs no `{{{{context.{WEBHOOK_SECRET}}}}}`, so that what the sender signs for others would count",
            )
        # No secret, but what is yours at the sender: nothing can be guessed of it that would help.
        return verifier, self._credentials(f"{{{{context.{WEBHOOK_SECRET}}}}}", least_bytes=1)

    def _scheme(self, config: Ed25519Config | EcdsaConfig | RsaConfig) -> dict[str, Any]:
        """What all signatures by private keys are told."""
        return {
            "string_type": config.string_type,
            "signed": self._signed(config.parts, config.verification_content),
            "presented": self._presented(config.compare_with),
        }

    def _public_keys(self, template: str, read: Callable[[str], bytes]) -> Credentials:
        self._check_number_of_keys(("secrets",), len(self.entry.secrets))
        return replace(self._credentials(template, field="public_key", read=read), public=True)

    def _algorithm(self, name: str) -> str:
        return self._try(lambda: algorithm_named(name, allow_md5=False), "sha256", "algorithm")

    def _confirms(self) -> bool:
        return isinstance(self.entry.webhook.signature_verification, Sns) and self.options.confirm_subscriptions

    def _check_number_of_keys(self, path: tuple[str, ...], number: int) -> None:
        if number > MAX_CHECKS:
            self._fault(path, f"hold more than {MAX_CHECKS} public keys, each of which costs every delivery a check")

    def _credentials(
        self,
        template: str = "",
        *,
        field: str = "secret",
        read: Callable[[str], bytes] = str.encode,
        least_bytes: int = LEAST_SECRET_BYTES,
    ) -> Credentials:
        templates = (self._template((*_CONFIG, field), template),) if template else ()
        least = 1 if self.options.allow_short_secret else least_bytes
        return Credentials(tuple(self.entry.secrets), templates, read, least)

    def _check_secrets(self, source: ConfiguredSource) -> None:
        """Refuse what will never be a secret. One that a handshake is going to bring may be missing."""
        credentials = source.credentials
        if len(credentials.given) > MAX_SECRETS:
            self._fault(("secrets",), f"are more than {MAX_SECRETS}, each of which costs every delivery a check")
            return
        for index, text in enumerate(credentials.given):
            alone = Credentials((text,), (), credentials.read, credentials.least_bytes)
            self._try(lambda alone=alone: alone.secrets({}), (), "secrets", str(index))  # type: ignore[misc]  # binds the credential
        if credentials.given or not credentials.templates or self.faults:
            return
        scope = {"context": source.context, "environment_variables": source.environment_variables}
        # An expression that is itself the proof is not asked before there is a secret, so it cannot bring one.
        comes_later = self._updates_context and not self.options.verified_by_expression
        try:
            credentials.secrets(scope)
        except SignatureError as exc:
            if exc.reason != "secret_missing" or not comes_later:
                self._fault(
                    ("secrets",),
                    f"{exc}; give `secrets`, or the context or environment variable the secret is read from",
                )

    @property
    def _updates_context(self) -> bool:
        return "update_context" in (self.entry.webhook.handle_verification or "")

    def _check_reach(
        self, source: ConfiguredSource, transform: CompiledStep | None, handle: CompiledStep | None
    ) -> None:
        """Refuse expressions that work with the secret before anything is proven: what they make could be a proof."""
        aliases = {("env", *path[1:]) for path in source.credentials.paths if path[0] == "environment_variables"}
        secrets = source.credentials.paths | aliases
        if transform is not None and source.steps[0] == "transform" and transform.reach(secrets).named:
            self._fault(("webhook", "payload_transform"), f"names the secret, {_BEFORE_THE_PROOF}")
        if not source.shakes_hands_first or handle is None:
            return
        reach = handle.reach(secrets)
        if reach.named:
            self._fault(("webhook", "handle_verification"), f"names the secret, {_BEFORE_THE_PROOF}")
        elif reach.whole:
            self._fault(
                ("webhook", "handle_verification"),
                "takes something that holds the secret (`$$`, all of `context` or of the environment variables, a "
                f"wildcard at the root, `$eval`), {_BEFORE_THE_PROOF}, or name just the fields it needs",
            )

    def _transform_writes(self, transform: CompiledStep | None) -> frozenset[str] | None:
        """What the transform writes into a context, or ``None`` where it gives events; its source alone says so."""
        path, asked = ("webhook", "payload_transform"), self.options.transform_gives
        if transform is None:
            return None
        output = transform.output()
        told = {"scope": "context", "other": "events"}.get(output.kind)
        if told is None and asked is None:
            self._fault(path, "may give a context or events; say which in `options.transform_gives`")
        elif told is not None and asked is not None and told != asked:
            self._fault(("options", "transform_gives"), f"contradicts payload_transform, which gives {_GIVES[told]}")
        elif output.mixed and _STEPS[self.options.order][0] == "transform":
            self._fault(
                path,
                "merges data of the delivery into the context, where it could replace what is signed; write the fields "
                "out by name, or say `options.order: transform_last`",
            )
        return output.written if (asked or told) == "context" else None

    def _is_apart(self, writes: frozenset[str] | None) -> bool:
        """Whether the proof is the same before and after a transform that *writes* these members of the context."""
        if writes is None:
            return True
        block = self.entry.webhook.signature_verification
        if isinstance(block, Sns | Adyen) or (isinstance(block, Rsa) and block.config.certificate_url is not None):
            return False  # they read more than their templates name
        moment = [compile_reference(self.options.timestamp)] if self.options.timestamp and not self.faults else []
        named = {path.partition(".")[0] for names in named_in([*self.proving, *moment]) for path in names}
        read = named | {"raw_body", "headers"}
        return read <= _AS_IT_CAME and not read & writes

    def _signature_headers(self, verifier: Verifier | None, *, apart: bool) -> frozenset[bytes]:
        """The headers of which an authentic delivery has at least one; none where that cannot be told."""
        if verifier is None or (_STEPS[self.options.order][0] == "transform" and not apart):
            return frozenset()
        if isinstance(verifier, TrutoVerifier | StandardWebhooksVerifier):
            return verifier.headers
        template = self.presented
        if template is None:
            return frozenset()
        wanted = [paths for paths in template.alternatives if all(path.startswith("headers.") for path in paths)]
        if not wanted or self._is_constant(template):
            return frozenset()
        return frozenset(path.removeprefix("headers.").lower().encode("latin-1") for path in wanted[0])

    # -- pieces --------------------------------------------------------------------------------------------------------

    def _signed(self, parts: Sequence[str] | None, content: Sequence[str] | None) -> list[Template]:
        templates = []
        for index, part in enumerate(parts or ()):
            reference = translate_references(part)
            if "{{" not in reference:
                if not _FIELD.fullmatch(reference):
                    self._fault((*_CONFIG, "parts", str(index)), "is no name of a field")
                reference = f"{{{{{reference}}}}}"
            templates.append(self._template((*_CONFIG, "parts", str(index)), reference))
        for index, piece in enumerate(content or ()):
            templates.append(self._template((*_CONFIG, "verification_content", str(index)), piece))
        self.signed = templates
        self.proving += templates
        return templates

    def _presented(self, compare_with: str) -> Presented:
        template = self.presented = self._template((*_CONFIG, "compare_with"), compare_with)
        self.proving.append(template)
        return Presented(template, self.options.compare_prefix, self.options.signature_separator)

    def _freshness(self) -> Freshness | None:
        options = self.options
        builtin = isinstance(self.entry.webhook.signature_verification, StandardWebhooks)
        if options.timestamp is None:
            if options.tolerance_seconds is not None and not builtin:
                self._fault(
                    ("options", "tolerance_seconds"), "needs `timestamp`: where the signed time of a delivery is"
                )
            return None
        template = self._template(("options", "timestamp"), options.timestamp)
        self._check_signed_time(template)
        return Freshness(template, options.tolerance_seconds or DEFAULT_TOLERANCE_SECONDS, options.timestamp_unit)

    def _check_signed_time(self, template: Template) -> None:
        path = ("options", "timestamp")
        if self.options.verified_by_expression:
            self._fault(path, "is never looked at where handle_verification is the proof; compare the time there")
            return
        if not template.alternatives:
            self._fault(path, "names no field of a delivery")
        covered = self._covered()
        if self._transform_writes_body():
            covered -= RAW_BODY  # its fields may come from anywhere in the request
        for name in uncovered(template, covered):
            self._fault(
                path,
                f"`{name}` is not covered by the signature, so whoever replays a delivery can write a new time there; "
                "name the time that is signed, sign this one (`parts`, `verification_content`), or leave it out",
            )

    def _transform_writes_body(self) -> bool:
        transform = self.entry.webhook.payload_transform or ""
        gives_context = "$$" in transform or _REPLACES.search(transform) is not None
        return _STEPS[self.options.order][0] == "transform" and gives_context and bool(_WRITES_BODY.search(transform))

    def _covered(self) -> frozenset[Names]:
        """What of a delivery nobody but the sender can have written."""
        match self.entry.webhook.signature_verification:
            case Hmac() | Ed25519() | Ecdsa() | Rsa():
                return named_in(self.signed)
            case Sns():
                return COVERED
            case StandardWebhooks() | TrutoHeader():
                return RAW_BODY
            case Jwt() if self.options.jwt.body_hash is not None:
                return RAW_BODY
            case _:
                return frozenset()

    def _identity(self) -> Identity:
        path, stated = self._stated_identity()
        rest: Literal["body", "time", "none"] = "time" if self.options.timestamp else "none"
        match self.entry.webhook.signature_verification:
            case StandardWebhooks() if stated is None:
                stated = ["{{headers.webhook-id|headers.svix-id}}"]
            case Sns() if stated is None:
                stated = ["{{body.MessageId}}"]
            case TrutoHeader():
                stated, rest = stated or ["{{body.id}}"], "body"
        if isinstance(stated, str):
            return Identity(rest="body" if stated == "body" else "none")
        references = tuple(self._template(path, text) for text in stated or ())
        if references and all(self._is_constant(template) for template in references):
            self._fault(path, "is the same for every delivery, so that all but the first would be duplicates")
        holds_body = any(path == "raw_body" for names in named_in(references) for path in names)
        return Identity(references, rest, tuple(stated or ()), holds_body)

    def _stated_identity(self) -> tuple[tuple[str, ...], list[str] | str | None]:
        event_id = self.options.event.id
        if event_id:
            return ("options", "event", "id"), [event_id]
        return ("options", "identity"), self.options.identity

    def _event_template(self, field: str, text: str | None) -> Template | None:
        return self._template(("options", "event", field), text) if text else None

    def _is_constant(self, template: Template) -> bool:
        """Whether *template* has a value even where a delivery brings nothing."""
        known = {"context": self.entry.context, "environment_variables": self.entry.environment_variables}
        try:
            template.render_text_or_fail({**known, "env": known["environment_variables"], **_FIXED})
        except PlaceholderError:
            return False
        return True

    def _template(self, path: tuple[str, ...], text: str) -> Template:
        if not text:
            self._fault(path, "is empty")
        try:
            template = compile_reference(text)
        except PlaceholderError as exc:
            self._fault(path, str(exc))
            return compile_template("")
        for whole in _WHOLE & {name for names in template.alternatives for name in names}:
            remedy = (
                "`raw_body` is the body as it came, `body.NAME` a field of it" if whole == "body" else "name a field"
            )
            self._fault(path, f"`{whole}` is a whole object, which has no text of its own; {remedy}")
        return template

    def _expression(self, field: str, source: str | None) -> CompiledStep | None:
        if not source:
            return None
        from ingress.verification.expressions import Step

        try:
            step = Step(source)
        except ValueError as exc:
            self._fault(("webhook", field), str(exc))
            return None
        proves = self.options.verified_by_expression
        if self._makes_what_is_signed(source) if field == "payload_transform" else proves:
            self.proving_paths |= step.paths()
        return step

    def _makes_what_is_signed(self, transform: str) -> bool:
        if _STEPS[self.options.order][0] != "transform":
            return False
        made = {path[0] for path in self._paths_in_templates()}
        return not made <= _GIVEN or _REPLACES.search(transform) is not None

    def _paths_of_the_proof(self) -> set[tuple[str, ...]]:
        """What of a delivery is read before its sender is proven, and for that."""
        return self.proving_paths | self._paths_in_templates()

    def _paths_in_templates(self) -> set[tuple[str, ...]]:
        return {tuple(path.split(".")) for names in named_in(self.proving) for path in names}

    def _check_hosts(self) -> None:
        for path in sorted(self._paths_of_the_proof() & _CALLERS_HOST):
            self._fault(
                _CONFIG if path in self._paths_in_templates() else ("webhook",),
                f"`{'.'.join(path)}` is whatever the caller writes, and proves nothing; "
                "`url` is the address of `options.public_url` or PUBLIC_URL",
            )

    def _networks(self) -> tuple[Network, ...]:
        found = []
        for index, text in enumerate(self.options.ip_allow_list):
            try:
                found.append(ip_network(text))
            except ValueError:
                self._fault(("options", "ip_allow_list", str(index)), "is no network such as 192.0.2.0/24")
        return tuple(found)

    def _kept_headers(self) -> frozenset[bytes]:
        """The headers that events keep besides the usual ones; none that could be a proof, or prove anything."""
        proofs = {(self.options.signature_fields or "").lower()}
        for names in self.presented.alternatives if self.presented else ():
            proofs |= {name.removeprefix("headers.").lower() for name in names if name.startswith("headers.")}
        for index, name in enumerate(self.options.headers):
            if name.lower() in proofs or (_CREDENTIAL.search(name) and not _NO_CREDENTIAL.search(name)):
                self._fault(
                    ("options", "headers", str(index)), "may hold a secret or a signature, which no event keeps"
                )
        return frozenset(name.lower().encode() for name in self.options.headers)

    def _answer(self) -> Answer | None:
        stated = self.options.answer
        if stated is None:
            return None
        path = ("options", "answer")
        body, media_type = answer_content(stated.body)
        if len(body) > _MAX_ANSWER_BYTES:
            self._fault((*path, "body"), f"is larger than {_MAX_ANSWER_BYTES} bytes")
        if body and stated.status in (204, 205):
            self._fault((*path, "body"), f"has no meaning for the status {stated.status}; leave it out")
        if stated.content_type and not body:
            self._fault((*path, "content_type"), "has no meaning without a `body`; leave it out")
        return Answer(stated.status, body, {"content-type": stated.content_type or media_type} if body else {})

    def _public_url(self) -> str:
        if not self.options.public_url:
            return self.public_url
        try:
            return read_public_url(self.options.public_url)
        except ValueError as exc:
            self._fault(("options", "public_url"), str(exc))
            return ""

    def _jwks(self) -> Jwks | None:
        url = self.options.jwt.jwks_url
        if url is None:
            return None
        if reason := _wrong_address(url):
            self._fault(("options", "jwt", "jwks_url"), reason)
        return Jwks(url, self.options.jwt.jwks_cooldown_seconds)

    # -- faults --------------------------------------------------------------------------------------------------------

    def _fault(self, path: tuple[str, ...], reason: str) -> None:
        self.faults.append(SourceFault((self.name, *path), reason))

    def _try(self, make: Callable[[], Value], default: Value, *path: str) -> Value:
        try:
            return make()
        except (ValueError, SignatureError) as exc:
            full = path if path[0] == "secrets" else (*_CONFIG, *path)
            self._fault(full, str(exc))
            return default


def _wrong_address(url: str) -> str:
    """Why nothing is fetched from *url*; empty where it may be."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost")):
        return "must begin with https://"
    return "must hold no credentials" if parts.username or parts.password else ""


def _standard_secret(text: str) -> bytes:
    key = read_key(text)
    if not text.startswith(PUBLIC):
        return key
    from ingress.verification.asymmetric import ed25519_key

    ed25519_key(key)
    return text.encode()


def _names(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
