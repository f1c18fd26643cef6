"""Make a source of its description, or say everything that is wrong with it.

``proofs`` compiles what proves the sender, ``reach`` what the proof covers, ``identities`` what events are known by.
"""

from __future__ import annotations

import re
from ipaddress import ip_network

from ingress.errors import Faults
from ingress.quotas import Quota
from ingress.sources.address import read_public_url
from ingress.sources.contradictions import contradictions
from ingress.sources.description import CONFIG, STEPS, Description, wrong_address
from ingress.sources.identities import compile_identity, is_envelope
from ingress.sources.proofs import ProofCompiler
from ingress.sources.reach import ReachCompiler
from ingress.sources.schema import Entry, Jwt, Sns
from ingress.sources.source import Answer, Jwks, KeyRequest, Network, Source
from ingress.verification.context import URLS
from ingress.verification.evidence import NamesKey
from ingress.verification.handshake import answer_content
from ingress.verification.head import FORM, JSON, MULTIPART, TEXT, XML
from truto.placeholders import Template

_MAX_ANSWER_BYTES = 16 * 1024
_CREDENTIAL = re.compile(r"auth|cookie|credential|hmac|key|passw|secret|sig(n|-|$)|token", re.IGNORECASE)
_NO_CREDENTIAL = re.compile(r"idempotency-(key|token)", re.IGNORECASE)
_MEDIA_TYPES = {"json": ("", JSON), "form": (FORM,), "multipart": (MULTIPART,), "text": (TEXT, ""), "xml": (XML,)}


def compile_source(name: str, entry: Entry, *, public_url: str = "") -> Source:
    """The source that *entry* describes; *public_url* is the ingress' own. Raises :class:`Faults`."""
    return _Compiler(Description(name, entry), public_url).source()


class _Compiler:
    def __init__(self, draft: Description, public_url: str) -> None:
        self._draft = draft
        self._entry = draft.entry
        self._options = draft.options
        self._fault = draft.fault
        self._given_url = public_url

    def source(self) -> Source:
        draft = self._draft
        webhook, options = draft.entry.webhook, draft.options
        proof, reach = ProofCompiler(draft), ReachCompiler(draft)
        verifier, credentials = proof.verification()
        transform = self._draft.expression("payload_transform", webhook.payload_transform)
        handle = self._draft.expression("handle_verification", webhook.handle_verification)
        writes = reach.transform_writes(transform)
        apart = reach.is_apart(writes)
        identity = compile_identity(draft)
        source = Source(
            name=self._draft.name,
            description=self._entry.description,
            verifier=verifier,
            credentials=credentials,
            steps=STEPS[options.order],
            transform=transform,
            transform_writes=writes,
            transform_apart=apart,
            handle=handle,
            handle_reads_body=handle is not None and handle.reads_body,
            signature_headers=reach.signature_headers(verifier, apart=apart),
            freshness=reach.freshness(),
            media_types=frozenset(media for kind in options.media_types for media in _MEDIA_TYPES[kind]),
            handshake_methods=frozenset([*options.handshake_methods, *(["GET"] if options.get_handshake else [])]),
            answer=self._answer(),
            form_field=options.form_field,
            is_envelope=is_envelope(draft, identity, transform),
            max_body_bytes=options.max_body_bytes or 0,
            kept_headers=self._kept_headers(),
            networks=self._networks(),
            client_ip_header=(options.client_ip_header or "").lower(),
            trusted_proxies=options.trusted_proxies,
            public_url=self._public_url(),
            signs_url=any(path[0] in URLS for path in self._draft.paths_of_the_proof()),
            signature_header=(options.signature_fields or "").lower(),
            event_type=self._event_template("type", options.event.type),
            identity=identity,
            context=self._entry.context,
            environment_variables=self._entry.environment_variables,
            may_overwrite=options.allow_context_overwrite,
            platform_events=options.platform_events,
            updates_context=self._draft.updates_context,
            quota=Quota(**options.quota.model_dump()),
            jwks=self._jwks(),
            key_request=self._key_request(),
            certified=isinstance(verifier, NamesKey) and not isinstance(webhook.signature_verification, Jwt),
            confirms=self._confirms(),
        )
        for path, reason in contradictions(self._entry):
            self._fault(path, reason)
        proof.check_secrets(source)
        reach.check_hosts()
        reach.check_reach(source, transform, handle)
        if self._draft.faults:
            raise Faults(self._draft.faults)
        return source

    def _networks(self) -> tuple[Network, ...]:
        found = []
        for index, text in enumerate(self._options.ip_allow_list):
            try:
                found.append(ip_network(text))
            except ValueError:
                self._fault(("options", "ip_allow_list", str(index)), "is no network such as 192.0.2.0/24")
        return tuple(found)

    def _kept_headers(self) -> frozenset[bytes]:
        """The headers that events keep besides the usual ones; none that could be a proof, or prove anything."""
        proofs = {(self._options.signature_fields or "").lower()}
        for names in self._draft.presented.alternatives if self._draft.presented else ():
            proofs |= {name.removeprefix("headers.").lower() for name in names if name.startswith("headers.")}
        for index, name in enumerate(self._options.headers):
            if name.lower() in proofs or (_CREDENTIAL.search(name) and not _NO_CREDENTIAL.search(name)):
                self._fault(
                    ("options", "headers", str(index)), "may hold a secret or a signature, which no event keeps"
                )
        return frozenset(name.lower().encode() for name in self._options.headers)

    def _answer(self) -> Answer | None:
        stated = self._options.answer
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
        if not self._options.public_url:
            return self._given_url
        try:
            return read_public_url(self._options.public_url)
        except ValueError as exc:
            self._fault(("options", "public_url"), str(exc))
            return ""

    def _jwks(self) -> Jwks | None:
        url = self._options.jwt.jwks_url
        if url is None:
            return None
        if reason := wrong_address(url):
            self._fault(("options", "jwt", "jwks_url"), reason)
        return Jwks(url, self._options.jwt.jwks_cooldown_seconds)

    def _key_request(self) -> KeyRequest | None:
        asked = self._options.jwt.key_request
        if asked is None:
            return None
        path = ("options", "jwt", "key_request")
        if reason := wrong_address(asked.url):
            self._fault((*path, "url"), reason)
        for name, value in asked.fields.items():
            if not value.strip():
                self._fault((*path, "fields", name), "is empty; say what of yours is sent there, as `${NAME}`")
            elif "{{" in value:
                self._fault((*path, "fields", name), "is sent as it is written; nothing is referred to here")
        if asked.kid_field in asked.fields:
            self._fault((*path, "fields", asked.kid_field), "is where the `kid` goes (`kid_field`); leave it out")
        if self._draft.presents_what_is_made:
            self._fault((*CONFIG, "compare_with"), "has to name what came: the key is asked for before any transform")
        return KeyRequest(asked.url, tuple(asked.fields.items()), asked.kid_field, asked.key_field)

    def _confirms(self) -> bool:
        return isinstance(self._entry.webhook.signature_verification, Sns) and self._options.confirm_subscriptions

    def _event_template(self, field: str, text: str | None) -> Template | None:
        return self._draft.template(("options", "event", field), text) if text else None
