"""Merge changes into a stored ``override``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
