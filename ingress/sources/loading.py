"""Read ``sources.yaml``: a name for each source, and behind it what the source is."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from events.naming import PLATFORM_SOURCE, WORKFLOWS_SOURCE
from ingress.errors import BadSources, Faults
from ingress.refusals import NO_SOURCE
from ingress.sources.compiling import compile_source
from ingress.sources.faults import SourceFault, did_you_mean
from ingress.sources.layers import resolve
from ingress.sources.schema import Entry
from ingress.sources.source import Source
from truto.documents import read_yaml

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
RESERVED_NAMES = {
    WORKFLOWS_SOURCE: "the source of what workflows emit",
    NO_SOURCE: "what refusals without a source are listed under",
}
"""Names that mean something already, and what: a source of such a name could not be told from it."""

_FORMATS = frozenset(
    {"hmac", "basic", "bearer", "jwt", "standard_webhooks", "ed25519", "ecdsa", "rsa", "sns", "adyen", "truto"}
)
_BRANCHES = frozenset({"str", "list[str]"})


def load_sources(
    path: Path, environment: Mapping[str, str], *, taken: Collection[str] = (), public_url: str = ""
) -> dict[str, Source]:
    """The sources of the file at *path*, by name; ``${VARIABLES}`` come from *environment*.

    *public_url* is where senders reach this ingress, for sources that do not say it themselves.
    Raises :class:`BadSources` naming everything that is wrong: file, keys and reason. *taken* names are refused.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        raise BadSources(str(path), [SourceFault((), f"cannot be read: {reason}")]) from None
    try:
        return read_sources(text, environment, taken=taken, public_url=public_url)
    except Faults as exc:
        raise BadSources(str(path), exc.faults) from None


def read_sources(
    text: str, environment: Mapping[str, str], *, taken: Collection[str] = (), public_url: str = ""
) -> dict[str, Source]:
    """The sources that *text* describes. Raises :class:`Faults`."""
    sources: dict[str, Source] = {}
    faults: list[SourceFault] = []
    for name, given in read_descriptions(text).items():
        try:
            sources[name] = read_source(name, given, environment, taken=taken, public_url=public_url)
        except Faults as exc:
            faults += exc.faults
    if faults:
        raise Faults(faults)
    return sources


def read_descriptions(text: str) -> dict[str, Any]:
    """What *text* says of each source, by name, unchecked. Raises :class:`Faults`."""
    try:
        described = read_yaml(text)
    except yaml.MarkedYAMLError as exc:
        line = f"line {exc.problem_mark.line + 1}: " if exc.problem_mark else ""
        raise Faults([SourceFault((), f"{line}{exc.problem or exc.context}")]) from None
    except (yaml.YAMLError, RecursionError):
        raise Faults([SourceFault((), "is not YAML")]) from None
    if not isinstance(described, dict):  # nothing at all may be a file that is being written
        raise Faults([SourceFault((), "must map names to sources; `{}` is none")])
    return described


def read_source(
    name: str, given: Any, environment: Mapping[str, str], *, taken: Collection[str] = (), public_url: str = ""
) -> Source:
    """The source *name* that *given* describes. Raises :class:`Faults`."""
    return compile_source(name, read_entry(name, given, environment, taken=taken), public_url=public_url)


def read_entry(name: str, given: Any, environment: Mapping[str, str], *, taken: Collection[str] = ()) -> Entry:
    """What *given* says of the source *name*, checked but not compiled. Raises :class:`Faults`."""
    if not _NAME.fullmatch(name):
        raise Faults([SourceFault((name[:64],), "a name has 1 to 64 of a-z, 0-9, `-` and `_`")])
    if name in taken:
        raise Faults([SourceFault((name,), "exists already (TRUTO_WEBHOOK_SECRET makes a source of this name)")])
    if name in RESERVED_NAMES:
        raise Faults([SourceFault((name,), f"is {RESERVED_NAMES[name]}: choose another name")])
    resolved = resolve(name, given, environment)
    try:
        entry = Entry.model_validate(resolved)
    except ValidationError as exc:
        raise Faults(
            _fault(name, dict(error)) for error in exc.errors(include_input=False, include_url=False)
        ) from None
    if name == PLATFORM_SOURCE and not entry.options.platform_events:
        reason = "is the name of Truto's own source: choose another one, or say `options.platform_events: true`"
        raise Faults([SourceFault((name,), reason)])
    return entry


def _fault(name: str, error: dict[str, Any]) -> SourceFault:
    path = [str(key) for key in error["loc"] if key not in _BRANCHES]
    within, given = path[:-1], path[-1:]
    if len(path) > 2 and path[1] == "signature_verification" and path[2] in _FORMATS:
        del path[2]  # pydantic names the branch it took
    match error["type"]:
        case "extra_forbidden":
            reason = f"is not known here{did_you_mean(''.join(given), _known_keys(within))}"
        case "missing":
            reason = "is missing"
        case "union_tag_invalid" | "union_tag_not_found":
            path.append("format")
            reason = f"must be one of {', '.join(sorted(_FORMATS))}"
        case _:
            reason = str(error["msg"]).removeprefix("Value error, ")
    return SourceFault((name, *path), reason)


def _known_keys(path: Iterable[str]) -> set[str]:
    """What may stand in a source behind the keys of *path*, in which pydantic names the format that it took."""
    models: list[type[BaseModel]] = [Entry]
    for key in path:
        fields = [model.model_fields[key] for model in models if key in model.model_fields]
        tagged = [model for model in models if key in _tags(model)]
        models = tagged or [model for field in fields for model in _models(field.annotation)]
    return {key for model in models for key in model.model_fields}


def _tags(model: type[BaseModel]) -> tuple[str, ...]:
    return get_args(model.model_fields["format"].annotation) if "format" in model.model_fields else ()


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
