"""Sign a sample as a source's sender would, to see whether the source takes it."""

from __future__ import annotations

import base64
import hmac
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from ingress.errors import CannotSign
from ingress.sources.schema import Adyen, Basic, Bearer, Entry, Hmac, Jwt, StandardWebhooks, TrutoHeader
from ingress.sources.source import Source
from ingress.verification.adyen import items_of, signed_content
from ingress.verification.context import Account, Delivery
from ingress.verification.digests import HmacVerifier
from ingress.verification.evidence import encoded, signed_bytes
from ingress.verification.head import FORM, JSON, MULTIPART
from ingress.verification.pipeline import context_of
from truto.errors import SignatureError
from truto.references import translate_references
from truto.signature import HEADER, sign

BODY = b'{"id":"sample-1","event":"sample","type":"sample"}'

_HEADER = re.compile(r"\{\{headers\.([A-Za-z0-9_-]+)\}\}")
# A second signature is made with a second key, which a sample does not need.
_ALONE = re.compile(r"([A-Za-z]+ )?\{\{headers\.([A-Za-z0-9_-]+)\}\}(?:,\{\{headers\.[A-Za-z0-9_-]+\?:-\}\})?")
_ADYEN_ITEM = {"pspReference": "sample-1", "eventCode": "SAMPLE", "success": "true"}
_TIME_FIELD = re.compile(r"\{\{signature_fields\.([A-Za-z0-9_]+)\}\}")


@dataclass(frozen=True, slots=True)
class Sample:
    """A delivery as the sender would make it; ``event_id`` is what tells it from others, where that is no field."""

    headers: Mapping[str, str]
    body: bytes = BODY
    path: str = "/webhooks/sample"
    event_id: str = "sample-1"

    def carrying(self, headers: Mapping[str, str]) -> Sample:
        """It with more *headers*."""
        return replace(self, headers={**self.headers, **headers})

    def delivery(self, *, body: bytes | None = None) -> Delivery:
        """It as a delivery, with another *body* if one is given."""
        raw = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        return Delivery(raw, self.body if body is None else body, path=self.path, client="127.0.0.1")


def signed_sample(source: Source, entry: Entry, account: Account, *, now: float, draft: Sample | None = None) -> Sample:
    """A sample that *source* has to take, or *draft*, signed with its newest secret. Raises :class:`CannotSign`."""
    if source.networks:
        raise CannotSign("the source takes deliveries of some addresses only")
    if source.unprovable:
        raise CannotSign(str(source.unprovable))
    if not account.secrets:
        raise CannotSign("there is no secret, or only the sender has it")
    secret = account.secrets[0]
    draft = _plain(source, draft or Sample({}))
    block = entry.webhook.signature_verification
    match block:
        case Hmac():
            return _hmac(source, entry, block, account, now, draft)
        case StandardWebhooks():
            return draft.carrying(_standard(secret, now, draft))
        case TrutoHeader():
            return draft.carrying({HEADER.lower(): sign(draft.body, secret.decode())})
        case Basic():
            return draft.carrying(_word(block.config.compare_with, _basic(secret), scheme="Basic "))
        case Bearer():
            return draft.carrying(_word(block.config.compare_with, secret.decode(), scheme="Bearer "))
        case Jwt():
            token = _token(entry, secret, now)
            return draft.carrying(_word(block.config.compare_with, token, scheme="Bearer "))
        case Adyen():
            return replace(draft, body=_adyen_body(secret, draft.body))
        case _:
            raise CannotSign("only the sender can sign for this source")


def _plain(source: Source, draft: Sample) -> Sample:
    for media in (JSON, FORM, MULTIPART):
        if media in source.media_types:
            if media != JSON:
                raise CannotSign("the source takes forms only")
            return draft.carrying({"content-type": media})
    raise CannotSign("the source takes no JSON")


