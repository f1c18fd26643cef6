"""What an expression saw and gave, shortened and without what looks like a secret."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from truto.expressions import UNDEFINED

TraceEntry = dict[str, Any]
"""``at`` (place), ``inputs`` (name to value), ``missing`` (names without one), ``value``, and ``why`` it was false."""

_SECRET = re.compile(r"(?i)secret|token|passw|api_?key|credential|authorization|private_key")
_MASK = "[secret]"
_MAX_INPUTS = 12
_LONGEST_TEXT = 100
_LONGEST_VALUE = 800
_DEEPEST = 6


def trace_entry(at: str, scope: Mapping[str, Any], paths: Iterable[tuple[str, ...]], value: Any) -> TraceEntry:
    """The record of one evaluation at the place *at* that named *paths* of *scope* and gave *value*."""
    inputs: dict[str, Any] = {}
    missing: list[str] = []
    for path in list(paths)[:_MAX_INPUTS]:
        if path[0] not in scope and len(path) == 1:
            continue  # most likely a name inside of a filter or function
        found = _look_up(scope, path)
        if found is UNDEFINED:
            missing.append(".".join(path))
        else:
            inputs[".".join(path)] = _MASK if _SECRET.search(path[-1]) else _brief(found)
    entry: TraceEntry = {"at": at, "inputs": inputs}
    if missing:
        entry["missing"] = missing
    if value is not UNDEFINED:
        entry["value"] = _shown(value)
    return entry


def why_false(entry: TraceEntry) -> str:
    """In words: what the condition gave, and what it looked at."""
    gave = json.dumps(entry["value"], ensure_ascii=False) if "value" in entry else "nothing (undefined)"
    seen = [f"{name} is {json.dumps(value, ensure_ascii=False)}" for name, value in entry["inputs"].items()]
    seen += [f"{name} is missing" for name in entry.get("missing", ())]
    return f"it gave {gave}" + (f"; {', '.join(seen)}" if seen else "")


def _look_up(scope: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        if not isinstance(scope, Mapping) or key not in scope:
            return UNDEFINED
        scope = scope[key]
    return scope


def _brief(value: Any) -> Any:
    match value:
        case str():
            return _short(value)
        case Mapping():
            return f"an object with {len(value)} keys"
        case list() | tuple():
            return f"an array of {len(value)}"
        case _:
            return value


def _shown(value: Any) -> Any:
    masked = _masked(value, _DEEPEST)
    return masked if len(json.dumps(masked)) <= _LONGEST_VALUE else _brief(value)


def _masked(value: Any, depth: int) -> Any:
    match value:
        case str():
            return _short(value)
        case Mapping() if depth:
            return {_short(k): _MASK if _SECRET.search(k) else _masked(v, depth - 1) for k, v in value.items()}
        case list() if depth and len(value) <= _LONGEST_VALUE:
            return [_masked(item, depth - 1) for item in value]
        case Mapping() | list():
            return _brief(value)
        case _:
            return value


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
