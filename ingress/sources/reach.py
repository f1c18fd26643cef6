"""Check what the proof of a source covers, and what is in reach of those whom it has not proven yet."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ingress.sources.coverage import RAW_BODY, Names, named_in, uncovered
from ingress.sources.description import CONFIG, GIVEN, REPLACES, STEPS, Description
from ingress.sources.proofs import DEFAULT_TOLERANCE_SECONDS
from ingress.sources.schema import Adyen, Ecdsa, Ed25519, Hmac, Jwt, Rsa, Sns, StandardWebhooks, TrutoHeader
from ingress.sources.source import Source
from ingress.verification.digests import TrutoVerifier
from ingress.verification.evidence import Verifier
from ingress.verification.freshness import Freshness
from ingress.verification.references import compile_reference
from ingress.verification.sns import COVERED
from ingress.verification.standard_webhooks import StandardWebhooksVerifier
from truto.placeholders import Template

if TYPE_CHECKING:  # it brings JSONata, which sources without expressions never load
    from ingress.verification.expressions import Step as CompiledStep

_CALLERS_HOST = frozenset(
    ("headers", name) for name in ("host", "forwarded", "x-forwarded-host", "x-forwarded-server", "x-original-host")
)
_WRITES_BODY = re.compile(r"['\"]body['\"]\s*:")
_AS_IT_CAME = GIVEN - {".", "body", "webhook_type"}
"""What only a transform that writes it itself changes; the body may come out of it otherwise."""

_GIVES = {"context": "a context", "events": "events"}
_BEFORE_THE_PROOF = (
    "and what it makes of it is there for anybody, before the signature is checked; "
    "say `options.order: signature_first` where the sender signs its handshakes too "
    "(`handshake_last` where payload_transform finds the signature), "
    "or give handshakes a secret of their own under another name in `context`"
)


class ReachCompiler:
    """Compiles what depends on how far the proof of one source reaches, once its verifier is compiled."""

    def __init__(self, draft: Description) -> None:
        self._draft = draft
        self._entry = draft.entry
        self._options = draft.options
        self._fault = draft.fault

    def freshness(self) -> Freshness | None:
        """How old a delivery may be; ``None`` where nothing says so, or the verifier itself does."""
        options = self._options
        builtin = isinstance(self._entry.webhook.signature_verification, StandardWebhooks)
        if options.timestamp is None:
            if options.tolerance_seconds is not None and not builtin:
                self._fault(
                    ("options", "tolerance_seconds"), "needs `timestamp`: where the signed time of a delivery is"
                )
            return None
        template = self._draft.template(("options", "timestamp"), options.timestamp)
        self._check_signed_time(template)
        return Freshness(template, options.tolerance_seconds or DEFAULT_TOLERANCE_SECONDS, options.timestamp_unit)

    def _check_signed_time(self, template: Template) -> None:
        path = ("options", "timestamp")
        if self._options.verified_by_expression:
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
        transform = self._entry.webhook.payload_transform or ""
        gives_context = "$$" in transform or REPLACES.search(transform) is not None
        return STEPS[self._options.order][0] == "transform" and gives_context and bool(_WRITES_BODY.search(transform))

    def _covered(self) -> frozenset[Names]:
        """What of a delivery nobody but the sender can have written."""
        match self._entry.webhook.signature_verification:
            case Hmac() | Ed25519() | Ecdsa() | Rsa():
                return named_in(self._draft.signed)
            case Sns():
                return COVERED
            case StandardWebhooks() | TrutoHeader():
                return RAW_BODY
            case Jwt() if self._options.jwt.body_hash is not None:
                return RAW_BODY
            case _:
                return frozenset()

    def transform_writes(self, transform: CompiledStep | None) -> frozenset[str] | None:
        """What the transform writes into a context, or ``None`` where it gives events; its source alone says so."""
        path, asked = ("webhook", "payload_transform"), self._options.transform_gives
        if transform is None:
            return None
        output = transform.output()
        told = {"scope": "context", "other": "events"}.get(output.kind)
        if told is None and asked is None:
            self._fault(path, "may give a context or events; say which in `options.transform_gives`")
        elif told is not None and asked is not None and told != asked:
            self._fault(("options", "transform_gives"), f"contradicts payload_transform, which gives {_GIVES[told]}")
        elif output.mixed and STEPS[self._options.order][0] == "transform":
            self._fault(
                path,
                "merges data of the delivery into the context, where it could replace what is signed; write the fields "
                "out by name, or say `options.order: transform_last`",
            )
        return output.written if (asked or told) == "context" else None

    def is_apart(self, writes: frozenset[str] | None) -> bool:
        """Whether the proof is the same before and after a transform that *writes* these members of the context."""
        if writes is None:
            return True
        block = self._entry.webhook.signature_verification
        if isinstance(block, Sns | Adyen) or (isinstance(block, Rsa) and block.config.certificate_url is not None):
            return False  # they read more than their templates name
        moment = (
            [compile_reference(self._options.timestamp)] if self._options.timestamp and not self._draft.faults else []
        )
        named = {path.partition(".")[0] for names in named_in([*self._draft.proving, *moment]) for path in names}
        read = named | {"raw_body", "headers"}
        return read <= _AS_IT_CAME and not read & writes

    def signature_headers(self, verifier: Verifier | None, *, apart: bool) -> frozenset[bytes]:
        """The headers of which an authentic delivery has at least one; none where that cannot be told."""
        if verifier is None or (STEPS[self._options.order][0] == "transform" and not apart):
            return frozenset()
        if isinstance(verifier, TrutoVerifier | StandardWebhooksVerifier):
            return verifier.headers
        template = self._draft.presented
        if template is None:
            return frozenset()
        wanted = [paths for paths in template.alternatives if all(path.startswith("headers.") for path in paths)]
        if not wanted or self._draft.is_constant(template):
            return frozenset()
        return frozenset(path.removeprefix("headers.").lower().encode("latin-1") for path in wanted[0])

    def check_hosts(self) -> None:
        """Refuse a proof that reads what any caller can write: the host that it wants to have called."""
        for path in sorted(self._draft.paths_of_the_proof() & _CALLERS_HOST):
            self._fault(
                CONFIG if path in self._draft.paths_in_templates() else ("webhook",),
                f"`{'.'.join(path)}` is whatever the caller writes, and proves nothing; "
                "`url` is the address of `options.public_url` or PUBLIC_URL",
            )

    def check_reach(self, source: Source, transform: CompiledStep | None, handle: CompiledStep | None) -> None:
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
