"""Options that say nothing about a source, or contradict each other: refused, since whoever wrote them meant something.

An option counts as given when it differs from its default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingress.sources.schema import Entry, JwtOptions, Options
from truto.references import translate_references

Fault = tuple[tuple[str, ...], str]

_COMPARING = frozenset({"hmac", "basic", "bearer", "jwt", "ed25519", "ecdsa", "rsa"})
_FORMATS: dict[str, frozenset[str]] = {
    "compare_prefix": _COMPARING,
    "signature_separator": _COMPARING - {"jwt"},
    "secret_encoding": frozenset({"hmac"}),
    "allow_md5": frozenset({"hmac"}),
    "either_port": frozenset({"hmac"}),
    "either_encoding": frozenset({"hmac"}),
    "allow_short_secret": frozenset({"hmac", "basic", "bearer", "jwt", "standard_webhooks", "adyen", "truto", ""}),
    "confirm_subscriptions": frozenset({"sns"}),
    "jwt": frozenset({"jwt"}),
}
"""Where an option that does not stand for every source has a meaning; ``""`` is an expression that is the proof."""

_NEEDS = {
    "timestamp_unit": "timestamp",
    "client_ip_header": "ip_allow_list",
    "trusted_proxies": "client_ip_header",
    "get_handshake": "handle_verification",
    "handshake_methods": "handle_verification",
    "allow_context_overwrite": "handle_verification",
    "transform_gives": "payload_transform",
}


def contradictions(entry: Entry) -> Iterator[Fault]:
    """What is wrong with the options of *entry*, by path and reason."""
    block = entry.webhook.signature_verification
    if block is None and not entry.options.verified_by_expression:
        return  # which is a fault of its own, and everything here would follow from it
    given = _given(entry.options, Options())
    name = block.format if block is not None else ""
    yield from _without_meaning(given, name)
    yield from _without_what_they_need(entry, given)
    yield from _within_a_format(entry, given)


def _given(options: Options | JwtOptions, default: Options | JwtOptions) -> frozenset[str]:
    names = type(options).model_fields
    return frozenset(name for name in names if getattr(options, name) != getattr(default, name))


def _without_meaning(given: frozenset[str], name: str) -> Iterator[Fault]:
    where = f"for `format: {name}`" if name else "where `verified_by_expression` decides"
    for option in sorted(given & _FORMATS.keys()):
        if name not in _FORMATS[option]:
            yield ("options", option), f"has no meaning {where}; leave it out"


def _without_what_they_need(entry: Entry, given: frozenset[str]) -> Iterator[Fault]:
    there = given | {name for name in ("handle_verification", "payload_transform") if getattr(entry.webhook, name)}
    for option, needed in _NEEDS.items():
        if option in given and needed not in there:
            yield ("options", option), f"has no meaning without `{needed}`; leave it out"


def _within_a_format(entry: Entry, given: frozenset[str]) -> Iterator[Fault]:
    options, block = entry.options, entry.webhook.signature_verification
    if options.signature_separator and options.signature_separator in options.compare_prefix:
        yield ("options", "compare_prefix"), "holds the `signature_separator`, so that nothing could ever begin with it"
    if (
        block is not None
        and block.format == "hmac"
        and options.allow_md5
        and "md5" not in block.config.algorithm.lower()
    ):
        yield ("options", "allow_md5"), f"has no meaning for {block.config.algorithm}; leave it out"
    if options.either_port and options.either_encoding:
        yield ("options", "either_encoding"), "cannot stand beside `either_port`: one of them is for the sender"
    if options.allow_short_secret and (options.jwt.public_keys or options.jwt.jwks_url or options.jwt.key_request):
        yield ("options", "allow_short_secret"), "has no meaning for public keys; leave it out"
    if options.form_field and "form" not in options.media_types:
        yield ("options", "form_field"), "has no meaning without `form` among the `media_types`; leave it out"
    named = "signature_fields" in translate_references(_written(entry))
    if "signature_fields" in given and not named:
        yield ("options", "signature_fields"), "has no meaning where nothing refers to `{{signature_fields.…}}`"
    if named and "signature_fields" not in given:
        yield ("options", "signature_fields"), "is missing: the header whose `t=…,v1=…` are referred to"
    yield from _within_jwt(options.jwt)


def _within_jwt(options: JwtOptions) -> Iterator[Fault]:
    if "jwks_cooldown_seconds" in _given(options, JwtOptions()) and options.jwks_url is None:
        yield ("options", "jwt", "jwks_cooldown_seconds"), "has no meaning without `jwks_url`; leave it out"


def _written(entry: Entry) -> str:
    """Every template and expression of *entry* as one text."""
    options = entry.options.model_dump(include={"timestamp", "event"})
    return "\n".join(_texts({"webhook": entry.webhook.model_dump(), "options": options}))


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for one in value.values():
                yield from _texts(one)
        case list():
            for one in value:
                yield from _texts(one)
