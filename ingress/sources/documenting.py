"""The table of all presets, as docs/presets.md shows it: what each says is told from the preset itself.

``make docs`` writes it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from ingress.sources.layers import presets, read_preset
from ingress.sources.proofs import DEFAULT_TOLERANCE_SECONDS
from ingress.sources.schema import (
    Adyen,
    Basic,
    Bearer,
    Entry,
    Jwt,
    SignatureVerification,
    Sns,
    StandardWebhooks,
    TrutoHeader,
)
from ingress.verification.handshake import answer_content
from truto.references import translate_references

_COLUMNS = ("Preset", "Scheme", "Identity", "Answer", "Handshake", "Size", "Replay window", "Facts")
_INTRODUCTION = """\
# Presets

Written by `make docs` from the files in `ingress/sources/presets/`; [sources.md](sources.md) says what the words mean.

*Scheme*: what is signed or compared, and where the proof is. *Identity*: what makes two deliveries the same event.
*Size*: the largest body. *Replay window*: how far the signed time may be from now; without one, a delivery that
somebody has copied is good for as long as the secret is. *Facts*: the sender's own documents.

"""
_REFERENCE = re.compile(r"\{\{([^{}]+)\}\}")
_ANSWERS_A_HANDSHAKE = re.compile(r"'status_code':\s*2\d\d")


def preset_page() -> str:
    """The page, with one row for each preset."""
    rows = [_COLUMNS, ["-" * 3] * len(_COLUMNS), *(_row(name) for name in presets())]
    return _INTRODUCTION + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(name: str) -> Sequence[str]:
    given = read_preset(name)
    documents = given.pop("documents")
    entry = Entry.model_validate(given)
    return (
        f"`{name}`",
        _scheme(entry),
        _identity(entry),
        _answer(entry),
        _handshake(entry),
        _size(entry),
        _window(entry),
        ", ".join(f"[{urlsplit(url).hostname}]({url})" for url in documents),
    )


# -- columns -----------------------------------------------------------------------------------------------------------


def _scheme(entry: Entry) -> str:
    block = entry.webhook.signature_verification
    match block:
        case None:
            return "compared by an expression"
        case StandardWebhooks():
            return "Standard Webhooks"
        case TrutoHeader():
            return "`X-Truto-Signature`"
        case Basic():
            return f"Basic credentials in {_code(block.config.compare_with)}"
        case Bearer():
            return f"secret in {_code(block.config.compare_with)}"
        case Jwt():
            return _token(entry, block)
        case Sns():
            return "RSA (base64) of the message's own fields, with the certificate of `SigningCertURL`; named topics"
        case Adyen():
            return (
                "HMAC-SHA256 (base64, key in hex) of eight fields of each item, in its `additionalData.hmacSignature`"
            )
        case _:
            return _signature(entry, block)


def _token(entry: Entry, block: Jwt) -> str:
    options = entry.options.jwt
    claims = [f"`{name}`" for name in ("issuer", "audience") if getattr(options, name) != []]
    claims += [f"`{name}`" for name in options.claims]
    told = f"JWT ({', '.join(options.algorithms)}) in {_code(block.config.compare_with)}"
    told += f", claims {', '.join(claims)}" if claims else ""
    return told + (f", body bound by `{options.body_hash.claim}`" if options.body_hash else ", body not bound")


def _signature(entry: Entry, block: SignatureVerification) -> str:
    """Of every format that signs parts of a delivery."""
    config, options = block.config.model_dump(), entry.options
    algorithm = f"HMAC-{config['algorithm'].upper()}" if block.format == "hmac" else block.format
    signed = config.get("parts") or config.get("verification_content") or ["raw_body"]
    encoding = options.secret_encoding
    key = "" if encoding == "utf8" else f", key in {encoding}"
    prefix = f" after `{options.compare_prefix}`" if options.compare_prefix else ""
    where = f" in {_code(config['compare_with'])}{prefix}" if config.get("compare_with") else ""
    certificate = (
        f", with the certificate of {_code(config['certificate_url'])}" if config.get("certificate_url") else ""
    )
    spelled = f"{config.get('string_type', 'base64')}{key}"
    return f"{algorithm} ({spelled}) of {' + '.join(map(_code, signed))}{where}{certificate}"


def _identity(entry: Entry) -> str:
    match entry.options.identity:
        case list() as references:
            return ", ".join(map(_code, references))
        case "body":
            return "the body"
        case _:
            return "none: each delivery is an event"


def _answer(entry: Entry) -> str:
    stated = entry.options.answer
    if stated is None:
        return "200, JSON"
    body, _ = answer_content(stated.body)
    return f"{stated.status}, {_code(body.decode()) if body else 'empty'}"


def _handshake(entry: Entry) -> str:
    if isinstance(entry.webhook.signature_verification, Sns):
        return "a proven `SubscriptionConfirmation` is confirmed"
    handle = entry.webhook.handle_verification or ""
    if not _ANSWERS_A_HANDSHAKE.search(handle):
        return "none"
    how = "GET" if entry.options.get_handshake else ", ".join(entry.options.handshake_methods) or "POST"
    if "update_context" in handle:
        return f"{how}, brings the secret: `sources enrol`"
    return f"{how}, signed" if entry.options.order == "signature_first" else f"{how}, unsigned"


def _size(entry: Entry) -> str:
    stated = entry.options.max_body_bytes
    return "`MAX_BODY_BYTES`" if stated is None else f"{stated:,} bytes"


def _window(entry: Entry) -> str:
    options, block = entry.options, entry.webhook.signature_verification
    if options.timestamp or isinstance(block, StandardWebhooks):
        return f"{options.tolerance_seconds or DEFAULT_TOLERANCE_SECONDS:g} s"
    if isinstance(block, Jwt):
        longest = options.jwt.max_age_seconds
        return f"{longest:g} s" if longest is not None else "`exp` of the token"
    return "none"


# -- text --------------------------------------------------------------------------------------------------------------


def _code(template: str) -> str:
    """*template* as code, without braces where it is nothing but one reference; a bar would end the cell."""
    text = translate_references(template)
    alone = _REFERENCE.fullmatch(text)
    return f"`{alone[1] if alone else text}`".replace("|", "\\|")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(preset_page(), encoding="utf-8")