def _hmac(source: Source, entry: Entry, block: Hmac, account: Account, now: float, draft: Sample) -> Sample:
    verifier = source.verifier
    assert isinstance(verifier, HmacVerifier)
    timestamp = translate_references(entry.options.timestamp or "")
    moment = moment_text(entry.options.timestamp_unit, now)
    headers = dict(draft.headers)
    for template in (*(block.config.verification_content or ()), timestamp):
        for name in _HEADER.findall(translate_references(template)):
            if f"{{{{headers.{name}}}}}" == timestamp:
                headers[name.lower()] = moment
            headers.setdefault(name.lower(), "sample")
    if "{{body." in timestamp and draft.body == BODY:
        raise CannotSign("the signed time is a field of the body")
    if "{{body." in "".join(map(translate_references, block.config.verification_content or ())):
        raise CannotSign("what is signed are fields of the body")
    time_field = _TIME_FIELD.fullmatch(timestamp)
    if source.signature_header:
        headers[source.signature_header] = f"{time_field[1] if time_field else 't'}={moment}"
    try:
        content = signed_bytes(verifier.signed, context_of(source, draft.carrying(headers).delivery(), account))
    except SignatureError as exc:
        if "{{sorted_fields}}" in (block.config.verification_content or ()):
            raise CannotSign("the source signs the fields of forms only, and a sample is JSON") from None
        raise CannotSign(f"what is signed comes out of an expression: {exc}") from None
    digest = encoded(hmac.digest(account.secrets[0], content, verifier.algorithm), verifier.string_type)[0].decode()
    presented = entry.options.compare_prefix + digest
    if source.signature_header:
        presented = f"{headers[source.signature_header]}{entry.options.signature_separator or ','}{presented}"
    return draft.carrying({**headers, **_word(block.config.compare_with, presented)})


def _adyen_body(secret: bytes, body: bytes) -> bytes:
    """*body* with every item of it signed; the plain sample becomes a delivery of one item."""
    told = {"notificationItems": [{"NotificationRequestItem": dict(_ADYEN_ITEM)}]} if body == BODY else _read(body)
    try:
        for item in items_of({"body": told}):
            digest = base64.b64encode(hmac.digest(secret, signed_content(item), "sha256")).decode()
            item["additionalData"] = {**(item.get("additionalData") or {}), "hmacSignature": digest}
    except (SignatureError, TypeError) as exc:
        raise CannotSign(f"the body is no delivery of Adyen's: {exc}") from None
    return orjson.dumps(told)


def _read(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise CannotSign("the body is not JSON") from None


def _basic(secret: bytes) -> str:
    return base64.b64encode(secret).decode()


def _word(compare_with: str, presented: str, scheme: str = "") -> dict[str, str]:
    found = _ALONE.fullmatch(translate_references(compare_with))
    if found is None:
        raise CannotSign("what is compared comes out of an expression, not straight from a header")
    # A word written into the configuration is not the sender's.
    return {found[2].lower(): presented if found[1] else f"{scheme or ''}{presented}"}


def _standard(secret: bytes, now: float, draft: Sample) -> dict[str, str]:
    if secret.startswith(b"whpk_"):
        raise CannotSign("only the sender has the private key")
    content = b"%b.%d.%b" % (draft.event_id.encode(), int(now), draft.body)
    digest = base64.b64encode(hmac.digest(secret, content, "sha256")).decode()
    return {
        "webhook-id": draft.event_id,
        "webhook-timestamp": str(int(now)),
        "webhook-signature": f"v1,{digest}",
    }


def _token(entry: Entry, secret: bytes, now: float) -> str:
    import jwt

    options = entry.options.jwt
    if options.body_hash is not None:
        raise CannotSign("the token is bound to the body by a claim")
    if any(isinstance(value, str) and "{{" in value for value in options.claims.values()):
        raise CannotSign("a claim of the token depends on the delivery")
    claims: dict[str, object] = {"iat": int(now), "exp": int(now) + 60, **options.claims}
    for claim, names in (("iss", options.issuer), ("aud", options.audience)):
        first = names if isinstance(names, str) else next(iter(names), None)
        if first:
            claims[claim] = first
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", jwt.InsecureKeyLengthWarning)  # the sender chose the secret
        return jwt.encode(claims, secret, algorithm=options.algorithms[0])


def moment_text(unit: str, now: float) -> str:
    """*now* as senders write it who count in *unit*."""
    match unit:
        case "milliseconds":
            return str(int(now * 1000))
        case "iso":
            return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        case _:
            return str(int(now))
