"""Compile what proves a sender: its verifier, and where the secrets are."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from ingress.sources.coverage import named_in
from ingress.sources.description import CONFIG, Description, wrong_address
from ingress.sources.schema import (
    Adyen,
    Basic,
    Bearer,
    Ecdsa,
    EcdsaConfig,
    Ed25519,
    Ed25519Config,
    Hmac,
    HmacConfig,
    Jwt,
    JwtOptions,
    Rsa,
    RsaConfig,
    Sns,
    StandardWebhooks,
    TrutoHeader,
)
from ingress.sources.source import WEBHOOK_SECRET, Credentials, Source
from ingress.verification.adyen import AdyenVerifier
from ingress.verification.digests import HmacVerifier, TrutoVerifier, algorithm_named, string_type_named
from ingress.verification.evidence import LEAST_SECRET_BYTES, MAX_CHECKS, Presented, Verifier, decoded
from ingress.verification.references import compile_reference
from ingress.verification.sns import SnsVerifier, read_topic
from ingress.verification.standard_webhooks import PUBLIC, StandardWebhooksVerifier, read_key
from ingress.verification.words import BasicVerifier, BearerVerifier
from truto.errors import SignatureError
from truto.placeholders import Template, compile_template
from truto.references import translate_references
from truto.secret_text import MAX_SECRETS

DEFAULT_TOLERANCE_SECONDS = 300.0

_OTHERWISE = {"either_port": ("{{url}}", "{{url_other_port}}"), "either_encoding": ("{{raw_body}}", "{{low_bytes}}")}
"""The options by which a sender may have signed something else in the place of one piece."""

_FIELD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_EMPTY_CLAIM = "is empty; say what the sender's tokens claim here, for anybody could have one with something else"


class ProofCompiler:
    """Compiles the verifier and the credentials of one source."""

    def __init__(self, draft: Description) -> None:
        self._draft = draft
        self._entry = draft.entry
        self._options = draft.options
        self._fault = draft.fault

    def verification(self) -> tuple[Verifier | None, Credentials]:
        """The verifier, ``None`` where an expression is the proof, and the credentials."""
        block = self._entry.webhook.signature_verification
        if self._options.verified_by_expression:
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
                public = sum(text.startswith(PUBLIC) for text in self._entry.secrets)
                self._check_number_of_keys(("secrets",), public)
                tolerance = self._options.tolerance_seconds or DEFAULT_TOLERANCE_SECONDS
                credentials = self._credentials(block.config.secret, read=_standard_secret)
                return StandardWebhooksVerifier(tolerance), credentials
            case TrutoHeader():
                return TrutoVerifier(), self._credentials(block.config.secret)

    def _by_expression(self) -> Credentials:
        if self._entry.webhook.signature_verification is not None:
            self._fault(("options", "verified_by_expression"), "contradicts webhook.signature_verification")
        if not self._entry.webhook.handle_verification:
            self._fault(("options", "verified_by_expression"), "needs webhook.handle_verification")
        if len(self._entry.secrets) > MAX_CHECKS:
            self._fault(("secrets",), f"are more than {MAX_CHECKS}, for each of which the expression is evaluated")
        if self._options.order in ("signature_first", "handshake_last"):
            self._fault(("options", "order"), "puts a signature first that this source does not have")
        return self._credentials(f"{{{{context.{WEBHOOK_SECRET}}}}}")

    def _hmac(self, config: HmacConfig) -> tuple[Verifier, Credentials]:
        allow_md5 = self._options.allow_md5
        algorithm = self._draft.attempt(
            lambda: algorithm_named(config.algorithm, allow_md5=allow_md5), "sha256", "algorithm"
        )
        string_type = self._draft.attempt(lambda: string_type_named(config.string_type), "hex", "string_type")
        signed = self._signed(config.parts, config.verification_content)
        encoding = self._options.secret_encoding
        credentials = self._credentials(config.secret, read=lambda text: decoded(text, encoding))
        otherwise = self._signed_otherwise(config)
        return HmacVerifier(
            algorithm, string_type, signed, self._presented(config.compare_with), otherwise
        ), credentials

    def _signed_otherwise(self, config: HmacConfig) -> Sequence[Template]:
        content = config.verification_content or [f"{{{{{part}}}}}" for part in config.parts or ()]
        for option, (piece, other) in _OTHERWISE.items():
            if not getattr(self._options, option):
                continue
            if piece not in content:
                self._fault(("options", option), f"has no meaning where no piece of what is signed is `{piece}`")
            elif not self._draft.faults:
                return [compile_reference(other if one == piece else one) for one in content]
        return ()

    def _basic(self, block: Basic) -> tuple[Verifier, Credentials]:
        templates = [
            self._draft.template((*CONFIG, field), value)
            for field, value in (("username", block.config.username), ("password", block.config.password))
        ]
        least = 1 if self._options.allow_short_secret else LEAST_SECRET_BYTES

        def read(text: str) -> bytes:
            user, colon, password = text.partition(":")
            if not user or not colon:
                raise ValueError("must be `username:password`")
            if len(password.encode()) < least:
                raise ValueError(f"the password has fewer than {least} bytes")
            return text.encode()

        credentials = Credentials(tuple(self._entry.secrets), tuple(templates), read, 1)
        return BasicVerifier(self._presented(block.config.compare_with)), credentials

    def _jwt(self, block: Jwt) -> tuple[Verifier, Credentials]:
        from ingress.verification.tokens import ASYMMETRIC, SYMMETRIC, ClaimRules, TokenVerifier, is_public_key

        options = self._options.jwt
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
            longest_age=options.max_age_seconds,
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
            fetches_keys=bool(options.jwks_url or options.key_request),
        )
        return verifier, Credentials() if asymmetric else self._credentials(block.config.secret)

    def _claim(self, name: str, value: str | bool) -> tuple[str, Template | bool]:
        if isinstance(value, bool):
            return name, value
        path = ("options", "jwt", "claims", name)
        if not value:
            self._fault(path, _EMPTY_CLAIM)
            return name, compile_template("")
        template = self._draft.template(path, value)
        self._draft.proving.append(template)
        return name, template

    def _check_keys(self, options: JwtOptions, *, asymmetric: bool) -> None:
        keys = [name for name in ("public_keys", "jwks_url", "key_request") if getattr(options, name)]
        if asymmetric and len(keys) != 1:
            self._fault(("options", "jwt"), "these algorithms need one of `public_keys`, `jwks_url` and `key_request`")
        if asymmetric and self._entry.secrets:
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
            self._fault((*CONFIG, "public_key"), "has no meaning with `certificate_url`; leave it out")
        for index, start in enumerate(config.certificates_under):
            reason = wrong_address(start) or ("" if start.endswith("/") else "must end with /")
            if reason:
                self._fault((*CONFIG, "certificates_under", str(index)), reason)
        verifier = CertificateVerifier(
            **self._scheme(config),
            url=self._draft.template((*CONFIG, "certificate_url"), url),
            under=tuple(config.certificates_under),
            algorithm=self._algorithm(config.algorithm),
            padding=config.padding,
        )
        if not any(f"context.{WEBHOOK_SECRET}" in names for names in named_in(self._draft.signed)):
            self._fault(
                CONFIG,
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
        self._check_number_of_keys(("secrets",), len(self._entry.secrets))
        return replace(self._credentials(template, field="public_key", read=read), public=True)

    def _algorithm(self, name: str) -> str:
        return self._draft.attempt(lambda: algorithm_named(name, allow_md5=False), "sha256", "algorithm")

    def _credentials(
        self,
        template: str = "",
        *,
        field: str = "secret",
        read: Callable[[str], bytes] = str.encode,
        least_bytes: int = LEAST_SECRET_BYTES,
    ) -> Credentials:
        templates = (self._draft.template((*CONFIG, field), template),) if template else ()
        least = 1 if self._options.allow_short_secret else least_bytes
        return Credentials(tuple(self._entry.secrets), templates, read, least)

    def check_secrets(self, source: Source) -> None:
        """Refuse what will never be a secret. One that a handshake is going to bring may be missing."""
        credentials = source.credentials
        if len(credentials.given) > MAX_SECRETS:
            self._fault(("secrets",), f"are more than {MAX_SECRETS}, each of which costs every delivery a check")
            return
        for index, text in enumerate(credentials.given):
            alone = Credentials((text,), (), credentials.read, credentials.least_bytes)
            self._draft.attempt(lambda alone=alone: alone.secrets({}), (), "secrets", str(index))  # type: ignore[misc]  # binds the credential
        if credentials.given or not credentials.templates or self._draft.faults:
            return
        scope = {"context": source.context, "environment_variables": source.environment_variables}
        # An expression that is itself the proof is not asked before there is a secret, so it cannot bring one.
        comes_later = self._draft.updates_context and not self._options.verified_by_expression
        try:
            credentials.secrets(scope)
        except SignatureError as exc:
            if exc.reason != "secret_missing" or not comes_later:
                self._fault(
                    ("secrets",),
                    f"{exc}; give `secrets`, or the context or environment variable the secret is read from",
                )

    def _signed(self, parts: Sequence[str] | None, content: Sequence[str] | None) -> list[Template]:
        templates = []
        for index, part in enumerate(parts or ()):
            reference = translate_references(part)
            if "{{" not in reference:
                if not _FIELD.fullmatch(reference):
                    self._fault((*CONFIG, "parts", str(index)), "is no name of a field")
                reference = f"{{{{{reference}}}}}"
            templates.append(self._draft.template((*CONFIG, "parts", str(index)), reference))
        for index, piece in enumerate(content or ()):
            templates.append(self._draft.template((*CONFIG, "verification_content", str(index)), piece))
        self._draft.signed = templates
        self._draft.proving += templates
        return templates

    def _presented(self, compare_with: str) -> Presented:
        template = self._draft.presented = self._draft.template((*CONFIG, "compare_with"), compare_with)
        self._draft.proving.append(template)
        return Presented(template, self._options.compare_prefix, self._options.signature_separator)

    def _check_number_of_keys(self, path: tuple[str, ...], number: int) -> None:
        if number > MAX_CHECKS:
            self._fault(path, f"hold more than {MAX_CHECKS} public keys, each of which costs every delivery a check")


def _standard_secret(text: str) -> bytes:
    key = read_key(text)
    if not text.startswith(PUBLIC):
        return key
    from ingress.verification.asymmetric import ed25519_key

    ed25519_key(key)
    return text.encode()


def _names(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
