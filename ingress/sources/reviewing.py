"""What in a source can never match, though the source can be loaded: told from its description, without a delivery."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ingress.sources.faults import SourceFault, did_you_mean
from ingress.sources.schema import Entry
from ingress.sources.source import Source
from ingress.verification.context import ROOTS
from ingress.verification.references import compile_reference
from truto.placeholders import Template
from truto.references import translate_references

Path = tuple[str, ...]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONFIGURED = frozenset({"context", "environment_variables", "env"})
_METHOD = re.compile(r"\bmethod\s*=\s*['\"](\w+)['\"]|['\"](\w+)['\"]\s*=\s*method\b")
_BOUND_HEADER = re.compile(r"\$headers?\s*\.\s*(?:`([^`]+)`|([A-Za-z]\w*))")
_PLACEHOLDER = re.compile(r"\{\{.*?\}\}")
_NO_SIGNATURE = frozenset({"raw_body", "method", "path", "url", "crc32", "sorted_fields"})
_BRACES = "{} "
_CONTENT_TYPE = re.compile(r"headers\.`content-type`\s*=\s*['\"]([^'\"]+)['\"]")
_MISSPELT = frozenset({"headers", "body", "query", "context", "environment_variables", "signature_fields"})
"""The roots whose misspelling an expression is searched for: those that have fields, and names not easily another's."""
_CONFIG: Path = ("webhook", "signature_verification", "config")
_DIGESTS = frozenset({"hmac", "ed25519", "ecdsa", "rsa"})
_EXPRESSIONS = ("payload_transform", "handle_verification")


def review(entry: Entry, source: Source) -> list[SourceFault]:
    """Everything in the source that no delivery can ever meet, by keys and reason."""
    found = [
        *_in_templates(entry, source),
        *_in_expressions(entry, source),
        *_in_compare_with(entry),
        *_in_what_is_signed(entry),
        *_in_event_type(entry),
    ]
    return [SourceFault((source.name, *path), reason) for path, reason in dict.fromkeys(found)]


def _in_templates(entry: Entry, source: Source) -> Iterator[tuple[Path, str]]:
    for path, template in _templates(entry):
        proves = path[0] == "webhook"
        made = source.transform_writes or frozenset() if source.steps[0] == "transform" or not proves else frozenset()
        # What such a transform writes is not told by its source, so that any name may come of it.
        open_ended = entry.options.transform_gives == "context"
        for reference in (name for names in template.alternatives for name in names):
            root = reference.partition(".")[0]
            if root not in ROOTS | made and not open_ended:
                yield path, _unknown(root, reference, sorted(ROOTS | made))
            elif root == "headers":
                yield from ((path, reason) for reason in _header_faults(reference.partition(".")[2]))


def _unknown(root: str, reference: str, known: list[str]) -> str:
    return f"`{reference}`: nothing is called `{root}` here{did_you_mean(root, known)}"


def _header_faults(name: str) -> Iterator[str]:
    if not _HEADER_NAME.fullmatch(name):
        yield f"no request can carry a header called `{name}`"
    elif "." in name:
        yield f"`headers.{name}` looks for a field inside of a header, which has none"
    elif name != name.lower():
        yield f"`headers.{name}`: names of headers are in lower case here; write `headers.{name.lower()}`"


def _in_expressions(entry: Entry, source: Source) -> Iterator[tuple[Path, str]]:
    for field in _EXPRESSIONS:
        text = getattr(entry.webhook, field)
        if not text:
            continue
        path: Path = ("webhook", field)
        yield from ((path, reason) for reason in _path_faults(text))
        for first, second in _METHOD.findall(text):
            if (method := first or second) not in {"POST", *source.handshake_methods}:
                yield path, f"asks for {method}, which is not enabled; say `options.handshake_methods: [{method}]`"
        for media in _CONTENT_TYPE.findall(text):
            if media.partition(";")[0].strip().lower() not in source.media_types:
                yield path, f"asks for {media}, which `options.media_types` does not let in"


def _path_faults(text: str) -> Iterator[str]:
    from ingress.verification.expressions import Step

    for quoted, plain in _BOUND_HEADER.findall(text):
        yield from _header_faults(quoted or plain)
    for root, *fields in sorted(Step(text).paths()):
        if not fields:
            continue
        if root == "headers":
            yield from _header_faults(fields[0])
        elif meant := next((known for known in _MISSPELT if _is_slip(root, known)), None):
            yield f"`{root}.{fields[0]}`: nothing is called `{root}` here; did you mean {meant}?"


