"""Merge the layers of an integration's config, and changes into a stored ``override``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_INSTEAD = {"parts": "verification_content", "verification_content": "parts"}


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """*above* over *below*: objects merge at any depth, everything else replaces, arrays too. Changes neither.

    ``None`` is a value like others: a null in an override switches off what the integration's config has there
    (skill: integration config), so it has to be stored, not heeded here.
    """
    merged = dict(below)
    for key, value in above.items():
        base = merged.get(key)
        merged[key] = merge(base, value) if isinstance(base, Mapping) and isinstance(value, Mapping) else value
    return merged


def overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """*above* over *below*: objects are merged, ``null`` removes, arrays and everything else replace.

    Two configurations of different ``format`` are not mixed: the upper one counts whole (skill: mappings; seed:
    "deep-merged"). Nor are the two ways to say what is signed, which exclude each other (seed): the upper one counts.
    """
    if "format" in below and "format" in above and below["format"] != above["format"]:
        return dict(above)
    merged = {key: value for key, value in below.items() if not _is_superseded(key, below, above)}
    for key, value in above.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            base = merged.get(key)
            merged[key] = overlay(base if isinstance(base, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def _is_superseded(key: str, below: Mapping[str, Any], above: Mapping[str, Any]) -> bool:
    signs = "compare_with" in below or "compare_with" in above
    return signs and key in _INSTEAD and key not in above and bool(above.get(_INSTEAD[key]))