def _is_slip(given: str, known: str) -> bool:
    """Whether *given* is *known* with a letter left out, one too many, or two swapped.

    One letter instead of another may be a word of its own: `content` is not `context`.
    """
    longer, shorter = sorted((given, known), key=len, reverse=True)
    if len(longer) == len(shorter) + 1:
        return any(longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer)))
    swapped = (known[:at] + known[at + 1] + known[at] + known[at + 2 :] for at in range(len(known) - 1))
    return given != known and given in swapped


def _in_compare_with(entry: Entry) -> Iterator[tuple[Path, str]]:
    for path, template in _templates(entry):
        roots = {name.partition(".")[0] for names in template.alternatives for name in names}
        if path == (*_CONFIG, "compare_with") and roots <= _CONFIGURED:
            yield path, "names nothing of a delivery, so that no signature of a sender is ever looked at"
        elif path == (*_CONFIG, "compare_with") and roots <= _CONFIGURED | _NO_SIGNATURE:
            yield path, "names what is signed, and no place where a sender would put a signature"
    yield from _beside_a_digest(entry)


def _beside_a_digest(entry: Entry) -> Iterator[tuple[Path, str]]:
    """Text that stands beside a digest, so that the two can never be alike."""
    block, options = entry.webhook.signature_verification, entry.options
    for option in ("compare_prefix", "signature_separator"):
        if "{{" in getattr(options, option):
            yield ("options", option), "is taken as it is written; nothing is referred to here"
    if block is None or block.format not in _DIGESTS or options.compare_prefix or options.signature_separator:
        return
    text = translate_references(block.config.model_dump()["compare_with"])
    beside = _PLACEHOLDER.sub("", text)
    if beside and beside != text:
        yield (
            (*_CONFIG, "compare_with"),
            f"has `{beside}` beside the signature, which nothing can equal then; where the sender writes it, "
            f"say `options.compare_prefix: '{beside}'` and leave it out here",
        )


def _in_what_is_signed(entry: Entry) -> Iterator[tuple[Path, str]]:
    block = entry.webhook.signature_verification
    pieces = block.config.model_dump().get("verification_content") if block is not None else None
    for at, piece in enumerate(pieces or ()):
        named = piece.strip(_BRACES)
        if "{{" not in translate_references(piece) and _looks_like_a_reference(named, bare=named == piece):
            path = (*_CONFIG, "verification_content", str(at))
            yield path, f"is the text itself; did you mean {{{{{named}}}}}?"


def _looks_like_a_reference(text: str, *, bare: bool) -> bool:
    """Without braces, only what nobody would sign as a text: ``url`` and ``method`` might be one."""
    root, dot, _ = text.partition(".")
    return root in ROOTS and (bool(dot) or root == "raw_body" or not bare)


def _in_event_type(entry: Entry) -> Iterator[tuple[Path, str]]:
    text = translate_references(entry.options.event.type or "")
    path: Path = ("options", "event", "type")
    roots = {name.partition(".")[0] for names in compile_reference(text).alternatives for name in names}
    root, dot, field = text.partition(".")
    if roots and roots <= _CONFIGURED | {"method", "path", "webhook_type"}:
        yield path, "is the same for every delivery, so that handlers cannot tell events apart"
    elif not roots and dot and (root in ROOTS or did_you_mean(root, ROOTS)):
        meant = root if root in ROOTS else next(known for known in sorted(ROOTS) if did_you_mean(root, [known]))
        yield path, f"is the text itself for every event; did you mean {{{{{meant}.{field}}}}}?"
    elif not roots and text.lower().startswith("x-"):
        yield path, f"is the text itself for every event; did you mean {{{{headers.{text.lower()}}}}}?"


def _templates(entry: Entry) -> Iterator[tuple[Path, Template]]:
    """Every template of the source, with the keys that lead to it."""
    block = entry.webhook.signature_verification
    config = block.config.model_dump() if block is not None else {}
    parts = config.pop("parts", None) or []
    yield from (((*_CONFIG, "parts", str(at)), _part(text)) for at, text in enumerate(parts))
    options = entry.options.model_dump(include={"timestamp", "event", "identity"})
    jwt = {"jwt": {"claims": entry.options.model_dump()["jwt"].get("claims", {})}}
    for path, text in (*_texts(config, _CONFIG), *_texts({**options, **jwt}, ("options",))):
        yield path, compile_reference(text)


def _part(text: str) -> Template:
    reference = translate_references(text)
    return compile_reference(reference if "{{" in reference else f"{{{{{reference}}}}}")


def _texts(value: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from _texts(inner, (*path, str(key)))
